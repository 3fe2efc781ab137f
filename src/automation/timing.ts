/**
 * When schedules are due. Calendar times go by a zone's clock (`tiers/schedule.ts`: a time of day that a switch leaves out comes right after it, one that
 * comes twice comes once); intervals go by the time that passes, from when the schedule was made, and know no zones.
 *
 * Each time may be put off by an amount of its own, which is a hash of the schedule and the time: it is the same whenever it is asked for, so that what is shown is what
 * will be, and a restart neither repeats nor loses a run.
 */
import { createHash } from "node:crypto";
import { SternwayError } from "../base/errors.ts";
import { micros, type Micros } from "../base/units.ts";
import type { Schedule, StoredTiming } from "../catalog/catalog.ts";
import type { WireTiming } from "../contract/schedules.ts";
import { nextRun } from "../tiers/schedule.ts";

export type Timed = Pick<Schedule, "key" | "timing" | "createdAt">;

/** One time of a schedule: where it lies in its grid, and when it is due by its jitter. */
export interface Due {
  base: Micros;
  at: Micros;
}

/** How far back the newest time before now is looked for, each as many times over as the last. A schedule of 29 February comes every 8 years at the worst. */
const LOOK_BACK_SECONDS = [600, 3_600, 86_400, 8 * 86_400, 32 * 86_400, 367 * 86_400, 9 * 366 * 86_400];
/** Missed times are counted so far; who reads the number does not care beyond. */
const MISSED_COUNT_MAX = 100;

/** @param zone - where none is named @throws invalid: the expression or the zone cannot be read, or its time never comes */
export function storedTiming(timing: WireTiming, jitterSeconds: number, zone: string, now: Micros): StoredTiming {
  const stored =
    timing.kind === "interval"
      ? { ...timing, jitterSeconds }
      : { ...timing, timeZone: timing.timeZone ?? zone, jitterSeconds };
  nextBase({ key: "", createdAt: now, timing: stored }, now);
  return stored;
}

/** The first time in the grid after another. @throws invalid: it never comes */
export function nextBase({ timing, createdAt }: Timed, after: Micros): Micros {
  if (timing.kind === "calendar") return nextRun(timing.expression, after, timing.timeZone);
  const every = timing.everySeconds * 1e6;
  // The grid reaches back as well: the schedule may have been made while the clock was ahead.
  return micros(createdAt + (Math.floor((after - createdAt) / every) + 1) * every);
}

/** The first one after a time in the grid, and when it is due. */
export function nextDue(timed: Timed, after: Micros): Due {
  const base = nextBase(timed, after);
  return { base, at: dueAt(timed, base) };
}

/** @param count - how many @param after - wall time: those due later */
export function nextTimes(timed: Timed, after: Micros, count: number): Micros[] {
  const times: Micros[] = [];
  // One that lies before may be due later still, by its jitter.
  let base = micros(Math.min(after, Math.max(after - timed.timing.jitterSeconds * 1e6, timed.createdAt)));
  while (times.length < count) {
    const due = nextDue(timed, base);
    if (due.at > after) times.push(due.at);
    base = due.base;
  }
  return times;
}

/**
 * What came due after one time in the grid, up to now.
 * @returns the newest of them, and how many came before it, counted up to 100; undefined: none did
 */
export function dueSince(timed: Timed, handled: Micros, now: Micros): { newest: Due; before: number } | undefined {
  const first = nextDue(timed, handled);
  if (first.at > now) return undefined;
  let newest = first;
  let before = 0;
  for (; before < MISSED_COUNT_MAX; before++) {
    const next = nextDue(timed, newest.base);
    if (next.at > now) return { newest, before };
    newest = next;
  }
  return { newest: newestDue(timed, newest, now), before };
}

/** The newest one that is due, without going through all that lie between: of every minute of a year there are half a million. */
function newestDue(timed: Timed, from: Due, now: Micros): Due {
  const reach = now - timed.timing.jitterSeconds * 1e6;
  for (const seconds of LOOK_BACK_SECONDS) {
    const start = micros(reach - seconds * 1e6);
    if (start <= from.base) break;
    let newest: Due | undefined;
    for (let due = nextDue(timed, start); due.at <= now; due = nextDue(timed, due.base)) newest = due;
    if (newest) return newest;
  }
  let newest = from;
  for (let due = nextDue(timed, from.base); due.at <= now; due = nextDue(timed, due.base)) newest = due;
  return newest;
}

function dueAt(timed: Timed, base: Micros): Micros {
  const { jitterSeconds } = timed.timing;
  if (jitterSeconds === 0) return base;
  // Never into the next one's time, so that they keep their order.
  const room = Math.min(jitterSeconds * 1e6, nextBase(timed, base) - base - 1);
  const hash = createHash("sha256").update(`${timed.key} ${base}`).digest().readUInt32BE(0);
  return micros(base + Math.floor((hash / 2 ** 32) * room));
}

/** Why no time of a schedule can be found any more, such as after the zone database lost its zone; undefined: it can. */
export function timingTrouble(timed: Timed, now: Micros): string | undefined {
  try {
    nextBase(timed, now);
    return undefined;
  } catch (error) {
    if (error instanceof SternwayError) return error.message;
    throw error;
  }
}
