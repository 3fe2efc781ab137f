import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../../../src/base/assert.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { xxh64 } from "../../../../src/base/hash.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { emptyResolution, TARGET_HOLE, TARGET_ZERO, type MapEntry } from "../../../../src/vault/map.ts";
import {
  columnsOf,
  entriesOf,
  entry,
  LayerBed,
  modelAt,
  randomEntries,
  sortEntries,
} from "../../../support/layer-model.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 20_261_121);
const bed = (cacheBytes?: number): LayerBed => new LayerBed(new MemoryDisk(), cacheBytes);
const ADDRESS = 16_384 * 3;

/** Resolves to the error that a promise must end with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

describe("LayerWriter and LayerReader", () => {
  test("entries() gives back what append() took, at the ends of every range", async () => {
    const layers = bed();
    const max = Number.MAX_SAFE_INTEGER;
    const entries = [
      entry(0, 0, 0, 1, 0),
      entry(0, 0, 0, 2, max),
      entry(0, 0, 0, max, 1),
      entry(0, 0, 1, 2 ** 31, ADDRESS),
      entry(0, 0, 2, 3, max),
      entry(0, 0, 2 ** 32 - 1, max - 1, 2 ** 40),
      entry(0, 1, 2 ** 24 - 1, 5, 1),
      entry(0, 2, 2 ** 14 - 1, 6, 0),
      entry(2 ** 32 - 1, 0, 77, 7, 2 ** 32),
    ];
    const meta = await layers.write(entries, 1, max);
    const layer = await layers.open(meta);
    expect(await entriesOf(layer)).toEqual(entries);
    expect(meta.shards).toEqual([
      { strand: 0, shards: [0, 2 ** 14 - 1] },
      { strand: 2 ** 32 - 1, shards: [0] },
    ]);
    await layer.verify();
    await layer.close();
    expect(layers.disk.openFiles).toBe(0);
  });

  test("meta says the size and the checksum of the file, and survives JSON", async () => {
    const layers = bed();
    const meta = await layers.write(randomEntries(seededRandom(SEED), 9_000, 1), 1, 9_000);
    const bytes = layers.disk.files.get(layers.path(meta.id))!;
    expect(meta.sizeBytes).toBe(bytes.length);
    expect(meta.checksum).toBe(xxh64(bytes, 0n).toString(16).padStart(16, "0"));
    const layer = await layers.open(JSON.parse(JSON.stringify(meta)));
    await layer.close();
  });

  test("a layer larger than the write buffer reads back whole", async () => {
    const layers = bed();
    const entries = sortEntries(randomEntries(seededRandom(SEED), 150_000, 1, 200_000));
    const meta = await layers.write(entries, 1, 150_000);
    expect(meta.sizeBytes).toBeGreaterThan(2 * 256 * 1024);
    const layer = await layers.open(meta);
    let at = 0;
    for await (const columns of layer.entries()) {
      for (let i = 0; i < columns.length; i++, at++) {
        if (columns.lsn[i] !== entries[at]!.lsn || columns.target[i] !== entries[at]!.target)
          throw new Error(`entry ${at}`);
      }
    }
    expect(at).toBe(150_000);
  });

  test("an empty delta is a layer that knows nothing", async () => {
    const layers = bed();
    const layer = await layers.open(await layers.write([], 5, 9));
    expect(await entriesOf(layer)).toEqual([]);
    expect(layer.collect(1, emptyResolution(0, 8), 9)).toBeUndefined();
    await layer.verify();
  });

  test("runs cost bytes per page and not per entry", async () => {
    const layers = bed();
    const run = Array.from({ length: 65_536 }, (_, i) => entry(1, 0, 1000 + i, 1 + i, ADDRESS + i));
    const meta = await layers.write(run, 1, 65_536);
    expect(meta.sizeBytes / 65_536).toBeLessThan(0.06);
  });

  test("append() refuses entries out of order, out of range, or with impossible targets", async () => {
    const wrong: MapEntry[][] = [
      [entry(1, 0, 5, 3, 0), entry(1, 0, 4, 4, 0)],
      [entry(1, 0, 5, 3, 0), entry(1, 0, 5, 3, 1)],
      [entry(1, 1, 5, 3, 0), entry(1, 0, 5, 3, 1)],
      [entry(2, 0, 5, 3, 0), entry(1, 0, 5, 4, 1)],
      [entry(1, 0, 5, 11, 0)],
      [entry(1, 0, 5, 0, 0)],
      [entry(1, 0, 5, 3, 2)],
      [entry(1, 1, 5, 3, ADDRESS)],
      [entry(1, 2, 2 ** 14, 3, 0)],
    ];
    for (const entries of wrong) {
      const layers = bed();
      const [writer] = layers.writer("delta", 1, 10);
      const appended = (async () => writer.append(columnsOf(entries), 0, entries.length))();
      expect(await failure(appended)).toBeInstanceOf(AssertionError);
      await writer.abort();
      expect([...layers.disk.files.keys()]).toEqual([]);
    }
  });

  test("abort() and a full disk leave neither a layer nor a temporary file", async () => {
    const layers = bed();
    const entries = sortEntries(randomEntries(seededRandom(SEED), 150_000, 1, 200_000));
    for (const writesLeft of [0, 1, 2]) {
      layers.disk.writesLeft = writesLeft;
      expect(isSternwayError(await failure(layers.write(entries, 1, 150_000)), "unavailable")).toBe(true);
      expect([...layers.disk.files.keys()]).toEqual([]);
      expect(layers.disk.openFiles).toBe(0);
    }
    layers.disk.writesLeft = Infinity;
    const [writer] = layers.writer("delta", 1, 150_000);
    await writer.append(columnsOf(entries), 0, entries.length);
    await writer.abort();
    await writer.abort();
    expect([...layers.disk.files.keys()]).toEqual([]);
  });

  test("a leftover temporary file does not stand in the way", async () => {
    const layers = bed();
    layers.disk.files.set(`${layers.path(1)}.tmp`, new Uint8Array(100));
    const meta = await layers.write([entry(1, 0, 1, 1, 1)], 1, 1);
    expect([...layers.disk.files.keys()]).toEqual([layers.path(meta.id)]);
  });
});

describe("collect()", () => {
  test("finds the newest entry up to the LSN, whatever its level", async () => {
    const layers = bed();
    const entries = [
      entry(1, 0, 300, 10, ADDRESS),
      entry(1, 0, 300, 30, ADDRESS + 1),
      entry(1, 1, 1, 20, TARGET_HOLE),
      entry(1, 2, 0, 40, TARGET_ZERO),
      entry(2, 0, 300, 15, ADDRESS + 2),
    ];
    const layer = await layers.open(await layers.write(entries, 1, 50));
    const at = async (lsn: number): Promise<[number, number]> => (await layers.ask([layer], 1, 300, 1, lsn))[0]!;
    expect(await at(9)).toEqual([-1, 0]);
    expect(await at(10)).toEqual([10, ADDRESS]);
    expect(await at(29)).toEqual([20, TARGET_HOLE]);
    expect(await at(30)).toEqual([30, ADDRESS + 1]);
    expect(await at(50)).toEqual([40, TARGET_ZERO]);
    expect((await layers.ask([layer], 2, 300, 1, 50))[0]).toEqual([15, ADDRESS + 2]);
  });

  test("is done at once where the layer has nothing, and where its pages are cached", async () => {
    const layers = bed();
    const layer = await layers.open(await layers.write(randomEntries(seededRandom(SEED), 3_000, 100), 100, 3_099));
    layers.disk.reads = 0;
    expect(layer.collect(1, emptyResolution(5 * 2 ** 18, 100), 9_999)).toBeUndefined();
    expect(layer.collect(9, emptyResolution(0, 100), 9_999)).toBeUndefined();
    expect(layer.collect(1, emptyResolution(0, 100), 99)).toBeUndefined();
    expect(layers.disk.reads).toBe(0);
    await layer.collect(1, emptyResolution(0, 2_000), 9_999);
    const reads = layers.disk.reads;
    expect(reads).toBeGreaterThan(0);
    expect(layer.collect(1, emptyResolution(0, 2_000), 9_999)).toBeUndefined();
    expect(layers.disk.reads).toBe(reads);
  });

  test("reads no page that cannot add anything", async () => {
    const layers = bed();
    const layer = await layers.open(await layers.write([entry(1, 0, 5, 10, ADDRESS)], 1, 20));
    layers.disk.reads = 0;
    const found = emptyResolution(5, 1);
    found.lsn[0] = 10;
    found.missing = 0;
    expect(layer.collect(1, found, 20)).toBeUndefined();
    expect(layers.disk.reads).toBe(0);
  });

  test("reads one page of a block whose versions fill many", async () => {
    const layers = bed(0);
    const versions = Array.from({ length: 40_000 }, (_, i) => entry(1, 0, 7, 1 + i, ADDRESS + i));
    const layer = await layers.open(await layers.write(versions, 1, 40_000));
    for (const lsn of [1, 4_096, 4_097, 20_000, 40_000]) {
      layers.disk.reads = 0;
      expect(await layers.ask([layer], 1, 7, 1, lsn)).toEqual([[lsn, ADDRESS + lsn - 1]]);
      expect(layers.disk.reads).toBe(1);
    }
  });

  test("law 2: layers in any order answer as the naive model, at every LSN asked", async () => {
    const random = seededRandom(SEED);
    const layers = bed(200_000);
    const entries = randomEntries(random, 4_000, 1, 700);
    const open = [];
    for (let first = 1; first <= 4_000; first += 500) {
      open.push(await layers.open(await layers.write(entries.slice(first - 1, first + 499), first, first + 499)));
    }
    for (let round = 0; round < 150; round++) {
      const lsn = random.below(4_100);
      const strand = 1 + random.below(3);
      const first = random.below(3) * 2 ** 18 + random.below(700);
      const count = 1 + random.below(random.below(2) === 0 ? 1 : 300);
      const order = random.below(2) === 0 ? open.toReversed() : open.toSorted(() => random.unit() - 0.5);
      const expected = Array.from({ length: count }, (_, i): [number, number] => {
        const held = modelAt(entries, strand, first + i, lsn);
        return held ? [held.lsn, held.target] : [-1, 0];
      });
      expect({ seed: SEED, round, found: await layers.ask(order, strand, first, count, lsn) }).toEqual({
        seed: SEED,
        round,
        found: expected,
      });
    }
  });
});

describe("images", () => {
  const coverage = [{ strand: 1, shards: [0, 2] }];

  test("covers() tells the shards that the image speaks for", async () => {
    const layers = bed();
    const image = await layers.open(await layers.writeImage([entry(1, 0, 9, 4, ADDRESS)], 50, coverage));
    expect(image.covers(1, 0)).toBe(true);
    expect(image.covers(1, 2 ** 18 - 1)).toBe(true);
    expect(image.covers(1, 2 ** 18)).toBe(false);
    expect(image.covers(1, 2 * 2 ** 18)).toBe(true);
    expect(image.covers(2, 0)).toBe(false);
  });

  test("collect() leaves nothing missing in covered shards, and touches no others", async () => {
    const layers = bed();
    const image = await layers.open(await layers.writeImage([entry(1, 0, 2 ** 18 - 2, 4, ADDRESS)], 50, coverage));
    const edge = emptyResolution(2 ** 18 - 3, 6);
    await image.collect(1, edge, 60);
    expect([...edge.lsn]).toEqual([50, 4, 50, -1, -1, -1]);
    expect([...edge.target]).toEqual([0, ADDRESS, 0, 0, 0, 0]);
    expect(edge.missing).toBe(3);
    const inside = emptyResolution(2 * 2 ** 18, 100);
    expect(image.collect(1, inside, 50)).toBeUndefined();
    expect(inside.missing).toBe(0);
  });

  test("collect() is silent about moments before the image", async () => {
    const layers = bed();
    const image = await layers.open(await layers.writeImage([entry(1, 0, 9, 4, ADDRESS)], 50, coverage));
    expect(await layers.ask([image], 1, 9, 1, 49)).toEqual([[-1, 0]]);
  });

  test("an older delta brings no trimmed block back, asked before or after the image", async () => {
    const layers = bed();
    const old = await layers.open(
      await layers.write([entry(1, 0, 9, 4, ADDRESS), entry(1, 0, 8, 5, ADDRESS + 1)], 1, 10),
    );
    const image = await layers.open(await layers.writeImage([entry(1, 0, 8, 5, ADDRESS + 1)], 50, coverage));
    const late = await layers.open(await layers.write([entry(1, 0, 7, 55, ADDRESS + 2)], 51, 60));
    const expected = [
      [55, ADDRESS + 2],
      [5, ADDRESS + 1],
      [50, TARGET_HOLE],
    ];
    for (const order of [
      [old, image, late],
      [late, image, old],
      [image, old, late],
      [old, late, image],
    ]) {
      expect(await layers.ask(order, 1, 7, 3, 60)).toEqual(expected as [number, number][]);
    }
  });
});

describe("page cache", () => {
  test("stays within its budget and still answers", async () => {
    const layers = bed(170_000);
    const layer = await layers.open(
      await layers.write(randomEntries(seededRandom(SEED), 60_000, 1, 100_000), 1, 60_000),
    );
    for (let block = 0; block < 100_000; block += 5_000) {
      await layer.collect(1, emptyResolution(block, 100), 60_000);
      expect(layers.cache.bytes).toBeLessThanOrEqual(170_000);
    }
    await layer.close();
    expect(layers.cache.bytes).toBe(0);
  });

  test("readers at once share one load of a page", async () => {
    const layers = bed();
    const layer = await layers.open(await layers.write(randomEntries(seededRandom(SEED), 1_000, 1), 1, 1_000));
    layers.disk.reads = 0;
    await Promise.all(Array.from({ length: 20 }, async () => layer.collect(1, emptyResolution(0, 100), 1_000)));
    expect(layers.disk.reads).toBeLessThanOrEqual(3);
  });
});
