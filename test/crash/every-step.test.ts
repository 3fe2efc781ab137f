/**
 * One short life, cut at every single step: creation, writes, flushes, a rollback, seals, a merge of eight layers.
 */
import { describe, expect, test } from "bun:test";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import type { DirectoryOrder } from "../../src/base/simulated-tree.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import { asLsn, strandOf, VaultModel } from "../support/model.ts";
import { openBed } from "../support/vault-bed.ts";
import { same } from "../support/workload.ts";

const BLOCK = 4096;
const OPTIONS = { journalFileBytes: 256 * 1024, journalFilesMax: 4, groupPages: 16, groupEagerPages: 4 };

/** The same each time: some thirty operations, nine seals, a merge. */
async function life(sim: Simulation, disk: SimulatedDisk, model: VaultModel): Promise<void> {
  const { vault, volumes } = await openBed(sim, disk, OPTIONS);
  model.attach(vault);
  const flush = async (act: () => Promise<unknown>): Promise<void> => {
    const floor = vault.lastLsn;
    await act();
    model.covered(floor);
  };
  await flush(() => volumes.create("v", 64 * BLOCK));
  let device = await volumes.openLive("v");
  for (let round = 0; round < 9; round++) {
    await device.write(round * BLOCK, new Uint8Array(2 * BLOCK).fill(round + 1), false);
    await device.write(512, new Uint8Array(1024).fill(100 + round), false);
    await flush(() => device.flush());
    if (round === 3) await device.trim(0, 8 * BLOCK, false);
    if (round === 5) {
      await device.close();
      await volumes.rollback("v", { kind: "lsn", lsn: asLsn(6) });
      device = await volumes.openLive("v");
    }
    await vault.seal();
  }
  await flush(async () => device.write(40 * BLOCK, new Uint8Array(BLOCK).fill(77), true));
  await device.close();
  await vault.stop();
}

async function recoversAt(crashed: SimulatedDisk, sim: Simulation, model: VaultModel): Promise<void> {
  const { vault } = await openBed(sim, crashed, OPTIONS);
  const at = vault.recoveredLsn;
  expect(vault.readOnlyReason).toBeUndefined();
  expect(at).toBeGreaterThanOrEqual(model.durableLsn);
  const known = model.prefix(at);
  for (const lsn of new Set([at, ...known.events.map((event) => event.lsn)])) {
    for (const volume of known.volumesAt(lsn)) {
      const bytes = new Uint8Array(64 * BLOCK);
      const strand = strandOf(volume, lsn)!;
      await vault.read(strand, asLsn(lsn), 0, bytes);
      for (let i = 0; i < 64; i++) {
        same(
          bytes.subarray(i * BLOCK, (i + 1) * BLOCK),
          known.block(strand, lsn, i),
          `recovered at ${at}, block ${i} at LSN ${lsn}`,
        );
      }
    }
  }
  for await (const step of checkVault(vault))
    if (step.line === "finding") throw new Error(`${step.subject}: ${step.message}`);
  await vault.stop();
}

describe("laws 1, 2 and 5", () => {
  test.each<DirectoryOrder>(["prefix", "any-order"])(
    "hold after a crash at every step (%s)",
    async (directoryOrder) => {
      const sim = new Simulation(1);
      const disk = new SimulatedDisk(sim, { directoryOrder });
      const model = new VaultModel();
      let cuts = 0;
      await sim.run(() => life(sim, disk, model), {
        afterStep: async (step) => {
          const world = new Simulation(step);
          const crashed = disk.crashed(world);
          cuts++;
          try {
            await world.run(() => recoversAt(crashed, world, model), { stepsMax: 200_000 });
          } catch (error) {
            throw new Error(`crash at step ${step}: ${String(error)}`, { cause: error });
          }
        },
      });
      expect(cuts).toBeGreaterThan(300);
    },
    300_000,
  );
});
