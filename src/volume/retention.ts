/**
 * What volumes answer about how long their history is kept: the part of {@link Volumes} that retention works with.
 *
 * Every LSN from the *horizon* on is readable. Before it, only kept points, bookmarks and holds are: each is one LSN, and the times between
 * two of them cannot be had any more. The horizon never moves back, since what was let go of does not return.
 *
 * The *lock* is a law and not a policy: nothing younger than it is let go of, whatever a policy, an administrator or a wall clock says. It
 * can be lengthened and never shortened, and it is measured in the time that the vault was open (`vault/time-ledger.ts`).
 */
import type { Lsn, Micros } from "../base/units.ts";
import type { KeptPoint, RetentionPolicy } from "../vault/registry.ts";

export type { KeptPoint, RetentionPolicy } from "../vault/registry.ts";

/** A moment that nothing may expire until it is released. */
export interface Hold {
  name: string;
  lsn: Lsn;
  /** Wall time of the moment. */
  time: Micros;
  createdAt: Micros;
  note: string;
}

/** A moment that may be kept. */
export interface Candidate {
  lsn: Lsn;
  time: Micros;
  flushPoint: boolean;
}

export interface RetentionState {
  /** Undefined: everything is kept from the horizon on. */
  policy?: RetentionPolicy;
  horizon: { lsn: Lsn; time: Micros };
  /** Kept before the horizon, oldest first. */
  points: KeptPoint[];
  /** 0: no lock. */
  lockMicros: number;
  /** With a lock: the state at this LSN and everything after it may not be let go of. */
  lockedFrom?: Lsn;
  /** The present, for policies: wall time that a clock set forward does not carry away. */
  now: Micros;
  /** How far the wall clock is ahead of {@link now}, microseconds. */
  clockAheadMicros: number;
}

/** Every method throws not_found for an unknown volume; every change is durable when its promise resolves. */
export interface VolumeRetention {
  retention(name: string): Promise<RetentionState>;
  /** @param policy - null: keep everything @throws invalid: durations that do not fit each other, or too many points */
  setRetention(name: string, policy: RetentionPolicy | null): Promise<void>;
  /** @param lockMicros - up to 100 years @throws conflict: shorter than it is already */
  setLock(name: string, lockMicros: number): Promise<void>;

  holds(name: string): Hold[];
  /** @throws conflict: its moment is younger than the lock */
  releaseHold(name: string, holdName: string): Promise<void>;

  /** The newest LSN of the vault at a time, and its own time; undefined before its first. */
  newestAt(name: string, time: Micros): Promise<{ lsn: Lsn; time: Micros } | undefined>;
  /**
   * The best moment of each interval: its newest flush point, else its newest write. An interval without either has none.
   * @param edges - ascending; interval i is `[edges[i], edges[i + 1])`
   * @param lsns - only LSNs of `[from, before)`
   */
  candidates(name: string, edges: readonly Micros[], lsns: { from: Lsn; before: Lsn }): Promise<Candidate[]>;
  /** How many writes, trims and zeroes of the volume lie in `[from, before)`, and how many bytes they wrote. */
  activity(name: string, lsns: { from: Lsn; before: Lsn }): Promise<{ writes: number; writtenBytes: number }>;

  /**
   * Lets go of history: everything before a new horizon but some points. Moments that somebody is reading stay as long as they are
   * open. The space comes back later, by merging and collecting.
   * @param points - ascending; each lies at or after the present horizon or is kept already
   * @returns what is kept now
   * @throws conflict: the horizon would move back, a point is gone, or the lock forbids it
   */
  thin(name: string, to: { horizonLsn: Lsn; points: readonly KeptPoint[] }): Promise<KeptPoint[]>;

  /**
   * How many stored bytes nothing would need any more if a volume were thinned so: what other volumes share with it is not among them.
   * Reads the whole map in the background, so it takes a while.
   * @returns undefined: it cannot be counted now
   */
  wouldFree(name: string, to: { horizonLsn: Lsn; points: readonly KeptPoint[] }): Promise<number | undefined>;

  /** Makes durable how much time has passed, in every vault that takes writes. */
  noteTime(): Promise<void>;
}

/** The most moments that a policy may keep: their list travels in one mark, and in every manifest. */
export const POINTS_MAX = 1_500;

/** The longest lock and the longest part of a policy: 100 years. */
export const RETENTION_MICROS_MAX = 36_525 * 86_400e6;
