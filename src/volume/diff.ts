/**
 * What differs between two moments of a volume: by the map, so that no block is read. Two places are equal when they hold the same write, the same
 * stored block, or nothing.
 */
import { Turn } from "../base/turns.ts";
import { BLOCK_SIZE, type Lsn } from "../base/units.ts";
import { SHARD_BLOCKS, TARGET_ZERO, type Resolution } from "../vault/map.ts";
import { READ_BLOCKS_MAX, type Vault } from "../vault/vault.ts";
import type { DiffRange } from "./volumes.ts";

export interface DiffSide {
  strand: number;
  lsn: Lsn;
}

/** Ranges, sorted and merged. @param sizeBytes - of the larger side */
export async function* diffRanges(
  vault: Vault,
  a: DiffSide,
  b: DiffSide,
  sizeBytes: number,
): AsyncGenerator<DiffRange, void, undefined> {
  const blocks = Math.ceil(sizeBytes / BLOCK_SIZE);
  const turn = new Turn(vault.parts.clock);
  let open: DiffRange | undefined;
  for (const shard of candidateShards(vault, a, b)) {
    const end = Math.min(blocks, (shard + 1) * SHARD_BLOCKS);
    for (let block = shard * SHARD_BLOCKS; block < end; block += READ_BLOCKS_MAX) {
      // Maps come from memory as a rule, and blocks are answered on this thread.
      if (turn.isOver) await turn.next();
      const count = Math.min(READ_BLOCKS_MAX, end - block);
      const left = await vault.resolve(a.strand, a.lsn, block, count);
      const right = await vault.resolve(b.strand, b.lsn, block, count);
      for (let i = 0; i < count; i++) {
        if (isSame(left, right, i)) continue;
        const offset = (block + i) * BLOCK_SIZE;
        if (open && open.offset + open.length === offset) {
          open.length += BLOCK_SIZE;
          continue;
        }
        if (open) yield open;
        open = { offset, length: BLOCK_SIZE };
      }
    }
  }
  if (open) yield { offset: open.offset, length: Math.min(open.length, sizeBytes - open.offset) };
}

function candidateShards(vault: Vault, a: DiffSide, b: DiffSide): number[] {
  const shards =
    a.strand === b.strand
      ? vault.changedShards(a.strand, Math.min(a.lsn, b.lsn), Math.max(a.lsn, b.lsn))
      : new Set([...vault.shardsOf(a.strand, a.lsn), ...vault.shardsOf(b.strand, b.lsn)]);
  return [...shards].sort((x, y) => x - y);
}

function isSame(left: Resolution, right: Resolution, i: number): boolean {
  const x = left.target[i]!;
  const y = right.target[i]!;
  if (x === y) return true;
  const readsAsZero = (target: number): boolean => target >= 0 && target <= TARGET_ZERO;
  if (readsAsZero(x) && readsAsZero(y)) return true;
  // One write may be found in memory on one side and sealed on the other.
  return left.lsn[i]! > 0 && left.lsn[i] === right.lsn[i];
}
