/**
 * Manifests: numbered, immutable lists of what a vault holds. The newest one is the truth about everything sealed; the journal
 * behind its sealed LSN is the rest.
 *
 * A file is one line with the SHA-256 of what follows, then JSON. Each names the hash of the one before it, so history is a
 * chain. A manifest is published only when all that it names is durable, and what it no longer names is deleted only
 * when it is durable itself (law 5). The last {@link MANIFESTS_KEPT} stay; a damaged newest one opens the vault read-only from the one before.
 */
import { createHash } from "node:crypto";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { ChronicleMeta } from "./chronicle-format.ts";
import type { LayerMeta } from "./layer-format.ts";
import type { RegistryState } from "./registry.ts";

/** Newest manifests that stay on disk. */
export const MANIFESTS_KEPT = 4;

export interface PackRecord {
  pack: number;
  generation: number;
  sizeBytes: number;
  slots: number;
  /** XXH64 of the file, seed 0, 16 hex digits. */
  checksum: string;
  /** Of its slots, those whose blocks were let go when it was repacked; absent: none. */
  freed?: number;
}

/** Slots of a pack that were found damaged: never matched again, until a repair has brought them back. */
export interface QuarantineRecord {
  pack: number;
  /** Of the pack's file that is damaged; a record of another generation than the pack's own says nothing any more. */
  generation: number;
  /** Sorted, apart from one another: first slot and how many. */
  slots: { first: number; count: number }[];
}

/** How many entries of a layer lie in a shard; decides when the shard gets a new image. */
export interface ShardWeight {
  strand: number;
  shard: number;
  entries: number;
}

export interface LayerRecord extends LayerMeta {
  /** How often its content has been merged: 0 for a sealed stretch. Images have 0. */
  rank: number;
  weights: ShardWeight[];
}

export interface ChronicleRecord extends ChronicleMeta {
  rank: number;
}

export interface SealedJournal {
  lsn: number;
  fileSequence: number;
  groupSequence: number;
  /** 16 hex digits. */
  groupChecksum: string;
  /** Wall time of the newest sealed group, microseconds. */
  wall: number;
}

export interface Manifest {
  format: 1;
  vault: string;
  number: number;
  epoch: number;
  /** SHA-256 of the manifest before, empty for the first. */
  previous: string;
  sealed: SealedJournal;
  /** Set by a clean stop: the last group in the journal, and the LSN after which the next one goes. */
  clean?: { groupSequence: number };
  /** The first LSN that the writer of this epoch could give out: the next one starts beyond, even if none of them became durable. */
  firstLsn: number;
  next: { pack: number; layer: number; chronicle: number };
  packs: PackRecord[];
  /** By pack number; absent when nothing is. */
  quarantine?: QuarantineRecord[];
  /** Deltas oldest first, then images oldest first. */
  layers: LayerRecord[];
  chronicles: ChronicleRecord[];
  registry: RegistryState;
}

export interface LoadedManifest {
  manifest: Manifest;
  sha256: string;
  /** Why a newer one was passed over. */
  damage: string | undefined;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
export const manifestName = (number: number): string => String(number).padStart(10, "0");

/** Publishes a manifest; durable when it resolves. @returns its SHA-256 */
export async function publishManifest(disk: Disk, dir: string, manifest: Manifest): Promise<string> {
  const json = JSON.stringify(manifest);
  const hash = sha256(json);
  await publish(disk, `${dir}/${manifestName(manifest.number)}`, [new TextEncoder().encode(`${hash}\n${json}`)]);
  const outlived = manifest.number - MANIFESTS_KEPT;
  if (outlived > 0) await disk.remove(`${dir}/${manifestName(outlived)}`);
  return hash;
}

/** @returns undefined for a folder without manifests @throws corrupt: none of them is readable */
export async function loadNewestManifest(disk: Disk, dir: string, vault: string): Promise<LoadedManifest | undefined> {
  const names = (await disk.list(dir)).filter((name) => /^\d{10}$/.test(name)).reverse();
  let damage: string | undefined;
  for (const name of names) {
    try {
      return { ...(await loadManifest(disk, `${dir}/${name}`, vault)), damage };
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      damage ??= error.message;
    }
  }
  if (damage === undefined) return undefined;
  throw new SternwayError("corrupt", `no manifest of the vault is readable: ${damage}`);
}

/** @throws not_found; corrupt: damaged, or of another vault */
export async function loadManifest(
  disk: Disk,
  path: string,
  vault: string,
): Promise<{ manifest: Manifest; sha256: string }> {
  const text = new TextDecoder().decode(await readWhole(disk, path));
  const hash = text.slice(0, 64);
  const json = text.slice(65);
  if (sha256(json) !== hash) throw new SternwayError("corrupt", `manifest ${path} is damaged: its hash does not fit`);
  const manifest = JSON.parse(json) as Manifest;
  if (manifest.format !== 1) {
    throw new SternwayError("corrupt", `manifest ${path} has format ${String(manifest.format)}; this version reads 1`);
  }
  if (manifest.vault !== vault)
    throw new SternwayError("corrupt", `manifest ${path} belongs to vault ${manifest.vault}`);
  return { manifest, sha256: hash };
}
