import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeAscending,
  decodeSigned,
  encodeAscending,
  encodeSigned,
  PAGE_RAW_MAX,
} from "../../src/vault/files/column-page.ts";
import { EntryMix, type LayerPage } from "../../src/vault/layers/layer-format.ts";
import { mergeLayers } from "../../src/vault/layers/layer-merge.ts";
import type { LayerReader } from "../../src/vault/layers/layer-reader.ts";
import type { Level, MapEntry } from "../../src/vault/map.ts";
import { entriesOf, entry, LayerBed, modelAt, sortEntries, VAULT_ID } from "../support/layer-model.ts";
import { MemoryDisk } from "../support/memory-disk.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 20_261_121);
const MAX = Number.MAX_SAFE_INTEGER;

/** Integers of every size, close together and far apart. */
const integer = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 2 ** 31 - 3, max: 2 ** 31 + 3 }),
  fc.integer({ min: 2 ** 32 - 3, max: 2 ** 32 + 3 }),
  fc.integer({ min: MAX - 5, max: MAX }),
  fc.integer({ min: 0, max: MAX }),
);

describe("columns", () => {
  test("decodeSigned() gives back any integers below 2^53", () => {
    const raw = new Uint8Array(PAGE_RAW_MAX).fill(0xee);
    fc.assert(
      fc.property(fc.array(integer, { minLength: 1, maxLength: 60 }), fc.nat(9), (values, start) => {
        const count = values.length;
        const end = encodeSigned(Float64Array.from(values), count, raw, start);
        const back = new Float64Array(count);
        expect(decodeSigned(raw.subarray(0, end), start, count, back)).toBe(end);
        expect([...back]).toEqual(values);
        expect(decodeSigned(raw.subarray(0, end - 1), start, count, back)).toBe(-1);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  test("decodeAscending() gives back any rising integers below 2^32", () => {
    const raw = new Uint8Array(PAGE_RAW_MAX).fill(0xee);
    const index = fc.oneof(fc.nat(500), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    fc.assert(
      fc.property(fc.array(index, { minLength: 1, maxLength: 60 }), fc.nat(9), (values, start) => {
        values.sort((a, b) => a - b);
        const end = encodeAscending(Uint32Array.from(values), values.length, raw, start);
        const back = new Uint32Array(values.length);
        expect(decodeAscending(raw.subarray(0, end), start, values.length, back)).toBe(end);
        expect([...back]).toEqual(values);
        expect(decodeAscending(raw.subarray(0, end - 1), start, values.length, back)).toBe(-1);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  test("no bytes make a column read past its page or throw", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.integer({ min: -1, max: 90 }),
        fc.integer({ min: 1, max: 20 }),
        (raw, at, count) => {
          const signed = decodeSigned(raw, at, count, new Float64Array(count));
          const ascending = decodeAscending(raw, at, count, new Uint32Array(count));
          expect(signed <= raw.length && ascending <= raw.length).toBe(true);
        },
      ),
      { seed: SEED, numRuns: 2_000 },
    );
  });
});

describe("EntryMix", () => {
  const page = (index: number, lsn: number, target: number, strand = 1, level: Level = 0): LayerPage => ({
    strand,
    level,
    length: 1,
    index: Uint32Array.of(index),
    lsn: Float64Array.of(lsn),
    target: Float64Array.of(target),
    sizeBytes: 0,
  });

  test("differs for entries that differ in anything", () => {
    const seen = new Map<string, string>();
    for (let bit = 0; bit < 53; bit++) {
      const variants: [number, number, number, number, Level][] = [
        [5, 2 ** bit, 7, 1, 0],
        [5, 6, 2 ** bit, 1, 0],
      ];
      if (bit < 32) variants.push([2 ** bit, 6, 7, 1, 0], [5, 6, 7, 2 ** bit + 1, 0]);
      if (bit < 2) variants.push([5, 6, 7, 1, (bit + 1) as Level]);
      for (const [index, lsn, target, strand, level] of variants) {
        const mix = new EntryMix();
        mix.add(page(index, lsn, target, strand, level));
        const name = `${index}/${lsn}/${target}/${strand}/${level}`;
        expect(seen.get(mix.hex()) ?? name).toBe(name);
        seen.set(mix.hex(), name);
      }
    }
  });

  test("does not depend on order, and addHex() adds what hex() gave", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), integer, integer), { minLength: 1, maxLength: 20 }),
        fc.nat(20),
        (entries, cut) => {
          const whole = new EntryMix();
          const [left, right] = [new EntryMix(), new EntryMix()];
          for (const each of entries) whole.add(page(...each));
          for (const [i, each] of entries.toReversed().entries()) (i < cut ? left : right).add(page(...each));
          left.addHex(right.hex());
          expect(left.hex()).toBe(whole.hex());
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe("law 2 over layers", () => {
  const place = fc.oneof(
    fc.record({
      level: fc.constant<Level>(0),
      index: fc.oneof(fc.nat(600), fc.integer({ min: 2 ** 18 - 40, max: 2 ** 18 + 40 })),
      target: fc.constantFrom(0, 1, 16_384, 2 ** 40),
    }),
    fc.record({
      level: fc.constant<Level>(1),
      index: fc.oneof(fc.nat(3), fc.integer({ min: 1_022, max: 1_025 })),
      target: fc.constantFrom(0, 1),
    }),
    fc.record({ level: fc.constant<Level>(2), index: fc.nat(1), target: fc.constantFrom(0, 1) }),
  );
  const history = fc.record({
    writes: fc.array(fc.record({ strand: fc.constantFrom(1, 2), place }), { maxLength: 60 }),
    cuts: fc.array(fc.nat(59), { maxLength: 5 }),
    asks: fc.array(
      fc.record({
        strand: fc.constantFrom(1, 2),
        first: fc.oneof(fc.nat(600), fc.integer({ min: 2 ** 18 - 60, max: 2 ** 18 + 20 })),
        count: fc.integer({ min: 1, max: 60 }),
        lsn: fc.nat(70),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    shuffle: fc.boolean(),
    mergeFrom: fc.nat(4),
  });

  test("split and merged in any way, every block at every LSN is the naive replay's", async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ writes, cuts, asks, shuffle, mergeFrom }) => {
        const layers = new LayerBed(new MemoryDisk());
        const entries: MapEntry[] = writes.map(({ strand, place: { level, index, target } }, i) =>
          entry(strand, level, index, i + 1, target),
        );
        const bounds = [...new Set([1, ...cuts.map((cut) => cut + 1), 61])].sort((a, b) => a - b);
        let open: LayerReader[] = [];
        for (let i = 0; i + 1 < bounds.length; i++) {
          const part = entries.filter((each) => each.lsn >= bounds[i]! && each.lsn < bounds[i + 1]!);
          open.push(await layers.open(await layers.write(part, bounds[i]!, bounds[i + 1]! - 1)));
        }
        const inputs = open.slice(mergeFrom);
        if (inputs.length > 0) {
          const id = layers.newId();
          const meta = await mergeLayers({ disk: layers.disk, path: layers.path(id), vaultId: VAULT_ID, id, inputs });
          open = [...open.slice(0, mergeFrom), await layers.open(meta)];
        }
        const all: MapEntry[] = [];
        for (const layer of open) all.push(...(await entriesOf(layer)));
        expect(sortEntries(all)).toEqual(sortEntries(entries));
        const order = shuffle ? open : open.toReversed();
        for (const { strand, first, count, lsn } of asks) {
          const expected = Array.from({ length: count }, (_, i): [number, number] => {
            const held = modelAt(entries, strand, first + i, lsn);
            return held ? [held.lsn, held.target] : [-1, 0];
          });
          expect(await layers.ask(order, strand, first, count, lsn)).toEqual(expected);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});
