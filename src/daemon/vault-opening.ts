/**
 * Opening one vault into its slot: its lock, its engine, and the rule that no two open vaults have a volume of one name. What fails
 * half-way is undone, and the slot is as it was.
 */
import { SternwayError } from "../base/errors.ts";
import { lockFile } from "../base/file-lock.ts";
import type { VaultKey } from "../contract/contract.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { EngineOptions, OpenEngine } from "./engine.ts";
import { holdsVault } from "./vault-folders.ts";
import { shareOf } from "./vault-shares.ts";
import type { VaultSlot } from "./vault-slot.ts";

export interface OpeningOptions extends Pick<
  EngineOptions,
  "disk" | "clock" | "random" | "storage" | "scrub" | "openStore" | "zone" | "log" | "metrics" | "signals" | "tell"
> {
  openEngine: OpenEngine;
}

/**
 * Opens a vault, or makes one in its folder.
 * @param all - every vault of the appliance, this one among them
 * @throws not_found: nothing is there; denied, corrupt, fenced, unavailable: why it does not open; conflict: a name that is served already
 */
export async function openSlot(
  options: OpeningOptions,
  slot: VaultSlot,
  all: readonly VaultSlot[],
  key: VaultKey | undefined,
  make: boolean,
): Promise<void> {
  const { disk, clock, random, storage, scrub, openStore, zone, log, metrics, signals, tell, openEngine } = options;
  if (!make && !holdsVault(slot.dir)) {
    // Not touched, not even by a lock: it may be where a disk is to be mounted.
    throw new SternwayError("not_found", `${slot.dir} holds no vault; is its disk mounted?`, { path: slot.dir });
  }
  await using undo = new AsyncDisposableStack();
  // Beside the lock of the data folder: two of them may reach one vault through links and mounts.
  const lock = lockFile(`${slot.dir}/lock`);
  undo.defer(() => lock.release());
  const engine = await openEngine({
    disk,
    clock,
    random,
    name: slot.name,
    dir: slot.dir,
    make,
    key,
    mustBeEncrypted: slot.wasEncrypted,
    storage: shareOf(storage, Math.max(1, all.length)),
    scrub,
    openStore,
    zone,
    log: log.child({ vault: slot.name }),
    metrics,
    signals,
    tell,
  });
  undo.defer(() => engine.stop());
  checkNames(slot, engine.volumes, all);
  undo.move();
  slot.lock = lock;
  slot.encrypted = engine.encrypted;
  slot.engine = engine;
}

function checkNames(slot: VaultSlot, volumes: Volumes, all: readonly VaultSlot[]): void {
  for (const { name } of volumes.list()) {
    const other = all.find((each) => each !== slot && each.engine && each.holds(name));
    if (!other) continue;
    throw new SternwayError(
      "conflict",
      `volume ${name} is also in vault ${other.name}, and a name is served once: close ${other.name} with \`sternway vault lock ${other.name}\`, unlock ${slot.name}, branch the volume off under another name there and delete it, then unlock ${other.name}`,
      { vault: slot.name, other: other.name, volume: name },
    );
  }
}
