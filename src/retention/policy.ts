/**
 * Retention policies as people write them: `--all 48h --hourly 14d --daily 8w --weekly 6mo --monthly 24m`.
 *
 * Each length counts back from the present, so the parts overlap: with the policy above a day that is 3 weeks old has one point, and one
 * that is 3 days old has 24. A month has 31 days and a year 366 here, so that 24 months never end before 24 months have passed.
 *
 * `m` is minutes everywhere but after `--monthly`, where minutes would make no sense and everybody means months; `mo` is months
 * everywhere. A length shorter than the rhythm it is for is refused, so `--daily 24m` cannot pass for months either.
 */
import { SternwayError } from "../base/errors.ts";
import { RETENTION_MICROS_MAX, type RetentionPolicy } from "../volume/retention.ts";
import { RHYTHMS, type Rhythm } from "./calendar.ts";

const SECOND = 1e6;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const MONTH = 31 * DAY;

/** A part of a policy. */
export type PolicyPart = "all" | Rhythm;

export const POLICY_PARTS: readonly PolicyPart[] = ["all", ...RHYTHMS];

const UNITS: Record<string, number> = {
  s: SECOND,
  m: 60 * SECOND,
  h: HOUR,
  d: DAY,
  w: 7 * DAY,
  mo: MONTH,
  y: 366 * DAY,
};

/** What one point stands for, at least. */
const LEAST: Record<PolicyPart, { micros: number; words: string }> = {
  all: { micros: SECOND, words: "a second" },
  hourly: { micros: HOUR, words: "an hour" },
  daily: { micros: DAY, words: "a day" },
  weekly: { micros: 7 * DAY, words: "a week" },
  monthly: { micros: 28 * DAY, words: "a month" },
};

/** Reads one part's length, such as `48h`, `14d`, `8w`, `24mo`, `1y6mo`. @returns microseconds @throws invalid */
export function parsePart(part: PolicyPart, text: string): number {
  const length = lengthOf(part, text.trim());
  if (length === undefined) {
    throw new SternwayError(
      "invalid",
      `"${text}" is not a length of time for --${part}: write a number and s, m, h, d, w, mo (months) or y, such as 48h, 8w or 24mo`,
    );
  }
  const least = LEAST[part];
  if (length < least.micros) {
    const hint = /\dm\b/.test(text) ? `; m is minutes here: for months write ${text.replace(/m\b/, "mo")}` : "";
    throw new SternwayError("invalid", `--${part} ${text} is less than ${least.words}: it would keep nothing${hint}`);
  }
  if (length <= RETENTION_MICROS_MAX) return length;
  throw new SternwayError(
    "invalid",
    `--${part} ${text} is more than 100 years: leave the policy out to keep everything`,
  );
}

function lengthOf(part: PolicyPart, text: string): number | undefined {
  if (!/^(\d{1,9}(\.\d{1,6})?(mo|[smhdwy]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(mo|[smhdwy])/g)) {
    const size = part === "monthly" && unit === "m" ? MONTH : (UNITS[unit ?? ""] ?? 0);
    total += Number(amount) * size;
  }
  return Math.round(total);
}

/** Reads a policy. A part that is left out is not kept; `all` is needed. @throws invalid */
export function parsePolicy(texts: Partial<Record<PolicyPart, string | undefined>>): RetentionPolicy {
  if (texts.all === undefined) {
    throw new SternwayError(
      "invalid",
      "a policy says first how long every write is kept: add --all, such as --all 48h",
    );
  }
  const part = (name: PolicyPart): number => {
    const text = texts[name];
    return text === undefined ? 0 : parsePart(name, text);
  };
  return {
    allMicros: part("all"),
    hourlyMicros: part("hourly"),
    dailyMicros: part("daily"),
    weeklyMicros: part("weekly"),
    monthlyMicros: part("monthly"),
  };
}

/** Writes a length as {@link parsePart} reads it: the largest unit that says it in a round number of some size. */
export function formatLength(length: number): string {
  for (const [unit, least] of [
    ["y", 1],
    ["mo", 1],
    ["w", 3],
    ["d", 3],
    ["h", 1],
    ["m", 1],
  ] as const) {
    const size = UNITS[unit]!;
    if (length % size === 0 && length / size >= least) return `${length / size}${unit}`;
  }
  return `${length / SECOND}s`;
}

/** A policy in words: `every write for 48h, then hourly for 2w`. */
export function describePolicy(policy: RetentionPolicy): string {
  const parts = RHYTHMS.filter((rhythm) => policy[`${rhythm}Micros`] > 0).map(
    (rhythm) => `${rhythm} points for ${formatLength(policy[`${rhythm}Micros`])}`,
  );
  return [`every write for ${formatLength(policy.allMicros)}`, ...parts].join(", ");
}
