/**
 * Reads bytes and extents of a strand at an LSN; shared by the live volume and past moments.
 */
import type { Extent } from "../base/device.ts";
import { Turn } from "../base/turns.ts";
import { BLOCK_SIZE, type Lsn } from "../base/units.ts";
import { SHARD_BLOCKS, TARGET_HOLE, TARGET_ZERO } from "../vault/map.ts";
import { READ_BLOCKS_MAX, type Vault } from "../vault/vault.ts";

/** Windows of 8,192 blocks that one extents() resolves before it lets the caller ask again: bounds the answer and the time. */
const EXTENT_WINDOWS_MAX = 64;

/** @param offset - with length, whole sectors @param into - as for ReadableDevice.read; used when the range is whole blocks */
export async function readAt(
  vault: Vault,
  strand: number,
  at: Lsn,
  offset: number,
  length: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const firstBlock = Math.floor(offset / BLOCK_SIZE);
  const endBlock = Math.ceil((offset + length) / BLOCK_SIZE);
  const size = (endBlock - firstBlock) * BLOCK_SIZE;
  const bytes = into && size === length ? into.subarray(0, size) : new Uint8Array(size);
  for (let block = firstBlock; block < endBlock; block += READ_BLOCKS_MAX) {
    const from = (block - firstBlock) * BLOCK_SIZE;
    const part = bytes.subarray(from, Math.min(bytes.length, from + READ_BLOCKS_MAX * BLOCK_SIZE));
    await vault.read(strand, at, block, part);
  }
  const skip = offset - firstBlock * BLOCK_SIZE;
  return bytes.subarray(skip, skip + length);
}

function kindOf(target: number): Extent["kind"] {
  return target === TARGET_HOLE ? "hole" : target === TARGET_ZERO ? "zero" : "data";
}

export async function extentsAt(
  vault: Vault,
  strand: number,
  at: Lsn,
  offset: number,
  length: number,
): Promise<Extent[]> {
  const end = offset + length;
  const extents: Extent[] = [];
  const add = (until: number, kind: Extent["kind"]): void => {
    const last = extents.at(-1);
    const from = last ? last.offset + last.length : offset;
    const to = Math.min(until, end);
    if (to <= from) return;
    if (last?.kind === kind) last.length += to - from;
    else extents.push({ offset: from, length: to - from, kind });
  };
  const shards = vault.shardsOf(strand, at);
  const endBlock = Math.ceil(end / BLOCK_SIZE);
  let block = Math.floor(offset / BLOCK_SIZE);
  let windows = 0;
  const turn = new Turn(vault.parts.clock);
  while (block < endBlock && windows < EXTENT_WINDOWS_MAX) {
    const shard = Math.floor(block / SHARD_BLOCKS);
    const shardEnd = (shard + 1) * SHARD_BLOCKS;
    if (!shards.has(shard)) {
      add(shardEnd * BLOCK_SIZE, "hole");
      block = shardEnd;
      continue;
    }
    windows++;
    if (turn.isOver) await turn.next();
    // A fresh file system has trimmed the whole disk: shards that hold nothing else need no look at each block.
    if (await vault.isUniform(strand, at, shard)) {
      const { target } = await vault.resolve(strand, at, block, 1);
      add(shardEnd * BLOCK_SIZE, kindOf(target[0]!));
      block = shardEnd;
      continue;
    }
    const count = Math.min(READ_BLOCKS_MAX, shardEnd - block, endBlock - block);
    const { target } = await vault.resolve(strand, at, block, count);
    for (let i = 0; i < count; i++) {
      add((block + i + 1) * BLOCK_SIZE, kindOf(target[i]!));
    }
    block += count;
  }
  return extents;
}
