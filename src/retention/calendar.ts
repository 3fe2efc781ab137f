/**
 * The calendar of the appliance's own time zone: in which hour, day, week and month a time lies, and where those begin.
 *
 * An hour is an hour of the clock on the wall: in the night when that is put back, the hour that comes twice is two hours, told apart by
 * their offset. A day runs from midnight to midnight, with 23 or 25 hours twice a year; a week begins on Monday, as ISO 8601 has it.
 */
import { micros, type Micros } from "../base/units.ts";
import { inZone } from "../base/zone.ts";

/** How often a point is kept. */
export type Rhythm = "hourly" | "daily" | "weekly" | "monthly";

/** Finest first. */
export const RHYTHMS: readonly Rhythm[] = ["hourly", "daily", "weekly", "monthly"];

/**
 * Offsets from UTC have been multiples of 15 minutes everywhere since 1972, and clocks are put forward and back at such times. So the hours
 * of every zone begin and end at one of these, also where a change of the clock cuts one short.
 */
const QUARTER_MS = 900_000;

/** Names the hour, day, week or month that holds a time: equal for two times of the same one, and for no others. */
export function bucketOf(time: Micros, rhythm: Rhythm, zone: string): string {
  const at = inZone(time, zone);
  switch (rhythm) {
    case "hourly":
      return `${at.toPlainDate().toString()}T${at.hour}${at.offset}`;
    case "daily":
      return at.toPlainDate().toString();
    case "weekly":
      return at
        .toPlainDate()
        .subtract({ days: at.dayOfWeek - 1 })
        .toString();
    case "monthly":
      return `${at.year}-${at.month}`;
  }
}

/** The first moment of the hour, day, week or month that holds a time. */
export function bucketStart(time: Micros, rhythm: Rhythm, zone: string): Micros {
  const at = inZone(time, zone);
  if (rhythm === "hourly") return hourStart(time, zone);
  return micros(firstDay(at, rhythm).startOfDay().epochMilliseconds * 1000);
}

/** The first moment after the hour, day, week or month that holds a time. */
export function bucketEnd(time: Micros, rhythm: Rhythm, zone: string): Micros {
  const at = inZone(time, zone);
  if (rhythm === "hourly") return hourEnd(time, zone);
  const next = firstDay(at, rhythm).add(
    rhythm === "daily" ? { days: 1 } : rhythm === "weekly" ? { weeks: 1 } : { months: 1 },
  );
  return micros(next.startOfDay().epochMilliseconds * 1000);
}

function firstDay(at: Temporal.ZonedDateTime, rhythm: Exclude<Rhythm, "hourly">): Temporal.ZonedDateTime {
  const day = at.startOfDay();
  if (rhythm === "weekly") return day.subtract({ days: at.dayOfWeek - 1 });
  return rhythm === "monthly" ? day.with({ day: 1 }) : day;
}

function hourStart(time: Micros, zone: string): Micros {
  const name = bucketOf(time, "hourly", zone);
  let startMs = quarterOf(time);
  while (bucketOf(micros((startMs - QUARTER_MS) * 1000), "hourly", zone) === name) startMs -= QUARTER_MS;
  return micros(startMs * 1000);
}

function hourEnd(time: Micros, zone: string): Micros {
  const name = bucketOf(time, "hourly", zone);
  let endMs = quarterOf(time) + QUARTER_MS;
  while (bucketOf(micros(endMs * 1000), "hourly", zone) === name) endMs += QUARTER_MS;
  return micros(endMs * 1000);
}

const quarterOf = (time: Micros): number => Math.floor(time / 1000 / QUARTER_MS) * QUARTER_MS;
