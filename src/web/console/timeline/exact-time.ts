/** What people type into "go to": a time in their own zone, an age, or a moment as the command line takes it. */
import { parseDuration, parseTime } from "../../../base/units.ts";
import { clockText, DAY, timesOfWall, wallOf, zoneText, type WallTime } from "./time.ts";

export type ExactTime =
  /** A time of the wall clock. */
  | { kind: "time"; time: number }
  /** A moment that the appliance resolves: `now`, `lsn:7`, `bookmark:before-upgrade`. */
  | { kind: "moment"; at: string }
  /** Clocks were set back over it: both are meant. */
  | { kind: "twice"; times: readonly [number, number]; text: string }
  | { kind: "wrong"; why: string };

export const EXACT_TIME_FORMS = "2026-11-20 21:31:05, 21:31, yesterday 14:00, -15m, lsn:123, bookmark:NAME or now";

const CLOCK = String.raw`(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6}))?)?`;
const DATED = new RegExp(String.raw`^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T\s]+${CLOCK})?$`);
const OF_A_DAY = new RegExp(String.raw`^(?:(today|yesterday)\s+)?${CLOCK}$`, "i");

/** @param zone - whose clocks show what was typed @param now - an age counts back from it */
export function parseExactTime(text: string, zone: string, now: number): ExactTime {
  const typed = text.trim();
  if (typed === "") return { kind: "wrong", why: `Type a time: ${EXACT_TIME_FORMS}.` };
  if (typed === "now" || /^lsn:\d{1,15}$/.test(typed) || /^bookmark:.{1,64}$/.test(typed)) {
    return { kind: "moment", at: typed };
  }
  const age = /^[-−]/.test(typed) ? parseDuration(typed.slice(1)) : undefined;
  if (age !== undefined) return { kind: "time", time: now - age };
  const zoned = parseTime(typed);
  if (zoned !== undefined) return { kind: "time", time: zoned };
  const wall = wallTyped(typed, zone, now);
  if (!wall) return { kind: "wrong", why: `“${typed}” is not a time. Type ${EXACT_TIME_FORMS}.` };
  return timeOfWall(wall, zone);
}

function wallTyped(typed: string, zone: string, now: number): WallTime | undefined {
  const dated = DATED.exec(typed);
  if (dated) {
    const [, year, month, day, ...clock] = dated;
    return checked({ year: Number(year), month: Number(month), day: Number(day), ...clockOf(clock) });
  }
  const ofDay = OF_A_DAY.exec(typed);
  if (!ofDay) return undefined;
  const [, day, ...clock] = ofDay;
  const today = { ...wallOf(now, zone), ...clockOf(clock) };
  const earlier = { ...today, day: today.day - 1 };
  if (day?.toLowerCase() === "yesterday") return checked(carried(earlier));
  // A time of day that is still to come today is that of yesterday: the past is what is looked for.
  const isAhead = day === undefined && (timesOfWall(today, zone)[0] ?? 0) > now;
  return checked(isAhead ? carried(earlier) : today);
}

function clockOf([hour, minute, second, fraction]: readonly (string | undefined)[]): Omit<
  WallTime,
  "year" | "month" | "day"
> {
  return {
    hour: Number(hour ?? 0),
    minute: Number(minute ?? 0),
    second: Number(second ?? 0),
    micro: Number((fraction ?? "").padEnd(6, "0")),
  };
}

/** A day 0 is the last of the month before. */
function carried(wall: WallTime): WallTime {
  const date = new Date(Date.UTC(wall.year, wall.month - 1, wall.day));
  return { ...wall, year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** Undefined for what no calendar or clock shows, such as 31 February. */
function checked(wall: WallTime): WallTime | undefined {
  const isSame = carried(wall).day === wall.day && wall.month >= 1 && wall.month <= 12;
  return isSame && wall.hour < 24 && wall.minute < 60 && wall.second < 60 ? wall : undefined;
}

function timeOfWall(wall: WallTime, zone: string): ExactTime {
  const times = timesOfWall(wall, zone);
  const [first, second] = times;
  const clock = clockText(wall, "minute");
  if (first === undefined) {
    return { kind: "wrong", why: `Clocks skipped ${clock} that day: they were set forward over it.` };
  }
  if (second === undefined) return { kind: "time", time: first };
  const text = `Clocks were set back over ${clock} that day, so it came twice: ${zoneText(first, zone)} and ${zoneText(second, zone)}.`;
  return { kind: "twice", times: [first, second], text };
}

/** What a field for the time shows for one. */
export function typedTime(time: number, zone: string): string {
  const wall = wallOf(time, zone);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = clockText(wall, time % DAY === 0 ? "minute" : "microsecond").replace(/\.?0+$/, (zeros) =>
    zeros.startsWith(".") ? "" : zeros,
  );
  return `${wall.year}-${two(wall.month)}-${two(wall.day)} ${clock}`;
}
