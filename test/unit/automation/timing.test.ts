import { describe, expect, test } from "bun:test";
import { formatTime, micros, parseTime, type Micros } from "../../../src/base/units.ts";
import { dueSince, nextTimes, storedTiming, type Timed } from "../../../src/automation/timing.ts";

const at = (text: string): Micros => parseTime(text)!;
const calendar = (expression: string, timeZone = "Europe/Berlin", jitterSeconds = 0): Timed => ({
  key: "1a2b3c4d",
  createdAt: at("2026-01-01T00:00:00Z"),
  timing: { kind: "calendar", expression, timeZone, jitterSeconds },
});
const every = (everySeconds: number, jitterSeconds = 0): Timed => ({
  key: "1a2b3c4d",
  createdAt: at("2026-01-01T00:00:00Z"),
  timing: { kind: "interval", everySeconds, jitterSeconds },
});
const shown = (timed: Timed, after: string, count: number): string[] =>
  nextTimes(timed, at(after), count).map((time) => formatTime(time).slice(0, 19));

describe("calendar times", () => {
  test("a time of day that the switch to summer time leaves out comes once, right after it", () => {
    // On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, which is 01:00 UTC.
    expect(shown(calendar("30 2 * * *"), "2026-03-27T12:00:00Z", 4)).toEqual([
      "2026-03-28T01:30:00",
      "2026-03-29T01:00:00",
      "2026-03-30T00:30:00",
      "2026-03-31T00:30:00",
    ]);
  });

  test("a time of day that the switch back makes twice comes once", () => {
    // On 25 October 2026 clocks in Berlin go from 03:00 back to 02:00, which is 01:00 UTC.
    expect(shown(calendar("30 2 * * *"), "2026-10-23T12:00:00Z", 4)).toEqual([
      "2026-10-24T00:30:00",
      "2026-10-25T00:30:00",
      "2026-10-26T01:30:00",
      "2026-10-27T01:30:00",
    ]);
  });

  test("every hour is every hour that passes, also on the days of the switches", () => {
    expect(shown(calendar("0 * * * *"), "2026-03-28T23:30:00Z", 4)).toEqual([
      "2026-03-29T00:00:00",
      "2026-03-29T01:00:00",
      "2026-03-29T02:00:00",
      "2026-03-29T03:00:00",
    ]);
    expect(shown(calendar("0 * * * *"), "2026-10-24T23:30:00Z", 4)).toEqual([
      "2026-10-25T00:00:00",
      "2026-10-25T01:00:00",
      "2026-10-25T02:00:00",
      "2026-10-25T03:00:00",
    ]);
  });

  test("a zone that switches by half an hour, and one beyond the date line, go by their own clocks", () => {
    // Lord Howe goes from 02:00 to 02:30 on 4 October 2026 (at 15:30 UTC the day before).
    expect(shown(calendar("15 2 * * *", "Australia/Lord_Howe"), "2026-10-02T00:00:00Z", 3)).toEqual([
      "2026-10-02T15:45:00",
      "2026-10-03T15:30:00",
      "2026-10-04T15:15:00",
    ]);
    expect(shown(calendar("0 0 * * *", "Pacific/Kiritimati"), "2026-06-01T11:00:00Z", 1)).toEqual([
      "2026-06-02T10:00:00",
    ]);
  });

  test("what never comes, or cannot be read, is refused", () => {
    for (const expression of ["0 0 30 2 *", "61 * * * *", "* * * * * *", "soon", ""]) {
      expect(() => storedTiming({ kind: "calendar", expression }, 0, "UTC", at("2026-01-01T00:00:00Z"))).toThrow(
        /no schedule that comes/,
      );
    }
    const timing = { kind: "calendar" as const, expression: "daily", timeZone: "Europe/Nowhere" };
    expect(() => storedTiming(timing, 0, "UTC", at("2026-01-01T00:00:00Z"))).toThrow(/not a time zone/);
  });

  test("the appliance's zone is kept as it was when none is named", () => {
    const kept = storedTiming({ kind: "calendar", expression: "daily" }, 5, "Asia/Tokyo", at("2026-01-01T00:00:00Z"));
    expect(kept).toEqual({ kind: "calendar", expression: "daily", timeZone: "Asia/Tokyo", jitterSeconds: 5 });
  });
});

describe("interval times", () => {
  test("count from when the schedule was made, through switches of any zone", () => {
    expect(shown(every(6 * 3600), "2026-03-28T20:00:00Z", 3)).toEqual([
      "2026-03-29T00:00:00",
      "2026-03-29T06:00:00",
      "2026-03-29T12:00:00",
    ]);
    expect(shown(every(3600), "2026-01-01T00:00:00Z", 1)).toEqual(["2026-01-01T01:00:00"]);
    // Asked for while the clock is behind: the grid reaches back.
    expect(shown(every(3600), "2025-06-01T00:00:00Z", 1)).toEqual(["2025-06-01T01:00:00"]);
  });
});

describe("jitter", () => {
  test("is the same whenever it is asked for, differs from time to time, and never reaches the next time", () => {
    const timed = every(600, 3600);
    const times = nextTimes(timed, at("2026-01-01T00:00:00Z"), 50);
    expect(nextTimes(timed, micros(times[9]!), 40)).toEqual(times.slice(10));
    const offsets = times.map((time, i) => time - (timed.createdAt + (i + 1) * 600e6));
    expect(Math.min(...offsets)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...offsets)).toBeLessThan(600e6);
    expect(new Set(offsets).size).toBeGreaterThan(40);
  });
});

describe("dueSince()", () => {
  test("finds the newest of a year of minutes at once, and counts so far as people read", () => {
    const found = dueSince(calendar("* * * * *", "UTC"), at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:30Z"));
    expect(formatTime(found!.newest.base)).toBe("2027-01-01T00:00:00.000000Z");
    expect(found!.before).toBe(100);
  });

  test("is nothing before the next time, and the one that is due after it", () => {
    const timed = calendar("0 2 * * *", "UTC");
    const handled = at("2026-05-01T02:00:00Z");
    expect(dueSince(timed, handled, at("2026-05-02T01:59:59Z"))).toBeUndefined();
    const due = dueSince(timed, handled, at("2026-05-02T02:00:00Z"));
    expect([formatTime(due!.newest.base).slice(0, 16), due!.before]).toEqual(["2026-05-02T02:00", 0]);
    expect(dueSince(timed, handled, at("2026-05-05T03:00:00Z"))!.before).toBe(3);
  });

  test("agrees with the times that it names one by one, with jitter and without", () => {
    const cases: [Timed, number][] = [
      [calendar("*/7 3,4 * * *", "Europe/Berlin", 300), 220],
      [every(3600, 1800), 220],
      [calendar("0 0 29 2 *"), 20],
    ];
    for (const [timed, count] of cases) {
      const start = at("2026-03-20T00:00:00Z");
      const times = nextTimes(timed, start, count);
      const now = times.at(-1)!;
      expect(dueSince(timed, start, now)!.newest.at).toBe(now);
      expect(dueSince(timed, start, micros(now - 1))!.newest.at).toBe(times.at(-2)!);
    }
  });
});
