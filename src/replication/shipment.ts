/** Puts sealed files at a tier, each checked on its way out, so that damage on this machine never becomes a copy of damage. */
import type { ObjectStore } from "../tiers/store.ts";
import type { RestoreFile, Vault } from "../vault/vault.ts";
import type { SealedObject } from "./objects.ts";
import { sealedSource } from "./sealed-source.ts";

export interface ShipmentOptions {
  vault: Vault;
  store: ObjectStore;
  signal: AbortSignal;
  /** Brings back a file that is damaged on this machine. */
  restore: RestoreFile;
}

/** Objects put at once: one leaves the line idle between requests, many would crowd out the tail. */
const PUTS_AT_ONCE = 3;

/** @throws corrupt, not_found: it is damaged or missing on this machine, and no tier has a sound copy; what the store says */
export async function putSealed(
  { vault, store, signal, restore }: ShipmentOptions,
  object: SealedObject,
): Promise<void> {
  const { disk, dir } = vault.parts;
  for (let attempt = 1; ; attempt++) {
    await using source = sealedSource(disk, dir, object.file);
    try {
      await store.put(object.name, source, { signal });
      return;
    } catch (error) {
      if (source.failure === undefined) throw error;
      // It is this machine's copy that is damaged. Another tier may have a sound one.
      if (attempt > 1 || !(await restore(object.file))) throw source.failure;
    }
  }
}

/**
 * Puts all of them, in their order, some at a time.
 * @param done - told of each that is there @returns false: `isAborted` said so after one of them
 * @throws the first error, when those under way have come to their ends: none works on behind the next attempt's back
 */
export async function putAll(
  options: ShipmentOptions,
  objects: readonly SealedObject[],
  done: (object: SealedObject) => void,
  isAborted: () => boolean,
): Promise<boolean> {
  const queue = [...objects];
  let isOver = false;
  const worker = async (): Promise<void> => {
    for (let object = queue.shift(); object && !isOver; object = queue.shift()) {
      try {
        await putSealed(options, object);
      } catch (error) {
        isOver = true;
        throw error;
      }
      done(object);
      isOver ||= isAborted();
    }
  };
  const results = await Promise.allSettled(Array.from({ length: PUTS_AT_ONCE }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return !isOver;
}
