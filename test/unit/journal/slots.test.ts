import { describe, expect, test } from "bun:test";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { SlotPool, type SlotPoolOptions } from "../../../src/journal/slots.ts";

const FILE_BYTES = 64 * 1024;

interface Story {
  disk: SimulatedDisk;
  options: SlotPoolOptions;
}

async function inWorld(
  seed: number,
  story: (story: Story) => Promise<void>,
  changes: Partial<SlotPoolOptions> = {},
): Promise<void> {
  const sim = new Simulation(seed);
  const disk = new SimulatedDisk(sim);
  const options = { disk, dir: "/journal", fileBytes: FILE_BYTES, filesMax: 3, reserveBytes: 0, ...changes };
  await sim.run(async () => {
    await disk.mkdir("/journal");
    await story({ disk, options });
  });
  expect(disk.openFileCount).toBe(0);
}

/** Resolves when a slot becomes free, or a creation has ended without one. */
const freed = (pool: SlotPool): Promise<void> => new Promise((resolve) => (pool.onFree = resolve));

describe("SlotPool", () => {
  test("creates a first file in an empty folder, prewritten and durable", async () => {
    await inWorld(1, async ({ disk, options }) => {
      const pool = await SlotPool.open(options, await SlotPool.find(options));
      expect(pool.count).toBe(1);
      expect(pool.hasFree).toBe(true);
      const after = disk.crashed(new Simulation(2));
      expect(after.peek("/journal/0000.journal")).toEqual(new Uint8Array(FILE_BYTES));
      await pool.close();
    });
  });

  test("removes files of another size, which a crash left, and leaves foreign names alone", async () => {
    await inWorld(3, async ({ disk, options }) => {
      for (const [name, size] of [
        ["0000.journal", FILE_BYTES],
        ["0001.journal", 4096],
        ["notes.txt", 10],
      ] as const) {
        const file = await disk.open(`/journal/${name}`, "create");
        await file.write(new Uint8Array(size), 0);
        await file.close();
      }
      expect(await SlotPool.list(options)).toEqual(["0000.journal"]);
      expect(disk.peek("/journal/0001.journal")).toBeDefined();
      expect(await SlotPool.find(options)).toEqual(["0000.journal"]);
      expect(disk.paths()).toEqual(["/journal/0000.journal", "/journal/notes.txt"]);
    });
  });

  test("creates the next file in the background when the last is taken, up to its most", async () => {
    await inWorld(4, async ({ options }) => {
      const pool = await SlotPool.open(options, []);
      for (let i = 0; i < 3; i++) {
        const next = freed(pool);
        expect(pool.takeFree()?.name).toBe(`000${i}.journal`);
        if (i < 2) await next;
      }
      expect(pool.takeFree()).toBeUndefined();
      expect(pool.count).toBe(3);
      await pool.close();
    });
  });

  test("gives a returned file again, and tells that it is free", async () => {
    await inWorld(5, async ({ options }) => {
      const pool = await SlotPool.open({ ...options, filesMax: 1 }, []);
      const slot = pool.takeFree()!;
      expect(pool.hasFree).toBe(false);
      const next = freed(pool);
      pool.give(slot);
      await next;
      expect(pool.takeFree()).toBe(slot);
      await pool.close();
    });
  });

  test("never gives a failed file again, and replaces it beyond none but its own place", async () => {
    await inWorld(6, async ({ options }) => {
      const pool = await SlotPool.open({ ...options, filesMax: 1 }, []);
      const slot = pool.takeFree()!;
      slot.failed = true;
      pool.give(slot);
      expect(pool.hasFree).toBe(false);
      const next = freed(pool);
      pool.provide();
      await next;
      expect(pool.takeFree()?.name).toBe("0001.journal");
      await pool.close();
    });
  });

  test("leaves the reserve free, except for the first file", async () => {
    await inWorld(7, async ({ disk, options }) => {
      disk.capacityBytes = 3 * FILE_BYTES;
      const pool = await SlotPool.open({ ...options, reserveBytes: 2 * FILE_BYTES }, []);
      expect(pool.takeFree()).toBeDefined();
      await pool.close();
      expect(pool.count).toBe(1);
    });
  });

  test("keeps the reason and no leftover when a file cannot be created, and tries again", async () => {
    await inWorld(8, async ({ disk, options }) => {
      const pool = await SlotPool.open(options, []);
      disk.inject({ effect: "ENOSPC", operations: ["write"], path: "/journal/0001.journal" });
      pool.takeFree();
      // The failure wakes nobody: there is nothing to take.
      while (pool.creationError === undefined) await disk.space("/journal");
      expect(pool.creationError).toMatchObject({ kind: "unavailable", facts: { code: "ENOSPC" } });
      expect(disk.paths()).toEqual(["/journal/0000.journal"]);
      const next = freed(pool);
      pool.provide();
      await next;
      expect(pool.creationError).toBeUndefined();
      expect(pool.takeFree()?.name).toBe("0001.journal");
      await pool.close();
    });
  });

  test("close() waits for a file that is being created, and closes it too", async () => {
    await inWorld(9, async ({ options }) => {
      const pool = await SlotPool.open(options, []);
      pool.takeFree();
      await pool.close();
      expect(pool.count).toBe(2);
    });
  });
});
