/**
 * The check of the registry: volumes and strands that fit one another, so that every moment of every volume leads to a strand and every
 * chain of strands ends. Pure.
 */
import type { RegistryState, VolumeRecord } from "../registry.ts";

/** @param lastLsn - the vault's newest LSN: nothing may lie beyond it @returns what is wrong, in words, by volume id (0: the whole) */
export function registryFaults(state: RegistryState, lastLsn: number): { volume: number; message: string }[] {
  const faults: { volume: number; message: string }[] = [];
  const strands = state.strands;
  for (const [i, strand] of strands.entries()) {
    const fault = (message: string): void => void faults.push({ volume: strand.volume, message });
    if (strand.id !== i + 1) fault(`strand ${strand.id} stands at place ${i + 1}`);
    if (!state.volumes[strand.volume - 1])
      fault(`strand ${strand.id} belongs to volume ${strand.volume}, which does not exist`);
    const { parent } = strand;
    if (!parent) continue;
    // Parents come before their children, so that no chain of them can be a ring.
    if (parent.strand >= strand.id || !strands[parent.strand - 1]) {
      fault(`strand ${strand.id} has parent ${parent.strand}, which is no earlier strand`);
    }
    if (!(parent.lsn >= 1 && parent.lsn <= lastLsn))
      fault(`strand ${strand.id} begins at LSN ${parent.lsn}, out of ${lastLsn}`);
  }
  const names = new Set<string>();
  for (const [i, volume] of state.volumes.entries()) {
    if (volume.id !== i + 1)
      faults.push({ volume: volume.id, message: `volume ${volume.name} has id ${volume.id} at place ${i + 1}` });
    for (const message of volumeFaults(volume, state, lastLsn)) faults.push({ volume: volume.id, message });
    if (volume.deletedLsn !== undefined) continue;
    if (names.has(volume.name)) faults.push({ volume: volume.id, message: `two volumes are called ${volume.name}` });
    names.add(volume.name);
  }
  return faults;
}

function volumeFaults(volume: VolumeRecord, state: RegistryState, lastLsn: number): string[] {
  const faults: string[] = [];
  const { createdLsn, deletedLsn, strands, sizes, bookmarks, origin } = volume;
  if (!(createdLsn >= 1 && createdLsn <= lastLsn))
    faults.push(`it was created at LSN ${createdLsn}, out of ${lastLsn}`);
  if (deletedLsn !== undefined && deletedLsn <= createdLsn)
    faults.push(`it was deleted at LSN ${deletedLsn}, before it was created`);
  for (const [what, list] of [
    ["strands", strands],
    ["sizes", sizes],
  ] as const) {
    if (list[0]?.fromLsn !== createdLsn) faults.push(`its ${what} do not begin with its creation at LSN ${createdLsn}`);
    if (list.some((entry, i) => i > 0 && entry.fromLsn <= list[i - 1]!.fromLsn))
      faults.push(`its ${what} are out of order`);
    if ((list.at(-1)?.fromLsn ?? 0) > lastLsn) faults.push(`its ${what} go beyond LSN ${lastLsn}`);
  }
  for (const { strand, fromLsn } of strands) {
    const record = state.strands[strand - 1];
    if (record?.volume !== volume.id) faults.push(`strand ${strand} is not its own`);
    if ((record?.parent?.lsn ?? 0) >= fromLsn)
      faults.push(`strand ${strand} begins at LSN ${fromLsn}, not after its parent's part`);
  }
  for (const { fromLsn, sizeBytes } of sizes) {
    if (!(sizeBytes > 0 && sizeBytes % 512 === 0)) faults.push(`its size from LSN ${fromLsn} on is ${sizeBytes} bytes`);
  }
  for (const bookmark of bookmarks) {
    const isIn = bookmark.lsn >= createdLsn && bookmark.lsn <= lastLsn;
    if (!isIn) faults.push(`bookmark ${bookmark.name} names LSN ${bookmark.lsn}, outside its history`);
  }
  if (origin && !state.volumes[origin.volume - 1])
    faults.push(`it branched from volume ${origin.volume}, which does not exist`);
  return faults;
}
