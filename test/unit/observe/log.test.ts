import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { createLog, type LogFormat, type LogLevel } from "../../../src/observe/log.ts";
import { formatPretty } from "../../../src/observe/pretty.ts";

function collect(format: LogFormat = "json", level: LogLevel = "debug") {
  const lines: string[] = [];
  return { lines, log: createLog({ level, format, write: (line) => void lines.push(line) }) };
}

describe("createLog()", () => {
  test("writes one JSON object per line with level, time, facts and message", () => {
    const { lines, log } = collect();
    log.child({ room: "nbd" }).info({ lsn: 7 }, "hello\nthere");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toEndWith("}\n");
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "info", room: "nbd", lsn: 7, msg: "hello\nthere" });
    expect(JSON.parse(lines[0]!).time).toMatch(/^\d{4}-\d{2}-\d{2}T.*Z$/);
  });

  test("drops what is below its level", () => {
    const { lines, log } = collect("json", "warn");
    log.debug({}, "a");
    log.info({}, "b");
    log.warn({}, "c");
    expect(lines).toHaveLength(1);
  });

  test("prints no secret, however deep it lies", () => {
    const { lines, log } = collect();
    log.info(
      {
        password: "hunter2",
        tier: { secretAccessKey: "hunter2", deep: { token: "hunter2", er: { passphrase: "hunter2" } } },
      },
      "m",
    );
    log
      .child({ privateKey: "hunter2" })
      .error({ request: { headers: { authorization: "hunter2", cookie: "hunter2" } } }, "m");
    expect(lines.join("")).not.toContain("hunter2");
    expect(lines.join("")).toContain("[secret]");
  });

  test("shows an error's kind, facts and causes", () => {
    const { lines, log } = collect();
    const err = new SternwayError("corrupt", "pack 3", { pack: 3 }, { cause: new Error("checksum") });
    log.error({ err }, "read failed");
    expect(JSON.parse(lines[0]!).err).toMatchObject({
      kind: "corrupt",
      facts: { pack: 3 },
      message: "pack 3: checksum",
    });
  });

  test("pretty lines hold time, level, message and facts, without colours when nobody watches", () => {
    const { lines, log } = collect("pretty");
    log.warn({ volume: "web1", size: 5 }, "space is low");
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}space is low volume=web1 size=5\n$/);
  });
});

describe("formatPretty()", () => {
  test("lets no control character through to the terminal", () => {
    const line = JSON.stringify({
      level: "info",
      time: "2026-11-20T21:31:05.123Z",
      msg: "a\u001b[2Jb",
      name: "\u0007\u009b",
    });
    // oxlint-disable-next-line no-control-regex
    expect(formatPretty(line, false).slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });

  test("shows a line that is not JSON as it came", () => {
    expect(formatPretty("oops\n", true)).toBe("oops\n");
    expect(formatPretty("7\n", true)).toBe("7\n");
  });
});
