/**
 * Makes an image: what every block of some shards holds at one LSN, ancestors included, so that a read there looks no further back.
 */
import type { Disk } from "../../base/disk.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { breatheAfter, type Breathe } from "./breathe.ts";
import type { ShardList } from "./layer-format.ts";
import type { LayerSet } from "../open-set.ts";
import { LayerWriter } from "./layer-writer.ts";
import type { LayerRecord, ShardWeight } from "../manifest.ts";
import { emptyResolution, SHARD_BLOCKS, TARGET_HOLE } from "../map.ts";
import { LayerIndex, resolveLayers } from "./resolve.ts";

/** Blocks resolved at once: a page of entries. */
const WINDOW_BLOCKS = 4096;

export interface ImageWork {
  layer: number;
  lastLsn: number;
  shards: { strand: number; shard: number; chain: { strand: number; lsn: number }[] }[];
  layers: LayerRecord[];
}

/** Writes and publishes the image. Memory: one window. @param cipher - where the vault is encrypted @param breathe - lets others have their turn */
export async function writeImage(
  disk: Disk,
  path: string,
  vaultId: Uint8Array,
  work: ImageWork,
  set: LayerSet,
  cipher?: VaultCipher,
  breathe?: Breathe,
): Promise<LayerRecord> {
  const index = new LayerIndex(work.layers);
  const shards = work.shards.toSorted((a, b) => a.strand - b.strand || a.shard - b.shard);
  const coverage: ShardList[] = [];
  for (const { strand, shard } of shards) {
    const list = coverage.at(-1);
    if (list?.strand === strand) list.shards.push(shard);
    else coverage.push({ strand, shards: [shard] });
  }
  const writer = new LayerWriter({
    disk,
    path,
    vaultId,
    cipher,
    id: work.layer,
    kind: "image",
    firstLsn: 0,
    lastLsn: work.lastLsn,
    coverage,
  });
  const weights: ShardWeight[] = [];
  try {
    for (const { strand, shard, chain } of shards) {
      const before = writer.entries;
      // Each layer that touches the shard is looked into for a window; what it has there is a fraction of that.
      const looks = chain.reduce((sum, link) => sum + index.plan(link.strand, shard).deltas.length, 1);
      for (let offset = 0; offset < SHARD_BLOCKS; offset += WINDOW_BLOCKS) {
        await writeWindow(writer, index, set, strand, chain, shard * SHARD_BLOCKS + offset);
        await breatheAfter(breathe, (WINDOW_BLOCKS / 4) * looks);
      }
      weights.push({ strand, shard, entries: writer.entries - before });
    }
    return { ...(await writer.finish()), rank: 0, weights };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

async function writeWindow(
  writer: LayerWriter,
  index: LayerIndex,
  set: LayerSet,
  strand: number,
  chain: readonly { strand: number; lsn: number }[],
  firstBlock: number,
): Promise<void> {
  const found = emptyResolution(firstBlock, WINDOW_BLOCKS);
  for (const link of chain) {
    if (found.missing === 0) break;
    await resolveLayers(index, set, link.strand, link.lsn, found);
  }
  const indexes = new Uint32Array(WINDOW_BLOCKS);
  const lsns = new Float64Array(WINDOW_BLOCKS);
  const targets = new Float64Array(WINDOW_BLOCKS);
  let length = 0;
  for (let i = 0; i < WINDOW_BLOCKS; i++) {
    // A covered block without an entry is a hole: holes need none.
    if (found.lsn[i]! < 0 || found.target[i] === TARGET_HOLE) continue;
    indexes[length] = firstBlock + i;
    lsns[length] = found.lsn[i]!;
    targets[length] = found.target[i]!;
    length++;
  }
  await writer.appendRun({ strand, level: 0, index: indexes, lsn: lsns, target: targets }, 0, length);
}
