/** What writes were like, as sums: the sealer counts them, the catalog adds them up over minutes and hours, and the signals go by them. */

/** Counts of blocks, but for `storedBytes`. */
export interface WriteCounts {
  /** Written, zeroes included. */
  blocks: number;
  zero: number;
  /** Stored already, or twice in the stretch. */
  duplicate: number;
  /** Stored anew; raw bytes are 4,096 times this. */
  fresh: number;
  /** What the new ones take, compressed. */
  storedBytes: number;
  /** New ones that look random. */
  dense: number;
  /** Over data that was there: new or duplicate, not zeroes. */
  rewrites: number;
  /** Of those, over data that compressed … */
  overPlain: number;
  /** … and new ones of them that look random: what encrypting in place does, and little else. */
  turned: number;
  /** Over what is not known. */
  unknown: number;
  /** Trimmed or zeroed without data. */
  cleared: number;
}

/** Where nothing was written. */
export const NO_WRITES: Readonly<WriteCounts> = {
  blocks: 0,
  zero: 0,
  duplicate: 0,
  fresh: 0,
  storedBytes: 0,
  dense: 0,
  rewrites: 0,
  overPlain: 0,
  turned: 0,
  unknown: 0,
  cleared: 0,
};

export const WRITE_COUNTS = Object.keys(NO_WRITES) as (keyof WriteCounts)[];

/** The counts of anything that has them, and nothing else of it. */
export function countsOf(counted: Readonly<WriteCounts>): WriteCounts {
  const counts = { ...NO_WRITES };
  for (const field of WRITE_COUNTS) counts[field] = counted[field];
  return counts;
}
