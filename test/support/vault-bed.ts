/**
 * A vault in a simulated world: small files, so that a few hundred writes go through every stage.
 */
import type { Simulation } from "../../src/base/simulation.ts";
import type { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { openVault, type VaultOptions } from "../../src/vault/open-vault.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { openVolumes } from "../../src/volume/volume-set.ts";
import type { Volumes } from "../../src/volume/volumes.ts";

export const VAULT_DIR = "/data/vault";

export interface Bed {
  vault: Vault;
  volumes: Volumes;
}

/** Opens the vault on a simulated disk. */
export async function openBed(sim: Simulation, disk: SimulatedDisk, options: Partial<VaultOptions> = {}): Promise<Bed> {
  const vault = await openVault({
    disk,
    clock: sim.clock,
    random: sim.random,
    dir: VAULT_DIR,
    journalFileBytes: 1024 * 1024,
    journalFilesMax: 4,
    groupPages: 32,
    groupEagerPages: 8,
    indexBudgetBytes: 2 ** 20,
    reserveBytes: 0,
    // So few that merges of these small vaults go in slices.
    sliceEntries: 256,
    ...options,
  });
  return { vault, volumes: await openVolumes(vault, sim.clock, "default") };
}

/** Options that make a vault encrypted, and open it again. */
export const encryptedBed = {
  encrypt: { kind: "key-file", bytes: new Uint8Array(32).fill(0x42) },
} satisfies Partial<VaultOptions>;
