/**
 * Manifests: numbered, immutable lists of what a vault holds. The newest one is the truth about everything sealed; the journal
 * behind its sealed LSN is the rest.
 *
 * A file is one line with the SHA-256 of what follows, then JSON. In an encrypted vault there follow 16 bytes of salt and the JSON sealed with its tag
 * behind it (security/cipher.ts), for it names volumes and bookmarks. Each names the hash of the one before it, so history is a
 * chain. A manifest is published only when all that it names is durable, and what it no longer names is deleted only
 * when it is durable itself (law 5). The last {@link MANIFESTS_KEPT} stay; a damaged newest one opens the vault read-only from the one before.
 */
import { createHash } from "node:crypto";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { FILE_SALT_BYTES, notSealedHere, type FileCipher, type VaultCipher } from "../security/cipher.ts";
import type { ChronicleMeta } from "./chronicles/chronicle-format.ts";
import { manifestSchema } from "./manifest-schema.ts";
import type { LayerMeta } from "./layers/layer-format.ts";
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

/** Digits of the SHA-256 with which a manifest's file begins. */
export const HASH_DIGITS = 64;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
export const manifestName = (number: number): string => String(number).padStart(10, "0");

/** Publishes a manifest; durable when it resolves. @param cipher - where the vault is encrypted @returns its SHA-256 */
export async function publishManifest(
  disk: Disk,
  dir: string,
  manifest: Manifest,
  cipher?: VaultCipher,
): Promise<string> {
  const json = new TextEncoder().encode(JSON.stringify(manifest));
  const body = cipher ? sealed(cipher, manifest.number, json) : json;
  const hash = sha256(body);
  const head = new TextEncoder().encode(`${hash}\n`);
  await publish(disk, `${dir}/${manifestName(manifest.number)}`, [head, body]);
  const outlived = manifest.number - MANIFESTS_KEPT;
  if (outlived > 0) await disk.remove(`${dir}/${manifestName(outlived)}`);
  return hash;
}

/** @returns undefined for a folder without manifests @throws corrupt: all are damaged; unavailable: none could be read, and not all for that */
export async function loadNewestManifest(
  disk: Disk,
  dir: string,
  vault: string,
  cipher?: VaultCipher,
): Promise<LoadedManifest | undefined> {
  const names = (await disk.list(dir)).filter((name) => /^\d{10}$/.test(name)).reverse();
  let damage: string | undefined;
  let outOfReach: SternwayError | undefined;
  for (const name of names) {
    try {
      return { ...(await loadManifest(disk, `${dir}/${name}`, vault, cipher)), damage };
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      damage ??= error.message;
      if (error.kind === "unavailable") outOfReach ??= error;
    }
  }
  // What could not be read is not known to be damaged.
  if (outOfReach) throw outOfReach;
  if (damage === undefined) return undefined;
  throw new SternwayError("corrupt", `no manifest of the vault is readable: ${damage}`);
}

/** Takes a manifest's file apart. @returns `isWhole`: the hash is that of the body */
export function manifestParts(file: Uint8Array): { hash: string; body: Uint8Array; isWhole: boolean } {
  const hash = new TextDecoder().decode(file.subarray(0, HASH_DIGITS));
  const body = file.subarray(HASH_DIGITS + 1);
  return { hash, body, isWhole: sha256(body) === hash };
}

/** @throws not_found; corrupt: damaged, or of another vault */
export async function loadManifest(
  disk: Disk,
  path: string,
  vault: string,
  cipher?: VaultCipher,
): Promise<{ manifest: Manifest; sha256: string }> {
  const bytes = await readWhole(disk, path);
  const { hash, body, isWhole } = manifestParts(bytes);
  if (!isWhole) throw new SternwayError("corrupt", `manifest ${path} is damaged: its hash does not fit`);
  const json = cipher ? opened(cipher, path, body) : body;
  let manifest: { format?: unknown; vault?: unknown } | null;
  try {
    manifest = JSON.parse(new TextDecoder().decode(json)) as typeof manifest;
  } catch (cause) {
    // Its hash fits, so it was written like this: sealed, beside an identity that says that nothing is.
    throw new SternwayError("corrupt", `manifest ${path} cannot be read: it is no JSON`, {}, { cause });
  }
  if (manifest?.format !== 1) {
    throw new SternwayError("corrupt", `manifest ${path} has format ${String(manifest?.format)}; this version reads 1`);
  }
  if (manifest.vault !== vault)
    throw new SternwayError("corrupt", `manifest ${path} belongs to vault ${String(manifest.vault)}`);
  const result = manifestSchema.safeParse(manifest);
  if (!result.success) {
    const { path: at, message } = result.error.issues[0]!;
    const where = at.length === 0 ? "" : ` at ${at.join(".")}`;
    throw new SternwayError("corrupt", `manifest ${path} makes no sense${where}: ${message}`);
  }
  // As it was read: members that this version does not know stay.
  return { manifest: manifest as unknown as Manifest, sha256: hash };
}

const manifestCipher = (cipher: VaultCipher, number: number, salt: Uint8Array): FileCipher =>
  cipher.file({ kind: "manifest", number, generation: 0, salt });

function sealed(cipher: VaultCipher, number: number, json: Uint8Array): Uint8Array {
  const salt = cipher.newSalt();
  return new Uint8Array(Buffer.concat([salt, manifestCipher(cipher, number, salt).sealed(0, json)]));
}

function opened(cipher: VaultCipher, path: string, body: Uint8Array): Uint8Array {
  const number = Number(path.slice(path.lastIndexOf("/") + 1));
  const salt = body.subarray(0, FILE_SALT_BYTES);
  const json = manifestCipher(cipher, number, salt).opened(0, body.subarray(FILE_SALT_BYTES));
  if (!json) throw notSealedHere(`manifest ${path}`);
  return json;
}
