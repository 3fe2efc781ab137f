import { describe, expect, test } from "bun:test";
import { lsn, micros } from "../../../src/base/units.ts";
import { formatMoment, parseMoment } from "../../../src/volume/moment.ts";
import type { Moment } from "../../../src/volume/volumes.ts";

describe("parseMoment()", () => {
  test.each<[string, Moment]>([
    ["now", { kind: "now" }],
    ["lsn:0", { kind: "lsn", lsn: lsn(0) }],
    ["lsn:123456", { kind: "lsn", lsn: lsn(123456) }],
    ["lsn:999999999999999", { kind: "lsn", lsn: lsn(999_999_999_999_999) }],
    ["bookmark:before-upgrade", { kind: "bookmark", name: "before-upgrade" }],
    ["bookmark:now", { kind: "bookmark", name: "now" }],
    ["-15m", { kind: "age", ageMicros: 900e6 }],
    ["-2h30m", { kind: "age", ageMicros: 9000e6 }],
    ["-250ms", { kind: "age", ageMicros: 250_000 }],
    ["2026-11-20T21:31:05.123456Z", { kind: "time", time: micros(1_795_210_265_123_456) }],
    ["2026-11-20T22:31:05.123456+01:00", { kind: "time", time: micros(1_795_210_265_123_456) }],
    ["2026-11-20 21:31:05Z", { kind: "time", time: micros(1_795_210_265_000_000) }],
  ])("reads %s", (text, moment) => {
    expect(parseMoment(text)).toEqual(moment);
  });

  test.each([
    "",
    "yesterday",
    "Now",
    "lsn:",
    "lsn:-1",
    "lsn:1.5",
    "lsn:9999999999999999",
    "lsn: 1",
    "bookmark:",
    "-",
    "15m",
    "-15",
    "--15m",
    "-15m!",
    "2026-11-20T21:31:05",
    "2026-13-45T21:31:05Z",
    "2026-11-20",
  ])("refuses %p with the accepted forms", (text) => {
    expect(() => parseMoment(text)).toThrow("lsn:123");
    expect(() => parseMoment(text)).toThrow(expect.objectContaining({ kind: "invalid" }));
  });
});

describe("formatMoment()", () => {
  test.each(["now", "lsn:17", "bookmark:a.b-c", "2026-11-20T21:31:05.123456Z", "-900s"])("gives %s back", (text) => {
    expect(formatMoment(parseMoment(text))).toBe(text);
  });
});
