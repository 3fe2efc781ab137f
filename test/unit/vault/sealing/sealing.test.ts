import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { loadNewestManifest } from "../../../../src/vault/manifest.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { chroniclePath, layerPath } from "../../../../src/vault/paths.ts";
import type { SealProgress } from "../../../../src/vault/sealing/sealing.ts";
import type { SternwayError } from "../../../../src/base/errors.ts";
import type { WritableDevice } from "../../../../src/base/device.ts";
import { VAULT_DIR } from "../../../support/vault-bed.ts";
import { blockOf, inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;

/** A vault with a volume `a` of 16 MiB, attached. */
function story(
  seed: number,
  tell: (
    story: World & {
      bed: Awaited<ReturnType<World["open"]>>;
      device: WritableDevice;
      sealed: SealProgress[];
      troubles: (SternwayError | undefined)[];
    },
  ) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const sealed: SealProgress[] = [];
    const troubles: (SternwayError | undefined)[] = [];
    const bed = await world.open({
      journalFilesMax: 8,
      onSealed: (progress) => sealed.push(progress),
      onTrouble: (error) => troubles.push(error),
    });
    await bed.volumes.create("a", 16 * MIB);
    const device = await bed.volumes.openLive("a");
    await tell({ ...world, bed, device, sealed, troubles });
    await device.close();
  });
}

const sum = (sealed: readonly SealProgress[], pick: (progress: SealProgress) => number): number =>
  sealed.reduce((total, progress) => total + pick(progress), 0);

describe("Sealer", () => {
  test("stores equal blocks once, within a stretch and across stretches", () =>
    story(1, async ({ bed, device, sealed }) => {
      for (let block = 0; block < 40; block++) await device.write(block * BLOCK_SIZE, blockOf(1 + (block % 10)), false);
      await bed.vault.seal();
      expect(sum(sealed, (progress) => progress.blocks)).toBe(40);
      expect(sum(sealed, (progress) => progress.duplicateBlocks)).toBe(30);
      for (let block = 100; block < 110; block++) await device.write(block * BLOCK_SIZE, blockOf(block - 99), false);
      await bed.vault.seal();
      expect(sum(sealed, (progress) => progress.duplicateBlocks)).toBe(40);
      expect(bed.vault.sealing.manifest.packs).toHaveLength(1);
      expect(await device.read(105 * BLOCK_SIZE, BLOCK_SIZE)).toEqual(blockOf(6));
    }));

  test("finds duplicates of what was stored before a restart", () =>
    inWorld(2, async ({ open }) => {
      const first = await open();
      await first.volumes.create("a", MIB);
      const data = noise(2, 16);
      let device = await first.volumes.openLive("a");
      await device.write(0, data, false);
      await device.close();
      await first.vault.seal();
      await first.vault.stop();
      const sealed: SealProgress[] = [];
      const second = await open({ onSealed: (progress) => sealed.push(progress) });
      device = await second.volumes.openLive("a");
      await device.write(64 * BLOCK_SIZE, data, false);
      await second.vault.seal();
      expect(sum(sealed, (progress) => progress.duplicateBlocks)).toBe(16);
      expect(await device.read(64 * BLOCK_SIZE, data.length)).toEqual(data);
      await device.close();
    }));

  test("gives zeroes no slot, and stores what does not compress at about its size", () =>
    story(3, async ({ bed, device, sealed }) => {
      await device.write(0, new Uint8Array(10 * BLOCK_SIZE), false);
      const data = noise(3, 32);
      await device.write(MIB, data, false);
      await bed.vault.seal();
      expect(sum(sealed, (progress) => progress.zeroBlocks)).toBe(10);
      const stored = sum(sealed, (progress) => progress.storedBytes);
      expect(stored).toBeGreaterThan(32 * BLOCK_SIZE);
      expect(stored).toBeLessThan(34 * BLOCK_SIZE);
      expect(await device.read(MIB, data.length)).toEqual(data);
    }));

  test("stores without looking for duplicates while the journal is nearly full, and reads back all the same", () =>
    story(4, async ({ bed, device, sealed, disk, sim }) => {
      // Sealing stands still until the journal is nearly full; then it goes on with less effort.
      const fault = disk.inject({ effect: "EIO", operations: ["create"], path: /\.pack\.tmp$/, times: Infinity });
      const data = noise(4, 64);
      expect(bed.vault.parts.pressure.effort).toBe("full");
      for (let i = 0; bed.vault.journal.fill < 0.87; i++) {
        await device.write((i % 40) * 64 * BLOCK_SIZE, data, false);
        await device.flush();
      }
      fault.heal();
      await bed.vault.seal();
      while (bed.vault.sealing.backlog > 0 || bed.vault.sealing.lastTrouble) await sim.clock.sleep(100);
      // The same 64 blocks over and over: the second stretch stored them once more, the last one did not have to.
      expect(sealed[1]!.blocks - sealed[1]!.duplicateBlocks).toBe(64);
      expect(sealed.at(-1)!.blocks - sealed.at(-1)!.duplicateBlocks).toBe(0);
      expect(await device.read(0, data.length)).toEqual(data);
    }));
});

describe("Sealing", () => {
  test("after each step the newest manifest names files that are there, whole (law 5)", () =>
    story(10, async ({ bed, device, disk }) => {
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < 8; i++)
          await device.write(((round * 7 + i * 3) % 200) * BLOCK_SIZE, noise(round * 10 + i, 1), false);
        await device.flush();
        bed.vault.journal.rotate();
        await bed.vault.sealing.idle();
        const loaded = await loadNewestManifest(disk, `${VAULT_DIR}/manifest`, bed.vault.sealing.manifest.vault);
        const { packs, layers, chronicles } = loaded!.manifest;
        for (const [path, size] of [
          ...packs.map((pack) => [packPath(pack.pack, pack.generation), pack.sizeBytes] as const),
          ...layers.map((layer) => [layerPath(layer.id), layer.sizeBytes] as const),
          ...chronicles.map((chronicle) => [chroniclePath(chronicle.id), chronicle.sizeBytes] as const),
        ]) {
          expect([path, await disk.sizeOf(`${VAULT_DIR}/${path}`)]).toEqual([path, size]);
        }
      }
    }));

  test("merges layers and chronicles so that few remain, and deletes what they replace", () =>
    story(11, async ({ bed, device, disk }) => {
      for (let round = 0; round < 70; round++) {
        await device.write((round % 50) * BLOCK_SIZE, blockOf(round), false);
        await bed.vault.seal();
      }
      const { layers, chronicles } = bed.vault.sealing.manifest;
      expect(layers.length).toBeLessThan(15);
      expect(chronicles.length).toBeLessThan(15);
      await disk.space("/");
      while (disk.paths().filter((path) => path.endsWith(".layer")).length > layers.length) await disk.space("/");
      while (disk.paths().filter((path) => path.endsWith(".chronicle")).length > chronicles.length)
        await disk.space("/");
      for (let block = 20; block < 50; block++)
        expect(await device.read(block * BLOCK_SIZE, BLOCK_SIZE)).toEqual(blockOf(block));
    }));

  test("recycles journal files, and holds one back while a reader still needs it", () =>
    story(12, async ({ bed, device }) => {
      const { vault } = bed;
      await device.write(0, blockOf(1), false);
      await device.flush();
      const held = vault.journal.held().at(-1)!.fileSequence;
      const version = vault.sealing.versions.acquire();
      await vault.seal();
      expect(vault.sealing.manifest.sealed.fileSequence).toBe(held);
      expect(vault.journal.held().map((file) => file.fileSequence)).toContain(held);
      vault.sealing.versions.release(version);
      expect(vault.journal.held().map((file) => file.fileSequence)).not.toContain(held);
    }));

  test.each([
    ["a pack that cannot be written", { effect: "EIO", operations: ["write"], path: /\.pack\.tmp$/ }],
    ["a pack that cannot be synced", { effect: "EIO", operations: ["sync"], path: /\.pack\.tmp$/ }],
    ["a layer for which there is no room", { effect: "ENOSPC", operations: ["write"], path: /\.layer\.tmp$/ }],
    ["a chronicle that cannot be published", { effect: "EIO", operations: ["rename"], path: /\.chronicle$/ }],
    ["a manifest that cannot be written", { effect: "EIO", operations: ["write"], path: /manifest\/\d+\.tmp$/ }],
    ["a manifest whose folder cannot be synced", { effect: "EIO", operations: ["syncDir"], path: /manifest$/ }],
    ["a journal file that cannot be read", { effect: "EIO", operations: ["read"], path: /\.journal$/ }],
  ] as const)("tells of %s, tries again, and loses nothing", (_, fault) =>
    story(13, async ({ bed, device, disk, troubles, sim }) => {
      const data = noise(13, 16);
      await device.write(0, data, false);
      await device.flush();
      disk.inject({ ...fault, times: 3 });
      await bed.vault.seal();
      while (bed.vault.sealing.backlog > 0 || bed.vault.sealing.lastTrouble) await sim.clock.sleep(100);
      expect(troubles.length).toBeGreaterThan(0);
      expect(troubles.at(-1)).toBeUndefined();
      expect(await device.read(0, data.length)).toEqual(data);
      expect(bed.vault.sealing.manifest.sealed.lsn).toBeGreaterThan(1);
      await bed.volumes.bookmark("a", "still", { kind: "now" }, "");
    }),
  );

  test("a full disk refuses writers with ENOSPC once the journal is full, and lets them go on when space returns", () =>
    story(14, async ({ bed, device, disk, sim }) => {
      const fault = disk.inject({ effect: "ENOSPC", operations: ["create"], path: /\.pack\.tmp$/, times: Infinity });
      let refused: unknown;
      for (let i = 0; i < 400 && refused === undefined; i++) {
        const done = device.write((i % 60) * 32 * BLOCK_SIZE, noise(i, 32), false);
        refused = await Promise.resolve(done).then(
          () => undefined,
          (error: unknown) => error,
        );
        await Promise.race([device.flush().catch(() => undefined), sim.clock.sleep(1000)]);
      }
      expect(refused).toMatchObject({ kind: "unavailable", facts: { code: "ENOSPC" } });
      fault.heal();
      while (bed.vault.sealing.lastTrouble || bed.vault.sealing.backlog > 0) await sim.clock.sleep(1000);
      await device.write(0, blockOf(77), true);
      expect(await device.read(0, BLOCK_SIZE)).toEqual(blockOf(77));
    }));
});

describe("removeOrphans(), at open", () => {
  test("removes what a crash left and no manifest names, and nothing else", () =>
    inWorld(20, async (world) => {
      const { disk, open } = world;
      const first = await open();
      await first.volumes.create("a", MIB);
      const device = await first.volumes.openLive("a");
      await device.write(0, noise(20, 8), false);
      await device.close();
      await first.vault.seal();
      await first.vault.stop();
      const whole = disk.paths();
      const left = [
        "packs/00000/0000002a-0.pack",
        "packs/00000/00000001-7.pack",
        "packs/00000/00000003-0.pack.tmp",
        "layers/0000000099.layer",
        "layers/0000000099.layer.tmp",
        "chronicles/0000000099.chronicle",
        "manifest/0000000099.tmp",
      ];
      for (const name of [...left, "layers/README", "packs/00000/mine.txt"]) {
        const file = await disk.open(`${VAULT_DIR}/${name}`, "create");
        await file.write(new Uint8Array(10), 0);
        await file.close();
      }
      const reading = await open({ readOnly: true });
      expect(disk.paths()).toContain(`${VAULT_DIR}/${left[0]!}`);
      await reading.vault.stop();
      const second = await open();
      for (const name of left) expect(disk.paths()).not.toContain(`${VAULT_DIR}/${name}`);
      expect(disk.paths()).toContain(`${VAULT_DIR}/layers/README`);
      expect(disk.paths()).toContain(`${VAULT_DIR}/packs/00000/mine.txt`);
      const kept = whole.filter((path) => !path.includes("/manifest/"));
      for (const path of kept) expect(disk.paths()).toContain(path);
      await second.vault.stop();
    }));
});
