import { describe, expect, test } from "bun:test";
import { xxh64 } from "../../../../src/base/hash.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import type { PackRecord } from "../../../../src/vault/manifest.ts";
import { blockAddress, SLOTS_PER_PACK } from "../../../../src/vault/map.ts";
import { PackBuilder } from "../../../../src/vault/packs/pack-builder.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { PackStore } from "../../../../src/vault/packs/pack-reader.ts";
import { publish } from "../../../../src/base/disk.ts";
import { repack } from "../../../../src/vault/collecting/repack.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { VaultCipher } from "../../../../src/security/cipher.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";
import { blockOf, noise } from "../../../support/world.ts";

const VAULT_ID = new Uint8Array(16).fill(3);
const SEED = 99n;
const DIR = "vault";

/** A block that compresses to about half. */
function textOf(i: number): Uint8Array {
  const block = noise(i, 1).map((byte) => 97 + (byte & 15));
  return new Uint8Array(block);
}

/** A disk with pack 1 of so many blocks, and a store that reads whichever generation counts. */
async function bed(
  blocks: Uint8Array[],
  cipher?: VaultCipher,
): Promise<{ disk: MemoryDisk; store: PackStore; records: PackRecord[] }> {
  const disk = new MemoryDisk();
  const builder = new PackBuilder({ vaultId: VAULT_ID, cipher, pack: 1, generation: 0, compress: true });
  for (const block of blocks) builder.add(block, xxh64(block, SEED));
  await publish(disk, `${DIR}/${packPath(1, 0)}`, builder.finish());
  const { sizeBytes } = builder;
  const records: PackRecord[] = [{ pack: 1, generation: 0, sizeBytes, slots: blocks.length, checksum: "" }];
  const store = new PackStore({ disk, dir: DIR, vaultId: VAULT_ID, seed: SEED, cipher, locate: () => records.at(-1) });
  return { disk, store, records };
}

const next = (generation: number, cipher?: VaultCipher): PackBuilder =>
  new PackBuilder({ vaultId: VAULT_ID, cipher, pack: 1, generation, compress: true });

/** The stored bytes of the frame that holds a slot. */
async function storedFrame(store: PackStore, slot: number): Promise<Uint8Array> {
  const { frames } = await store.directory(1);
  const frame = frames.frameOf(slot);
  return await store.readStored(frames, frame, frame + 1, (stored) => stored.slice());
}

describe("repack()", () => {
  test("keeps live blocks at their slots, bit for bit, and refuses freed ones, again and again", async () => {
    const blocks = Array.from({ length: 700 }, (_, i) => (i % 3 === 0 ? blockOf(i + 1) : noise(i, 1)));
    const { disk, store, records } = await bed(blocks);
    for (const [generation, isLive] of [
      [1, (slot: number) => slot % 7 < 4],
      [2, (slot: number) => slot % 7 < 4 && slot > 300],
    ] as const) {
      const record = records.at(-1)!;
      const result = await repack({ disk, packs: store, seed: SEED, record, isLive, builder: next(generation) });
      if (result.kind !== "repacked") throw new Error(result.why);
      records.push(result.record);
      await store.forget(1);
      expect(result.record.freed).toBe(blocks.filter((_, slot) => !isLive(slot)).length);
      expect(result.record.sizeBytes).toBeLessThan(record.sizeBytes);
      expect(await store.verify(1)).toEqual([]);
      for (const [slot, block] of blocks.entries()) {
        const bytes: Uint8Array = new Uint8Array(BLOCK_SIZE);
        const read: Promise<string> = store.read(blockAddress(1, slot), bytes).then(
          () => "read",
          () => "refused",
        );
        const expected: string = isLive(slot) ? "read" : "refused";
        expect(`${slot} ${await read}`).toBe(`${slot} ${expected}`);
        if (isLive(slot)) expect(bytes).toEqual(block);
      }
    }
    await store.close();
  });

  test("publishes nothing when a live block is damaged or was freed", async () => {
    const { disk, store, records } = await bed(Array.from({ length: 64 }, (_, i) => noise(i, 1)));
    disk.files.get(`${DIR}/${packPath(1, 0)}`)![64 + 20 * BLOCK_SIZE]! ^= 1;
    const before = [...disk.files.keys()];
    const all = { disk, packs: store, seed: SEED, record: records[0]!, builder: next(1) };
    expect(await repack({ ...all, isLive: () => true })).toMatchObject({ kind: "damaged" });
    expect([...disk.files.keys()]).toEqual(before);
    // What is damaged and dead may go.
    const healthy = await repack({ ...all, builder: next(1), isLive: (slot) => slot < 16 });
    expect(healthy).toMatchObject({ kind: "repacked", liveSlots: 16 });
    await store.close();
  });
});

describe("repack() of frames of which nothing goes", () => {
  // Half of it compresses; every other run of 16 slots, so of four frames, goes.
  const blocks = Array.from({ length: 512 }, (_, i) => (i % 2 === 0 ? textOf(i) : noise(i, 1)));
  const isLive = (slot: number): boolean => (slot >>> 4) % 2 === 0;

  test("copies them as they are stored", async () => {
    const { disk, store, records } = await bed(blocks);
    const before = await storedFrame(store, 32);
    const all = { disk, packs: store, seed: SEED, record: records[0]!, isLive };
    // Stored raw if it is packed anew, so whatever is compressed afterwards was copied.
    const builder = new PackBuilder({ vaultId: VAULT_ID, pack: 1, generation: 1, compress: false });
    const result = await repack({ ...all, builder });
    if (result.kind !== "repacked") throw new Error(result.why);
    records.push(result.record);
    await store.forget(1);
    expect(await storedFrame(store, 32)).toEqual(before);
    expect(before.length).toBeLessThan(4 * BLOCK_SIZE);
    expect(await store.verify(1)).toEqual([]);
    await store.close();
  });

  test("seals them anew for the new file in an encrypted vault", async () => {
    const cipher = new VaultCipher(new Uint8Array(32).fill(5), VAULT_ID, seededRandom(1));
    const { disk, store, records } = await bed(blocks, cipher);
    const before = await storedFrame(store, 32);
    const record = records[0]!;
    const result = await repack({ disk, packs: store, seed: SEED, record, isLive, builder: next(1, cipher) });
    if (result.kind !== "repacked") throw new Error(result.why);
    records.push(result.record);
    await store.forget(1);
    const after = await storedFrame(store, 32);
    expect(after.length).toBe(before.length);
    expect(after).not.toEqual(before);
    expect(await store.verify(1)).toEqual([]);
    const bytes: Uint8Array = new Uint8Array(BLOCK_SIZE);
    for (const [slot, block] of blocks.entries()) {
      if (!isLive(slot)) continue;
      await store.read(blockAddress(1, slot), bytes);
      expect(bytes).toEqual(block);
    }
    await store.close();
  });

  test("publishes nothing when one of them does not match its checksum", async () => {
    const { disk, store, records } = await bed(blocks);
    const { frames } = await store.directory(1);
    const file = disk.files.get(`${DIR}/${packPath(1, 0)}`)!;
    file[frames.offset[frames.frameOf(32)]! + 40]! ^= 1;
    const before = [...disk.files.keys()];
    const record = records[0]!;
    const result = await repack({ disk, packs: store, seed: SEED, record, isLive, builder: next(1) });
    expect(result).toMatchObject({ kind: "damaged" });
    expect([...disk.files.keys()]).toEqual(before);
    await store.close();
  });
});

describe("repack() of a pack in which a block is lost", () => {
  test("frees other slots and keeps the lost one lost, in frames that are copied and in frames that change", async () => {
    const blocks = Array.from({ length: 64 }, (_, i) => noise(i, 1));
    const { disk, store, records } = await bed(blocks);
    const all = { disk, packs: store, seed: SEED };
    const lost = new Set([5, 21]);
    const prints = (await store.directory(1)).fingerprints;
    for (const [generation, isLive, instead] of [
      [1, () => true, (slot: number) => (lost.has(slot) ? ("lost" as const) : undefined)],
      // Slot 5's frame loses a block, slot 21's does not, twice.
      [2, (slot: number) => slot !== 6 && slot < 40, undefined],
      [3, (slot: number) => slot !== 6 && slot !== 22 && slot < 40, undefined],
    ] as const) {
      const record = records.at(-1)!;
      const result = await repack({
        ...all,
        record,
        isLive,
        builder: next(generation),
        ...(instead ? { instead } : {}),
      });
      if (result.kind !== "repacked") throw new Error(result.why);
      records.push(result.record);
      await store.forget(1);
    }
    expect(records.at(-1)!.freed).toBe(64 - 38);
    const { fingerprints } = await store.directory(1);
    const bytes: Uint8Array = new Uint8Array(BLOCK_SIZE);
    for (const slot of lost) {
      expect(fingerprints[slot]).toBe(prints[slot]!);
      expect(store.read(blockAddress(1, slot), bytes)).rejects.toMatchObject({ kind: "corrupt" });
    }
    for (const slot of [4, 7, 20, 23, 39]) {
      await store.read(blockAddress(1, slot), bytes);
      expect(bytes).toEqual(blocks[slot]!);
    }
    await store.close();
  });
});

describe("PackBuilder.addFreed()", () => {
  test("takes next to nothing, also where frames are stored raw", async () => {
    for (const compress of [true, false]) {
      const builder = new PackBuilder({ vaultId: VAULT_ID, pack: 1, generation: 1, compress });
      const block = noise(1, 1);
      for (let slot = 0; slot < SLOTS_PER_PACK; slot++) {
        if (slot === 5_000) builder.add(block, xxh64(block, SEED));
        else builder.addFreed();
      }
      builder.finish();
      // 8 bytes a fingerprint, one frame of at most 16 KiB with the block, and some 70 others of next to nothing.
      expect(builder.sizeBytes).toBeLessThan(SLOTS_PER_PACK * 8 + 16 * 1024 + 70 * 150);
    }
  });
});
