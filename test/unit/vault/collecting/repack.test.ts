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
import { MemoryDisk } from "../../../support/memory-disk.ts";
import { blockOf, noise } from "../../../support/world.ts";

const VAULT_ID = new Uint8Array(16).fill(3);
const SEED = 99n;
const DIR = "vault";

/** A disk with pack 1 of so many blocks, and a store that reads whichever generation counts. */
async function bed(blocks: Uint8Array[]): Promise<{ disk: MemoryDisk; store: PackStore; records: PackRecord[] }> {
  const disk = new MemoryDisk();
  const builder = new PackBuilder({ vaultId: VAULT_ID, pack: 1, generation: 0, compress: true });
  for (const block of blocks) builder.add(block, xxh64(block, SEED));
  await publish(disk, `${DIR}/${packPath(1, 0)}`, builder.finish());
  const { sizeBytes } = builder;
  const records: PackRecord[] = [{ pack: 1, generation: 0, sizeBytes, slots: blocks.length, checksum: "" }];
  const store = new PackStore({ disk, dir: DIR, vaultId: VAULT_ID, seed: SEED, locate: () => records.at(-1) });
  return { disk, store, records };
}

const next = (generation: number): PackBuilder =>
  new PackBuilder({ vaultId: VAULT_ID, pack: 1, generation, compress: true });

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
