import { expect, test } from "bun:test";
import { formatTime, parseTime, type Micros } from "../../../src/base/units.ts";
import { bucketEnd, bucketOf } from "../../../src/retention/calendar.ts";

const at = (text: string): Micros => parseTime(text)!;

test("the hour that comes twice when the clock is put back is two hours", () => {
  const summer = at("2026-10-25T00:30:00Z");
  const winter = at("2026-10-25T01:30:00Z");
  expect(bucketOf(summer, "hourly", "Europe/Berlin")).not.toBe(bucketOf(winter, "hourly", "Europe/Berlin"));
  expect(bucketOf(summer, "daily", "Europe/Berlin")).toBe(bucketOf(winter, "daily", "Europe/Berlin"));
  expect(formatTime(bucketEnd(summer, "hourly", "Europe/Berlin"))).toBe("2026-10-25T01:00:00.000000Z");
});

test.each([
  ["2026-03-29T12:00:00Z", "2026-03-29T22:00:00.000000Z", "23 hours when it is put forward"],
  ["2026-10-25T12:00:00Z", "2026-10-25T23:00:00.000000Z", "25 hours when it is put back"],
])("the day of %s ends at local midnight, %s: %s", (time, end) => {
  expect(formatTime(bucketEnd(at(time), "daily", "Europe/Berlin"))).toBe(end);
});

test("an hour ends early where the clock is put back by half an hour within it", () => {
  const lordHowe = "Australia/Lord_Howe";
  // 02:00 +11:00 becomes 01:30 +10:30 at 15:00 UTC: the second 01:30 to 02:00 is an hour of its own.
  expect(formatTime(bucketEnd(at("2026-04-04T14:40:00Z"), "hourly", lordHowe))).toBe("2026-04-04T15:00:00.000000Z");
  expect(formatTime(bucketEnd(at("2026-04-04T15:10:00Z"), "hourly", lordHowe))).toBe("2026-04-04T15:30:00.000000Z");
});

test("weeks begin on Monday and months on the first, by local time", () => {
  const sunday = at("2026-11-01T22:30:00Z");
  expect(bucketOf(sunday, "weekly", "UTC")).toBe("2026-10-26");
  expect(bucketOf(sunday, "weekly", "Asia/Tokyo")).toBe("2026-11-02");
  expect(formatTime(bucketEnd(sunday, "monthly", "America/New_York"))).toBe("2026-12-01T05:00:00.000000Z");
});
