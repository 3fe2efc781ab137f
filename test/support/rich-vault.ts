/**
 * A small vault that has everything in it that a vault can hold: several packs, deltas of two ranks, an image, chronicles, marks of every kind, a branch,
 * a rollback, a deleted volume, freed slots, and a tail of the journal that is not sealed. The same bytes each time, for tests that go through all
 * of them, and for the fixtures of formats.
 */
import { seededRandom } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { asLsn, VaultModel } from "./model.ts";
import { openBed } from "./vault-bed.ts";

const BLOCK = 4096;
/** As small as files may be: what is empty in them is not worth looking through. */
export const RICH_OPTIONS = {
  journalFileBytes: 256 * 1024,
  journalFilesMax: 4,
  groupPages: 12,
  groupEagerPages: 4,
  imageEntriesMin: 12,
} satisfies Partial<VaultOptions>;

export interface RichVault {
  disk: SimulatedDisk;
  model: VaultModel;
}

/** Makes it and pulls the plug. @param options - `encrypt` among them */
export async function richVault(options: Partial<VaultOptions> = {}): Promise<RichVault> {
  const sim = new Simulation(20);
  const disk = new SimulatedDisk(sim);
  const model = new VaultModel();
  await sim.run(() => life(sim, disk, model, { ...RICH_OPTIONS, ...options }), { stepsMax: 1_000_000 });
  return { disk, model };
}

async function life(
  sim: Simulation,
  disk: SimulatedDisk,
  model: VaultModel,
  options: Partial<VaultOptions>,
): Promise<void> {
  const { vault, volumes } = await openBed(sim, disk, options);
  model.attach(vault);
  const random = seededRandom(20);
  await volumes.create("data", 24 * BLOCK);
  await volumes.create("spare", 8 * BLOCK);
  await volumes.create("gone", 8 * BLOCK);
  /** Text that compresses well, with a few bytes of its own. */
  const text = (blocks: number): Uint8Array => {
    const bytes = new Uint8Array(blocks * BLOCK).fill(0x20 + random.below(64));
    for (let i = 0; i < blocks; i++) bytes.set(random.bytes(24), i * BLOCK + random.below(4000));
    return bytes;
  };
  const write = async (name: string, firstBlock: number, bytes: Uint8Array): Promise<void> => {
    const device = await volumes.openLive(name);
    await device.write(firstBlock * BLOCK, bytes, true);
    await device.close();
  };
  for (let round = 0; round < 9; round++) {
    await write("data", random.below(20), text(3));
    await write(round % 2 === 0 || round > 6 ? "spare" : "gone", random.below(6), text(2));
    if (round === 1) await volumes.bookmark("data", "before", { kind: "now" }, "a note");
    if (round === 2) await write("data", 22, random.bytes(BLOCK));
    if (round === 3) {
      const device = await volumes.openLive("data");
      await device.trim(4 * BLOCK, 6 * BLOCK, false);
      await device.write(512, new Uint8Array(1024).fill(7), false);
      await device.flush();
      await device.close();
    }
    if (round === 4) await volumes.rollback("data", { kind: "bookmark", name: "before" });
    if (round === 5) await volumes.branch("data", { kind: "lsn", lsn: asLsn(10) }, "branch");
    if (round === 6) await volumes.delete("gone");
    await vault.seal();
    await vault.sealing.idle();
  }
  const horizonLsn = vault.lastLsn - 4;
  const { id } = vault.registry.find("spare")!;
  await vault.mark(() => ({ kind: "thinned", volume: id, horizonLsn, points: [], time: sim.clock.wall() }));
  await vault.seal();
  await vault.sealing.idle();
  await vault.collect();
  await write("data", 1, text(4));
  await write("branch", 3, text(1));
  model.covered(vault.lastLsn);
  // Not sealed, and not stopped.
}
