import { expect, test } from "bun:test";
import fc from "fast-check";
import { SternwayError } from "../../../../src/base/errors.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { blockAddress } from "../../../../src/vault/map.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { fingerprint, noiseBlock, PackBed, textBlock } from "./pack-bed.ts";

const SLOTS = 100;
const blockOf = (pack: number, slot: number): Uint8Array<ArrayBuffer> =>
  slot % 30 < 16 ? textBlock(pack * 1000 + slot) : noiseBlock(pack * 1000 + slot);
const blocksOf = (pack: number): Uint8Array<ArrayBuffer>[] =>
  Array.from({ length: SLOTS }, (_, slot) => blockOf(pack, slot));
const packBlocks = [1, 2, 3, 4, 5, 6].map(blocksOf);

function bedOf(packs: number): PackBed {
  const bed = new PackBed();
  for (let pack = 1; pack <= packs; pack++) bed.put({ pack, blocks: packBlocks[pack - 1]!, frameBytes: 16_384 });
  return bed;
}

test("readMany() gives the right bytes for any targets, under any caches, also side by side", async () => {
  const built = bedOf(6);
  const files = [1, 2, 3, 4, 5, 6].map((pack) => [pack, built.disk.files.get(`vault/${packPath(pack, 0)}`)!] as const);
  const target = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom({ pack: 0, slot: 0 }, { pack: 0, slot: 1 }) },
    {
      weight: 9,
      arbitrary: fc.record({ pack: fc.integer({ min: 1, max: 6 }), slot: fc.integer({ min: 0, max: SLOTS - 1 }) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(target, { maxLength: 120 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(0, 20_000, 100_000, 2 ** 25),
      fc.constantFrom(0, 700, 2 ** 20),
      fc.integer({ min: 1, max: 5 }),
      async (requests, frameCacheBytes, directoryCacheBytes, openFilesMax) => {
        // A disk of its own, so that a failed run leaves nothing behind for the shrinking.
        const bed = new PackBed();
        for (const [pack, bytes] of files) bed.putBytes(pack, bytes);
        const store = bed.store({ frameCacheBytes, directoryCacheBytes, openFilesMax });
        await Promise.all(
          requests.map(async (wanted) => {
            const into = new Uint8Array(wanted.length * BLOCK_SIZE).fill(0xee);
            await store.readMany(
              wanted.map(({ pack, slot }) => blockAddress(pack, slot)),
              into,
            );
            wanted.forEach(({ pack, slot }, i) => {
              const expected = pack === 0 ? new Uint8Array(BLOCK_SIZE) : packBlocks[pack - 1]![slot]!;
              expect(Buffer.compare(into.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE), expected)).toBe(0);
            });
          }),
        );
        expect(store.usage.frameBytes).toBeLessThanOrEqual(frameCacheBytes);
        expect(store.usage.directoryBytes).toBeLessThanOrEqual(directoryCacheBytes);
        expect(bed.disk.openMost).toBeLessThanOrEqual(openFilesMax);
        await store.close();
        expect(bed.disk.openNow).toBe(0);
      },
    ),
    { numRuns: 150 },
  );
});

test("readMany() reads adjacent frames of a pack at once, a long run past the cache, and what is cached not at all", async () => {
  const bed = bedOf(1);
  const store = bed.store();
  const targets = packBlocks[0]!.map((_, slot) => blockAddress(1, slot));
  const into = new Uint8Array(SLOTS * BLOCK_SIZE);
  await store.readMany(targets, into);
  expect(bed.disk.reads.length).toBe(2);
  expect(store.usage.frameBytes).toBe(0);
  await store.readMany(targets.toReversed(), into);
  expect(bed.disk.reads.length).toBe(3);
  await store.readMany(targets.toReversed(), into);
  expect(bed.disk.reads.length).toBe(3);
  await store.close();
});

test("concurrent readers share one load of a table and of a frame", async () => {
  const bed = bedOf(1);
  const store = bed.store({ frameCacheBytes: 0 });
  const into = Array.from({ length: 20 }, () => new Uint8Array(BLOCK_SIZE));
  await Promise.all(into.map((bytes, i) => store.read(blockAddress(1, i % 4), bytes)));
  expect(bed.disk.reads.length).toBe(2);
  into.forEach((bytes, i) => expect(bytes).toEqual(packBlocks[0]![i % 4]!));
  await store.close();
});

test("a damaged frame fails those reads alone that need it, with its place, and is not cached", async () => {
  const bed = bedOf(1);
  const bytes = bed.disk.files.get(`vault/${packPath(1, 0)}`)!;
  const store = bed.store();
  const offset = (await store.directory(1)).frames.offset[3]!;
  bytes[offset + 5]! ^= 1;
  const into = new Uint8Array(SLOTS * BLOCK_SIZE);
  const all = packBlocks[0]!.map((_, slot) => blockAddress(1, slot));
  await expect(store.readMany(all, into)).rejects.toMatchObject({
    kind: "corrupt",
    facts: { pack: 1, frame: 3, offset },
  });
  const good = all.filter((_, slot) => slot < 12 || slot >= 16);
  // Side by side with one that fails: they share the disk read, not the damage.
  const [failed, read] = await Promise.allSettled([store.readMany(all, into.slice()), store.readMany(good, into)]);
  expect([failed.status, read.status]).toEqual(["rejected", "fulfilled"]);
  expect(await store.verify(1)).toMatchObject([{ frame: 3, slots: [12, 13, 14, 15] }]);
  bytes[offset + 5]! ^= 1;
  await store.readMany(all, into);
  expect(Buffer.compare(into, Buffer.concat(packBlocks[0]!))).toBe(0);
  await store.close();
});

test("an unreadable sector does not cost the frames beside it", async () => {
  const bed = bedOf(1);
  const store = bed.store();
  const { frames } = await store.directory(1);
  const bad = frames.offset[2]! + 100;
  let last = { offset: 0, length: 0 };
  bed.disk.onRead = () => {
    last = bed.disk.reads.at(-1)!;
    if (last.offset <= bad && last.offset + last.length > bad) {
      throw new SternwayError("unavailable", "input/output error", { code: "EIO" });
    }
  };
  const into = new Uint8Array(SLOTS * BLOCK_SIZE);
  const all = packBlocks[0]!.map((_, slot) => blockAddress(1, slot));
  const seen = new Set<number>();
  const failed = new Set<number>();
  await store.visit(all, { block: (i) => void seen.add(i), failed: (i) => void failed.add(i) });
  expect([...failed]).toEqual([8, 9, 10, 11]);
  expect(seen.size).toBe(SLOTS - 4);
  await expect(store.readMany(all, into)).rejects.toMatchObject({ kind: "unavailable", facts: { code: "EIO" } });
  expect(await store.verify(1)).toMatchObject([{ frame: 2, slots: [8, 9, 10, 11] }]);
  await store.close();
  expect(bed.disk.openNow).toBe(0);
});

test("read() of what no manifest names, of a missing file, slot or address is corrupt", async () => {
  const bed = bedOf(2);
  bed.disk.files.delete(`vault/${packPath(2, 0)}`);
  const store = bed.store();
  const into = new Uint8Array(BLOCK_SIZE);
  for (const target of [blockAddress(3, 0), blockAddress(2, 0), blockAddress(1, SLOTS), 2, 16_384.5, Number.NaN, -5]) {
    await expect(store.read(target, into)).rejects.toMatchObject({ kind: "corrupt" });
  }
  await store.close();
});

test("a pack that is repacked between and during reads is read by its new file", async () => {
  const bed = bedOf(1);
  const store = bed.store();
  const into = new Uint8Array(BLOCK_SIZE);
  await store.read(blockAddress(1, 50), into);
  const repack = (from: number): void => {
    bed.put({ pack: 1, generation: from + 1, blocks: packBlocks[0]!, frameBytes: from % 2 === 0 ? 65_536 : 8192 });
    bed.disk.files.delete(`vault/${packPath(1, from)}`);
  };
  repack(0);
  into.fill(0);
  // The frame that starts at slot 48 is cached, but only in the new file does it reach to slot 55.
  await store.read(blockAddress(1, 55), into);
  expect(into).toEqual(packBlocks[0]![55]!);
  const fresh = bed.store();
  let once = true;
  bed.disk.onRead = () => {
    if (once) {
      once = false;
      repack(1);
      throw new SternwayError("not_found", "gone");
    }
  };
  await fresh.read(blockAddress(1, 99), into);
  expect(into).toEqual(packBlocks[0]![99]!);
  await Promise.all([store.close(), fresh.close()]);
  expect(bed.disk.openNow).toBe(0);
});

test("forget() closes the pack's file and drops its frames", async () => {
  const bed = bedOf(2);
  const store = bed.store();
  const into = new Uint8Array(BLOCK_SIZE);
  await store.read(blockAddress(1, 0), into);
  await store.read(blockAddress(2, 0), into);
  const before = store.usage;
  await store.forget(1);
  expect(store.usage.frameBytes).toBe(before.frameBytes / 2);
  expect(bed.disk.openNow).toBe(1);
  await store.read(blockAddress(1, 0), into);
  expect(fingerprint(into)).toBe(fingerprint(packBlocks[0]![0]!));
  await store.close();
});

test("no more than eight reads are on the disk at once, and close() leaves no descriptor", async () => {
  const bed = bedOf(6);
  const store = bed.store({ frameCacheBytes: 0, directoryCacheBytes: 0, openFilesMax: 64 });
  const into = Array.from({ length: 200 }, () => new Uint8Array(BLOCK_SIZE));
  await Promise.all(into.map((bytes, i) => store.read(blockAddress(1 + (i % 6), i % SLOTS), bytes)));
  into.forEach((bytes, i) => expect(bytes).toEqual(packBlocks[i % 6]![i % SLOTS]!));
  expect(bed.disk.readingMost).toBeLessThanOrEqual(8);
  expect(bed.disk.readingMost).toBeGreaterThan(2);
  await store.close();
  await store.close();
  expect(bed.disk.openNow).toBe(0);
});
