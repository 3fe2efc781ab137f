/**
 * The door of the room: plans what retention would let go of, and lets go of it.
 *
 * A plan is made from what the volume says at that moment, and applied by one mark that the volume checks again: whatever came
 * between (a bookmark, a reader, a lock) wins, and the plan is refused or amended there.
 */
import { micros, type Lsn, type Micros } from "../base/units.ts";
import type { Candidate, KeptPoint, RetentionPolicy, RetentionState } from "../volume/retention.ts";
import type { Volumes } from "../volume/volumes.ts";
import { allowedHorizon, choosePoints, horizonTime, usefulEdges } from "./planner.ts";

/** What retention needs of volumes. */
export type RetentionVolumes = Pick<
  Volumes,
  "retention" | "newestAt" | "resolve" | "candidates" | "activity" | "bookmarks" | "holds" | "thin"
>;

export interface RetentionPlan {
  volume: string;
  /** The policy that it follows; undefined: none, so nothing goes. */
  policy?: RetentionPolicy;
  /** The present, for policies. */
  now: Micros;
  clockAheadMicros: number;
  /** From where on every write can be had, now and then. */
  from: { lsn: Lsn; time: Micros };
  to: { lsn: Lsn; time: Micros };
  /** All points that will be kept before the new horizon, ascending by LSN. */
  points: KeptPoint[];
  /** Those of them that come to be points. */
  newPoints: KeptPoint[];
  /** Points that are kept now and go. */
  goingPoints: KeptPoint[];
  /** Writes, trims and zeroes between the two horizons, and the bytes that they wrote: what of them no point holds is let go of. */
  writes: number;
  writtenBytes: number;
  /** The lock keeps what the policy would let go of. */
  lockHolds: boolean;
}

/** Whether applying a plan would change anything. */
export function changes(plan: RetentionPlan): boolean {
  return plan.to.lsn > plan.from.lsn || plan.goingPoints.length > 0;
}

/** Whether moments would be lost that can be read now. */
export function expires(plan: RetentionPlan): boolean {
  return plan.goingPoints.length > 0 || plan.writes > 0;
}

/**
 * What would go, and what would stay. Changes nothing.
 * @param options.policy - instead of the volume's own
 * @param options.zone - whose hours, days, weeks and months count
 */
export async function planRetention(
  volumes: RetentionVolumes,
  name: string,
  options: { zone: string; policy?: RetentionPolicy },
): Promise<RetentionPlan> {
  const state = await volumes.retention(name);
  const { horizon, points, lockedFrom, now, clockAheadMicros } = state;
  const policy = options.policy ?? state.policy;
  const still: RetentionPlan = {
    volume: name,
    ...(policy === undefined ? {} : { policy }),
    now,
    clockAheadMicros,
    from: horizon,
    to: horizon,
    points,
    newPoints: [],
    goingPoints: [],
    writes: 0,
    writtenBytes: 0,
    lockHolds: false,
  };
  if (!policy) return still;
  const wanted = await wantedHorizon(volumes, name, policy, state);
  const horizonLsn = allowedHorizon(wanted.lsn, horizon.lsn, lockedFrom);
  const to =
    horizonLsn === horizon.lsn ? horizon : { lsn: horizonLsn, time: (await at(volumes, name, horizonLsn)).time };
  const chosen = choosePoints({
    policy,
    now,
    zone: options.zone,
    horizonLsn,
    lockedFrom,
    kept: await withFlushPoints(volumes, name, points),
    candidates: await candidatesBetween(volumes, name, policy, state, to, options.zone),
    named: [...volumes.bookmarks(name), ...volumes.holds(name)],
  });
  const before = new Set(points.map((point) => point.lsn));
  const after = new Set(chosen.map((point) => point.lsn));
  return {
    ...still,
    to,
    points: chosen,
    newPoints: chosen.filter((point) => !before.has(point.lsn)),
    goingPoints: points.filter((point) => !after.has(point.lsn)),
    ...(await volumes.activity(name, { from: horizon.lsn, before: horizonLsn })),
    lockHolds: wanted.lsn > horizonLsn,
  };
}

/** Carries out what {@link planRetention} says at this moment. @returns the plan; `points` also names moments that somebody reads */
export async function applyRetention(
  volumes: RetentionVolumes,
  name: string,
  options: { zone: string },
): Promise<RetentionPlan> {
  const plan = await planRetention(volumes, name, options);
  if (!changes(plan)) return plan;
  const points = await volumes.thin(name, { horizonLsn: plan.to.lsn, points: plan.points });
  return { ...plan, points };
}

async function wantedHorizon(
  volumes: RetentionVolumes,
  name: string,
  policy: RetentionPolicy,
  { now, horizon }: RetentionState,
): Promise<{ lsn: Lsn; time: Micros }> {
  const time = horizonTime(policy, now);
  if (time === undefined || time <= horizon.time) return horizon;
  // The newest LSN at that time: the state of that very time stays readable.
  const found = await volumes.newestAt(name, time);
  return found && found.lsn > horizon.lsn ? found : horizon;
}

async function candidatesBetween(
  volumes: RetentionVolumes,
  name: string,
  policy: RetentionPolicy,
  { horizon, now }: RetentionState,
  to: { lsn: Lsn; time: Micros },
  zone: string,
): Promise<Candidate[]> {
  if (to.lsn === horizon.lsn) return [];
  // Times of LSNs are those of their groups: one microsecond more takes the last group in.
  const edges = usefulEdges(policy, now, horizon.time, micros(to.time + 1), zone);
  const found = await volumes.candidates(name, edges, { from: horizon.lsn, before: to.lsn });
  // The present horizon itself: it can be had until the new one takes its place.
  return [await at(volumes, name, horizon.lsn), ...found];
}

async function withFlushPoints(
  volumes: RetentionVolumes,
  name: string,
  points: readonly KeptPoint[],
): Promise<(KeptPoint & { flushPoint: boolean })[]> {
  const found: (KeptPoint & { flushPoint: boolean })[] = [];
  for (const point of points) {
    const { flushPoint } = await at(volumes, name, point.lsn as Lsn);
    found.push({ ...point, flushPoint });
  }
  return found;
}

async function at(volumes: RetentionVolumes, name: string, lsn: Lsn): Promise<Candidate> {
  return await volumes.resolve(name, { kind: "lsn", lsn });
}
