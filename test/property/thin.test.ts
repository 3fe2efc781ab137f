/**
 * Law 2 across thinning: whatever is dropped, in whatever order layers are thinned and merged, every needed moment reads as before.
 */
import { expect, test } from "bun:test";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { LayerMeta } from "../../src/vault/layers/layer-format.ts";
import type { LayerReader } from "../../src/vault/layers/layer-reader.ts";
import type { MapEntry } from "../../src/vault/map.ts";
import { isNeeded, type StrandNeeds } from "../../src/vault/needs.ts";
import { countThinning, thinLayers } from "../../src/vault/layers/thin.ts";
import { entriesOf, LayerBed, modelAt, randomEntries, VAULT_ID } from "../support/layer-model.ts";
import { MemoryDisk } from "../support/memory-disk.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 20_261_121);
const ENTRIES = 600;
const BLOCKS = 40;

type Needs = Map<number, StrandNeeds>;

/** Needs that shrink with each call, as retention's do. */
function shrink(random: Random, before: Needs): Needs {
  const needs: Needs = new Map();
  for (const [strand, { from, points }] of before) {
    if (random.below(12) === 0) continue;
    const horizon = random.below(6) === 0 ? Infinity : Math.max(from, random.below(ENTRIES));
    const fromRange = horizon === Infinity || from === Infinity ? [] : [random.below(ENTRIES), random.below(ENTRIES)];
    const gained = fromRange.filter((point) => point >= from && point < horizon);
    const left = points.filter((point) => point < horizon && random.below(4) > 0);
    needs.set(strand, {
      from: from === Infinity ? Infinity : horizon,
      points: [...new Set([...left, ...gained])].sort((a, b) => a - b),
    });
  }
  return needs;
}

function neededLsns(random: Random, { from, points }: StrandNeeds): number[] {
  const recent =
    from === Infinity ? [] : [from, ENTRIES + 10, from + random.below(ENTRIES), from + random.below(ENTRIES)];
  return [...points, ...recent];
}

async function thin(layers: LayerBed, inputs: LayerReader[], after: LayerReader[], needs: Needs): Promise<LayerReader> {
  const id = layers.newId();
  const counted = await countThinning(inputs, after, needs);
  const options = { disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs, after, needs };
  const { meta, weights, dropped, droppedBlocks } = await thinLayers(options);
  const entries = inputs.reduce((sum, input) => sum + input.meta.entries, 0);
  expect(counted).toEqual({ entries, dropped, droppedBlocks });
  expect(meta.entries).toBe(entries - dropped);
  expect(weights.reduce((sum, weight) => sum + weight.entries, 0)).toBe(meta.entries);
  return await layers.open(meta satisfies LayerMeta);
}

async function compare(
  layers: LayerBed,
  live: LayerReader[],
  all: MapEntry[],
  needs: Needs,
  random: Random,
): Promise<void> {
  for (const [strand, needed] of needs) {
    for (const at of neededLsns(random, needed)) {
      for (const first of [0, 250, 262_140]) {
        const got = await layers.ask(live.toReversed(), strand, first, BLOCKS, at);
        for (const [i, [lsn, target]] of got.entries()) {
          const wanted = modelAt(all, strand, first + i, at);
          if (lsn === (wanted?.lsn ?? -1) && target === (wanted?.target ?? 0)) continue;
          throw new Error(
            `strand ${strand}, block ${first + i} at ${at}: ${lsn}/${target}, not ${wanted?.lsn}/${wanted?.target}; needs ${JSON.stringify(needed)}`,
          );
        }
      }
    }
  }
}

test("every needed moment reads as before, in whatever order layers are thinned and merged", async () => {
  for (let round = 0; round < 60; round++) {
    const seed = SEED + round;
    const random = seededRandom(seed);
    try {
      const layers = new LayerBed(new MemoryDisk());
      const all = randomEntries(random, ENTRIES, 1, BLOCKS);
      const strands = [...new Set(all.map((entry) => entry.strand as number))];
      let needs: Needs = new Map(strands.map((strand) => [strand, { from: 0, points: [] }]));
      let live: LayerReader[] = [];
      for (let first = 1; first <= ENTRIES;) {
        const last = Math.min(ENTRIES, first + random.below(150));
        const part = all.filter((entry) => entry.lsn >= first && entry.lsn <= last);
        live.push(await layers.open(await layers.write(part, first, last)));
        first = last + 1;
      }
      for (let step = 0; step < 8; step++) {
        if (random.below(2) === 0) needs = shrink(random, needs);
        const at = random.below(live.length);
        const count = Math.min(live.length - at, random.below(3) === 0 ? 1 + random.below(4) : 1);
        const inputs = live.slice(at, at + count);
        const after = live.slice(at + count, at + count + random.below(3));
        live = [...live.slice(0, at), await thin(layers, inputs, after, needs), ...live.slice(at + count)];
        await compare(layers, live, all, needs, random);
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
});

test("merging everything leaves exactly the entries that some needed moment sees on their own grid", async () => {
  for (let round = 0; round < 20; round++) {
    const seed = SEED + 1_000 + round;
    const random = seededRandom(seed);
    const layers = new LayerBed(new MemoryDisk());
    const all = randomEntries(random, ENTRIES, 1, BLOCKS);
    const strands = [...new Set(all.map((entry) => entry.strand as number))];
    const needs = shrink(random, new Map(strands.map((strand) => [strand, { from: 0, points: [] }])));
    const half = ENTRIES / 2;
    const older = await layers.open(
      await layers.write(
        all.filter((entry) => entry.lsn <= half),
        1,
        half,
      ),
    );
    const younger = await layers.open(
      await layers.write(
        all.filter((entry) => entry.lsn > half),
        half + 1,
        ENTRIES,
      ),
    );
    const kept = await entriesOf(await thin(layers, [older, younger], [], needs));
    const expected = all.filter((entry) => {
      const next = all
        .filter((other) => other.strand === entry.strand && other.lsn > entry.lsn && covers(other, entry))
        .reduce((lowest, other) => Math.min(lowest, other.lsn), Infinity);
      return isNeeded(needs.get(entry.strand), entry.lsn, next);
    });
    expect({ seed, lsns: kept.map((entry) => entry.lsn as number).sort((a, b) => a - b) }).toEqual({
      seed,
      lsns: expected.map((entry) => entry.lsn as number).sort((a, b) => a - b),
    });
  }
});

/** Whether an entry's place lies in another's. */
function covers(over: MapEntry, under: MapEntry): boolean {
  const shift = [0, 8, 18] as const;
  if (over.level < under.level) return false;
  return Math.floor((under.index * 2 ** shift[under.level]) / 2 ** shift[over.level]) === over.index;
}
