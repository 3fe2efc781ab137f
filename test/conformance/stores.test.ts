/** The contract of tiers/store.ts on stores over directories: of the machine's disk, of the simulated one, and in a process of their own. */
import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom, systemRandom } from "../../src/base/random.ts";
import { RealDisk } from "../../src/base/real-disk.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { DirectoryStore } from "../../src/tiers/directory/directory-store.ts";
import { ShareStore } from "../../src/tiers/share/share-store.ts";
import { storeSuite } from "../support/store-suite.ts";

const scratch = mkdtempSync(join(tmpdir(), "sternway-stores-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const emptied = async (body: (dir: string) => Promise<void>): Promise<void> => {
  const dir = mkdtempSync(join(scratch, "place-"));
  await body(dir);
  rmSync(dir, { recursive: true });
};

storeSuite("DirectoryStore on RealDisk", {
  on: (body) =>
    emptied(async (dir) => {
      const disk = new RealDisk();
      await body({ open: () => new DirectoryStore({ disk, dir, clock: systemClock, random: systemRandom }) });
      expect(disk.descriptorCount).toBe(0);
    }),
});

storeSuite("DirectoryStore on SimulatedDisk", {
  async on(body) {
    const simulation = new Simulation(7);
    const disk = new SimulatedDisk(simulation);
    await simulation.run(async () => {
      await disk.mkdir("/mnt/place");
      const random = seededRandom(8);
      await body({ open: () => new DirectoryStore({ disk, dir: "/mnt/place", clock: simulation.clock, random }) });
    });
    expect(disk.openFileCount).toBe(0);
  },
});

storeSuite("ShareStore", {
  on: (body) => emptied((dir) => body({ open: () => new ShareStore({ dir, clock: systemClock }) })),
});
