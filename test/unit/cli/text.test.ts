import { describe, expect, test } from "bun:test";
import { progressLine, meter } from "../../../src/cli/progress.ts";
import { showSeconds, sparkline, table } from "../../../src/cli/text.ts";
import { timelineText } from "../../../src/cli/timeline.ts";

describe("showSeconds()", () => {
  test("names the two largest units", () => {
    const cases: [number, string][] = [
      [0, "0 µs"],
      [0.000_45, "450 µs"],
      [0.05, "50 ms"],
      [0.9999, "1.0 s"],
      [3, "3.0 s"],
      [12.4, "12 s"],
      [60, "1 min"],
      [125, "2 min 5 s"],
      [4800, "1 h 20 min"],
      [183_600, "2 d 3 h"],
      [Number.POSITIVE_INFINITY, "unknown"],
    ];
    for (const [seconds, text] of cases) expect(showSeconds(seconds)).toBe(text);
  });
});

describe("sparkline()", () => {
  test("is blank where nothing happened, and shows the least that did", () => {
    expect(sparkline([0, 1, 1000, 500])).toBe(" ▁█▅");
    expect(sparkline([])).toBe("");
  });
});

describe("table()", () => {
  test("aligns columns by what is seen, without trailing blanks", () => {
    const text = table(
      [{ title: "name" }, { title: "n", align: "right" }, { title: "note" }],
      [
        ["ä", "1", ""],
        ["longer", "200", "x"],
      ],
    );
    expect(text).toBe("name      n  note\nä         1\nlonger  200  x\n");
  });
});

describe("timelineText()", () => {
  const bucket = (minute: number, writes: number) => ({
    from: `2026-11-20T12:0${minute}:00.000000Z`,
    to: `2026-11-20T12:0${minute + 1}:00.000000Z`,
    writes,
    writtenBytes: writes * 4096,
    clearedBytes: 0,
    flushPoints: writes > 0 ? 1 : 0,
    lastLsn: writes > 0 ? minute + 10 : 0,
  });
  const timeline = {
    from: "2026-11-20T12:00:00.000000Z",
    to: "2026-11-20T12:04:00.000000Z",
    buckets: [bucket(0, 1), bucket(1, 0), bucket(2, 3), bucket(3, 0)],
    marks: [
      { kind: "bookmark" as const, time: "2026-11-20T12:03:30.000000Z", lsn: 12, detail: "good" },
      { kind: "created" as const, time: "2026-11-20T12:00:00.000000Z", lsn: 9, detail: "1 MiB" },
      { kind: "rolled-back" as const, time: "2026-11-20T12:01:30.000000Z", lsn: 11, detail: "to lsn 10" },
    ],
  };

  test("shows intervals in which something happened, and marks in their places", () => {
    const lines = timelineText("web1", timeline).trimEnd().split("\n");
    expect(lines.slice(4).map((line) => line.slice(0, 20).trimEnd())).toEqual([
      "  bytes |▃ █ |",
      "",
      "from (UTC)        wr",
      "2026-11-20 12:00",
      "  * 2026-11-20T12:00",
      "  * 2026-11-20T12:01",
      "2026-11-20 12:02",
      "  * 2026-11-20T12:03",
    ]);
  });

  test("says that nothing was written instead of drawing an empty curve", () => {
    const text = timelineText("web1", { ...timeline, buckets: [bucket(0, 0)], marks: [] });
    expect(text).toContain("nothing was written in this time");
  });

  test("joins intervals so that a curve of thousands fits the screen", () => {
    const buckets = Array.from({ length: 5000 }, (_, i) => bucket(i % 9, 0)).map((each, i) => ({
      ...each,
      writtenBytes: i,
    }));
    const text = timelineText("web1", { ...timeline, buckets, marks: [] });
    expect(Math.max(...text.split("\n").map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(80);
  });
});

describe("meter()", () => {
  test("prints nothing where standard error is no terminal, unless asked", () => {
    let err = "";
    const terminal = {
      out: () => {},
      err: (text: string) => void (err += text),
      errIsTerminal: false,
      env: {},
      clock: { monotonic: () => 0 } as never,
    };
    meter(terminal, false).update("copying", { doneBytes: 1, totalBytes: 2 });
    expect(err).toBe("");
    meter(terminal, true).update("copying", { doneBytes: 1, totalBytes: 2 });
    expect(err).toBe("copying   1 B of 2 B  50%\n");
  });

  test("tells rate and time left from the last seconds", () => {
    expect(progressLine("copying", { doneBytes: 2 ** 30, totalBytes: 4 * 2 ** 30 }, 256 * 2 ** 20)).toBe(
      "copying   1 GiB of 4 GiB  25%  256 MiB/s  12 s left",
    );
  });
});
