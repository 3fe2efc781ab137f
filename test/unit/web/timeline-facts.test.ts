import { describe, expect, test } from "bun:test";
import type { WireTimeline } from "../../../src/contract/contract.ts";
import { changesAround, changeText } from "../../../src/web/console/timeline/around.ts";
import {
  barHeight,
  intervalAt,
  keptOfAll,
  mostIn,
  retainedAt,
  retainedRanges,
  shownIntervals,
  stripFacts,
  type KeptFacts,
} from "../../../src/web/console/timeline/facts.ts";
import { flagsOf, hitAt, timePressed } from "../../../src/web/console/timeline/hit.ts";
import { nameOfMoment, nameTrouble } from "../../../src/web/console/timeline/moment-names.ts";
import { DAY, HOUR, microsOf, wireTime } from "../../../src/web/console/timeline/time.ts";
import { choiceText, factRows, handleText, intervalText } from "../../../src/web/console/timeline/words.ts";

const GRID = { from: 1_000_000, to: 1_500_000, width: 100_000, count: 5 };

function timeline(writes: number[], marks: WireTimeline["marks"] = []): WireTimeline {
  return {
    from: wireTime(GRID.from),
    to: wireTime(GRID.to),
    buckets: writes.map((count, i) => ({
      from: wireTime(GRID.from + i * GRID.width),
      to: wireTime(GRID.from + (i + 1) * GRID.width),
      writes: count,
      writtenBytes: count * 4096,
      clearedBytes: 0,
      flushPoints: count > 0 ? 1 : 0,
      lastLsn: count > 0 ? 10 + i : 0,
    })),
    marks,
  };
}
const bookmark = (name: string, time: number, lsn = 7) => ({
  kind: "bookmark" as const,
  time: wireTime(time),
  lsn,
  detail: name,
});

describe("stripFacts()", () => {
  test("adds several volumes up, interval by interval, and tells whose each mark is", () => {
    const facts = stripFacts(
      GRID,
      new Map([
        ["a", timeline([1, 0, 2, 0, 0], [bookmark("late", 1_400_000)])],
        ["b", timeline([0, 5, 2, 0, 0], [bookmark("early", 1_100_000)])],
      ]),
    );
    expect([...facts.writes]).toEqual([1, 5, 4, 0, 0]);
    expect([...facts.lastLsns]).toEqual([0, 0, 0, 0, 0]);
    expect(facts.marks.map(({ volume, detail }) => `${volume}:${detail}`)).toEqual(["b:early", "a:late"]);
    expect([...stripFacts(GRID, new Map([["a", timeline([1, 0, 2, 0, 0])]])).lastLsns]).toEqual([10, 0, 12, 0, 0]);
  });

  test("finds intervals by time, and the highest of those that are shown", () => {
    const facts = stripFacts(GRID, new Map([["a", timeline([9, 1, 2, 3, 9])]]));
    const view = { from: 1_150_000, to: 1_350_000 };
    expect(shownIntervals(GRID, view)).toEqual([1, 4]);
    expect(mostIn(facts.writes, GRID, view)).toBe(3);
    expect(intervalAt(GRID, 1_000_000)).toBe(0);
    expect(intervalAt(GRID, 999_999)).toBeUndefined();
    expect(intervalAt(GRID, 1_500_000)).toBeUndefined();
    expect(shownIntervals(GRID, { from: 2_000_000, to: 3_000_000 })).toEqual([5, 5]);
    expect(barHeight(0, 10)).toBe(0);
    expect(barHeight(1, 1e9)).toBeGreaterThan(0);
    expect(barHeight(10, 10)).toBe(1);
  });
});

describe("what is kept", () => {
  const now = microsOf("2026-11-21T09:00:00Z");
  const kept: KeptFacts = { createdAt: now - 30 * DAY, everyWriteFrom: now - 7 * DAY, points: [], keptFor: 7 * DAY };

  test("cuts all of time into stretches without gaps or overlaps", () => {
    const view = { from: now - 40 * DAY, to: now + DAY };
    const ranges = retainedRanges(kept, view, now);
    expect(ranges.map((range) => range.kind)).toEqual(["before", "points", "expiring", "every-write", "ahead"]);
    expect(ranges[0]!.from).toBe(view.from);
    expect(ranges.at(-1)!.to).toBe(view.to);
    for (const [i, range] of ranges.entries()) if (i > 0) expect(range.from).toBe(ranges[i - 1]!.to);
    // A tenth of seven days is less than a day.
    expect(ranges[2]!.to - ranges[2]!.from).toBeCloseTo(0.7 * DAY, 0);
  });

  test("nothing expires without a policy, and a new volume under one keeps what it has", () => {
    const forever = { ...kept, everyWriteFrom: kept.createdAt, keptFor: undefined };
    expect(retainedRanges(forever, { from: now - 20 * DAY, to: now - DAY }, now).map((range) => range.kind)).toEqual([
      "every-write",
    ]);
    const fresh = { createdAt: now - HOUR, everyWriteFrom: now - HOUR, points: [], keptFor: 7 * DAY };
    expect(retainedAt(fresh, now - HOUR, now)).toBe("every-write");
    expect(retainedAt(fresh, now - 2 * HOUR, now)).toBe("before");
    expect(retainedAt(fresh, now + HOUR, now)).toBe("ahead");
  });

  test("of a machine is what all of its volumes have", () => {
    const other = { createdAt: now - 10 * DAY, everyWriteFrom: now - 10 * DAY, points: [], keptFor: undefined };
    expect(keptOfAll([kept, other])).toEqual({
      createdAt: now - 10 * DAY,
      everyWriteFrom: now - 7 * DAY,
      points: [],
      keptFor: 7 * DAY,
    });
    expect(keptOfAll([])).toBeUndefined();
    expect(keptOfAll([kept])).toBe(kept);
  });
});

describe("what is under the pointer", () => {
  const facts = stripFacts(
    GRID,
    new Map([
      [
        "a",
        timeline(
          [1, 0, 2, 0, 0],
          [bookmark("one", 1_100_000, 11), bookmark("two", 1_101_000, 12), bookmark("far", 1_400_000, 30)],
        ),
      ],
    ]),
  );
  const view = { from: 1_000_000, to: 1_500_000 };
  const query = { facts, view, width: 500, flagsHeight: 24, reach: 9 };

  test("flags that would cover each other are one, and a press takes the newest of them exactly", () => {
    const flags = flagsOf(facts.marks, view, 500);
    expect(flags.map((flag) => flag.marks.length)).toEqual([2, 1]);
    expect(timePressed({ ...query, x: 105, y: 10 })).toMatchObject({
      time: 1_101_000,
      mark: { lsn: 12, detail: "two" },
    });
    expect(timePressed({ ...query, x: 405, y: 10 }).mark?.detail).toBe("far");
  });

  test("below the flags, or out of their reach, it is the place itself", () => {
    expect(hitAt({ ...query, x: 105, y: 60 })).toEqual({ kind: "interval", index: 1 });
    expect(timePressed({ ...query, x: 105, y: 60 })).toEqual({ time: 1_105_000 });
    expect(timePressed({ ...query, x: 130, y: 10 })).toEqual({ time: 1_130_000 });
    expect(hitAt({ ...query, view: { from: 0, to: 900_000 }, x: 3, y: 60 }).kind).toBe("nothing");
    expect(timePressed({ ...query, x: 120, y: 10, reach: 22 }).mark?.detail).toBe("two");
  });
});

describe("words", () => {
  test("an interval, a handle and a choice say what they are", () => {
    const facts = stripFacts(GRID, new Map([["a", timeline([1, 0, 1204, 0, 0])]]));
    expect(intervalText(facts, 0)).toBe("1 write, 4 KiB written, 1 flush point");
    expect(intervalText(facts, 1)).toBe("no writes");
    expect(intervalText(facts, 2)).toBe("1,204 writes, 4.70 MiB written, 1 flush point");
    const now = microsOf("2026-11-21T09:00:00Z");
    const kept = { createdAt: now - DAY, everyWriteFrom: now - DAY, points: [], keptFor: undefined };
    expect(handleText({ time: now - HOUR }, { from: now - DAY, to: now }, "Europe/Berlin", now, kept)).toBe(
      "Sat 21 Nov 2026, 09:00 CET, UTC+1, 1 hour ago, every write can be had",
    );
    expect(choiceText({ time: now, lsn: 7 }, wireTime)).toBe("lsn:7");
    expect(choiceText({ time: now }, wireTime)).toBe("2026-11-21T09:00:00.000000Z");
  });

  test("the list has marks between intervals, joins them to what fits, and leaves quiet ones out", () => {
    const facts = stripFacts(GRID, new Map([["a", timeline([1, 0, 2, 0, 3], [bookmark("b", 1_150_000)])]]));
    const view = { from: GRID.from, to: GRID.to };
    expect(factRows(facts, view, 10).map((row) => row.kind)).toEqual(["writes", "bookmark", "writes", "writes"]);
    const joined = factRows(facts, view, 2);
    expect(joined.map((row) => row.text)).toEqual([
      "3 writes, 12 KiB written, 2 flush points",
      "bookmark b",
      "3 writes, 12 KiB written, 1 flush point",
    ]);
    expect(joined[0]).toMatchObject({ from: 1_000_000, to: 1_300_000, lsn: 12 });
  });

  test("names for moments fit the contract's rule", () => {
    const time = microsOf("2026-11-20T20:31:05Z");
    expect(nameOfMoment("web1", time, "Europe/Berlin")).toBe("web1-2026-11-20-2131");
    expect(nameTrouble(nameOfMoment("x".repeat(64), time, "UTC"))).toBeUndefined();
    expect(nameTrouble("")).toBeDefined();
    expect(nameTrouble("a b")).toContain("A name must be");
  });
});

describe("changesAround()", () => {
  const asked: string[] = [];
  const client = (ranges: number) => ({
    async *diff(_volume: string, from: string, to?: string) {
      asked.push(`${from} ${to}`);
      const place = { lsn: 1, time: wireTime(0), flushPoint: false };
      for (let i = 0; i < ranges; i++) yield { line: "range" as const, offset: i * 8192, length: 4096 };
      yield { line: "end" as const, ranges, bytes: ranges * 4096, from: place, to: place };
    },
  });
  const query = { volume: "a", lsn: 50, time: 600e6, created: { time: 590e6, lsn: 3 }, now: 630e6 };
  const { signal } = new AbortController();

  test("compares with a minute before and after, and no further than history goes", async () => {
    asked.length = 0;
    const around = await changesAround(client(2) as never, query, signal);
    expect(asked).toEqual(["lsn:50 now", "lsn:3 lsn:50"]);
    expect(around.after).toEqual({ bytes: 8192, ranges: 2, isMore: false });
    asked.length = 0;
    await changesAround(client(0) as never, { ...query, created: { time: 0, lsn: 3 }, now: 900e6 }, signal);
    expect(asked).toEqual([`lsn:50 ${wireTime(660e6)}`, `${wireTime(540e6)} lsn:50`]);
    expect((await changesAround(client(0) as never, { ...query, lsn: 3 }, signal)).before).toBeUndefined();
  });

  test("stops counting where it is too much to wait for", async () => {
    const { after } = await changesAround(client(20_000) as never, query, signal);
    expect(after).toEqual({ bytes: 5000 * 4096, ranges: 5000, isMore: true });
    expect(changeText(after)).toBe("more than 5,000 blocks in 5,000 places (19.5 MiB)");
    expect(changeText({ bytes: 0, ranges: 0, isMore: false })).toBe("nothing");
    expect(changeText({ bytes: 512, ranges: 1, isMore: false })).toBe("1 block in 1 place (512 B)");
  });
});
