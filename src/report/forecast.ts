/**
 * When space ends if it goes on as in the last weeks: a line through the free space by Theil and Sen, whose slope is the median of the slopes of all pairs of
 * points. One restore, one clean-up or one bad sample moves it hardly at all, which a least-squares line would follow. How sure it is, is told by the
 * spread of those slopes over pairs at least a day apart, not by a formula for independent points, which hourly readings of one disk are not.
 */
import { micros, type Micros } from "../base/units.ts";

const HOUR = 3_600e6;
const DAY = 24 * HOUR;
/** What lies further back says little of next week. */
export const FORECAST_WINDOW = 28 * DAY;
/** A week has a weekend: less than one shows half of what is usual. */
export const FORECAST_DAYS_MIN = 7;
/** Of six hours each, so that 28 days are 112 points and some 6,000 pairs. */
const STEP = 6 * HOUR;
const POINTS_MIN = 8;
/** Half of what the interval leaves out, on each side. */
const TAIL = 0.05;
/** Further than that nobody can say. */
const HORIZON_DAYS = 3_650;

export interface FreeSpace {
  time: Micros;
  freeBytes: number;
}

export type Forecast =
  | { kind: "not-enough-data"; haveDays: number; needDays: number }
  | { kind: "not-growing"; bytesPerDay: number }
  | {
      kind: "ends";
      /** By which free space shrinks. */
      bytesPerDay: number;
      at: Micros;
      daysLeft: number;
      earliest: Micros;
      latest: Micros | undefined;
    };

/**
 * @param readings - any order; older than {@link FORECAST_WINDOW} before now are left out
 * @param reserveBytes - below so much free space writes are refused: that is the end
 */
export function forecastSpace(readings: readonly FreeSpace[], now: Micros, reserveBytes: number): Forecast {
  const recent = readings
    .filter(({ time }) => time > now - FORECAST_WINDOW && time <= now)
    .sort((a, b) => a.time - b.time);
  const first = recent[0];
  const last = recent.at(-1);
  const haveDays = first && last ? (last.time - first.time) / DAY : 0;
  const points = medianSteps(recent);
  if (!last || haveDays < FORECAST_DAYS_MIN || points.length < POINTS_MIN)
    return { kind: "not-enough-data", haveDays: Math.floor(haveDays * 10) / 10, needDays: FORECAST_DAYS_MIN };
  const slopes = pairSlopes(points);
  const bytesPerDay = quantile(slopes, 0.5);
  const left = Math.max(0, last.freeBytes - reserveBytes);
  const daysLeft = left / bytesPerDay;
  if (bytesPerDay <= 0 || daysLeft > HORIZON_DAYS) return { kind: "not-growing", bytesPerDay: Math.round(bytesPerDay) };
  const after = (days: number): Micros => micros(Math.round(last.time + days * DAY));
  const slowest = quantile(slopes, TAIL);
  const latestDays = slowest <= 0 ? Number.POSITIVE_INFINITY : left / slowest;
  return {
    kind: "ends",
    bytesPerDay: Math.round(bytesPerDay),
    at: after(daysLeft),
    daysLeft: Math.max(0, (after(daysLeft) - now) / DAY),
    earliest: after(left / quantile(slopes, 1 - TAIL)),
    latest: latestDays > HORIZON_DAYS ? undefined : after(latestDays),
  };
}

/** The median of each step that has readings. */
function medianSteps(readings: readonly FreeSpace[]): FreeSpace[] {
  const steps = new Map<number, FreeSpace[]>();
  for (const reading of readings) {
    const step = Math.floor(reading.time / STEP);
    steps.set(step, [...(steps.get(step) ?? []), reading]);
  }
  return [...steps].map(([step, inStep]) => ({
    time: micros((step + 0.5) * STEP),
    freeBytes: quantile(
      inStep.map(({ freeBytes }) => freeBytes).sort((a, b) => a - b),
      0.5,
    ),
  }));
}

/** By how many bytes a day free space shrank between each two points a day or more apart, ascending. */
function pairSlopes(points: readonly FreeSpace[]): number[] {
  const slopes: number[] = [];
  points.forEach((a, i) => {
    for (const b of points.slice(i + 1)) {
      const days = (b.time - a.time) / DAY;
      if (days >= 1) slopes.push((a.freeBytes - b.freeBytes) / days);
    }
  });
  return slopes.sort((a, b) => a - b);
}

/** @param sorted - ascending, not empty */
function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? 0;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}
