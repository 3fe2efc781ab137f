/** How the catalog means a volume without naming it: by where and when it was made. A volume keeps that for life, and no other ever has it. */
import { isSameVolume, type VolumeReference } from "../catalog/catalog.ts";
import type { VolumeInfo } from "../volume/volumes.ts";

export function referenceOf({ vault, createdLsn, createdAt }: VolumeInfo): VolumeReference {
  return { vault, createdLsn, createdAt };
}

/** The volume that is meant, among those that can be had now. */
export function volumeMeant(infos: readonly VolumeInfo[], reference: VolumeReference): VolumeInfo | undefined {
  return infos.find((info) => isSameVolume(info, reference));
}

/** Why one that is meant is not there. */
export function whyMissing(infos: readonly VolumeInfo[], { vault }: VolumeReference): string {
  const isOpen = infos.some((info) => info.vault === vault);
  return isOpen ? `it was deleted from vault ${vault}` : `vault ${vault} is closed, or the volume was deleted from it`;
}
