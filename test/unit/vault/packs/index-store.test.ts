import { describe, expect, test } from "bun:test";
import { FingerprintIndex } from "../../../../src/vault/packs/fingerprint-index.ts";
import { IndexStore } from "../../../../src/vault/packs/index-store.ts";
import type { PackRecord } from "../../../../src/vault/manifest.ts";
import { blockAddress } from "../../../../src/vault/map.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { VAULT_DIR } from "../../../support/vault-bed.ts";
import { inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;
const SEED = 77n;
const vaultId = new Uint8Array(16).fill(3);

const record = (pack: number, generation = 0): PackRecord => ({
  pack,
  generation,
  sizeBytes: 1,
  slots: 1000,
  checksum: "0",
});
const printsOf = (pack: number): BigUint64Array => new BigUint64Array(seededRandom(pack).bytes(8000).buffer);
const covers = (packs: readonly PackRecord[]): Map<number, number> =>
  new Map(packs.map(({ pack, generation }) => [pack, generation]));

/** Stores an index of `count` packs, lets `harm` have it, and loads it into another one. */
function storeAndLoad(
  options: { count: number; live: PackRecord[]; budgetBytes?: number; loadBudgetBytes?: number },
  harm: (world: World) => void,
  judge: (index: FingerprintIndex, loaded: Map<number, number>) => void,
): Promise<void> {
  return inWorld(1, async (world) => {
    await world.disk.mkdir("/data");
    const { budgetBytes = MIB, loadBudgetBytes = budgetBytes } = options;
    const before = new FingerprintIndex({ budgetBytes });
    const packs = Array.from({ length: options.count }, (_, i) => record(i + 1));
    for (const { pack } of packs) before.insertPack(pack, printsOf(pack));
    const store = new IndexStore({ disk: world.disk, dir: "/data", vaultId, seed: SEED });
    await store.save(before, covers(packs));
    harm(world);
    const after = new FingerprintIndex({ budgetBytes: loadBudgetBytes });
    judge(after, await store.load(after, options.live));
  });
}

/** How many slots of a pack the index finds. */
function foundOf(index: FingerprintIndex, pack: number): number {
  return printsOf(pack).reduce(
    (sum, print, slot) => (index.lookup(print) === blockAddress(pack, slot) ? sum + 1 : sum),
    0,
  );
}

describe("IndexStore", () => {
  test("gives back what was stored", () =>
    storeAndLoad(
      { count: 3, live: [record(1), record(2), record(3)] },
      () => undefined,
      (index, loaded) => {
        expect(loaded).toEqual(covers([record(1), record(2), record(3)]));
        expect([1, 2, 3].map((pack) => foundOf(index, pack))).toEqual([1000, 1000, 1000]);
        expect(index.count).toBe(3000);
        index.insertPack(4, printsOf(4));
        expect(foundOf(index, 4)).toBe(1000);
      },
    ));

  test("drops packs that are gone or were written anew, and keeps finding the others", () =>
    storeAndLoad(
      { count: 4, live: [record(1), record(3, 1), record(4), record(5)] },
      () => undefined,
      (index, loaded) => {
        expect(loaded).toEqual(covers([record(1), record(4)]));
        expect([1, 2, 3, 4].map((pack) => foundOf(index, pack))).toEqual([1000, 0, 0, 1000]);
        expect(index.count).toBe(2000);
      },
    ));

  test("fits a smaller budget than before by sampling", () =>
    storeAndLoad(
      { count: 20, live: Array.from({ length: 20 }, (_, i) => record(i + 1)), loadBudgetBytes: 64 * 1024 },
      () => undefined,
      (index, loaded) => {
        expect(loaded.size).toBe(20);
        expect(index.samplingBits).toBeGreaterThan(0);
        expect(index.bytes).toBeLessThanOrEqual(64 * 1024);
        expect(foundOf(index, 7)).toBeGreaterThan(0);
      },
    ));

  test("loads nothing where there is none, or where any 64th byte of it is damaged", async () => {
    await inWorld(1, async (world) => {
      await world.disk.mkdir("/data");
      const before = new FingerprintIndex({ budgetBytes: 64 * 1024 });
      before.insertPack(1, printsOf(1));
      const store = new IndexStore({ disk: world.disk, dir: "/data", vaultId, seed: SEED });
      const load = async (): Promise<number> => {
        const index = new FingerprintIndex({ budgetBytes: 64 * 1024 });
        const { size } = await store.load(index, [record(1)]);
        expect(index.count).toBe(size === 0 ? 0 : 1000);
        return size;
      };
      expect(await load()).toBe(0);
      await store.save(before, covers([record(1)]));
      expect(await load()).toBe(1);
      const length = world.disk.peek("/data/index")!.length;
      for (let at = 0; at < length; at += 64) {
        world.disk.flipBit("/data/index", at, at % 8);
        expect(await load()).toBe(0);
        world.disk.flipBit("/data/index", at, at % 8);
      }
      expect(await load()).toBe(1);
    });
  });

  test("loads nothing of another vault", () =>
    inWorld(1, async ({ disk }) => {
      await disk.mkdir("/data");
      const index = new FingerprintIndex({ budgetBytes: MIB });
      index.insertPack(1, printsOf(1));
      await new IndexStore({ disk, dir: "/data", vaultId, seed: SEED }).save(index, covers([record(1)]));
      const other = new IndexStore({ disk, dir: "/data", vaultId: new Uint8Array(16), seed: SEED });
      expect((await other.load(new FingerprintIndex({ budgetBytes: MIB }), [record(1)])).size).toBe(0);
    }));
});

describe("a vault's fingerprint index", () => {
  /** Seals six stretches, stops, lets `harm` have the disk, opens again and writes the same blocks elsewhere. `reads`: of packs, before that. */
  const secondTime = (harm: (world: World) => void): Promise<{ stored: number; duplicates: number; reads: number }> =>
    inWorld(5, async (world) => {
      const first = await world.open();
      await first.volumes.create("a", 16 * MIB);
      let device = await first.volumes.openLive("a");
      for (let round = 0; round < 6; round++) {
        await device.write(round * 32 * BLOCK_SIZE, noise(round, 32), false);
        await first.vault.seal();
      }
      await device.close();
      await first.vault.stop();
      harm(world);
      const from = world.sim.clock.monotonic();
      let stored = 0;
      let duplicates = 0;
      const second = await world.open({
        onSealed: (progress) => {
          stored += progress.blocks - progress.duplicateBlocks;
          duplicates += progress.duplicateBlocks;
        },
      });
      // A request that waits its turn behind the loading.
      await second.vault.sealing.runner.run({ kind: "packs", packs: [], index: false, quarantine: [] });
      device = await second.volumes.openLive("a");
      const reads = world.disk
        .log()
        .filter(
          ({ operation, path, atMicros }) => operation === "read" && path.endsWith(".pack") && atMicros >= from,
        ).length;
      for (let round = 0; round < 6; round++) {
        await device.write((1000 + round * 32) * BLOCK_SIZE, noise(round, 32), false);
      }
      await second.vault.seal();
      await device.close();
      return { stored, duplicates, reads };
    });

  test("survives a clean stop, and no pack is read for it", async () => {
    expect(await secondTime(({ disk }) => expect(disk.peek(`${VAULT_DIR}/index`)).toBeDefined())).toEqual({
      stored: 0,
      duplicates: 192,
      reads: 0,
    });
  });

  test("is rebuilt from the packs when it is damaged", async () => {
    const { stored, duplicates, reads } = await secondTime(({ disk }) => disk.flipBit(`${VAULT_DIR}/index`, 20));
    expect({ stored, duplicates }).toEqual({ stored: 0, duplicates: 192 });
    expect(reads).toBeGreaterThanOrEqual(6);
  });
});
