/**
 * Opening one vault into its slot: its lock, its engine, and the rule that no two open vaults have a volume of one name. What fails
 * half-way is undone, and the slot is as it was.
 */
import { SternwayError } from "../base/errors.ts";
import { lockFile } from "../base/file-lock.ts";
import type { VaultKey } from "../contract/contract.ts";
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

/** What an opening needs of the appliance's vaults. */
export interface AllVaults {
  /** Every vault of the appliance, the one that is opened among them, as they are now. */
  slots: () => readonly VaultSlot[];
  /** An open vault may have other volumes than before. Never rejects. */
  onMoved: () => Promise<void>;
}

/**
 * Opens a vault, or makes one in its folder.
 * @throws not_found: nothing is there; denied, corrupt, fenced, unavailable: why it does not open; conflict: a name that is served already
 */
export async function openSlot(
  options: OpeningOptions,
  slot: VaultSlot,
  { slots, onMoved }: AllVaults,
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
    storage: shareOf(storage, Math.max(1, slots().length)),
    scrub,
    admit: (names) => checkNames(slot, names, slots()),
    onMoved,
    openStore,
    zone,
    log: log.child({ vault: slot.name }),
    metrics,
    signals,
    tell,
  });
  undo.defer(() => engine.stop());
  const names = engine.volumes.list().map(({ name }) => name);
  checkNames(slot, names, slots());
  undo.move();
  slot.lock = lock;
  slot.encrypted = engine.encrypted;
  slot.engine = engine;
}

function checkNames(slot: VaultSlot, names: readonly string[], all: readonly VaultSlot[]): void {
  for (const name of names) {
    const other = all.find((each) => each !== slot && each.engine && each.holds(name));
    if (!other) continue;
    throw new SternwayError(
      "conflict",
      `volume ${name} is also in vault ${other.name}, and a name is served once: close ${other.name} with \`sternway vault lock ${other.name}\`, unlock ${slot.name}, branch the volume off under another name there and delete it, then unlock ${other.name}`,
      { vault: slot.name, other: other.name, volume: name },
    );
  }
}
