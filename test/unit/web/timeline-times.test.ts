import { describe, expect, test } from "bun:test";
import { parseExactTime, typedTime } from "../../../src/web/console/timeline/exact-time.ts";
import {
  agoText,
  DAY,
  HOUR,
  lengthText,
  localText,
  microsOf,
  MINUTE,
  offsetAt,
  SECOND,
  timesOfWall,
  utcText,
  wallOf,
  wireTime,
  zoneText,
} from "../../../src/web/console/timeline/time.ts";

const BERLIN = "Europe/Berlin";
const at = (text: string): number => microsOf(text);
const wall = (day: number, hour: number, minute: number, month = 10) => ({
  year: 2026,
  month,
  day,
  hour,
  minute,
  second: 0,
  micro: 0,
});

describe("times of a zone", () => {
  test("wallOf() keeps microseconds, and timesOfWall() leads back", () => {
    const time = at("2026-11-20T20:31:05.123456Z");
    expect(wallOf(time, BERLIN)).toEqual({
      year: 2026,
      month: 11,
      day: 20,
      hour: 21,
      minute: 31,
      second: 5,
      micro: 123_456,
    });
    expect(timesOfWall(wallOf(time, BERLIN), BERLIN)).toEqual([time]);
    expect(timesOfWall(wallOf(time, "Asia/Kathmandu"), "Asia/Kathmandu")).toEqual([time]);
    expect(offsetAt(time, "Asia/Kathmandu")).toBe(5.75 * HOUR);
  });

  test("timesOfWall() gives two times in the hour that comes twice and none in the one that is skipped", () => {
    expect(timesOfWall(wall(25, 2, 30), BERLIN)).toEqual([at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z")]);
    expect(timesOfWall(wall(29, 2, 30, 3), BERLIN)).toEqual([]);
    expect(timesOfWall(wall(29, 3, 0, 3), BERLIN)).toEqual([at("2026-03-29T01:00:00Z")]);
    // Half an hour only, at two in the morning.
    expect(timesOfWall({ ...wall(5, 1, 45, 4) }, "Australia/Lord_Howe")).toHaveLength(2);
  });

  test("words name the zone, its offset and UTC", () => {
    const winter = at("2026-11-20T20:31:05.120000Z");
    expect(localText(winter, BERLIN)).toBe("Fri 20 Nov 2026, 21:31:05");
    expect(localText(winter, BERLIN, "millisecond")).toBe("Fri 20 Nov 2026, 21:31:05.120");
    expect(zoneText(winter, BERLIN)).toBe("CET, UTC+1");
    expect(zoneText(at("2026-07-01T00:00:00Z"), BERLIN)).toBe("CEST, UTC+2");
    expect(zoneText(winter, "UTC")).toBe("UTC");
    expect(zoneText(winter, "Asia/Kathmandu")).toContain("UTC+5:45");
    expect(zoneText(winter, "America/St_Johns")).toContain("UTC−3:30");
    expect(utcText(winter)).toBe("2026-11-20 20:31:05.120000 UTC");
    expect(wireTime(winter)).toBe("2026-11-20T20:31:05.120000Z");
  });

  test("lengths have two units at most, and what is seconds ago no milliseconds", () => {
    expect(lengthText(3 * DAY + 4 * HOUR + 5 * MINUTE)).toBe("3 days 4 hours");
    expect(lengthText(14 * DAY + HOUR)).toBe("14 days");
    expect(lengthText(250_000)).toBe("250 milliseconds");
    expect(lengthText(17)).toBe("17 microseconds");
    expect(agoText(0, 6.4 * SECOND)).toBe("6 seconds ago");
    expect(agoText(0, 0.4 * SECOND)).toBe("just now");
    expect(agoText(2 * MINUTE, 0)).toBe("in 2 minutes");
  });
});

describe("parseExactTime()", () => {
  const now = at("2026-11-21T09:00:00Z");
  const timeOf = (text: string): unknown => {
    const parsed = parseExactTime(text, BERLIN, now);
    return parsed.kind === "time" ? wireTime(parsed.time) : parsed.kind;
  };

  test("takes local times, days, ages and moments", () => {
    expect(timeOf("2026-11-20 21:31:05.5")).toBe("2026-11-20T20:31:05.500000Z");
    expect(timeOf("2026-11-20")).toBe("2026-11-19T23:00:00.000000Z");
    expect(timeOf("2026-11-20T20:31:05Z")).toBe("2026-11-20T20:31:05.000000Z");
    expect(timeOf("yesterday 14:00")).toBe("2026-11-20T13:00:00.000000Z");
    expect(timeOf("-15m")).toBe("2026-11-21T08:45:00.000000Z");
    expect(parseExactTime(" lsn:17 ", BERLIN, now)).toEqual({ kind: "moment", at: "lsn:17" });
    expect(parseExactTime("bookmark:before-upgrade", BERLIN, now)).toEqual({
      kind: "moment",
      at: "bookmark:before-upgrade",
    });
  });

  test("takes a time of day that is still to come for yesterday's", () => {
    expect(timeOf("09:59")).toBe("2026-11-21T08:59:00.000000Z");
    expect(timeOf("10:01")).toBe("2026-11-20T09:01:00.000000Z");
    expect(parseExactTime("00:30", BERLIN, at("2026-03-01T00:00:00Z"))).toMatchObject({ kind: "time" });
    // The first of a month goes back to the last of the one before.
    const parsed = parseExactTime("yesterday 12:00", BERLIN, at("2026-03-01T12:00:00Z"));
    expect(parsed.kind === "time" && wireTime(parsed.time)).toBe("2026-02-28T11:00:00.000000Z");
  });

  test("asks which one is meant when clocks were set back, and says when they skipped it", () => {
    const twice = parseExactTime("2026-10-25 02:30", BERLIN, now);
    expect(twice).toMatchObject({ kind: "twice", times: [at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z")] });
    expect(twice.kind === "twice" && twice.text).toContain("CEST, UTC+2 and CET, UTC+1");
    const skipped = parseExactTime("2026-03-29 02:30", BERLIN, now);
    expect(skipped.kind === "wrong" && skipped.why).toContain("skipped 02:30");
  });

  test("refuses what no calendar or clock shows", () => {
    for (const text of ["", "soon", "2026-02-30", "2026-13-01", "25:00", "12:60", "2026-11-20 24:00", "lsn:x"]) {
      expect(parseExactTime(text, BERLIN, now).kind).toBe("wrong");
    }
  });

  test("reads back what typedTime() writes", () => {
    for (const text of ["2026-11-20T20:31:05.123456Z", "2026-11-20T20:31:00Z", "2026-07-01T22:00:00Z"]) {
      expect(timeOf(typedTime(at(text), BERLIN))).toBe(wireTime(at(text)));
    }
  });
});
