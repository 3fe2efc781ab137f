/** How the catalog means a volume without naming it: by where and when it was made. A volume keeps that for life, and no other ever has it. */
import type { VolumeReference } from "../catalog/catalog.ts";
import type { VolumeInfo } from "../volume/volumes.ts";

export function referenceOf({ vault, createdLsn, createdAt }: VolumeInfo): VolumeReference {
  return { vault, createdLsn, createdAt };
}

/** What tells a volume from every other, as a key. */
export function identityOf({ vault, createdLsn, createdAt }: VolumeReference): string {
  return `${vault} ${createdLsn} ${createdAt}`;
}

/** The volume that is meant, among those that can be had now. */
export function volumeMeant(infos: readonly VolumeInfo[], meant: VolumeReference): VolumeInfo | undefined {
  return infos.find(
    ({ vault, createdLsn, createdAt }) =>
      createdLsn === meant.createdLsn && createdAt === meant.createdAt && vault === meant.vault,
  );
}

/** Finds the volume that is meant. */
export type FindMeant = (reference: VolumeReference) => VolumeInfo | undefined;

/** The same for many at a time: ten thousand may be looked for among ten thousand, so the list is gone through once. */
export function meantAmong(infos: readonly VolumeInfo[]): FindMeant {
  const index = new Map(infos.map((info) => [identityOf(info), info]));
  return (reference) => index.get(identityOf(reference));
}

/** Why one that is meant is not there. */
export function whyMissing(infos: readonly VolumeInfo[], { vault }: VolumeReference): string {
  const isOpen = infos.some((info) => info.vault === vault);
  return isOpen ? `it was deleted from vault ${vault}` : `vault ${vault} is closed, or the volume was deleted from it`;
}
