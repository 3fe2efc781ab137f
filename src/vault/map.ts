/**
 * The words of the block map, shared by the memory tables, the layers and the merge.
 *
 * An entry says: from this LSN on, this place of this strand holds this. Places lie on three grids, so that one entry can
 * clear a large range and every operation costs a number of entries in proportion to its size on the coarsest grid that fits:
 * level 0 is a block (4 KiB), level 1 a chunk (1 MiB, 256 blocks), level 2 a shard (1 GiB, 262,144 blocks).
 * Levels 1 and 2 carry only TARGET_ZERO and TARGET_HOLE. For a block, the entry with the highest LSN up to the wanted one
 * counts, whatever its level.
 */
import type { Lsn, StrandId } from "../base/units.ts";

export type Level = 0 | 1 | 2;
/** Blocks per place, by level, as a power of two. */
export const LEVEL_SHIFT = [0, 8, 18] as const;
export const SHARD_BLOCKS = 2 ** 18;

/** Never written, or trimmed: reads as zeroes, and is told to clients as a hole. */
export const TARGET_HOLE = 0;
/** Written as zeroes: reads as zeroes, takes no slot. */
export const TARGET_ZERO = 1;
/** Targets from here on are block addresses: pack × 16,384 + slot, with packs counted from 1. */
export const SLOTS_PER_PACK = 16_384;
export const TARGET_ADDRESS_MIN = SLOTS_PER_PACK;

export const blockAddress = (pack: number, slot: number): number => pack * SLOTS_PER_PACK + slot;
export const packOf = (target: number): number => Math.floor(target / SLOTS_PER_PACK);
export const slotOf = (target: number): number => target % SLOTS_PER_PACK;

/**
 * The answer to "what do blocks [firstBlock, firstBlock + count) of a strand hold at an LSN", filled in by one source after another.
 * `lsn[i]` is -1 until an entry was found. A source takes over place i only with a higher LSN, so the order of sources does not matter
 * for the result, only for how early a read may stop.
 */
export interface Resolution {
  readonly firstBlock: number;
  readonly count: number;
  readonly lsn: Float64Array;
  readonly target: Float64Array;
  /** Places with lsn -1. */
  missing: number;
}

export function emptyResolution(firstBlock: number, count: number): Resolution {
  return { firstBlock, count, lsn: new Float64Array(count).fill(-1), target: new Float64Array(count), missing: count };
}

/** Offers one entry to a resolution: applies it to every block it covers there. */
export function offer(into: Resolution, level: Level, index: number, entryLsn: number, target: number): void {
  const shift = LEVEL_SHIFT[level];
  const start = Math.max(index * 2 ** shift - into.firstBlock, 0);
  const end = Math.min((index + 1) * 2 ** shift - into.firstBlock, into.count);
  for (let i = start; i < end; i++) {
    const known = into.lsn[i]!;
    if (entryLsn <= known) continue;
    if (known < 0) into.missing--;
    into.lsn[i] = entryLsn;
    into.target[i] = target;
  }
}

/** One entry of the map. */
export interface MapEntry {
  strand: StrandId;
  level: Level;
  /** In units of the level's place; below 2^32. */
  index: number;
  lsn: Lsn;
  target: number;
}

/** Entries as columns, sorted by (strand, level, index, lsn), without equal keys. */
export interface EntryColumns {
  length: number;
  strand: Uint32Array;
  level: Uint8Array;
  index: Uint32Array;
  lsn: Float64Array;
  target: Float64Array;
}
