/** Reads what a tier holds and compares it with the manifest: what its disks, or somebody, changed since it was put there. */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { ObjectStore } from "../tiers/store.ts";
import type { RestoreFile, Vault } from "../vault/vault.ts";
import { checkCopy, sealedObjects, type SealedObject } from "./objects.ts";
import { putSealed, type ShipmentOptions } from "./shipment.ts";
import { TierReads } from "./tier-reads.ts";

export type VerifyLine =
  | { line: "progress"; objects: number; objectsTotal: number; bytes: number }
  | { line: "finding"; object: string; message: string; repaired: boolean }
  | { line: "end"; objects: number; bytes: number; findings: number; repaired: number };

/** Objects between two lines of progress. */
const PROGRESS_EVERY = 16;

/** @param isRepair - what is damaged or missing is put anew, from this machine or, when that copy is damaged, from what another tier gives */
export async function* verifyTier(
  vault: Vault,
  store: ObjectStore,
  tier: string,
  isRepair: boolean,
  restore: RestoreFile,
  signal: AbortSignal,
): AsyncGenerator<VerifyLine, void, undefined> {
  // What is let go meanwhile must not be taken for missing: it is asked again at the end.
  const wanted = [...sealedObjects(vault.sealing.manifest).values()];
  const end = { line: "end" as const, objects: 0, bytes: 0, findings: 0, repaired: 0 };
  for (const object of wanted) {
    if (signal.aborted)
      throw new SternwayError("unavailable", `verifying tier ${tier} was given up`, { aborted: true });
    const fault = await faultOf(store, object, signal);
    if (fault !== undefined && sealedObjects(vault.sealing.manifest).has(object.name)) {
      end.findings++;
      const repaired = isRepair && (await putAnew({ vault, store, restore, signal }, object));
      if (repaired) end.repaired++;
      yield { line: "finding", object: object.name, message: fault, repaired };
    }
    end.objects++;
    end.bytes += object.file.sizeBytes;
    if (end.objects % PROGRESS_EVERY === 0) {
      yield { line: "progress", objects: end.objects, objectsTotal: wanted.length, bytes: end.bytes };
    }
  }
  yield end;
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
