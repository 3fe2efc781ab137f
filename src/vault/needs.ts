/**
 * What of each strand must stay readable: the one question that thinning and collecting ask of retention. Everything else may go, and
 * any doubt keeps (law 6).
 *
 * A volume needs, of the strands it wrote to: every LSN from its horizon on, and its kept points before that. A strand needs, of its
 * parent: the one LSN at which it began, as long as anything of the strand itself is needed. A deleted volume needs nothing, but its
 * strands may still be parents.
 */
import type { Lsn } from "../base/units.ts";
import type { Registry, VolumeRecord } from "./registry.ts";

export interface StrandNeeds {
  /** Every LSN from here on must be readable; Infinity: none in general. */
  from: number;
  /** LSNs below `from` that must be readable too, ascending, without repetitions. */
  points: number[];
}

/**
 * By strand; a strand that is not in it needs nothing.
 * @param newestLsn - of the vault
 * @param volumes - whose needs; default: all that exist
 */
export function needsOf(
  registry: Registry,
  newestLsn: Lsn,
  volumes: readonly VolumeRecord[] = registry.volumes(),
): Map<number, StrandNeeds> {
  const needs = new Map<number, { from: number; points: Set<number> }>();
  const entry = (strand: number): { from: number; points: Set<number> } => {
    let found = needs.get(strand);
    if (!found) needs.set(strand, (found = { from: Infinity, points: new Set() }));
    return found;
  };
  for (const volume of volumes) addVolume(volume, newestLsn, entry);
  // Parents come before children in the registry: going backwards, a child's needs are known before its parent's are added to.
  for (const strand of registry.strands().toReversed()) {
    if (!strand.parent || !needs.has(strand.id)) continue;
    entry(strand.parent.strand).points.add(strand.parent.lsn);
  }
  return new Map(
    [...needs].map(([strand, { from, points }]) => [
      strand,
      { from, points: [...points].filter((point) => point < from).sort((a, b) => a - b) },
    ]),
  );
}

function addVolume(
  volume: VolumeRecord,
  newestLsn: Lsn,
  entry: (strand: number) => { from: number; points: Set<number> },
): void {
  const horizon = volume.kept?.horizonLsn ?? volume.createdLsn;
  const points = [
    ...(volume.kept?.points ?? []).map((point) => point.lsn),
    ...volume.bookmarks.map((bookmark) => bookmark.lsn),
    ...(volume.holds ?? []).map((hold) => hold.lsn),
  ];
  for (const [i, { strand, fromLsn }] of volume.strands.entries()) {
    const next = volume.strands[i + 1]?.fromLsn;
    const lastLsn = next === undefined ? newestLsn : next - 1;
    const isCurrent = next === undefined;
    if (isCurrent || horizon <= lastLsn) {
      const needed = entry(strand);
      // A strand that was left by a rollback is needed up to there only; its later LSNs hold nothing, so "from" says no more than that.
      needed.from = Math.min(needed.from, Math.max(horizon, fromLsn));
    }
    for (const point of points) if (point >= fromLsn && point <= lastLsn) entry(strand).points.add(point);
  }
}

/**
 * Whether an entry made at `lsn` and superseded at `nextLsn` (Infinity: not superseded, as far as is known) is visible at any needed LSN.
 * @param needs - undefined: nothing is needed
 */
export function isNeeded(needs: StrandNeeds | undefined, lsn: number, nextLsn: number): boolean {
  if (!needs) return false;
  if (nextLsn > needs.from) return true;
  // The first needed point at or after the entry: is it before the next one?
  let low = 0;
  let high = needs.points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (needs.points[middle]! < lsn) low = middle + 1;
    else high = middle;
  }
  return low < needs.points.length && needs.points[low]! < nextLsn;
}
