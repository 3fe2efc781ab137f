/**
 * What the seeded runs found, each as a small case of its own.
 */
import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../src/base/device.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { openVault, type VaultOptions } from "../../src/vault/open-vault.ts";
import { openBed, VAULT_DIR, type Bed } from "../support/vault-bed.ts";

const BLOCK = 4096;
const MIB = 2 ** 20;
const SMALL: Partial<VaultOptions> = { journalFileBytes: MIB / 2, journalFilesMax: 5 };

interface World extends Bed {
  sim: Simulation;
  disk: SimulatedDisk;
  device: WritableDevice;
}

/** A vault with one volume, attached. */
async function inWorld(seed: number, act: (world: World) => Promise<void>, options = SMALL): Promise<World> {
  const sim = new Simulation(seed);
  const disk = new SimulatedDisk(sim);
  let world: World | undefined;
  await sim.run(async () => {
    const bed = await openBed(sim, disk, options);
    await bed.volumes.create("v", 16 * MIB);
    world = { ...bed, sim, disk, device: await bed.volumes.openLive("v") };
    await act(world);
  });
  return world!;
}

/** The disk after a power cut, in a world of its own. */
async function afterCrash(
  world: { sim: Simulation; disk: SimulatedDisk },
  act: (sim: Simulation, disk: SimulatedDisk) => Promise<void>,
): Promise<{ sim: Simulation; disk: SimulatedDisk }> {
  const sim = world.sim.rebooted();
  const disk = world.disk.crashed(sim);
  await sim.run(() => act(sim, disk));
  return { sim, disk };
}

const block = (word: number): Uint8Array => new Uint8Array(new Uint32Array(BLOCK / 4).fill(word).buffer);

async function put(device: WritableDevice, index: number, word: number): Promise<void> {
  await device.write(index * BLOCK, block(word), false);
}

async function wordAt(device: { read: WritableDevice["read"] }, index: number): Promise<number> {
  const bytes = await device.read(index * BLOCK, BLOCK);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** Settles every promise of a step. */
const settle = async (pending: Promise<unknown>): Promise<string> =>
  pending.then(
    () => "done",
    (error: unknown) => (isSternwayError(error) ? error.kind : "defect"),
  );

describe("sealing", () => {
  test("a stretch whose layer could not be written is sealed again with all its blocks", async () => {
    await inWorld(1, async ({ vault, volumes, disk, device, sim }) => {
      for (let i = 0; i < 20; i++) await put(device, i, 100 + i);
      disk.inject({ effect: "EIO", operations: ["create"], path: /layers/ });
      await vault.seal();
      expect(vault.sealing.lastTrouble).toBeDefined();
      await sim.clock.sleep(1_000);
      // The next stretch would take the same pack number again, had the first not been named.
      for (let i = 20; i < 40; i++) await put(device, i, 200 + i);
      await vault.seal();
      for (let i = 0; i < 20; i++) expect(await wordAt(device, i)).toBe(100 + i);
      for (let i = 20; i < 40; i++) expect(await wordAt(device, i)).toBe(200 + i);
      await device.close();
      await vault.stop();
      expect(volumes.list()).toHaveLength(1);
    });
  });

  test("a manifest that may have been published is not overtaken by files of the same numbers", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const world = await inWorld(seed, async ({ vault, disk, device, sim }) => {
        for (let i = 0; i < 7; i++) {
          await put(device, i, 100 + i);
          await vault.seal();
        }
        await put(device, 7, 107);
        // The eighth stretch makes a merge due. Its manifest is renamed; whether that is durable nobody can tell.
        disk.inject({ effect: "EIO", operations: ["syncDir"], path: /manifest/, skip: 1 });
        await vault.seal();
        expect(vault.sealing.lastTrouble).toBeDefined();
        disk.inject({ effect: "EIO", operations: ["create"], path: /manifest/, times: Infinity });
        await put(device, 0, 200);
        await device.flush();
        vault.journal.rotate();
        await sim.clock.sleep(2_000);
      });
      await afterCrash(world, async (sim, disk) => {
        const { vault, volumes } = await openBed(sim, disk, SMALL);
        expect(vault.readOnlyReason).toBeUndefined();
        const device = await volumes.openLive("v");
        for (let i = 0; i < 8; i++) expect(await wordAt(device, i)).toBe(i === 0 ? 200 : 100 + i);
      });
    }
  });

  test("trouble with merging refuses no writer and does not hold up sealing", async () => {
    await inWorld(3, async ({ vault, disk, device, sim }) => {
      for (let i = 0; i < 8; i++) {
        await put(device, i, i);
        if (i === 7) disk.inject({ effect: "EIO", operations: ["open", "read"], path: /layers/, times: Infinity });
        await vault.seal();
      }
      await sim.clock.sleep(20_000);
      expect(vault.sealing.lastTrouble).toBeDefined();
      // More than the journal's files hold: it only ends if files are sealed and recycled all the while.
      for (let i = 0; i < 1_500; i++) await put(device, i, i);
      await device.flush();
      disk.healAll();
      await device.close();
      await vault.stop();
    });
  });

  test("a file that cannot be deleted refuses no writer", async () => {
    await inWorld(4, async ({ vault, disk, device }) => {
      disk.inject({ effect: "EIO", operations: ["remove"], path: /\.(layer|chronicle)$/, times: Infinity });
      for (let i = 0; i < 9; i++) {
        await put(device, i, i);
        await vault.seal();
      }
      for (let i = 0; i < 1_500; i++) await put(device, i, i);
      await device.flush();
      expect(vault.sealing.leftovers).toBeGreaterThan(0);
      await device.close();
      await vault.stop();
    });
  });

  test("trouble with sealing refuses nobody while journal files are free", async () => {
    await inWorld(5, async ({ vault, disk, device }) => {
      await put(device, 0, 1);
      disk.inject({ effect: "EIO", operations: ["create"], path: /packs/, times: Infinity });
      await vault.seal();
      expect(vault.sealing.lastTrouble).toBeDefined();
      // Larger than a group, so that writers have to wait for one.
      for (let i = 0; i < 4; i++) await device.write(0, new Uint8Array(MIB / 4).fill(7), false);
      await device.flush();
    });
  });

  test("a sealer that fails for long: writers are refused in the end, all answered bytes stay, and work goes on", async () => {
    await inWorld(6, async ({ vault, disk, device, sim }) => {
      const fault = disk.inject({ effect: "ENOSPC", operations: ["create"], path: /packs/, times: Infinity });
      const answered = new Map<number, number>();
      let refused = 0;
      for (let i = 0; i < 1_200 && refused < 5; i++) {
        const told = await settle(put(device, i, 5_000 + i));
        if (told === "done") answered.set(i, 5_000 + i);
        else {
          expect(told).toBe("unavailable");
          refused++;
        }
      }
      expect(refused).toBe(5);
      // Law 9: what waits in memory is what the journal's files hold.
      expect(vault.sealing.versions.current.memtables.length).toBeLessThanOrEqual(SMALL.journalFilesMax!);
      expect(vault.sealing.backlog).toBeLessThanOrEqual(SMALL.journalFilesMax!);
      for (const [index, word] of answered) expect(await wordAt(device, index)).toBe(word);
      fault.heal();
      await sim.clock.sleep(30_000);
      for (let i = 0; i < 1_200; i++) await put(device, i, 9_000 + i);
      await vault.seal();
      expect(vault.sealing.lastTrouble).toBeUndefined();
      for (let i = 0; i < 1_200; i += 50) expect(await wordAt(device, i)).toBe(9_000 + i);
      // Merge debt: never more than seven of a rank wait once sealing has caught up.
      const ranks = vault.sealing.manifest.layers.filter((layer) => layer.kind === "delta").map(({ rank }) => rank);
      for (const rank of new Set(ranks)) expect(ranks.filter((other) => other === rank).length).toBeLessThan(8);
      await device.close();
      await vault.stop();
    });
  });
});

describe("the journal after EIO", () => {
  test("a group that moves to a file that is already being filled keeps the order of versions", async () => {
    let moved = 0;
    for (let seed = 1; seed <= 20; seed++) {
      await inWorld(seed, async ({ vault, disk, device }) => {
        // Room for two files is made first: a second one must be at hand when the write fails.
        for (let i = 0; i < 40; i++) await put(device, i, i);
        await device.flush();
        const fault = disk.inject({ effect: "EIO", operations: ["write-through"] });
        await put(device, 0, 1_000);
        const flushed = device.flush();
        vault.journal.rotate();
        await put(device, 0, 2_000);
        expect(await wordAt(device, 0)).toBe(2_000);
        const told = await settle(flushed);
        moved += fault.hits;
        if (told === "done") expect(await wordAt(device, 0)).toBe(2_000);
      });
    }
    expect(moved).toBe(20);
  });

  test("a journal that gave up leaves no mark of a clean stop, and what is in memory can still be read", async () => {
    const world = await inWorld(7, async ({ vault, disk, device }) => {
      await put(device, 0, 1);
      await device.flush();
      disk.inject({ effect: "EIO", operations: ["write-through"], times: Infinity });
      await put(device, 1, 2);
      expect(await settle(device.flush())).toBe("unavailable");
      expect(await wordAt(device, 1)).toBe(2);
      await device.close();
      await vault.stop();
    });
    await afterCrash(world, async (sim, disk) => {
      const { vault, volumes } = await openBed(sim, disk, SMALL);
      expect(vault.readOnlyReason).toBeUndefined();
      expect(await wordAt(await volumes.openLive("v"), 0)).toBe(1);
    });
  });
});

describe("openVault()", () => {
  test("gives no LSN out twice, even when nothing of a session became durable", async () => {
    let world = await inWorld(8, async ({ device }) => {
      await put(device, 0, 1);
      await device.flush();
    });
    let highest = 0;
    for (let i = 0; i < 3; i++) {
      world = (await afterCrash(world, async (sim, disk) => {
        const { vault, volumes } = await openBed(sim, disk, SMALL);
        const device = await volumes.openLive("v");
        void device.write(0, block(2), false);
        expect(vault.lastLsn).toBeGreaterThan(highest);
        highest = vault.lastLsn;
      })) as World;
    }
  });

  test("refuses a vault.json with any bit turned over", async () => {
    const { disk } = await inWorld(9, async ({ vault, device }) => {
      await put(device, 0, 1);
      await device.flush();
      await device.close();
      await vault.stop();
    });
    const path = `${VAULT_DIR}/vault.json`;
    const size = disk.peek(path)!.length;
    for (let at = 0; at < size; at++) {
      const sim = new Simulation(at);
      const copy = disk.shutDown(sim);
      copy.flipBit(path, at, at % 8);
      const told = await sim.run(() =>
        settle(openBed(sim, copy, SMALL).then(({ vault }) => expect(vault.recoveredLsn as number).toBe(3))),
      );
      expect(["corrupt", "done"]).toContain(told);
      const journals = copy.paths().filter((name) => name.endsWith(".journal"));
      expect(journals.length).toBeGreaterThan(0);
    }
  });

  test("takes a vault that has lost its manifests for damaged, and removes nothing", async () => {
    const { disk } = await inWorld(10, async ({ vault, device }) => {
      await put(device, 0, 1);
      await vault.seal();
      await device.close();
      await vault.stop();
    });
    const sim = new Simulation(1);
    const copy = disk.shutDown(sim);
    await sim.run(async () => {
      for (const name of await copy.list(`${VAULT_DIR}/manifest`)) await copy.remove(`${VAULT_DIR}/manifest/${name}`);
      expect(await settle(openBed(sim, copy, SMALL))).toBe("corrupt");
    });
    expect(copy.paths().some((path) => path.endsWith(".pack"))).toBe(true);
  });

  test("makes no vault when it is told to open one for reading", async () => {
    const sim = new Simulation(1);
    const disk = new SimulatedDisk(sim);
    const opening = async (): Promise<string> => {
      await disk.mkdir(VAULT_DIR);
      return settle(openVault({ disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, readOnly: true }));
    };
    expect(await sim.run(opening)).toBe("not_found");
    expect(disk.paths()).toEqual([]);
  });

  test("closes what it opened when it fails", async () => {
    const { disk } = await inWorld(11, async ({ vault, device }) => {
      await put(device, 0, 1);
      await device.close();
      await vault.stop();
    });
    const sim = new Simulation(2);
    const copy = disk.shutDown(sim);
    copy.inject({ effect: "EIO", operations: ["rename"], path: /manifest/ });
    expect(await sim.run(() => settle(openBed(sim, copy, SMALL)))).toBe("unavailable");
    expect(copy.openFileCount).toBe(0);
  });
});

describe("Vault.stop()", () => {
  test("lets reads end that began before, and refuses later ones", async () => {
    await inWorld(12, async ({ vault, disk, device }) => {
      // Sealed and not yet sealed in turn: a read first asks layers, then packs and the journal.
      for (let i = 0; i < 64; i += 2) await put(device, i, i + 1);
      await vault.seal();
      for (let i = 1; i < 64; i += 2) await put(device, i, i + 1);
      await device.flush();
      const reads = Array.from({ length: 16 }, (_, i) => device.read(i * BLOCK, 4 * BLOCK));
      const stopped = vault.stop();
      for (const [i, bytes] of (await Promise.all(reads)).entries()) expect(bytes[0]).toBe(i + 1);
      await stopped;
      expect(await settle(device.read(0, BLOCK))).toBe("unavailable");
      expect(disk.openFileCount).toBe(0);
    });
  });
});

describe("History", () => {
  test("reads on while the chronicles that it reads are merged away", async () => {
    await inWorld(13, async ({ vault, volumes, device, sim }) => {
      let stop = false;
      const errors: unknown[] = [];
      const reader = async (): Promise<void> => {
        while (!stop) {
          try {
            const points = await volumes.flushPoints("v", { after: 0 as never, limit: 1_000 });
            const { buckets } = await volumes.timeline("v", { bucketCount: 5 });
            const writes = buckets.reduce((sum, bucket) => sum + bucket.writes, 0);
            if (points.length > writes) errors.push(`${points.length} flush points, ${writes} writes`);
          } catch (error) {
            errors.push(error);
          }
          await sim.clock.sleep(0.05);
        }
      };
      const readers = Array.from({ length: 6 }, reader);
      for (let i = 0; i < 40; i++) {
        await put(device, i, i);
        await device.flush();
        await vault.seal();
      }
      stop = true;
      await Promise.all(readers);
      expect(errors).toEqual([]);
      expect(await volumes.flushPoints("v", { after: 0 as never, limit: 1_000 })).toHaveLength(40);
    });
  });
});

describe("a forced change under an attached client", () => {
  test("delete: its writes, trims and flushes are refused from then on", async () => {
    await inWorld(14, async ({ volumes, device }) => {
      await put(device, 0, 1);
      await volumes.delete("v", { force: true });
      expect(() => device.write(0, block(2), false)).toThrow("was deleted");
      expect(() => device.trim(0, BLOCK, false)).toThrow("was deleted");
      expect(await settle(device.flush())).toBe("not_found");
      await device.close();
    });
  });

  test("shrink: a write that waited does not come back when the volume grows again", async () => {
    await inWorld(15, async ({ vault, volumes, device }) => {
      // The journal is busy with a burst, so that the last write has to wait for room.
      const burst = Array.from({ length: 4 }, (_, i) =>
        Promise.resolve(device.write(i * MIB, new Uint8Array(MIB).fill(9), false)),
      );
      const late = settle(Promise.resolve(device.write(15 * MIB, new Uint8Array(MIB).fill(8), false)));
      const shrunk = volumes.resize("v", 8 * MIB, { force: true });
      await Promise.all([...burst, shrunk]);
      expect(["done", "invalid"]).toContain(await late);
      await volumes.resize("v", 16 * MIB);
      const bytes = await device.read(8 * MIB, 8 * MIB);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      expect(vault.readOnlyReason).toBeUndefined();
    });
  });

  test("rollback: a part of a block that was being merged goes to the new present", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      await inWorld(seed, async ({ vault, volumes, device, sim }) => {
        await put(device, 0, 1);
        const before = vault.lastLsn;
        await put(device, 0, 2);
        // Sealed, so that merging has to wait for the disk.
        await vault.seal();
        const merging = Promise.resolve(device.write(512, new Uint8Array(512).fill(7), false));
        await sim.clock.sleep((seed % 5) / 50);
        const rolledBack = volumes.rollback("v", { kind: "lsn", lsn: before }, { force: true });
        await Promise.all([merging, rolledBack]);
        const record = vault.registry.find("v")!;
        const { fromLsn } = record.strands.at(-1)!;
        const bytes = await device.read(0, BLOCK);
        expect(bytes[0]).toBe(1);
        // Either it came before the rollback, or it is part of the present.
        expect(bytes[512]).toBe(vault.lastLsn > fromLsn ? 7 : 1);
      });
    }
  });

  test("resize: one that fails leaves the volume as it was", async () => {
    await inWorld(16, async ({ volumes, disk, device }) => {
      await put(device, 0, 1);
      await device.flush();
      disk.inject({ effect: "EIO", operations: ["write-through"], times: Infinity });
      expect(await settle(volumes.resize("v", MIB, { force: true }))).toBe("unavailable");
      expect(device.sizeBytes).toBe(volumes.get("v").sizeBytes);
    });
  });
});
