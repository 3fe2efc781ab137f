import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import type { LayerRecord } from "../../../../src/vault/manifest.ts";
import type { MapEntry } from "../../../../src/vault/map.ts";
import { dueColdMerge, tellingAfter, thinKey, uselessImages } from "../../../../src/vault/layers/thin-policy.ts";
import { thinLayers, type Needs, type Thinned } from "../../../../src/vault/layers/thin.ts";
import type { LayerReader } from "../../../../src/vault/layers/layer-reader.ts";
import { entriesOf, entry, LayerBed, VAULT_ID } from "../../../support/layer-model.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";

const only = (from: number, ...points: number[]): Needs => new Map([[1, { from, points }]]);

async function thin(
  layers: LayerBed,
  inputs: LayerReader[],
  needs: Needs,
  after: LayerReader[] = [],
): Promise<Thinned> {
  const id = layers.newId();
  return await thinLayers({ disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs, after, needs });
}

const lsnsOf = (entries: MapEntry[]): number[] => entries.map((each) => each.lsn as number);

describe("thinLayers()", () => {
  test("keeps, of one place written over 10,000 times, what is seen at the points and now", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const entries = Array.from({ length: 10_000 }, (_, i) => entry(1, 0, 7, i + 1, 20_000 + i));
    const input = await layers.open(await layers.write(entries, 1, 10_000));
    const { meta, dropped, droppedBlocks, weights } = await thin(
      layers,
      [input],
      only(9_999, 1, 4_095, 4_096, 4_097, 8_191),
    );
    expect(lsnsOf(await entriesOf(await layers.open(meta)))).toEqual([1, 4_095, 4_096, 4_097, 8_191, 9_999, 10_000]);
    expect({ dropped, droppedBlocks, weights }).toEqual({
      dropped: 9_993,
      droppedBlocks: 9_993,
      weights: [{ strand: 1, shard: 0, entries: 7 }],
    });
  });

  test("a coarse clear ends what lies beneath it, and stays while it hides something from a needed moment", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const entries = [
      entry(1, 0, 300, 10, 20_000),
      entry(1, 0, 5, 11, 20_001),
      entry(1, 1, 1, 20, 0),
      entry(1, 2, 0, 30, 0),
      entry(1, 0, 5, 40, 20_002),
    ];
    const input = await layers.open(await layers.write(entries, 1, 50));
    const kept = async (needs: Needs): Promise<number[]> =>
      lsnsOf(await entriesOf(await layers.open((await thin(layers, [input], needs)).meta))).sort((a, b) => a - b);
    expect(await kept(only(50))).toEqual([30, 40]);
    expect(await kept(only(Infinity, 25))).toEqual([11, 20]);
    expect(await kept(only(Infinity, 35))).toEqual([30]);
    expect(await kept(only(Infinity, 15))).toEqual([10, 11]);
  });

  test("what follows is read for its LSNs alone", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const older = await layers.open(await layers.write([entry(1, 0, 1, 5, 20_000), entry(1, 0, 2, 6, 20_001)], 1, 10));
    const younger = await layers.open(
      await layers.write([entry(1, 0, 1, 15, 20_002), entry(1, 0, 1, 16, 20_003), entry(1, 1, 9, 17, 0)], 11, 20),
    );
    const { meta } = await thin(layers, [older], only(18), [younger]);
    expect(meta).toMatchObject({ firstLsn: 1, lastLsn: 10, entries: 1 });
    expect(lsnsOf(await entriesOf(await layers.open(meta)))).toEqual([6]);
    expect((await thin(layers, [older], only(18))).dropped).toBe(0);
  });

  test("a strand that nobody needs goes altogether, and the layer still speaks for its range", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const input = await layers.open(await layers.write([entry(2, 0, 1, 5, 20_000), entry(2, 2, 1, 6, 0)], 1, 10));
    const { meta, dropped } = await thin(layers, [input], only(0));
    expect({ dropped, meta }).toMatchObject({ dropped: 2, meta: { firstLsn: 1, lastLsn: 10, entries: 0, shards: [] } });
  });

  test("thousands of entries of several strands and levels stay each with its own", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const entries: MapEntry[] = [];
    const random = seededRandom(1);
    const strands = Array.from({ length: 60 }, (_, i) => i + 1);
    // More than a page of each and hard to compress, so that pages go to the disk while a strand ends.
    for (const strand of strands)
      for (let i = 0; i < 2_000; i++)
        entries.push(
          entry(strand, 0, i * 40 + random.below(40), 1 + random.below(2 ** 40), 2 ** 20 + random.below(2 ** 45)),
        );
    const input = await layers.open(await layers.write(entries, 1, 2 ** 40));
    const needs: Needs = new Map(strands.map((strand) => [strand, { from: 0, points: [] }]));
    const { meta, dropped } = await thin(layers, [input], needs);
    expect(dropped).toBe(0);
    expect(await entriesOf(await layers.open(meta))).toEqual(await entriesOf(input));
  });

  test("publishes nothing when entries went astray", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const input = await layers.open(await layers.write([entry(1, 0, 1, 5, 20_000), entry(1, 0, 1, 6, 20_001)], 1, 10));
    const before = [...layers.disk.files.keys()];
    Object.assign(input.meta, { xor: "0123456789abcdef" });
    const failure: unknown = await thin(layers, [input], only(9)).catch((error: unknown) => error);
    expect(isSternwayError(failure, "internal")).toBe(true);
    expect([...layers.disk.files.keys()]).toEqual(before);
  });
});

const record = (
  kind: "delta" | "image",
  firstLsn: number,
  lastLsn: number,
  entries: number,
  strand = 1,
): LayerRecord => ({
  id: lastLsn * 2 + (kind === "image" ? 1 : 0),
  kind,
  firstLsn,
  lastLsn,
  entries,
  sizeBytes: 0,
  checksum: "",
  xor: "",
  shards: [{ strand, shards: [0] }],
  rank: 0,
  weights: [{ strand, shard: 0, entries }],
  ...(kind === "image" ? { coverage: [{ strand, shards: [0] }] } : {}),
});
const spans = (layers: LayerRecord[] | undefined): number[] | undefined => layers?.map((layer) => layer.lastLsn);

describe("dueColdMerge()", () => {
  const deltas = [
    record("delta", 1, 10, 1_000),
    record("delta", 11, 20, 100),
    record("delta", 21, 30, 100),
    record("delta", 31, 40, 500),
  ];

  test("merges cold neighbours once they have gathered enough, and never a hot one", () => {
    expect(dueColdMerge(deltas, only(5))).toBeUndefined();
    expect(spans(dueColdMerge(deltas, only(31)))).toEqual([20, 30]);
    expect(spans(dueColdMerge(deltas, only(41)))).toEqual([10, 20, 30, 40]);
    expect(dueColdMerge([deltas[0]!, deltas[1]!], only(41))).toBeUndefined();
  });

  test("rewrites each entry a few times in all, and leaves few layers", () => {
    let layers: LayerRecord[] = [];
    let rewritten = 0;
    for (let i = 0; i < 2_000; i++) {
      layers.push(record("delta", i * 10 + 1, i * 10 + 10, 10));
      for (let due = dueColdMerge(layers, only(Infinity)); due; due = dueColdMerge(layers, only(Infinity))) {
        const entries = due.reduce((sum, layer) => sum + layer.entries, 0);
        rewritten += entries;
        const merged = record("delta", due[0]!.firstLsn, due.at(-1)!.lastLsn, entries);
        const chosen = due;
        layers = [merged, ...layers].filter((layer) => !chosen.includes(layer)).sort((a, b) => a.lastLsn - b.lastLsn);
      }
    }
    expect(layers.length).toBeLessThanOrEqual(8);
    // Nothing is superseded here, the worst case: some five times per power of four.
    expect(rewritten / 20_000).toBeLessThan(30);
  });
});

describe("thinKey()", () => {
  const layer = record("delta", 101, 200, 1_000);

  test("is undefined while nothing can be dropped, and changes when less is needed", () => {
    expect(thinKey(layer, [], only(50))).toBeUndefined();
    expect(thinKey(layer, [], only(105))).toBeUndefined();
    const keys = [only(150), only(180), only(300), only(Infinity, 150), only(Infinity), new Map()].map((needs) =>
      thinKey(layer, [], needs),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).not.toContain(undefined);
  });

  test("stays the same while only what lies elsewhere changes", () => {
    expect(thinKey(layer, [], only(300, 5))).toBe(thinKey(layer, [], only(400, 6))!);
  });

  test("changes with each doubling of what was written behind it", () => {
    const behind = (entries: number): string | undefined =>
      thinKey(layer, [record("delta", 201, 300, entries)], only(300));
    expect(behind(50)).toBe(behind(0)!);
    expect(behind(300)).not.toBe(behind(0)!);
    expect(behind(300)).toBe(behind(400)!);
  });
});

describe("tellingAfter()", () => {
  test("takes the next deltas as far as they are no more than what is thinned", () => {
    const deltas = [
      record("delta", 1, 10, 100_000),
      record("delta", 11, 20, 60_000),
      record("delta", 21, 30, 30_000),
      record("delta", 31, 40, 30_000),
    ];
    expect(spans(tellingAfter(deltas, [deltas[0]!]))).toEqual([20, 30]);
    expect(spans(tellingAfter(deltas, [deltas[1]!]))).toEqual([30, 40]);
    expect(spans(tellingAfter(deltas, [deltas[3]!]))).toEqual([]);
  });
});

describe("uselessImages()", () => {
  const images = [record("image", 0, 10, 100), record("image", 0, 20, 100), record("image", 0, 30, 100)];

  test("lets images go from which no needed moment starts", () => {
    expect(spans(uselessImages(images, only(5)))).toEqual([]);
    expect(spans(uselessImages(images, only(25)))).toEqual([10]);
    expect(spans(uselessImages(images, only(25, 12)))).toEqual([]);
    expect(spans(uselessImages(images, new Map()))).toEqual([10, 20, 30]);
  });

  test("lets one below the horizon go when much was written since", () => {
    const since = (entries: number): LayerRecord[] => [record("delta", 31, 40, entries), images[2]!];
    expect(spans(uselessImages(since(20), only(35)))).toEqual([]);
    expect(spans(uselessImages(since(30), only(35)))).toEqual([30]);
    expect(spans(uselessImages(since(30), only(30)))).toEqual([]);
  });
});
