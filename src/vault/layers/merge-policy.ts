/**
 * When to merge and when to make an image: pure decisions over a manifest's lists.
 *
 * Merging: eight neighbours of one rank become one of the next. So an entry is rewritten once per power of eight of the history's length, and
 * never more than seven of a rank wait when there is time to merge, 15 when there is not: a vault of 10^7 writes has some 20 deltas.
 *
 * Images: a shard gets one when the entries since its last one outnumber the blocks in that, so that making images costs each entry a constant share.
 */
import type { LayerRecord } from "../manifest.ts";

export const MERGE_FAN_IN = 8;
/**
 * So many neighbours of one rank mean that sealing has kept merging waiting. Twice the fan-in lets a burst pass without a merge in its
 * way, and keeps a vault under unending load at some hundred files.
 */
export const MERGE_OVERDUE = 2 * MERGE_FAN_IN;
/**
 * So many neighbours of one rank stop sealing until some are merged. Each is an open file and a stop on the way of a read, so this bounds both, whatever
 * keeps merging from its work; reading then takes some three times as long as when merging is just overdue.
 */
export const MERGE_DEBT_MAX = 6 * MERGE_FAN_IN;
/** A shard with fewer entries since its last image is read quickly enough without one. */
export const IMAGE_ENTRIES_MIN = 65_536;
/** Shards in one image file: bounds one step's work. */
const IMAGE_SHARDS_MAX = 16;

/** The oldest run of {@link MERGE_FAN_IN} neighbours of one rank, lowest rank first. @param records - oldest first */
export function dueMerge<Record extends { rank: number }>(records: readonly Record[]): Record[] | undefined {
  let best: Record[] | undefined;
  let start = 0;
  for (let i = 1; i <= records.length; i++) {
    if (i < records.length && records[i]!.rank === records[start]!.rank) continue;
    if (i - start >= MERGE_FAN_IN && (!best || records[start]!.rank < best[0]!.rank)) {
      best = records.slice(start, start + MERGE_FAN_IN);
    }
    start = i;
  }
  return best;
}

/** True when {@link MERGE_OVERDUE} neighbours of one rank wait: merging must not be put off any longer. @param records - oldest first */
export function isMergeOverdue(records: readonly { rank: number }[]): boolean {
  return longestRun(records) >= MERGE_OVERDUE;
}

/** The longest run of neighbours of one rank. */
function longestRun(records: readonly { rank: number }[]): number {
  let longest = 0;
  let run = 0;
  for (let i = 0; i < records.length; i++) {
    run = i > 0 && records[i]!.rank === records[i - 1]!.rank ? run + 1 : 1;
    longest = Math.max(longest, run);
  }
  return longest;
}

/**
 * How far merging has fallen behind: 0 while at most {@link MERGE_OVERDUE} neighbours of one rank wait, 1 at {@link MERGE_DEBT_MAX}.
 * @param records - oldest first
 */
export function mergeDebt(records: readonly { rank: number }[]): number {
  return Math.max(0, Math.min(1, (longestRun(records) - MERGE_OVERDUE) / (MERGE_DEBT_MAX - MERGE_OVERDUE)));
}

/** Runs of neighbours without those that must stay as they are. @param isLeft - of one: nothing is merged with it or across it */
export function runsBetween<Record>(records: readonly Record[], isLeft: (record: Record) => boolean): Record[][] {
  const runs: Record[][] = [[]];
  for (const record of records) {
    if (isLeft(record)) runs.push([]);
    else runs.at(-1)!.push(record);
  }
  return runs.filter((run) => run.length > 0);
}

/** Shards that should get an image now, those with most to gain first. @param entriesMin - default {@link IMAGE_ENTRIES_MIN} */
export function dueImages(
  layers: readonly LayerRecord[],
  entriesMin = IMAGE_ENTRIES_MIN,
): { strand: number; shard: number }[] {
  const newest = new Map<string, { lsn: number; entries: number }>();
  for (const layer of layers) {
    if (layer.kind !== "image") continue;
    for (const { strand, shard, entries } of layer.weights)
      newest.set(`${strand}/${shard}`, { lsn: layer.lastLsn, entries });
  }
  const since = new Map<string, { strand: number; shard: number; entries: number }>();
  for (const layer of layers) {
    if (layer.kind !== "delta") continue;
    for (const { strand, shard, entries } of layer.weights) {
      const key = `${strand}/${shard}`;
      // A merged delta that reaches back beyond the image counts whole: an image too early costs little.
      if (layer.lastLsn <= (newest.get(key)?.lsn ?? -1)) continue;
      const sum = since.get(key);
      if (sum) sum.entries += entries;
      else since.set(key, { strand, shard, entries });
    }
  }
  return [...since.entries()]
    .filter(([key, { entries }]) => entries >= Math.max(entriesMin, newest.get(key)?.entries ?? 0))
    .map(([, shard]) => shard)
    .sort((a, b) => b.entries - a.entries)
    .slice(0, IMAGE_SHARDS_MAX)
    .map(({ strand, shard }) => ({ strand, shard }));
}
