import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { writeImage } from "../../../../src/vault/layers/image.ts";
import { LayerWriter } from "../../../../src/vault/layers/layer-writer.ts";
import type { LayerRecord } from "../../../../src/vault/manifest.ts";
import {
  blockAddress,
  emptyResolution,
  SHARD_BLOCKS,
  TARGET_HOLE,
  TARGET_ZERO,
  type Level,
  type Resolution,
} from "../../../../src/vault/map.ts";
import { layerSet, type LayerSet } from "../../../../src/vault/open-set.ts";
import { layerPath } from "../../../../src/vault/paths.ts";
import { LayerIndex, resolveLayers } from "../../../../src/vault/layers/resolve.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";

const ID = new Uint8Array(16).fill(9);

type Entry = [strand: number, level: Level, index: number, lsn: number, target: number];

async function delta(
  disk: MemoryDisk,
  id: number,
  firstLsn: number,
  lastLsn: number,
  entries: Entry[],
): Promise<LayerRecord> {
  const writer = new LayerWriter({
    disk,
    path: `/v/${layerPath(id)}`,
    vaultId: ID,
    id,
    kind: "delta",
    firstLsn,
    lastLsn,
  });
  const sorted = entries.toSorted((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]);
  for (const [strand, level, index, lsn, target] of sorted) {
    const columns = {
      strand,
      level,
      index: Uint32Array.of(index),
      lsn: Float64Array.of(lsn),
      target: Float64Array.of(target),
    };
    await writer.appendRun(columns, 0, 1);
  }
  return { ...(await writer.finish()), rank: 0, weights: [] };
}

/** What a chain of strands holds, by every way that a read may take. */
async function resolved(
  set: LayerSet,
  layers: LayerRecord[],
  chain: readonly { strand: number; lsn: number }[],
  firstBlock: number,
  count: number,
): Promise<Resolution> {
  const found = emptyResolution(firstBlock, count);
  const index = new LayerIndex(layers);
  for (const { strand, lsn } of chain) await resolveLayers(index, set, strand, lsn, found);
  return found;
}

/** Targets; nothing and a hole read alike. */
const content = ({ lsn, target }: Resolution): number[] =>
  [...target].map((held, i) => (lsn[i]! < 0 ? TARGET_HOLE : held));

describe("writeImage() and resolveLayers()", () => {
  test("an image gives what the layers below it gave, at its LSN and after, along the chain", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed);
      const disk = new MemoryDisk();
      const layers: LayerRecord[] = [];
      const shard = seed % 2;
      let lsn = 0;
      const target = (): number =>
        [TARGET_HOLE, TARGET_ZERO, blockAddress(1 + random.below(3), random.below(100))][random.below(3)]!;
      for (let id = 1; id <= 6; id++) {
        const entries: Entry[] = [];
        const first = lsn + 1;
        for (let i = 0; i < 30; i++) {
          lsn++;
          const strand = 1 + random.below(2);
          const isClear = random.below(6) === 0;
          const at = shard * SHARD_BLOCKS;
          if (isClear) entries.push([strand, 1, at / 256 + random.below(3), lsn, random.below(2)]);
          else entries.push([strand, 0, at + random.below(700), lsn, target()]);
        }
        layers.push(await delta(disk, id, first, lsn, entries));
      }
      const set = layerSet(disk, "/v", ID, 2 ** 20);
      const imageLsn = layers[3]!.lastLsn;
      // Strand 2 is a child of strand 1 from LSN 70 on.
      const chainAt = (at: number): { strand: number; lsn: number }[] => [
        { strand: 2, lsn: at },
        { strand: 1, lsn: Math.min(at, 70) },
      ];
      const below = layers.slice(0, 4);
      const work = {
        layer: 20,
        lastLsn: imageLsn,
        shards: [{ strand: 2, shard, chain: chainAt(imageLsn) }],
        layers: below,
      };
      const image = await writeImage(disk, `/v/${layerPath(20)}`, ID, work, set);
      expect(image.kind).toBe("image");
      for (const at of [10, 70, imageLsn - 1, imageLsn, imageLsn + 5, lsn]) {
        const first = shard * SHARD_BLOCKS;
        const without = await resolved(set, layers, chainAt(at), first, 900);
        const withImage = await resolved(set, [...layers, image], chainAt(at), first, 900);
        expect(content(withImage)).toEqual(content(without));
        // From the image on nothing older is needed: the layers below may go for this strand.
        if (at >= imageLsn) {
          const alone = await resolved(set, [...layers.slice(4), image], [chainAt(at)[0]!], first, 900);
          expect(content(alone)).toEqual(content(without));
          expect(alone.missing).toBe(0);
        }
      }
      await set.close();
      expect(disk.openFiles).toBe(0);
    }
  });

  test("a read reaches no layer that lies below an image, and none that is newer than its moment", async () => {
    const disk = new MemoryDisk();
    const layers = [
      await delta(disk, 1, 1, 1, [[1, 0, 5, 1, blockAddress(1, 1)]]),
      await delta(disk, 2, 2, 2, [[1, 0, 6, 2, blockAddress(1, 2)]]),
      await delta(disk, 3, 3, 3, [[1, 0, 7, 3, blockAddress(1, 3)]]),
    ];
    const making = layerSet(disk, "/v", ID, 2 ** 20);
    const work = {
      layer: 9,
      lastLsn: 2,
      shards: [{ strand: 1, shard: 0, chain: [{ strand: 1, lsn: 2 }] }],
      layers: layers.slice(0, 2),
    };
    const image = await writeImage(disk, `/v/${layerPath(9)}`, ID, work, making);
    await making.close();
    disk.files.delete(`/v/${layerPath(1)}`);
    disk.files.delete(`/v/${layerPath(3)}`);
    const set = layerSet(disk, "/v", ID, 2 ** 20);
    const found = await resolved(set, [...layers, image], [{ strand: 1, lsn: 2 }], 4, 4);
    expect(content(found)).toEqual([TARGET_HOLE, blockAddress(1, 1), blockAddress(1, 2), TARGET_HOLE]);
    await set.close();
  });
});

describe("LayerIndex", () => {
  const record = (id: number, firstLsn: number, lastLsn: number, strand: number, ...shards: number[]): LayerRecord => ({
    id,
    kind: "delta",
    firstLsn,
    lastLsn,
    entries: 1,
    sizeBytes: 1,
    checksum: "",
    xor: "",
    shards: [{ strand, shards }],
    rank: 0,
    weights: [],
  });

  test("names the shards that a strand has by an LSN, and those that it touched in a range", () => {
    const index = new LayerIndex([record(1, 1, 10, 1, 0, 3), record(2, 11, 20, 1, 5), record(3, 21, 30, 2, 7)]);
    const shards = (fill: (into: Set<number>) => void): number[] => {
      const into = new Set<number>();
      fill(into);
      return [...into].sort((a, b) => a - b);
    };
    expect(shards((into) => index.shardsOf(1, 5, into))).toEqual([0, 3]);
    expect(shards((into) => index.shardsOf(1, 30, into))).toEqual([0, 3, 5]);
    expect(shards((into) => index.shardsOf(2, 20, into))).toEqual([]);
    expect(shards((into) => index.changedShards(1, 10, 20, into))).toEqual([5]);
    expect(shards((into) => index.changedShards(1, 9, 11, into))).toEqual([0, 3, 5]);
    expect(shards((into) => index.changedShards(1, 20, 99, into))).toEqual([]);
  });

  test("plans a shard's layers newest first, whatever order they come in", () => {
    const index = new LayerIndex([record(2, 11, 20, 1, 0), record(3, 21, 30, 1, 0), record(1, 1, 10, 1, 0)]);
    expect(index.plan(1, 0).deltas.map((layer) => layer.id)).toEqual([3, 2, 1]);
    expect(index.plan(1, 9).deltas).toEqual([]);
  });
});
