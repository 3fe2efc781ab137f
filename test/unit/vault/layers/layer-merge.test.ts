import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../../../src/base/assert.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { mergeLayers } from "../../../../src/vault/layers/layer-merge.ts";
import type { LayerReader } from "../../../../src/vault/layers/layer-reader.ts";
import type { MapEntry } from "../../../../src/vault/map.ts";
import { entriesOf, entry, LayerBed, randomEntries, sortEntries, VAULT_ID } from "../../../support/layer-model.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 20_261_121);

async function split(
  layers: LayerBed,
  entries: readonly MapEntry[],
  bounds: readonly number[],
): Promise<LayerReader[]> {
  const open: LayerReader[] = [];
  for (let i = 0; i + 1 < bounds.length; i++) {
    const part = entries.filter((each) => each.lsn >= bounds[i]! && each.lsn < bounds[i + 1]!);
    open.push(await layers.open(await layers.write(part, bounds[i]!, bounds[i + 1]! - 1)));
  }
  return open;
}

const merge = (layers: LayerBed, inputs: LayerReader[], signal?: AbortSignal): ReturnType<typeof mergeLayers> => {
  const id = layers.newId();
  const options = { disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs };
  return mergeLayers(signal ? { ...options, signal } : options);
};

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

describe("mergeLayers()", () => {
  test("gives one layer with exactly the inputs' entries", async () => {
    const random = seededRandom(SEED);
    for (const [count, blocks, parts] of [
      [30_000, 40, 5],
      [30_000, 2_000, 12],
      [60_000, 250_000, 40],
      [9_000, 2_000, 1],
    ] as const) {
      const layers = new LayerBed(new MemoryDisk());
      const entries = randomEntries(random, count, 1, blocks);
      const cuts = Array.from({ length: parts - 1 }, () => 2 + random.below(count - 1));
      const inputs = await split(
        layers,
        entries,
        [...new Set([1, ...cuts, count + 1])].sort((a, b) => a - b),
      );
      const meta = await merge(layers, inputs);
      expect({ first: meta.firstLsn, last: meta.lastLsn, entries: meta.entries }).toEqual({
        first: 1,
        last: count,
        entries: count,
      });
      const output = await layers.open(meta);
      const got = await entriesOf(output);
      const wanted = sortEntries(entries);
      expect(got.findIndex((each, i) => !Bun.deepEquals(each, wanted[i]))).toBe(-1);
      await output.verify();
    }
  });

  test("equals the layer that would have been written at once", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const entries = randomEntries(seededRandom(SEED), 20_000, 1);
    const merged = await merge(layers, await split(layers, entries, [1, 7_000, 7_001, 20_001]));
    const whole = await layers.write(entries, 1, 20_000);
    const { id: _, checksum: __, ...facts } = merged;
    expect(whole).toMatchObject(facts);
  });

  test("takes inputs without entries", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const meta = await merge(layers, await split(layers, [entry(1, 0, 3, 25, 1)], [10, 20, 30, 40]));
    expect(meta).toMatchObject({ firstLsn: 10, lastLsn: 39, entries: 1 });
  });

  test("refuses inputs whose LSN ranges leave a gap or overlap", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const gap = [await layers.open(await layers.write([], 1, 9)), await layers.open(await layers.write([], 11, 19))];
    const overlap = [await layers.open(await layers.write([], 1, 9)), await layers.open(await layers.write([], 9, 19))];
    for (const inputs of [gap, overlap, []])
      expect(await failure(merge(layers, inputs))).toBeInstanceOf(AssertionError);
  });

  test("publishes nothing when the result would differ from what the manifest says of the inputs", async () => {
    for (const change of [{ xor: "0123456789abcdef" }, { entries: 999 }]) {
      const layers = new LayerBed(new MemoryDisk());
      const inputs = await split(layers, randomEntries(seededRandom(SEED), 1_000, 1), [1, 500, 1_001]);
      const before = [...layers.disk.files.keys()];
      Object.assign(inputs[1]!.meta, change);
      expect(isSternwayError(await failure(merge(layers, inputs)), "internal")).toBe(true);
      expect([...layers.disk.files.keys()]).toEqual(before);
    }
  });

  test("publishes nothing when an input is damaged, the disk is full or it is told to stop", async () => {
    const layers = new LayerBed(new MemoryDisk());
    const inputs = await split(layers, randomEntries(seededRandom(SEED), 100_000, 1, 200_000), [1, 50_000, 100_001]);
    const before = [...layers.disk.files.keys()];
    const stop = new AbortController();
    stop.abort(new Error("stop"));
    expect(String(await failure(merge(layers, inputs, stop.signal)))).toContain("stop");
    layers.disk.writesLeft = 1;
    expect(isSternwayError(await failure(merge(layers, inputs)), "unavailable")).toBe(true);
    layers.disk.writesLeft = Infinity;
    layers.disk.files.get(layers.path(inputs[1]!.meta.id))![100_000]! ^= 1;
    expect(isSternwayError(await failure(merge(layers, inputs)), "corrupt")).toBe(true);
    expect([...layers.disk.files.keys()]).toEqual(before);
    expect(layers.disk.openFiles).toBe(2);
  });
});
