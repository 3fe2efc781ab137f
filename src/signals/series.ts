/** The series of a volume's signals over intervals of a time, for drawing. */
import { micros, type Micros } from "../base/units.ts";
import type { SignalSums } from "../catalog/catalog.ts";

/** Shares are of what was written in the interval, 0 to 1; undefined: nothing was written to have a share of. */
export interface SignalBucket {
  from: Micros;
  to: Micros;
  /** Blocks written, zeroes included. */
  blocks: number;
  /** How much smaller the new blocks became: 0, not at all, to 1. */
  compressibility: number | undefined;
  newShare: number | undefined;
  duplicateShare: number | undefined;
  rewriteShare: number | undefined;
  /** Blocks that compressed and were overwritten by what looks random. */
  turned: number;
}

const BLOCK_BYTES = 4096;

/** @param rows - oldest first; each counts where it begins */
export function bucketsOf(rows: readonly SignalSums[], from: Micros, to: Micros, bucketCount: number): SignalBucket[] {
  const count = Math.max(1, Math.min(bucketCount, to - from));
  const edge = (i: number): Micros => micros(from + Math.round(((to - from) * i) / count));
  const sums = Array.from({ length: count }, () => ({ ...NOTHING }));
  for (const row of rows) {
    const place = Math.floor(((row.time - from) / (to - from)) * count);
    const sum = sums[Math.max(0, Math.min(count - 1, place))]!;
    for (const field of FIELDS) sum[field] += row[field];
  }
  return sums.map((sum, i) => {
    const written = sum.fresh + sum.duplicate;
    const shareOf = (blocks: number): number | undefined => (written === 0 ? undefined : Math.min(1, blocks / written));
    return {
      from: edge(i),
      to: edge(i + 1),
      blocks: sum.blocks,
      compressibility:
        sum.fresh === 0 ? undefined : Math.max(0, Math.min(1, 1 - sum.storedBytes / (sum.fresh * BLOCK_BYTES))),
      newShare: shareOf(sum.fresh),
      duplicateShare: shareOf(sum.duplicate),
      rewriteShare: shareOf(sum.rewrites),
      turned: sum.turned,
    };
  });
}

const FIELDS = ["blocks", "fresh", "duplicate", "storedBytes", "rewrites", "turned"] as const;
const NOTHING = { blocks: 0, fresh: 0, duplicate: 0, storedBytes: 0, rewrites: 0, turned: 0 };
