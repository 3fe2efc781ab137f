/**
 * What to keep: pure decisions over a volume's history, its policy and its lock. Nothing here touches a volume.
 *
 * A policy lets go of everything before a *horizon*, but for points. The horizon is the present less `all`; it moves in steps of a 48th of that, an
 * hour at the most, so that thinning has something to do each time. Points are chosen by rhythm: of all moments of one local hour, day,
 * week or month, the best one stays until the whole of that is too old for its rhythm. The best is a bookmark or hold, else the newest flush point,
 * else the newest write. One point may serve several rhythms; it is called by the one that keeps it longest.
 *
 * What was let go of does not return: moments before the present horizon can be kept only if they are kept already, and the horizon
 * never moves back. An hour that the horizon has half passed has its best moment so far; a better one takes over when it comes.
 *
 * The lock comes before all of this: the horizon stops where it begins, and kept points that are younger than it stay.
 */
import { assert } from "../base/assert.ts";
import { lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import type { Candidate, KeptPoint, RetentionPolicy } from "../volume/retention.ts";
import { bucketEnd, bucketOf, bucketStart, RHYTHMS, type Rhythm } from "./calendar.ts";

const STEPS_OF_ALL = 48;
const STEP_MICROS_MAX = 3600e6;
/** Intervals of one plan: a policy keeps 1,500 points at most, and an hour may be in two parts. */
const EDGES_MAX = 100_000;

/** Where the horizon should be. @returns undefined: before the beginning of time, so nothing is to go */
export function horizonTime(policy: RetentionPolicy, now: Micros): Micros | undefined {
  const step = Math.min(STEP_MICROS_MAX, Math.max(1, Math.floor(policy.allMicros / STEPS_OF_ALL)));
  const time = Math.floor((now - policy.allMicros) / step) * step;
  return time > 0 ? micros(time) : undefined;
}

/**
 * The intervals of `[from, to)` of which one moment each can be of use: hours where hourly points are kept, days where only daily ones
 * are, and so on.
 * @returns edges, ascending; fewer than two when nothing in it can be of use
 */
export function usefulEdges(policy: RetentionPolicy, now: Micros, from: Micros, to: Micros, zone: string): Micros[] {
  // Each rhythm counts from the first hour, day, week or month that its length reaches into.
  const rhythms = RHYTHMS.filter((rhythm) => policy[`${rhythm}Micros`] > 0).map((rhythm) => ({
    rhythm,
    begin: bucketStart(micros(now - policy[`${rhythm}Micros`]), rhythm, zone),
  }));
  const edges: Micros[] = [];
  let at = micros(Math.max(from, Math.min(...rhythms.map(({ begin }) => begin))));
  while (at < to) {
    assert(edges.length < EDGES_MAX, "a policy's points were counted when it was set");
    edges.push(at);
    const time = at;
    const finest = rhythms.find(({ begin }) => begin <= time);
    assert(finest !== undefined, "some rhythm has begun");
    // Where a finer rhythm begins, the rest of a day or month is looked at hour by hour.
    const finer = rhythms.map(({ begin }) => begin).filter((begin) => begin > time);
    at = micros(Math.min(bucketEnd(at, finest.rhythm, zone), ...finer));
  }
  if (edges.length > 0) edges.push(to);
  return edges;
}

export interface Choice {
  policy: RetentionPolicy;
  now: Micros;
  zone: string;
  /** Where the horizon will be; points lie before it. */
  horizonLsn: Lsn;
  /** With a lock: kept points after this LSN stay. */
  lockedFrom: Lsn | undefined;
  /** What is kept before the present horizon. */
  kept: readonly (KeptPoint & { flushPoint: boolean })[];
  /** What can be had between the present horizon and the new one. */
  candidates: readonly Candidate[];
  /** Bookmarks and holds: they stay by themselves, and are preferred as points. */
  named: readonly { lsn: Lsn; time: Micros }[];
}

interface Option {
  lsn: number;
  time: number;
  /** 2: bookmark or hold; 1: flush point; 0: write. */
  rank: number;
}

/** The points to keep, ascending by LSN. */
export function choosePoints(choice: Choice): KeptPoint[] {
  const { policy, now, zone, horizonLsn, lockedFrom, kept } = choice;
  const options = optionsOf(choice);
  const chosen = new Map<number, KeptPoint>();
  // Coarsest last: it keeps a point longest, so the point is called by it.
  for (const rhythm of RHYTHMS) {
    const length = policy[`${rhythm}Micros`];
    if (length === 0) continue;
    for (const { lsn: at, time } of bestOfEach(options, rhythm, now - length, zone)) {
      chosen.set(at, { lsn: at, time, why: rhythm });
    }
  }
  for (const { lsn: at, time, why } of kept) {
    const isLocked = lockedFrom !== undefined && at > lockedFrom;
    if (isLocked && !chosen.has(at)) chosen.set(at, { lsn: at, time, why });
  }
  const points = [...chosen.values()].sort((a, b) => a.lsn - b.lsn);
  assert(
    points.every((point) => point.lsn < horizonLsn),
    "points lie before the horizon",
  );
  return points;
}

function optionsOf({ horizonLsn, kept, candidates, named }: Choice): Option[] {
  const options = new Map<number, Option>();
  const add = (at: number, time: number, rank: number): void => {
    if (at >= horizonLsn) return;
    const before = options.get(at);
    options.set(at, { lsn: at, time: before?.time ?? time, rank: Math.max(rank, before?.rank ?? 0) });
  };
  for (const { lsn: at, time, flushPoint } of kept) add(at, time, flushPoint ? 1 : 0);
  for (const { lsn: at, time, flushPoint } of candidates) add(at, time, flushPoint ? 1 : 0);
  for (const { lsn: at, time } of named) add(at, time, 2);
  return [...options.values()];
}

function bestOfEach(options: readonly Option[], rhythm: Rhythm, oldest: number, zone: string): Option[] {
  const best = new Map<string, Option>();
  for (const option of options) {
    const bucket = bucketOf(micros(option.time), rhythm, zone);
    const before = best.get(bucket);
    if (!before || isBetter(option, before)) best.set(bucket, option);
  }
  return [...best.values()].filter(({ time }) => bucketEnd(micros(time), rhythm, zone) > oldest);
}

const isBetter = (a: Option, b: Option): boolean => (a.rank === b.rank ? a.lsn > b.lsn : a.rank > b.rank);

/** Where the horizon may go, given where it is and what the lock says. */
export function allowedHorizon(wanted: Lsn, present: Lsn, lockedFrom: Lsn | undefined): Lsn {
  return lsn(Math.max(present, Math.min(wanted, lockedFrom ?? Number.MAX_SAFE_INTEGER)));
}
