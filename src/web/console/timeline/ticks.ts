/**
 * The strip's axis: round times of the local zone with labels, as many as fit. Steps of an hour and more follow the wall clock, so that midnight stays midnight
 * on both sides of a change to summer time; the skipped hour has no tick and the repeated one has two.
 */
import { clockText, DAY, HOUR, MILLISECOND, MINUTE, monthText, offsetAt, SECOND, timesOfWall, wallOf } from "./time.ts";
import { spanOf, type View } from "./view.ts";

export interface Tick {
  time: number;
  label: string;
  /** Begins a larger unit: a day among hours, a year among months. */
  isMajor: boolean;
}

/** Pixels between labels at least. */
const SPACING_MIN = 84;
/** A guard for the loops below; what fits on a screen is far less. */
const TICKS_MAX = 400;

const FIXED: readonly number[] = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((step) => step * MILLISECOND),
  ...[1, 2, 5, 10, 15, 30].map((step) => step * SECOND),
  ...[1, 2, 5, 10, 15].map((step) => step * MINUTE),
];
const HOURS = [0.5, 1, 2, 3, 6, 12] as const;
const DAYS = [1, 2, 7, 14] as const;
const MONTHS = [1, 3, 6] as const;
const YEARS = [1, 2, 5, 10, 20, 50, 100] as const;

export function ticksOf(view: View, widthPixels: number, zone: string): Tick[] {
  const step = (spanOf(view) / Math.max(1, widthPixels)) * SPACING_MIN;
  const fixed = FIXED.find((each) => each >= step);
  if (fixed !== undefined) return fixedTicks(view, fixed, zone);
  const hours = HOURS.find((each) => each * HOUR >= step);
  if (hours !== undefined) return hourTicks(view, hours, zone);
  const days = DAYS.find((each) => each * DAY >= step);
  if (days !== undefined) return dayTicks(view, days, zone);
  const months = MONTHS.find((each) => each * 30 * DAY >= step);
  if (months !== undefined) return monthTicks(view, months, zone);
  return monthTicks(view, 12 * (YEARS.find((each) => each * 365 * DAY >= step) ?? YEARS.at(-1)!), zone);
}

/** Zones differ from UTC by multiples of a quarter of an hour, so up to there one offset puts every tick on a round time. */
function fixedTicks(view: View, step: number, zone: string): Tick[] {
  const offset = offsetAt(view.from, zone);
  const ticks: Tick[] = [];
  for (let time = Math.ceil((view.from + offset) / step) * step - offset; time < view.to; time += step) {
    const wall = wallOf(time, zone);
    const isMinute = wall.second === 0 && wall.micro === 0;
    if (step >= MINUTE) {
      const isMidnight = wall.hour === 0 && wall.minute === 0;
      ticks.push({ time, label: isMidnight ? dayLabel(time, zone) : clockText(wall, "minute"), isMajor: isMidnight });
    } else if (step >= SECOND) {
      ticks.push({ time, label: clockText(wall, isMinute ? "minute" : "second"), isMajor: isMinute });
    } else {
      const isSecond = wall.micro === 0;
      ticks.push({
        time,
        label: isSecond ? clockText(wall, "second") : fractionLabel(wall.micro, step),
        isMajor: isSecond,
      });
    }
    if (ticks.length >= TICKS_MAX) break;
  }
  return ticks;
}

/** `.250`, or `.250 300` where milliseconds do not tell ticks apart. */
function fractionLabel(micro: number, step: number): string {
  const digits = String(micro).padStart(6, "0");
  return step >= MILLISECOND ? `.${digits.slice(0, 3)}` : `.${digits.slice(0, 3)} ${digits.slice(3)}`;
}

function hourTicks(view: View, step: number, zone: string): Tick[] {
  const ticks: Tick[] = [];
  const day = { ...wallOf(view.from, zone), hour: 0, minute: 0, second: 0, micro: 0 };
  for (let days = 0; ; days++) {
    for (let hour = 0; hour < 24; hour += step) {
      const wall = { ...day, day: day.day + days, hour: Math.floor(hour), minute: (hour % 1) * 60 };
      for (const time of timesOfWall(wall, zone)) {
        if (time >= view.to || ticks.length >= TICKS_MAX) return ticks;
        if (time < view.from) continue;
        const isMidnight = hour === 0;
        ticks.push({ time, label: isMidnight ? dayLabel(time, zone) : clockText(wall, "minute"), isMajor: isMidnight });
      }
    }
    if (days > TICKS_MAX) return ticks;
  }
}

function dayTicks(view: View, step: number, zone: string): Tick[] {
  const first = { ...wallOf(view.from, zone), hour: 0, minute: 0, second: 0, micro: 0 };
  // Counted from a Monday, so that weeks begin where people expect it and ticks stay put while one pans.
  const dayNumber = Math.floor(Date.UTC(first.year, first.month - 1, first.day) / 86_400_000) + 3;
  const lead = (step - (dayNumber % step)) % step;
  const ticks: Tick[] = [];
  for (let days = dayNumber % step === 0 ? 0 : lead; ticks.length < TICKS_MAX; days += step) {
    const time = firstTimeOf({ ...first, day: first.day + days }, zone);
    if (time >= view.to) break;
    if (time >= view.from) ticks.push({ time, label: dayLabel(time, zone), isMajor: wallOf(time, zone).day === 1 });
  }
  return ticks;
}

function monthTicks(view: View, step: number, zone: string): Tick[] {
  const { year, month } = wallOf(view.from, zone);
  const ticks: Tick[] = [];
  const first = Math.floor((year * 12 + month - 1) / step) * step;
  for (let count = first; ticks.length < TICKS_MAX; count += step) {
    const wall = {
      year: Math.floor(count / 12),
      month: (count % 12) + 1,
      day: 1,
      hour: 0,
      minute: 0,
      second: 0,
      micro: 0,
    };
    const time = firstTimeOf(wall, zone);
    if (time >= view.to) break;
    if (time < view.from) continue;
    const isYear = wall.month === 1;
    ticks.push({ time, label: isYear ? String(wall.year) : monthText(wall), isMajor: isYear });
  }
  return ticks;
}

/** Midnight, or where clocks skip it, the first moment of that day. */
function firstTimeOf(wall: Parameters<typeof timesOfWall>[0], zone: string): number {
  return timesOfWall(wall, zone)[0] ?? timesOfWall({ ...wall, hour: wall.hour + 1 }, zone)[0] ?? 0;
}

function dayLabel(time: number, zone: string): string {
  const wall = wallOf(time, zone);
  return `${wall.day} ${monthText(wall)}`;
}
