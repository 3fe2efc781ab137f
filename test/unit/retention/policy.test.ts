import { describe, expect, test } from "bun:test";
import { describePolicy, formatLength, parsePart, parsePolicy } from "../../../src/retention/policy.ts";

const HOUR = 3600e6;
const DAY = 24 * HOUR;

describe("parsePart()", () => {
  test.each([
    ["all", "48h", 48 * HOUR],
    ["all", "90m", 1.5 * HOUR],
    ["hourly", "14d", 14 * DAY],
    ["daily", "8w", 56 * DAY],
    ["weekly", "6mo", 186 * DAY],
    ["monthly", "24m", 744 * DAY],
    ["monthly", "24mo", 744 * DAY],
    ["monthly", "1y6mo", (366 + 186) * DAY],
  ] as const)("reads --%s %s", (part, text, micros) => {
    expect(parsePart(part, text)).toBe(micros);
  });

  test.each([
    ["daily", "24m", "for months write 24mo"],
    ["hourly", "30m", "less than an hour"],
    ["monthly", "3w", "less than a month"],
    ["all", "", "not a length of time"],
    ["all", "48", "not a length of time"],
    ["all", "2 h", "not a length of time"],
    ["all", "-2h", "not a length of time"],
    ["all", "101y", "more than 100 years"],
  ] as const)("refuses --%s %p: %s", (part, text, words) => {
    expect(() => parsePart(part, text)).toThrow(
      expect.objectContaining({ kind: "invalid", message: expect.stringContaining(words) }),
    );
  });
});

test("parsePolicy() wants --all, and reads what is left out as none", () => {
  expect(parsePolicy({ all: "48h", daily: "8w" })).toEqual({
    allMicros: 48 * HOUR,
    hourlyMicros: 0,
    dailyMicros: 56 * DAY,
    weeklyMicros: 0,
    monthlyMicros: 0,
  });
  expect(() => parsePolicy({ daily: "8w" })).toThrow("--all");
});

test.each(["48h", "14d", "8w", "24mo", "1y", "90m", "5s", "36h"])(
  "formatLength() writes %s as parsePart() reads it",
  (text) => {
    const length = parsePart("all", text);
    expect(parsePart("all", formatLength(length))).toBe(length);
  },
);

test("describePolicy() names each part", () => {
  const policy = parsePolicy({ all: "48h", hourly: "14d", monthly: "24m" });
  expect(describePolicy(policy)).toBe("every write for 48h, hourly points for 14d, monthly points for 24mo");
});
