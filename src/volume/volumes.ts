/**
 * The door of the room: volumes, their histories, and devices onto them; of one vault (`volume-set.ts`) or of all (`vault-volumes.ts`).
 */
import type { ReadableDevice, WritableDevice } from "../base/device.ts";
import type { Lsn, Micros } from "../base/units.ts";
import type { Hold, KeptPoint, VolumeRetention } from "./retention.ts";

export type { Hold, KeptPoint, RetentionPolicy, RetentionState } from "./retention.ts";

/** A moment as people write it, parsed. Text forms: `now`, `lsn:N`, `bookmark:NAME`, RFC 3339, `-15m` (age). */
export type Moment =
  | { kind: "now" }
  | { kind: "lsn"; lsn: Lsn }
  | { kind: "bookmark"; name: string }
  | { kind: "time"; time: Micros }
  | { kind: "age"; ageMicros: number };

/** A moment of one volume, resolved. */
export interface ResolvedMoment {
  lsn: Lsn;
  /** Wall time of the last write at or before it. */
  time: Micros;
  /** True when a client's FLUSH was answered exactly here. */
  flushPoint: boolean;
}

export interface VolumeInfo {
  name: string;
  vault: string;
  sizeBytes: number;
  createdAt: Micros;
  createdLsn: Lsn;
  /** Newest write, trim or mark of this volume. */
  lastLsn: Lsn;
  lastWriteAt: Micros;
  lastFlushLsn: Lsn;
  /** Client sessions attached to the live volume now. */
  attached: number;
  bookmarkCount: number;
  /** Where its history began, for a branch. */
  origin?: { volume: string; lsn: Lsn };
  /** Newest rollback, if its present was set back. */
  rolledBack?: { toLsn: Lsn; atLsn: Lsn; at: Micros };
}

export interface Bookmark {
  name: string;
  lsn: Lsn;
  time: Micros;
  createdAt: Micros;
  /** What is known of how it was made, in the maker's words. */
  note: string;
}

/** One interval of a timeline. */
export interface TimelineBucket {
  from: Micros;
  to: Micros;
  writes: number;
  writtenBytes: number;
  /** Bytes trimmed or zeroed. */
  clearedBytes: number;
  flushPoints: number;
  /** Last LSN of this volume in the interval; 0 when there is none. */
  lastLsn: Lsn;
}

export interface TimelineMark {
  kind: "created" | "resized" | "rolled-back" | "bookmark" | "hold";
  time: Micros;
  lsn: Lsn;
  /** `10 GiB`, `to lsn 17`, the bookmark's or hold's name. */
  detail: string;
}

export interface Timeline {
  from: Micros;
  to: Micros;
  buckets: TimelineBucket[];
  marks: TimelineMark[];
  /** Absent while every write of the volume is kept. */
  kept?: {
    /** From here on every write can be had. */
    everyWriteFrom: { lsn: Lsn; time: Micros };
    /** What is left of the time before it, beside bookmarks and holds, oldest first. */
    points: KeptPoint[];
  };
}

export interface DiffRange {
  offset: number;
  length: number;
}

export interface RollbackResult {
  /** The LSN of the rollback itself: the moment just before it, `lsn:(lsn-1)`, undoes it. */
  lsn: Lsn;
  to: ResolvedMoment;
}

/** A device as of a past moment; what it reads never changes. */
export interface PastDevice extends ReadableDevice {
  readonly moment: ResolvedMoment;
}

/** @throws invalid: not a moment, with the accepted forms in its message */
export type ParseMoment = (text: string) => Moment;

/**
 * All names: 1 to 64 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit.
 * Every method throws not_found for an unknown volume; every change is durable when its promise resolves.
 */
export interface Volumes extends VolumeRetention {
  list(): VolumeInfo[];
  get(name: string): VolumeInfo;
  /**
   * @param options.vault - which vault takes it, where there are several
   * @throws conflict: the name exists; invalid: a bad name or size (a multiple of 512, up to 16 TiB)
   */
  create(name: string, sizeBytes: number, options?: { vault?: string }): Promise<VolumeInfo>;
  /** Growing adds zeroes; shrinking trims what lies past the end (older moments keep it). @throws conflict: shrinking while attached without force */
  resize(name: string, sizeBytes: number, options?: { force?: boolean }): Promise<VolumeInfo>;
  /** @throws conflict: attached without force; whatever the force: a lock forbids it, or a moment is held */
  delete(name: string, options?: { force?: boolean }): Promise<void>;

  /** The live, writable volume; counts as attached until closed. */
  openLive(name: string): Promise<WritableDevice>;
  /** The volume as of a moment. Builds nothing. @throws not_found with the nearest moments, when it lies before history or retention let it go */
  openAt(name: string, moment: Moment): Promise<PastDevice>;
  resolve(name: string, moment: Moment): Promise<ResolvedMoment>;

  /** Sets the present back: one metadata write. @throws conflict: attached without force */
  rollback(name: string, to: Moment, options?: { force?: boolean }): Promise<RollbackResult>;
  /** A new writable volume that starts as `name` at `at` and shares all its blocks. @throws invalid: another vault was asked for */
  branch(name: string, at: Moment, newName: string, options?: { vault?: string }): Promise<VolumeInfo>;
  /** Ranges that were written differently between two moments: never misses a difference, may name equal bytes. Sorted, merged, 4 KiB-aligned. */
  diff(name: string, from: Moment, to: Moment): AsyncIterable<DiffRange>;

  bookmarks(name: string): Bookmark[];
  /** Names a moment; `now` is made durable first. @throws conflict: the name is taken in this volume */
  bookmark(name: string, bookmarkName: string, at: Moment, note: string): Promise<Bookmark>;
  /** @throws conflict: its moment is younger than the lock */
  removeBookmark(name: string, bookmarkName: string): Promise<void>;
  /** Keeps a moment until it is released; `now` is made durable first. @throws conflict: the name is taken in this volume */
  hold(name: string, holdName: string, at: Moment, note: string): Promise<Hold>;

  /** @param bucketCount - 1 to 10,000 @param from - default: creation @param to - default: now */
  timeline(name: string, range: { from?: Micros; to?: Micros; bucketCount: number }): Promise<Timeline>;
  /** Flush points in `(after, …]`, oldest first, or those below `before`, newest first. */
  flushPoints(
    name: string,
    range: { after: Lsn; limit: number } | { before: Lsn; limit: number },
  ): Promise<{ lsn: Lsn; time: Micros }[]>;
}
