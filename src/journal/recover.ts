/**
 * Recovery: finds the exact prefix of the LSN order that the journal holds (law 1).
 *
 * Only one group is ever being written. So a valid group proves that every group before it was durable, and:
 * - a bad group with nothing newer behind it is the torn tail of a crash, and is cut;
 * - a bad group with a newer valid group anywhere is damage. Nothing is cut then: the vault is opened read-only up to it.
 * After an error on writing, the journal goes on in a new file with the same group; what the failed file may still hold from
 * that group on is superseded.
 */
import type { Disk, DiskFile } from "../base/disk.ts";
import type { VaultCipher } from "../security/cipher.ts";
import type { FileIdentity, GroupHeader } from "./format.ts";
import { claimedSequenceOf, findLaterGroup, readGroups, type ScannedGroup } from "./scan.ts";

export interface RecoverRequest {
  disk: Disk;
  dir: string;
  slots: readonly string[];
  fileBytes: number;
  vaultId: Uint8Array;
  seed: bigint;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Files up to this sequence are sealed. */
  sealedFileSequence: number;
  /** The newest group that is sealed, and its checksum; 0 for a new vault. */
  sealedGroupSequence: number;
  sealedGroupChecksum: bigint;
  /** The last group at a clean stop: recovery must end exactly there. Undefined after a crash. */
  cleanGroupSequence: number | undefined;
}

export interface RecoveredFile {
  slot: string;
  fileSequence: number;
  groupCount: number;
}

export interface Damage {
  slot: string;
  offset: number;
  message: string;
}

export interface Recovered {
  /** Files that hold unsealed groups, oldest first. */
  files: RecoveredFile[];
  lastGroupSequence: number;
  lastGroupChecksum: bigint;
  /** Highest file sequence seen; the next use takes a higher one. */
  lastFileSequence: number;
  damage: Damage | undefined;
}

interface Candidate extends RecoveredFile {
  file: DiskFile;
  firstGroup: number;
}

/** @param replay - called for every recovered group in order; may keep nothing of the group's byte views */
export async function recover(
  request: RecoverRequest,
  replay: (group: ScannedGroup, file: RecoveredFile, ordinal: number) => void,
): Promise<Recovered> {
  const files = new Map<string, DiskFile>();
  try {
    for (const slot of request.slots) files.set(slot, await request.disk.open(`${request.dir}/${slot}`, "read"));
    return await recoverFrom(request, files, replay);
  } finally {
    for (const file of files.values()) await file.close();
  }
}

async function recoverFrom(
  request: RecoverRequest,
  files: Map<string, DiskFile>,
  replay: (group: ScannedGroup, file: RecoveredFile, ordinal: number) => void,
): Promise<Recovered> {
  const candidates = await findCandidates(request, files);
  const result: Recovered = {
    files: [],
    lastGroupSequence: request.sealedGroupSequence,
    lastGroupChecksum: request.sealedGroupChecksum,
    lastFileSequence: Math.max(request.sealedFileSequence, ...candidates.map((c) => c.fileSequence)),
    damage: undefined,
  };
  for (const [i, candidate] of candidates.entries()) {
    // A later file that starts at or before our group took over from there.
    const supersededFrom = Math.min(...candidates.slice(i + 1).map((c) => c.firstGroup), Number.POSITIVE_INFINITY);
    const recovered: RecoveredFile = { slot: candidate.slot, fileSequence: candidate.fileSequence, groupCount: 0 };
    for await (const group of readGroups(
      candidate.file,
      request.fileBytes,
      identityOf(request, candidate.fileSequence),
    )) {
      const { header } = group;
      if (header.groupSequence >= supersededFrom) break;
      const follows =
        header.groupSequence === result.lastGroupSequence + 1 && header.previousChecksum === result.lastGroupChecksum;
      if (!follows) {
        result.damage = {
          slot: candidate.slot,
          offset: group.offset,
          message: `group ${header.groupSequence} does not follow group ${result.lastGroupSequence}`,
        };
        break;
      }
      replay(group, recovered, recovered.groupCount);
      recovered.groupCount++;
      result.lastGroupSequence = header.groupSequence;
      result.lastGroupChecksum = header.checksum;
    }
    if (recovered.groupCount > 0) result.files.push(recovered);
    if (result.damage) return result;
  }
  result.damage = await findDamage(request, files, result);
  return result;
}

const identityOf = (request: RecoverRequest, fileSequence: number): FileIdentity => ({
  vaultId: request.vaultId,
  seed: request.seed,
  cipher: request.cipher,
  fileSequence,
});

/** Files whose first group is valid and unsealed, oldest use first. */
async function findCandidates(request: RecoverRequest, files: Map<string, DiskFile>): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const [slot, file] of files) {
    const fileSequence = await claimedSequenceOf(file);
    if (fileSequence <= request.sealedFileSequence) continue;
    for await (const group of readGroups(file, request.fileBytes, identityOf(request, fileSequence), 1)) {
      const firstGroup = group.header.groupSequence;
      candidates.push({ slot, file, fileSequence, groupCount: 0, firstGroup });
    }
  }
  return candidates.sort((a, b) => a.fileSequence - b.fileSequence);
}

async function findDamage(
  request: RecoverRequest,
  files: Map<string, DiskFile>,
  { lastGroupSequence, lastGroupChecksum }: Recovered,
): Promise<Damage | undefined> {
  const { cleanGroupSequence } = request;
  if (cleanGroupSequence !== undefined && cleanGroupSequence <= lastGroupSequence) return undefined;
  // The very next group, bad in itself, is a torn tail; one beyond it proves that it had been durable. So does a next one that
  // follows another copy of our last group: that copy, moved after a failed write, was durable, and ours is what the failed write left.
  // In a file that is sealed whole there is none such, unless a writer that was overtaken left it at a tier: it proves nothing of this history.
  const proves = (header: GroupHeader): boolean =>
    header.fileSequence > request.sealedFileSequence &&
    (header.groupSequence > lastGroupSequence + 1 || header.previousChecksum !== lastGroupChecksum);
  for (const [slot, file] of files) {
    const later = await findLaterGroup(file, request.fileBytes, request, lastGroupSequence, proves);
    if (!later) continue;
    return {
      slot,
      offset: later.offset,
      message: `group ${later.header.groupSequence} is there, but what it follows after group ${lastGroupSequence} is damaged`,
    };
  }
  if (cleanGroupSequence === undefined) return undefined;
  return {
    slot: request.slots[0] ?? "",
    offset: 0,
    message: `the vault was stopped cleanly at group ${cleanGroupSequence}, but only group ${lastGroupSequence} is readable`,
  };
}
