import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { LayerMeta } from "../../../../src/vault/layers/layer-format.ts";
import { mergeLayers, type RunSink } from "../../../../src/vault/layers/layer-merge.ts";
import { checkReads, checkTiling, PlaceSample } from "../../../../src/vault/layers/layer-proof.ts";
import type { LayerReader } from "../../../../src/vault/layers/layer-reader.ts";
import { thinLayers, type Needs } from "../../../../src/vault/layers/thin.ts";
import type { MapEntry } from "../../../../src/vault/map.ts";
import {
  columnsOf,
  entriesOf,
  entry,
  LayerBed,
  randomEntries,
  sortEntries,
  VAULT_ID,
} from "../../../support/layer-model.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";

/** Two deltas over LSNs 1 to 20 in which block 7 is written at 4 and 14. */
async function bed(): Promise<{ layers: LayerBed; entries: MapEntry[]; inputs: LayerReader[] }> {
  const layers = new LayerBed(new MemoryDisk());
  const entries = [
    entry(1, 0, 7, 4, 20_000),
    entry(1, 0, 9, 6, 20_001),
    entry(1, 0, 7, 14, 20_002),
    entry(1, 1, 3, 16, 0),
  ];
  const inputs = [
    await layers.open(await layers.write(entries.slice(0, 2), 1, 10)),
    await layers.open(await layers.write(entries.slice(2), 11, 20)),
  ];
  return { layers, entries, inputs };
}

function sampleOf(entries: readonly MapEntry[]): PlaceSample {
  const sample = new PlaceSample();
  for (const each of sortEntries(entries)) {
    const { index, lsn, target } = columnsOf([each]);
    sample.note({ strand: each.strand, level: each.level as 0, index, lsn, target }, 0, 1);
  }
  return sample;
}

/** A merge whose sink is tampered with on its way. */
async function mergeWith(
  layers: LayerBed,
  inputs: LayerReader[],
  tamper: (sink: RunSink) => RunSink,
): Promise<LayerMeta> {
  const id = layers.newId();
  const sample = Object.assign(new PlaceSample(), { before: tamper });
  return await mergeLayers({ disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs, sample });
}

describe("the xor over a merge", () => {
  test("finds an altered target, which leaves every count as it was", async () => {
    const { layers, inputs } = await bed();
    const altering = (sink: RunSink): RunSink => ({
      appendRun: (run, from, to) =>
        sink.appendRun({ ...run, target: run.target.map((held) => held && held + 1) }, from, to),
    });
    expect(mergeWith(layers, inputs, (sink) => sink)).resolves.toMatchObject({ entries: 4 });
    expect(mergeWith(layers, inputs, altering)).rejects.toMatchObject({ kind: "internal" });
  });
});

describe("checkTiling()", () => {
  const delta = (id: number, firstLsn: number, lastLsn: number): LayerMeta => ({
    id,
    kind: "delta",
    firstLsn,
    lastLsn,
    entries: 1,
    sizeBytes: 1,
    checksum: "",
    xor: "",
    shards: [],
  });
  const before = [delta(1, 1, 10), delta(2, 11, 20), delta(3, 21, 30)];

  test("takes any division of the same LSNs", () => {
    expect(() => checkTiling(before, [delta(4, 1, 30)])).not.toThrow();
    expect(() => checkTiling(before, [delta(4, 1, 20), before[2]!])).not.toThrow();
    expect(() => checkTiling([], [])).not.toThrow();
  });

  test.each<[string, LayerMeta[]]>([
    ["a gap at the beginning", [delta(4, 2, 20), before[2]!]],
    ["a gap inside", [delta(4, 1, 19), before[2]!]],
    ["an overlap", [delta(4, 1, 21), before[2]!]],
    ["a gap at the end", [before[0]!, delta(4, 11, 29)]],
    ["more than there was", [before[0]!, delta(4, 11, 31)]],
    ["another order", [before[1]!, before[0]!, before[2]!]],
    ["nothing left", []],
  ])("refuses %s", (_, after) => {
    expect(() => checkTiling(before, after)).toThrow(expect.objectContaining({ kind: "internal" }));
  });
});

describe("checkReads()", () => {
  test("finds what reads otherwise in a layer whose own sums agree", async () => {
    const { layers, entries, inputs } = await bed();
    const proof = { sample: sampleOf(entries), inputs, after: [], needs: undefined };
    const output = async (of: readonly MapEntry[]): Promise<LayerReader> => layers.open(await layers.write(of, 1, 20));
    await checkReads({ ...proof, output: await output(entries) });
    for (const at of entries.keys()) {
      const missing = await output(entries.filter((_, i) => i !== at));
      expect(checkReads({ ...proof, output: missing })).rejects.toMatchObject({ kind: "internal" });
      const altered = await output(entries.map((each, i) => (i === at ? { ...each, target: each.target ^ 1 } : each)));
      expect(checkReads({ ...proof, output: altered })).rejects.toMatchObject({ kind: "internal" });
    }
  });

  test("asks for needed moments alone, and sees what later deltas say", async () => {
    const { layers, entries, inputs } = await bed();
    const later = await layers.open(await layers.write([entry(1, 0, 9, 25, 20_005)], 21, 30));
    const sample = sampleOf(entries);
    const kept = async (needs: Needs, ...lsns: number[]): Promise<void> => {
      const some = entries.filter((each) => lsns.includes(each.lsn));
      const output = await layers.open(await layers.write(some, 1, 20));
      await checkReads({ sample, inputs, output, after: [later], needs });
    };
    const needs = (from: number, ...points: number[]): Needs => new Map([[1, { from, points }]]);
    await kept(needs(25), 14, 16);
    expect(kept(needs(24), 14, 16)).rejects.toMatchObject({ kind: "internal" });
    await kept(needs(25, 5), 4, 14, 16);
    expect(kept(needs(25, 5), 14, 16)).rejects.toMatchObject({ kind: "internal" });
  });

  test("agrees with every merge and thinning of random entries", async () => {
    const seed = Number(process.env["TEST_SEED"] ?? 20_261_121);
    const random = seededRandom(seed);
    for (let round = 0; round < 20; round++) {
      const layers = new LayerBed(new MemoryDisk());
      const entries = randomEntries(random, 3_000, 1, 300);
      const part = (from: number, to: number): MapEntry[] => entries.filter(({ lsn }) => lsn >= from && lsn <= to);
      const inputs = [
        await layers.open(await layers.write(part(1, 900), 1, 900)),
        await layers.open(await layers.write(part(901, 2_000), 901, 2_000)),
      ];
      const after = [await layers.open(await layers.write(part(2_001, 3_000), 2_001, 3_000))];
      const points = Array.from({ length: 8 }, () => 1 + random.below(2_500)).sort((a, b) => a - b);
      const from = round % 3 === 0 ? Infinity : 2_500;
      const needs: Needs = new Map([
        [1, { from, points: [...new Set(points)] }],
        [2, { from: 500, points: [] }],
      ]);
      const sample = new PlaceSample();
      const id = layers.newId();
      const options = { disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs, after, needs, sample };
      const { meta, dropped } = await thinLayers(options);
      expect(dropped).toBeGreaterThan(0);
      const output = await layers.open(meta);
      expect([seed, (await entriesOf(output)).length + dropped]).toEqual([seed, 2_000]);
      await checkReads({ sample, inputs, output, after, needs });
    }
  });
});

describe("PlaceSample", () => {
  test("is spread over all that passed, however it came", () => {
    for (const step of [1, 7, 4096]) {
      const sample = new PlaceSample();
      const count = 100_000;
      const run = {
        strand: 1,
        level: 0 as const,
        index: Uint32Array.from({ length: count }, (_, i) => i),
        lsn: new Float64Array(count).fill(5),
        target: new Float64Array(count),
      };
      for (let from = 0; from < count; from += step) sample.note(run, from, Math.min(count, from + step));
      const places = sample.samples.map(({ block }) => block);
      expect(places.length).toBeGreaterThanOrEqual(16);
      expect(places.length).toBeLessThan(33);
      const gaps = places.slice(1).map((place, i) => place - places[i]!);
      expect(new Set(gaps).size).toBe(1);
      expect(places.at(-1)!).toBeGreaterThan(count * 0.8);
    }
  });
});
