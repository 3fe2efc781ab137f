import { expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { Deduplicator } from "../../../../src/vault/packs/deduplicator.ts";
import { FingerprintIndex } from "../../../../src/vault/packs/fingerprint-index.ts";
import { blockAddress, packOf } from "../../../../src/vault/map.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { fingerprint, noiseBlock, PackBed, textBlock } from "./pack-bed.ts";

function randomFingerprints(count: number, seed: number): BigUint64Array {
  return new BigUint64Array(seededRandom(seed).bytes(count * 8).buffer);
}

test("FingerprintIndex finds what was inserted, the newest address of it, and nothing else", () => {
  const index = new FingerprintIndex({ budgetBytes: 2 ** 24 });
  const fingerprints = randomFingerprints(100_000, 1);
  fingerprints.forEach((value, i) => index.insert(value, 2 ** 47 + i));
  fingerprints.subarray(0, 10).forEach((value, i) => index.insert(value, 16_384 + i));
  expect(index.count).toBe(100_000);
  expect(index.samplingBits).toBe(0);
  fingerprints.forEach((value, i) => {
    if (index.lookup(value) !== (i < 10 ? 16_384 + i : 2 ** 47 + i)) throw new Error(`fingerprint ${i} is lost`);
  });
  expect(randomFingerprints(100_000, 2).filter((value) => index.lookup(value) !== 0).length).toBe(0);
});

test("FingerprintIndex may use its budget once more for each further unit of unique blocks, and samples no further meanwhile", () => {
  // Six bytes in a hundred of what all would take.
  const perBytes = 2 ** 20 * 4096;
  const index = new FingerprintIndex({ budgetBytes: 2 ** 20 * 12 * 0.06, perBytes });
  const random = seededRandom(5);
  const bytes = new DataView(new ArrayBuffer(8));
  const bits: number[] = [];
  for (let unit = 1; unit <= 10; unit++) {
    for (let i = 0; i < 2 ** 20; i++) {
      bytes.setUint32(0, random.below(2 ** 32));
      bytes.setUint32(4, random.below(2 ** 32));
      index.insert(bytes.getBigUint64(0), 1 + (unit - 1) * 2 ** 20 + i);
    }
    bits.push(index.samplingBits);
    expect(index.bytes).toBeLessThanOrEqual(2 ** 20 * 12 * 0.06 * unit);
  }
  expect(bits.at(-1)! - bits[0]!).toBeLessThanOrEqual(1);
});

test("FingerprintIndex stays within its budget by halving its sampling, and keeps every sampled fingerprint", () => {
  const budgetBytes = 100_000;
  const index = new FingerprintIndex({ budgetBytes });
  const fingerprints = randomFingerprints(100_000, 3);
  let bits = 0;
  fingerprints.forEach((value, i) => {
    index.insert(value, i + 1);
    if (index.bytes > budgetBytes) throw new Error("over budget");
    if (index.samplingBits === bits) return;
    bits = index.samplingBits;
    // Right after each halving: all that is sampled is there, the rest is gone.
    const mask = (1n << BigInt(bits)) - 1n;
    for (let j = 0; j <= i; j++) {
      const expected = (fingerprints[j]! & mask) === 0n ? j + 1 : 0;
      if (index.lookup(fingerprints[j]!) !== expected)
        throw new Error(`fingerprint ${j} after halving to ${bits} bits`);
    }
  });
  expect(bits).toBeGreaterThanOrEqual(4);
  const mask = (1n << BigInt(bits)) - 1n;
  expect(index.count).toBe(fingerprints.filter((value) => (value & mask) === 0n).length);
});

test("FingerprintIndex keeps its bound even for fingerprints that survive every halving", () => {
  const index = new FingerprintIndex({ budgetBytes: 12 * 1024 });
  for (let i = 1; i <= 5000; i++) index.insert(BigInt(i) << 32n, i);
  expect(index.count).toBeLessThanOrEqual(1024 * 0.7);
  expect(index.lookup(5000n << 32n)).toBe(5000);
});

test("the fingerprint 0 of a freed slot is never proposed", () => {
  const index = new FingerprintIndex({ budgetBytes: 2 ** 20 });
  index.insert(0n, 16_384);
  index.insertPack(1, BigUint64Array.of(0n, 7n));
  expect([index.lookup(0n), index.lookup(7n)]).toEqual([0, blockAddress(1, 1)]);
});

const blocks = Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? textBlock(i) : noiseBlock(i)));
const allFingerprints = BigUint64Array.from(blocks.map(fingerprint));

/** A bed with the blocks in packs of 100, and an index that samples so many bits. */
function bedWithIndex(samplingBits: number): { bed: PackBed; index: FingerprintIndex } {
  const bed = new PackBed();
  const index = new FingerprintIndex({ budgetBytes: 12 * 1024 });
  const filler = randomFingerprints(1 << 15, 4);
  for (let i = 0; index.samplingBits < samplingBits; i++) index.insert(filler[i]!, blockAddress(1000, i % 16_384));
  for (let pack = 1; pack <= 4; pack++) {
    bed.put({ pack, blocks: blocks.slice((pack - 1) * 100, pack * 100) });
    index.insertPack(pack, allFingerprints.subarray((pack - 1) * 100, pack * 100));
  }
  expect(index.samplingBits).toBe(samplingBits);
  return { bed, index };
}

test("lookupBatch() proposes the address of every known block", async () => {
  const { bed, index } = bedWithIndex(0);
  const out = new Float64Array(401);
  await new Deduplicator({ index, packs: bed.store() }).lookupBatch(BigUint64Array.of(...allFingerprints, 77n), out);
  expect([...out]).toEqual([...blocks.map((_, i) => blockAddress(1 + Math.floor(i / 100), i % 100)), 0]);
  expect(bed.disk.reads.length).toBe(0);
});

for (const localityPacks of [1, 2, 32]) {
  test(`lookupBatch() with sampling finds a hit's neighbours on both sides, locality ${localityPacks}`, async () => {
    const { bed, index } = bedWithIndex(4);
    const sampled = allFingerprints.filter((value) => index.lookup(value) !== 0).length;
    expect(sampled).toBeGreaterThan(5);
    expect(sampled).toBeLessThan(60);
    const packs = bed.store();
    const out = new Float64Array(400);
    const deduplicator = new Deduplicator({ index, packs, localityPacks });
    await deduplicator.lookupBatch(allFingerprints, out);
    // A pack without a sampled block cannot be found; each of these has some.
    expect(new Set([...allFingerprints].map((value) => packOf(index.lookup(value)))).size).toBe(5);
    expect(out.filter((address) => address !== 0).length).toBe(400);
    expect(await deduplicator.confirm(out, (i) => blocks[i]!)).toBe(400);
    await packs.close();
    expect(bed.disk.openNow).toBe(0);
  });
}

test("a match is a match: planted collisions are proposed and never confirmed", async () => {
  const bed = new PackBed();
  const index = new FingerprintIndex({ budgetBytes: 2 ** 20 });
  const stored = blocks.slice(0, 40);
  const claimed = BigUint64Array.from(stored.map((_, i) => BigInt(i + 1)));
  bed.put({ pack: 1, blocks: stored, fingerprints: [...claimed] });
  index.insertPack(1, claimed);
  const packs = bed.store();
  const deduplicator = new Deduplicator({ index, packs });
  const candidates = new Float64Array(40);
  await deduplicator.lookupBatch(claimed, candidates);
  expect(candidates.every((candidate) => candidate !== 0)).toBe(true);
  // Same fingerprints, every other block different in its last byte alone.
  const incoming = stored.map((block, i) => {
    const copy = block.slice();
    if (i % 2 === 1) copy[4095]! ^= 1;
    return copy;
  });
  expect(await deduplicator.confirm(candidates, (i) => incoming[i]!)).toBe(20);
  candidates.forEach((candidate, i) => expect(candidate).toBe(i % 2 === 1 ? 0 : blockAddress(1, i)));
  expect(await deduplicator.matches(blockAddress(1, 0), incoming[0]!)).toBe(true);
  expect(await deduplicator.matches(blockAddress(1, 1), incoming[1]!)).toBe(false);
  await packs.close();
});

test("confirm() reads and unpacks each frame of a run of duplicates once", async () => {
  const { bed, index } = bedWithIndex(0);
  const packs = bed.store({ frameCacheBytes: 0 });
  const deduplicator = new Deduplicator({ index, packs });
  const out = new Float64Array(400);
  await deduplicator.lookupBatch(allFingerprints, out);
  expect(await deduplicator.confirm(out, (i) => blocks[i]!)).toBe(400);
  // One read for each of four tables and frame runs, one run more where a section of 256 blocks ends within a pack.
  expect(bed.disk.reads.length).toBeLessThanOrEqual(9);
  await packs.close();
});

test("a damaged, missing or unknown candidate is no match, and throws nothing", async () => {
  const { bed, index } = bedWithIndex(4);
  const damaged = bed.disk.files.get(`vault/${packPath(1, 0)}`)!;
  damaged.fill(0xaa, 100, 2000);
  bed.disk.files.delete(`vault/${packPath(2, 0)}`);
  bed.located.delete(3);
  const packs = bed.store();
  const deduplicator = new Deduplicator({ index, packs });
  const out = new Float64Array(400);
  await deduplicator.lookupBatch(allFingerprints, out);
  const matches = await deduplicator.confirm(out, (i) => blocks[i]!);
  // The first frame of pack 1 is lost, packs 2 and 3 altogether; 96 blocks of pack 1 and all of pack 4 remain.
  expect(matches).toBe(196);
  expect(out.filter((address) => address !== 0).length).toBe(196);
  expect(out.subarray(0, 4).every((address) => address === 0)).toBe(true);
  await packs.close();
});
