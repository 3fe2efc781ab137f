/** Reads what a tier holds and compares it with the manifest: what its disks, or somebody, changed since it was put there. */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { RestoreFile } from "../vault/vault.ts";
import { checkCopy, sealedFileOf, sealedObjects, type SealedObject } from "./objects.ts";
import { putSealed, type ShipmentOptions } from "./shipment.ts";
import { TierReads } from "./tier-reads.ts";
import { verifyState, type StateExpected } from "./verify-state.ts";

export type VerifyLine =
  | { line: "progress"; objects: number; objectsTotal: number; bytes: number }
  | { line: "finding"; object: string; message: string; repaired: boolean }
  | { line: "end"; objects: number; bytes: number; findings: number; repaired: number };

/** Objects between two lines of progress. */
const PROGRESS_EVERY = 16;

export interface VerifyOptions extends StateExpected {
  /** The tier's name. */
  tier: string;
  /** What is damaged or missing is put anew, from this machine or, when that copy is damaged, from what another tier gives. */
  isRepair: boolean;
  /** Brings back a file that is damaged on this machine. */
  restore: RestoreFile;
  /** Sealed objects that are there, name and size, as far as is known; undefined: what the vault names. */
  holds: () => ReadonlyMap<string, number> | undefined;
}

/** @throws unavailable: the tier cannot be read, or the signal was aborted */
export async function* verifyTier(options: VerifyOptions): AsyncGenerator<VerifyLine, void, undefined> {
  const { vault, store, tier, isRepair, restore, signal } = options;
  const state = await verifyState(options);
  const { objects, bytes } = state;
  const end = { line: "end" as const, objects, bytes, findings: 0, repaired: 0 };
  for (const { object, message, repair } of state.findings) {
    end.findings++;
    const repaired = isRepair && repair !== undefined && (await repair());
    if (repaired) end.repaired++;
    yield { line: "finding", object, message, repaired };
  }
  const wanted = wantedThere(options);
  const objectsTotal = objects + wanted.length;
  for (const object of wanted) {
    if (signal.aborted)
      throw new SternwayError("unavailable", `verifying tier ${tier} was given up`, { aborted: true });
    const fault = await faultOf(store, object, signal);
    // What was let go meanwhile is not missing.
    if (fault !== undefined && (options.holds() ?? sealedObjects(vault.sealing.manifest)).has(object.name)) {
      end.findings++;
      const repaired = isRepair && (await putAnew({ vault, store, restore, signal }, object));
      if (repaired) end.repaired++;
      yield { line: "finding", object: object.name, message: fault, repaired };
    }
    end.objects++;
    end.bytes += object.file.sizeBytes;
    if (end.objects % PROGRESS_EVERY === 0) {
      yield { line: "progress", objects: end.objects, objectsTotal, bytes: end.bytes };
    }
  }
  yield end;
}

/** What has yet to be copied is not missing; and a tier that is behind still needs what only its own manifest names. */
function wantedThere({ vault, holds, record }: VerifyOptions): SealedObject[] {
  const { manifest } = vault.sealing;
  const named = sealedObjects(manifest);
  const held = holds();
  if (!held) return [...named.values()];
  const isBehind = record()?.old?.number !== manifest.number;
  return [...held].flatMap(([name, sizeBytes]) => {
    const object = named.get(name);
    if (object) return [object];
    const file = isBehind ? sealedFileOf(name, sizeBytes) : undefined;
    return file ? [{ name, file }] : [];
  });
}

async function faultOf(
  store: ObjectStore,
  { name, file }: SealedObject,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    checkCopy(file, await TierReads.sum(store, name, signal));
    return undefined;
  } catch (error) {
    if (isSternwayError(error, "corrupt")) return error.message;
    if (isSternwayError(error, "not_found")) return `${file.kind} ${file.id} is missing`;
    throw error;
  }
}

async function putAnew(options: ShipmentOptions, object: SealedObject): Promise<boolean> {
  try {
    await putSealed(options, object);
    return true;
  } catch (error) {
    // No sound copy is anywhere; what the tier itself refuses ends all of it.
    if (isSternwayError(error, "corrupt") || isSternwayError(error, "not_found")) return false;
    throw error;
  }
}
