/**
 * Which moments of a volume can still be read: everything from its horizon on, and before that its kept points, bookmarks and holds. The
 * vault refuses the rest by itself (law 3); this tells people which ones are near.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn, type Lsn } from "../base/units.ts";
import type { VolumeRecord } from "../vault/registry.ts";

/** A moment that people can be pointed to. */
export interface KeptMoment {
  lsn: number;
  /** Wall time, microseconds. */
  time: number;
}

/** The moments below the horizon that are kept, ascending by LSN. */
export function keptPoints(record: VolumeRecord): KeptMoment[] {
  const horizon = horizonOf(record);
  const points = [...(record.kept?.points ?? []), ...record.bookmarks, ...(record.holds ?? [])];
  return points
    .filter((point) => point.lsn < horizon)
    .map((point) => ({ lsn: point.lsn, time: point.time }))
    .sort((a, b) => a.lsn - b.lsn);
}

/** Every LSN from here on is kept. */
export function horizonOf(record: VolumeRecord): number {
  return Math.max(record.createdLsn, record.kept?.horizonLsn ?? 0);
}

/** Whether an LSN of the volume's history can be read. */
export function isKept(record: VolumeRecord, at: number): boolean {
  return at >= horizonOf(record) || keptPoints(record).some((point) => point.lsn === at);
}

/** The newest kept LSN at or before another; undefined: none is left. */
export function keptAtOrBefore(record: VolumeRecord, at: number): Lsn | undefined {
  if (at >= horizonOf(record)) return lsn(at);
  const point = keptPoints(record).findLast((candidate) => candidate.lsn <= at);
  return point && lsn(point.lsn);
}

/** @param text - the moment, as it was asked for @throws not_found: it was let go, naming the nearest that are kept */
export function requireKept(record: VolumeRecord, at: Lsn, text: string): Lsn {
  if (isKept(record, at)) return at;
  throw notKept(record, at, text);
}

export function notKept(record: VolumeRecord, at: number, text: string): SternwayError {
  const points = keptPoints(record);
  const before = points.findLast((point) => point.lsn < at);
  const after = points.find((point) => point.lsn > at);
  const horizon = horizonOf(record);
  const name = (point: KeptMoment): string => `lsn:${point.lsn} (${formatTime(point.time as never)})`;
  const near = [
    before && `${name(before)} before it`,
    after ? `${name(after)} after it` : `all from lsn:${horizon} on`,
  ];
  return new SternwayError(
    "not_found",
    `${text} of volume ${record.name} is no longer kept: the nearest are ${near.filter((part) => part !== undefined).join(", ")}`,
    { volume: record.name, lsn: at, horizonLsn: horizon, ...(before ? { beforeLsn: before.lsn } : {}) },
  );
}
