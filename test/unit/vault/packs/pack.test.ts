import { expect, test } from "bun:test";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { xxh64 } from "../../../../src/base/hash.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { compressFrame, decompressFrame } from "../../../../src/vault/files/compression.ts";
import { blockAddress, SLOTS_PER_PACK } from "../../../../src/vault/map.ts";
import { PackBuilder } from "../../../../src/vault/packs/pack-builder.ts";
import {
  encodeDirectory,
  encodeHeader,
  FRAME_ZSTD,
  frameChecksum,
  type FrameEntry,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
  packPath,
  packSeed,
} from "../../../../src/vault/packs/pack-format.ts";
import { buildPack, fingerprint, noiseBlock, PackBed, textBlock, VAULT_ID } from "./pack-bed.ts";

const blocks = Array.from({ length: 70 }, (_, i) => (i % 20 < 16 ? textBlock(i) : noiseBlock(i)));

async function readBlock(bed: PackBed, target: number): Promise<Uint8Array> {
  const into = new Uint8Array(BLOCK_SIZE);
  const store = bed.store();
  try {
    await store.read(target, into);
    return into;
  } finally {
    await store.close();
  }
}

test("compressFrame() gives undefined for what does not get 3% smaller, and decompressFrame() gives back the rest", () => {
  expect(compressFrame(seededRandom(1).bytes(65_536))).toBeUndefined();
  const raw = new Uint8Array(Buffer.concat(Array.from({ length: 16 }, (_, i) => textBlock(i))));
  const stored = compressFrame(raw)!.slice();
  expect(stored.length).toBeLessThan(raw.length * 0.6);
  expect(Buffer.compare(decompressFrame(stored, raw.length), raw)).toBe(0);
});

test("decompressFrame() refuses bombs, short frames and noise as corrupt", () => {
  const bomb = compressFrame(new Uint8Array(1 << 20))!.slice();
  for (const [stored, size] of [
    [bomb, 4096],
    [bomb, (1 << 20) - 1],
    [bomb, (1 << 20) + 1],
    [bomb.subarray(0, bomb.length - 1), 1 << 20],
    [new Uint8Array(0), 4096],
    [seededRandom(3).bytes(300), 4096],
  ] as const) {
    let caught: unknown;
    try {
      decompressFrame(stored, size);
    } catch (error) {
      caught = error;
    }
    expect(isSternwayError(caught, "corrupt")).toBe(true);
  }
});

for (const compress of [true, false]) {
  for (const frameBytes of [4096, 65_536, 2 ** 20]) {
    test(`a pack gives back its blocks, compress ${compress}, frames of ${frameBytes}`, async () => {
      const bed = new PackBed();
      bed.put({ pack: 5, generation: 2, blocks, compress, frameBytes });
      const store = bed.store();
      const into = new Uint8Array(blocks.length * BLOCK_SIZE);
      await store.readMany(
        blocks.map((_, i) => blockAddress(5, i)),
        into,
      );
      expect(Buffer.compare(into, Buffer.concat(blocks))).toBe(0);
      expect(await store.verify(5)).toEqual([]);
      expect([...(await store.directory(5)).fingerprints]).toEqual(blocks.map(fingerprint));
      await store.close();
      expect(bed.disk.openNow).toBe(0);
    });
  }
}

test("PackBuilder.add() copies its block, fills 16,384 slots and no more", () => {
  const builder = new PackBuilder({ vaultId: VAULT_ID, pack: 1, generation: 0, compress: true });
  const block = textBlock(0);
  for (let i = 0; i < SLOTS_PER_PACK; i++) {
    new DataView(block.buffer).setUint32(0, i);
    expect(builder.add(block, BigInt(i))).toBe(i);
  }
  expect(builder.isFull).toBe(true);
  expect(() => builder.add(block, 1n)).toThrow("full");
  const [file] = builder.finish();
  expect(builder.sizeBytes).toBe(file!.length);
  expect(builder.checksum).toBe(xxh64(file!, 0n));
  expect(builder.storedBytes).toBeLessThan(builder.rawBytes / 4);
  const bed = new PackBed();
  bed.putBytes(1, file!);
  return expect(readBlock(bed, blockAddress(1, 9999)).then((b) => new DataView(b.buffer).getUint32(0))).resolves.toBe(
    9999,
  );
});

test("PackBuilder stops compressing noise, and takes it up again when the data changes", () => {
  const noise = Array.from({ length: 16 * 64 }, (_, i) => noiseBlock(i));
  const text = Array.from({ length: 16 * 256 }, (_, i) => textBlock(i % 50));
  const both = buildPack({ pack: 1, blocks: [...noise, ...text] });
  const textAlone = buildPack({ pack: 1, blocks: text });
  const noiseBytes = noise.length * BLOCK_SIZE;
  // The change is found after 64 frames at the most, which stay raw.
  expect(both.length).toBeGreaterThan(noiseBytes + textAlone.length);
  expect(both.length).toBeLessThan(noiseBytes + textAlone.length + 64 * 65_536);
});

test("a freed slot keeps its number, and reading it is corrupt while its neighbours read", async () => {
  const builder = new PackBuilder({ vaultId: VAULT_ID, pack: 3, generation: 1, compress: true });
  builder.add(blocks[0]!, fingerprint(blocks[0]!));
  expect(builder.addFreed()).toBe(1);
  builder.add(blocks[2]!, fingerprint(blocks[2]!));
  const bed = new PackBed();
  bed.putBytes(3, builder.finish()[0]!, 1);
  expect(await readBlock(bed, blockAddress(3, 2))).toEqual(blocks[2]!);
  await expect(readBlock(bed, blockAddress(3, 1))).rejects.toMatchObject({
    kind: "corrupt",
    facts: { pack: 3, slot: 1 },
  });
  expect(await bed.store().verify(3)).toEqual([]);
});

/** Reads all blocks of a damaged pack one by one: each is right or corrupt. @returns how many were corrupt */
async function corruptReads(bed: PackBed, pack: number, expected: Uint8Array[]): Promise<number> {
  const store = bed.store();
  const into = new Uint8Array(BLOCK_SIZE);
  let corrupt = 0;
  for (let slot = 0; slot < expected.length; slot++) {
    try {
      await store.read(blockAddress(pack, slot), into);
      if (Buffer.compare(into, expected[slot]!) !== 0) throw new Error(`wrong bytes in slot ${slot}`);
    } catch (error) {
      if (!isSternwayError(error, "corrupt")) throw error;
      corrupt++;
    }
  }
  await store.close();
  return corrupt;
}

test("never wrong bytes: every flipped byte gives the right blocks or corrupt, and verify() finds it", async () => {
  const few = [textBlock(1), textBlock(2), noiseBlock(3), textBlock(4), noiseBlock(5)];
  const original = buildPack({ pack: 9, blocks: few, frameBytes: 8192 });
  const directoryAt = original.length - PACK_TRAILER_BYTES - few.length * 8 - 3 * 24;
  const bed = new PackBed();
  let hit = 0;
  // Every byte of header, directory and trailer, and one in 37 of the frames.
  for (let at = 0; at < original.length; at += at < 80 || at >= directoryAt ? 1 : 37) {
    const bytes = original.slice();
    bytes[at] = bytes[at]! ^ (1 << (at % 8));
    bed.putBytes(9, bytes);
    if ((await corruptReads(bed, 9, few)) > 0) hit++;
    const damages = await bed.store().verify(9);
    expect({ at, found: damages.length > 0 }).toEqual({ at, found: true });
  }
  expect(hit).toBeGreaterThan(300);
});

test("never wrong bytes: a truncated file gives the right blocks or corrupt, whether the manifest knows it or not", async () => {
  const original = buildPack({ pack: 9, blocks: blocks.slice(0, 5), frameBytes: 8192 });
  const bed = new PackBed();
  for (let length = 0; length < original.length; length += 97) {
    bed.putBytes(9, original.slice(0, length));
    expect(await corruptReads(bed, 9, blocks.slice(0, 5))).toBe(5);
    bed.located.set(9, { generation: 0, sizeBytes: original.length });
    expect(await corruptReads(bed, 9, blocks.slice(0, 5))).toBe(5);
    expect((await bed.store().verify(9)).length).toBeGreaterThan(0);
  }
});

test("never wrong bytes: packs of another vault, number or generation, and misdirected frames, are corrupt", async () => {
  const foreign = Uint8Array.from(VAULT_ID, (byte) => byte ^ 1);
  const bed = new PackBed();
  for (const bytes of [
    buildPack({ pack: 4, blocks, vaultId: foreign }),
    buildPack({ pack: 6, blocks }),
    buildPack({ pack: 4, generation: 1, blocks }),
  ]) {
    bed.putBytes(4, bytes);
    expect(await corruptReads(bed, 4, blocks)).toBe(blocks.length);
  }
  // A frame written over its neighbour.
  const twins = [noiseBlock(1), noiseBlock(2)];
  const bytes = buildPack({ pack: 4, blocks: twins, frameBytes: 4096 });
  bytes.copyWithin(PACK_HEADER_BYTES + BLOCK_SIZE, PACK_HEADER_BYTES, PACK_HEADER_BYTES + BLOCK_SIZE);
  bed.putBytes(4, bytes);
  expect(await corruptReads(bed, 4, twins)).toBe(1);
});

/** A pack whose directory says what we like, with checksums that all match. */
function forged(frames: Partial<FrameEntry>[], slots = 4, fingerprintsOffset?: number): Uint8Array {
  const identity = { vaultId: VAULT_ID, pack: 8, generation: 0 };
  const body = new Uint8Array(PACK_HEADER_BYTES + 4 * BLOCK_SIZE);
  encodeHeader(identity, body);
  body.set(Buffer.concat(blocks.slice(0, 4)), PACK_HEADER_BYTES);
  const entries = frames.map((frame, i): FrameEntry => {
    const entry = {
      firstSlot: 0,
      slotCount: 4,
      offset: 64,
      storedBytes: 4 * BLOCK_SIZE,
      flags: 0,
      checksum: 0n,
      ...frame,
    };
    const stored = body.subarray(entry.offset, entry.offset + entry.storedBytes);
    return { ...entry, checksum: frameChecksum(stored, packSeed(identity), i) };
  });
  const directory = encodeDirectory(identity, new BigUint64Array(slots), entries, fingerprintsOffset ?? body.length);
  return new Uint8Array(Buffer.concat([body, directory]));
}

test("packSeed() and frameChecksum() differ by everything that the bytes belong to", () => {
  const identity = { vaultId: VAULT_ID, pack: 4, generation: 1 };
  const seed = packSeed(identity);
  const others = [{ vaultId: VAULT_ID.map((byte) => byte ^ 1) }, { pack: 5 }, { generation: 2 }];
  for (const other of others) expect(packSeed({ ...identity, ...other })).not.toBe(seed);
  expect(frameChecksum(VAULT_ID, seed, 0)).not.toBe(frameChecksum(VAULT_ID, seed, 1));
});

test("FrameTable refuses hostile directories whose checksums match", async () => {
  const half = { slotCount: 2, storedBytes: 2 * BLOCK_SIZE };
  const second = { ...half, firstSlot: 2, offset: 64 + 2 * BLOCK_SIZE };
  const bed = new PackBed();
  bed.putBytes(8, forged([half, second]));
  expect(await corruptReads(bed, 8, blocks.slice(0, 4))).toBe(0);
  const hostile: Record<string, Uint8Array> = {
    "overlapping bytes": forged([half, { ...second, offset: 64 }]),
    "overlapping slots": forged([half, { ...second, firstSlot: 1 }]),
    "a gap in the slots": forged([half, { ...second, firstSlot: 3, slotCount: 1, storedBytes: BLOCK_SIZE }]),
    "past the end": forged([half, { ...second, storedBytes: 2 ** 31 }]),
    "offset past the end": forged([half, { ...second, offset: 2 ** 32 - 4096 }]),
    "an empty frame": forged([{ ...half, slotCount: 0, storedBytes: 0 }, second]),
    "a huge frame": forged([{ slotCount: 65_535, flags: FRAME_ZSTD }]),
    "more slots than the frames have": forged([half, second], 9),
    "too many slots for a pack": forged([half, second], SLOTS_PER_PACK + 1),
    "unknown flags": forged([half, { ...second, flags: 8 }]),
    "a raw frame of the wrong size": forged([half, { ...second, storedBytes: 2 * BLOCK_SIZE - 1 }]),
    "a compressed frame that is no smaller": forged([half, { ...second, flags: FRAME_ZSTD }]),
    "noise as a compressed frame": forged(
      [half, { ...second, storedBytes: 5000, flags: FRAME_ZSTD }],
      4,
      64 + 2 * BLOCK_SIZE + 5000,
    ),
    "a directory within the header": forged([half, second], 4, 8),
    "no frames": forged([]),
  };
  for (const [name, bytes] of Object.entries(hostile)) {
    bed.putBytes(8, bytes);
    bed.disk.reads.length = 0;
    expect({ name, corrupt: await corruptReads(bed, 8, blocks.slice(0, 4)) }).toEqual({ name, corrupt: 4 });
    expect({ name, longest: Math.max(...bed.disk.reads.map((read) => read.length)) <= bytes.length }).toEqual({
      name,
      longest: true,
    });
    expect({ name, damages: (await bed.store().verify(8)).length > 0 }).toEqual({ name, damages: true });
  }
});

test("verify() names the slots whose blocks do not match their fingerprints, though every checksum matches", async () => {
  const bed = new PackBed();
  const fingerprints = blocks.map(fingerprint);
  fingerprints[20] = 1n;
  bed.put({ pack: 2, blocks, fingerprints });
  expect(await bed.store().verify(2)).toMatchObject([{ pack: 2, frame: 5, slots: [20] }]);
  expect(await bed.store().verify(3)).toMatchObject([{ pack: 3, frame: -1 }]);
});

test("packPath() spreads packs over directories of 4,096", () => {
  expect(packPath(1, 0)).toBe("packs/00000/00000001-0.pack");
  expect(packPath(2 ** 32 - 1, 17)).toBe("packs/fffff/ffffffff-17.pack");
});
