import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatSize, formatTime, micros, parseDuration, parseSize, parseTime } from "../../../src/base/units.ts";

describe("parseSize()", () => {
  test.each([
    ["4096", 4096],
    ["10G", 10 * 2 ** 30],
    ["512M", 512 * 2 ** 20],
    ["1.5TiB", 1.5 * 2 ** 40],
    [" 64 KiB ", 65_536],
    ["3kb", 3072],
    ["0", 0],
    ["12B", 12],
  ])("reads %p", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "G", "-1", "1e3", "1 2", "10X", "1.G", "0x10", "9999999P", "1i"])("refuses %p", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

test("formatSize() prints sizes as people write them", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [512, "512 B"],
    [1536, "1.50 KiB"],
    [10 * 2 ** 30, "10 GiB"],
    [12.34 * 2 ** 20, "12.3 MiB"],
    [2 ** 50, "1 PiB"],
    [5000 * 2 ** 50, "5000 PiB"],
  ];
  for (const [bytes, text] of cases) expect(formatSize(bytes)).toBe(text);
});

test("parseSize() reads back what formatSize() prints of whole units", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1023 }), fc.integer({ min: 0, max: 4 }), (count, unit) => {
      const bytes = count * 1024 ** unit;
      expect(parseSize(formatSize(bytes))).toBe(bytes);
    }),
  );
});

test("parseDuration() reads sums of units and refuses the rest", () => {
  expect(parseDuration("15m")).toBe(900e6);
  expect(parseDuration("2h30m")).toBe(9000e6);
  expect(parseDuration("250ms")).toBe(250e3);
  expect(parseDuration("1.5s")).toBe(1.5e6);
  expect(parseDuration("1w1d")).toBe(8 * 86_400e6);
  expect(parseDuration("100000d")).toBe(100_000 * 86_400e6);
  for (const text of ["", "15", "m", "-15m", "1y", "1m 2s", "1 m", "999999999999d"])
    expect(parseDuration(text)).toBeUndefined();
});

describe("times", () => {
  test("formatTime() prints microseconds in UTC, also before 1970", () => {
    expect(formatTime(micros(0))).toBe("1970-01-01T00:00:00.000000Z");
    expect(formatTime(micros(1_795_296_665_123_456))).toBe("2026-11-21T21:31:05.123456Z");
    expect(formatTime(micros(-1))).toBe("1969-12-31T23:59:59.999999Z");
  });

  test("formatTime() prints each of several times in turn as it prints it alone, also after one that is no date", () => {
    const times = [0, 1_795_296_665_123_456, 1_795_296_665_999_999, 1_795_296_666_000_000, -1, 1_795_296_665_000_000];
    const alone = times.map((time) => new Date(Math.floor(time / 1e3)).toISOString().slice(0, -1));
    expect(times.map((time) => formatTime(micros(time)).slice(0, -4))).toEqual(alone);
    expect(() => formatTime(Number.MAX_VALUE as ReturnType<typeof micros>)).toThrow(RangeError);
    expect(formatTime(micros(1_795_296_665_000_000))).toBe("2026-11-21T21:31:05.000000Z");
  });

  test("parseTime() reads back what formatTime() prints", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e15, max: 4e15 }), (value) => {
        expect(parseTime(formatTime(micros(value)))).toBe(micros(value));
      }),
    );
  });

  test.each([
    ["1970-01-01T00:00:01Z", 1e6],
    ["1970-01-01 00:00z", 0],
    ["1970-01-01T01:00:00.5+01:00", 0.5e6],
    ["1970-01-01T01:00:00,000001+0100", 1],
    ["1970-01-01T00:00:00.123456789Z", 123_456],
  ])("parseTime() reads %p", (text, value) => {
    expect(parseTime(text)).toBe(micros(value));
  });

  test.each([
    "",
    "now",
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970-13-01T00:00:00Z",
    "1970-01-01T25:00:00Z",
    "x1970-01-01T00:00:00Z",
  ])("parseTime() refuses %p", (text) => {
    expect(parseTime(text)).toBeUndefined();
  });
});
