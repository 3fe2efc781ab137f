/**
 * A volume's timeline: what its strands did, interval by interval, and the marks between.
 */
import type { Clock } from "../base/clock.ts";
import { isSternwayError } from "../base/errors.ts";
import { SHORT_TURN_MICROS, Turn } from "../base/turns.ts";
import { formatSize, lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import type { History, StrandSpan } from "../vault/chronicles/history.ts";
import type { VolumeRecord } from "../vault/registry.ts";
import type { TimelineBucket, TimelineMark } from "./volumes.ts";

/** The strands that a volume wrote to, each with its part of the LSNs, oldest first. */
export function spansOf(record: VolumeRecord): StrandSpan[] {
  return record.strands.map(({ strand, fromLsn }, i) => ({
    strand,
    afterLsn: fromLsn - 1,
    throughLsn: (record.strands[i + 1]?.fromLsn ?? Number.MAX_SAFE_INTEGER) - 1,
  }));
}

/** What history says of a volume's newest write and flush. */
export async function lastOf(
  history: History,
  record: VolumeRecord,
): Promise<{ lsn: number; flushLsn: number; time: number }> {
  for (const span of spansOf(record).reverse()) {
    try {
      const last = await history.lastOf(span);
      if (last) return last;
    } catch (error) {
      // A damaged chronicle hides when it was written last; it must not hide the volume.
      if (!isSternwayError(error, "corrupt") && !isSternwayError(error, "not_found")) throw error;
    }
  }
  return { lsn: record.createdLsn, flushLsn: record.createdLsn, time: record.createdAt };
}

/** Flush points after an LSN, oldest first, at most `limit`. */
export async function flushPointsOf(
  history: History,
  record: VolumeRecord,
  after: Lsn,
  limit: number,
): Promise<{ lsn: Lsn; time: Micros }[]> {
  const points: { lsn: Lsn; time: Micros }[] = [];
  for (const span of spansOf(record)) {
    if (span.throughLsn <= after || points.length >= limit) continue;
    const afterLsn = Math.max(span.afterLsn, after);
    const found = await history.flushPoints({ ...span, afterLsn }, limit - points.length);
    points.push(...found.map((point) => ({ lsn: lsn(point.lsn), time: micros(point.time) })));
  }
  return points;
}

/** Flush points before an LSN, newest first, at most `limit`. */
export async function flushPointsBefore(
  history: History,
  record: VolumeRecord,
  before: Lsn,
  limit: number,
): Promise<{ lsn: Lsn; time: Micros }[]> {
  const points: { lsn: Lsn; time: Micros }[] = [];
  for (const span of spansOf(record).reverse()) {
    if (span.afterLsn >= before - 1 || points.length >= limit) continue;
    const throughLsn = Math.min(span.throughLsn, before - 1);
    const found = await history.flushPointsBack({ ...span, throughLsn }, limit - points.length);
    points.push(...found.map((point) => ({ lsn: lsn(point.lsn), time: micros(point.time) })));
  }
  return points;
}

export async function timelineOf(
  history: History,
  record: VolumeRecord,
  from: number,
  to: number,
  bucketCount: number,
  clock: Clock,
): Promise<TimelineBucket[]> {
  const count = Math.min(bucketCount, to - from);
  const edges = Array.from({ length: count + 1 }, (_, i) => from + Math.round(((to - from) * i) / count));
  const tallies = await history.tally(spansOf(record), edges, clock.wall(), new Turn(clock, SHORT_TURN_MICROS));
  return tallies.map((tally, i) => ({
    from: micros(edges[i]!),
    to: micros(edges[i + 1]!),
    writes: tally.writes,
    writtenBytes: tally.writtenBytes,
    clearedBytes: tally.clearedBytes,
    flushPoints: tally.flushPoints,
    lastLsn: lsn(tally.lastLsn),
  }));
}

/** Everything that happened to the volume as a whole, oldest first. */
export function marksOf(record: VolumeRecord): TimelineMark[] {
  const rollbacks = new Set<number>();
  const marks: TimelineMark[] = [
    {
      kind: "created",
      time: record.createdAt,
      lsn: record.createdLsn,
      detail: formatSize(record.sizes[0]!.sizeBytes),
    },
  ];
  for (const { fromLsn, time, rolledBackTo } of record.strands) {
    if (rolledBackTo === undefined) continue;
    rollbacks.add(fromLsn);
    marks.push({ kind: "rolled-back", time, lsn: fromLsn, detail: `to lsn ${rolledBackTo}` });
  }
  for (const { fromLsn, time, sizeBytes } of record.sizes.slice(1)) {
    if (!rollbacks.has(fromLsn)) marks.push({ kind: "resized", time, lsn: fromLsn, detail: formatSize(sizeBytes) });
  }
  for (const bookmark of record.bookmarks) {
    marks.push({ kind: "bookmark", time: bookmark.time, lsn: bookmark.lsn, detail: bookmark.name });
  }
  for (const hold of record.holds ?? []) {
    marks.push({ kind: "hold", time: hold.time, lsn: hold.lsn, detail: hold.name });
  }
  return marks.sort((a, b) => a.time - b.time || a.lsn - b.lsn);
}
