/** Schedules of tiers: words and expressions, by the clocks of their zones. */
import { describe, expect, test } from "bun:test";
import { isSternwayError } from "../../../src/base/errors.ts";
import { formatTime, micros, parseTime } from "../../../src/base/units.ts";
import { checkSchedule, nextRun } from "../../../src/tiers/schedule.ts";

const BERLIN = "Europe/Berlin";

function next(text: string, after: string, zone: string): string {
  return formatTime(nextRun(text, parseTime(after)!, zone)).slice(0, 19);
}

/** The first few times after `after`. */
function runs(text: string, after: string, zone: string, count: number): string[] {
  const found: string[] = [];
  let at = parseTime(after)!;
  for (let i = 0; i < count; i++) {
    at = nextRun(text, at, zone);
    found.push(formatTime(at).slice(5, 16));
  }
  return found;
}

describe("nextRun()", () => {
  test("takes words: at full hours, or at two in the night", () => {
    expect(next("hourly", "2026-06-10T10:20:30Z", BERLIN)).toBe("2026-06-10T11:00:00");
    expect(next("daily", "2026-06-10T10:20:30Z", BERLIN)).toBe("2026-06-11T00:00:00");
    expect(next("weekly", "2026-06-10T10:20:30Z", BERLIN)).toBe("2026-06-14T00:00:00");
    expect(next("monthly", "2026-06-10T10:20:30Z", BERLIN)).toBe("2026-07-01T00:00:00");
  });

  test("goes by the zone's clock", () => {
    expect(next("30 1 * * *", "2026-06-10T00:00:00Z", "Asia/Kolkata")).toBe("2026-06-10T20:00:00");
    expect(next("30 1 * * *", "2026-06-10T00:00:00Z", "UTC")).toBe("2026-06-10T01:30:00");
  });

  test("gives a time after the given one, never that one, and misses none by a microsecond", () => {
    const due = parseTime("2026-06-10T01:30:00Z")!;
    expect(nextRun("30 1 * * *", micros(due - 1), "UTC")).toBe(due);
    expect(nextRun("30 1 * * *", due, "UTC")).toBe(micros(due + 86_400e6));
    expect(nextRun("30 1 * * *", micros(due + 1), "UTC")).toBe(micros(due + 86_400e6));
  });

  test("what is due in the hour that a switch leaves out is due right after the switch, once", () => {
    // At 01:00Z it becomes 03:00 in Berlin.
    expect(runs("30 2 * * *", "2026-03-27T12:00:00Z", BERLIN, 3)).toEqual([
      "03-28T01:30",
      "03-29T01:00",
      "03-30T00:30",
    ]);
    expect(runs("30 2,14 * * *", "2026-03-28T14:00:00Z", BERLIN, 2)).toEqual(["03-29T01:00", "03-29T12:30"]);
  });

  test("what is due in the hour that comes twice is due once", () => {
    // At 01:00Z it becomes 02:00 in Berlin, again.
    expect(runs("30 2 * * *", "2026-10-24T12:00:00Z", BERLIN, 2)).toEqual(["10-25T00:30", "10-26T01:30"]);
  });

  test("hours go by time that passes, through both switches", () => {
    expect(runs("hourly", "2026-03-28T23:30:00Z", BERLIN, 3)).toEqual(["03-29T00:00", "03-29T01:00", "03-29T02:00"]);
    expect(runs("hourly", "2026-10-24T23:30:00Z", BERLIN, 3)).toEqual(["10-25T00:00", "10-25T01:00", "10-25T02:00"]);
  });

  test("knows leap days", () => {
    expect(next("0 0 29 2 *", "2026-06-10T00:00:00Z", "UTC")).toBe("2028-02-29T00:00:00");
  });

  test("names the zone when that is what is wrong", () => {
    expect(() => nextRun("daily", micros(0), "Mars/Olympus")).toThrow('"Mars/Olympus" is not a time zone');
  });
});

describe("checkSchedule()", () => {
  test.each(["hourly", "weekly", "*/5 * * * *", "0 2 * * MON-FRI", "0 2 L * *", "15 3 1,15 * *"])(
    "takes %s",
    (text) => {
      checkSchedule(text);
    },
  );

  test.each([
    ["nothing", ""],
    ["four fields", "* * * *"],
    ["seconds", "0 0 2 * * *"],
    ["years", "0 0 2 * * * 2027"],
    ["a minute that there is not", "61 * * * *"],
    ["a day that never comes", "0 0 30 2 *"],
    ["a date", "2027-01-01T00:00:00"],
    ["the time when it is read", "? * * * *"],
    ["another's words", "@daily"],
    ["what every object has", "constructor"],
  ])("refuses %s, and says what is allowed", (_, text) => {
    const refused = ((): unknown => {
      try {
        return checkSchedule(text);
      } catch (error) {
        return error;
      }
    })();
    expect(isSternwayError(refused, "invalid")).toBe(true);
    expect((refused as Error).message).toContain("use hourly, daily, weekly, monthly");
  });
});
