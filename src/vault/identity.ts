/**
 * `vault.json`: what a vault is. The seed is secret: who knows it can make fingerprints collide. In an encrypted vault it is sealed with the data key, and
 * the data key is wrapped, once for each secret that unlocks the vault. Only those copies ever change (vault-keys.ts); the file is then
 * replaced as a whole. One line of JSON fields:
 *
 *     format, id, journalFileBytes      in any vault
 *     seed                              16 digits, where the vault is not encrypted
 *     encryption                        else: salt and sealed seed with its tag, bound to the fields above, and the wrapped keys
 *     check                             SHA-256 of the fields before, 64 digits
 *
 * It carries a checksum of its own: under a seed with one wrong bit the whole journal would look like the torn tail of a crash, and be cut. So a damaged file is
 * told from a wrong key, too.
 */
import { hashText } from "../base/hash.ts";
import { createHash } from "node:crypto";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import {
  DATA_KEY_BYTES,
  FILE_SALT_BYTES,
  notSealedHere,
  TAG_BYTES,
  VaultCipher,
  type ObserveSealing,
} from "../security/cipher.ts";
import { isWrappedKey, unwrapKey, wrapKey, WRAPPED_KEYS_MAX, type WrappedKey } from "../security/keys.ts";
import type { Secret } from "../security/secret.ts";

export interface VaultIdentity {
  /** 16 bytes. */
  id: Uint8Array;
  /** Secret seed of all fingerprints and journal checksums. */
  seed: bigint;
  /** Size of its journal files, fixed when the vault is made. */
  journalFileBytes: number;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
}

export interface StoredEncryption {
  /** Of the key that seals the seed. */
  salt: string;
  /** The seed's 8 bytes and their tag. */
  seed: string;
  keys: WrappedKey[];
}

/** The file's content. */
export interface StoredIdentity {
  format: 1;
  id: string;
  journalFileBytes: number;
  seed?: string;
  encryption?: StoredEncryption;
}

/** What makes a vault. */
export interface NewVault {
  journalFileBytes: number;
  /** Encrypts it, for good; this unlocks it. The caller wipes it. */
  encrypt?: Secret | undefined;
  /** What people call that key. */
  label?: string;
}

const SEED_BYTES = 8;

const checkOf = ({ format, id, journalFileBytes, seed, encryption }: StoredIdentity): string =>
  createHash("sha256")
    .update(JSON.stringify([format, id, seed ?? null, journalFileBytes, encryption ?? null]))
    .digest("hex");

export const idText = (id: Uint8Array): string => Buffer.from(id).toString("hex");
export const identityPath = (dir: string): string => `${dir}/vault.json`;

/**
 * Writes the identity of a new vault; durable when it resolves.
 * @throws conflict: there is one already; corrupt: there are manifests, so there was one
 */
export async function createIdentity(disk: Disk, dir: string, random: Random, options: NewVault): Promise<void> {
  const path = identityPath(dir);
  if ((await disk.sizeOf(path)) !== undefined) {
    throw new SternwayError("conflict", `there is a vault in ${dir} already`, { path });
  }
  if ((await disk.list(`${dir}/manifest`)).length > 0) {
    throw new SternwayError("corrupt", `${path} is missing although the vault has manifests: restore it from a copy`);
  }
  const { journalFileBytes, encrypt, label } = options;
  const seed = random.bytes(SEED_BYTES);
  const id = random.bytes(16);
  const common = { format: 1, id: idText(id), journalFileBytes } as const;
  if (!encrypt) {
    const digits = hashText(Buffer.from(seed).readBigUInt64LE());
    await writeIdentity(disk, dir, { ...common, seed: digits });
    return;
  }
  const dataKey = random.bytes(DATA_KEY_BYTES);
  try {
    const keys = [await wrapKey(dataKey, encrypt, id, random, label === undefined ? {} : { label })];
    const cipher = new VaultCipher(dataKey, id, random);
    const salt = cipher.newSalt();
    const sealed = seedCipher(cipher, salt).sealed(0, seed, boundOf(common));
    cipher.wipe();
    await writeIdentity(disk, dir, {
      ...common,
      encryption: { salt: Buffer.from(salt).toString("hex"), seed: Buffer.from(sealed).toString("hex"), keys },
    });
  } finally {
    dataKey.fill(0);
    seed.fill(0);
  }
}

export interface OpenIdentityOptions {
  observe?: ObserveSealing | undefined;
  /** Whoever asks knows that it is. */
  mustBeEncrypted?: boolean;
  /** The same vault, open elsewhere: it is unlocked with the key of that one. */
  openedAs?: { id: string; cipher: VaultCipher | undefined } | undefined;
}

/**
 * Reads the identity, unlocking it where it is encrypted.
 * @param unlock - the caller wipes it
 * @throws not_found: no vault; corrupt: damaged; denied: it is encrypted, and the secret is missing or wrong; invalid: it is not encrypted, and
 *   there is a secret: who believes it to be encrypted must learn that
 */
export async function openIdentity(
  disk: Disk,
  dir: string,
  random: Random,
  unlock?: Secret,
  { observe, mustBeEncrypted = false, openedAs }: OpenIdentityOptions = {},
): Promise<VaultIdentity> {
  const stored = await readIdentity(disk, dir);
  const id = Buffer.from(stored.id, "hex");
  if (openedAs && openedAs.id !== stored.id) {
    throw new SternwayError("corrupt", `${identityPath(dir)} is of another vault: ${stored.id}, not ${openedAs.id}`);
  }
  const { journalFileBytes, encryption } = stored;
  if (!encryption) {
    if (mustBeEncrypted) {
      throw new SternwayError(
        "corrupt",
        `${identityPath(dir)} says that the vault is not encrypted, but it was: somebody put this in its place; put back the one that belongs there`,
      );
    }
    if (unlock) throw new SternwayError("invalid", `the vault in ${dir} is not encrypted: it opens without a key`);
    return { id, seed: BigInt(`0x${stored.seed}`), journalFileBytes };
  }
  const dataKey = openedAs?.cipher?.copyDataKey() ?? (await unlockIdentity(dir, stored, unlock)).dataKey;
  try {
    const cipher = new VaultCipher(dataKey, id, random, observe);
    const sealed = Buffer.from(encryption.seed, "hex");
    const seed = seedCipher(cipher, Buffer.from(encryption.salt, "hex")).opened(0, sealed, boundOf(stored));
    if (!seed) throw notSealedHere(`the seed in ${identityPath(dir)}`);
    const identity = { id, seed: Buffer.from(seed).readBigUInt64LE(), journalFileBytes, cipher };
    seed.fill(0);
    return identity;
  } finally {
    dataKey.fill(0);
  }
}

/** Unwraps the data key, which the caller wipes. @throws denied */
export async function unlockIdentity(
  dir: string,
  { id, encryption }: StoredIdentity,
  unlock: Secret | undefined,
): Promise<{ dataKey: Uint8Array; id: string }> {
  if (!unlock || !encryption) {
    throw new SternwayError("denied", `the vault in ${dir} is encrypted: it needs its key file or passphrase`);
  }
  return await unwrapKey(encryption.keys, unlock, Buffer.from(id, "hex"));
}

/** Replaces the file; durable when it resolves, and after a crash it is the one or the other. */
export async function writeIdentity(disk: Disk, dir: string, stored: StoredIdentity): Promise<void> {
  const text = JSON.stringify({ ...stored, check: checkOf(stored) }, undefined, 2);
  await publish(disk, identityPath(dir), [new TextEncoder().encode(`${text}\n`)]);
}

/** @param path - of the file, where it is not in its place yet @throws not_found: no vault; corrupt */
export async function readIdentity(disk: Disk, dir: string, path = identityPath(dir)): Promise<StoredIdentity> {
  if ((await disk.sizeOf(path)) === undefined) {
    if ((await disk.list(`${dir}/manifest`)).length > 0) {
      throw new SternwayError("corrupt", `${path} is missing although the vault has manifests: restore it from a copy`);
    }
    throw new SternwayError("not_found", `there is no vault in ${dir}`);
  }
  return parse(path, new TextDecoder().decode(await readWhole(disk, path)));
}

function parse(path: string, text: string): StoredIdentity {
  let found: (Partial<Omit<StoredIdentity, "format">> & { format?: unknown; check?: unknown }) | null;
  try {
    found = JSON.parse(text) as typeof found;
  } catch (cause) {
    throw new SternwayError("corrupt", `${path} is damaged`, {}, { cause });
  }
  const { format, id, seed, journalFileBytes, encryption, check } = found ?? {};
  if (format !== 1) throw new SternwayError("corrupt", `${path} has format ${String(format)}; this version reads 1`);
  const isWhole =
    isHex(id, 16) &&
    typeof journalFileBytes === "number" &&
    Number.isSafeInteger(journalFileBytes) &&
    journalFileBytes % 4096 === 0 &&
    journalFileBytes > 0 &&
    (encryption === undefined ? isHex(seed, SEED_BYTES) : seed === undefined && isEncryption(encryption));
  if (!isWhole) throw new SternwayError("corrupt", `${path} is damaged`);
  const stored: StoredIdentity = {
    format,
    id: id!,
    journalFileBytes,
    ...(seed === undefined ? {} : { seed }),
    ...(encryption === undefined ? {} : { encryption }),
  };
  if (check !== checkOf(stored)) throw new SternwayError("corrupt", `${path} is damaged`);
  return stored;
}

const isHex = (value: unknown, bytes: number): value is string =>
  typeof value === "string" && value.length === bytes * 2 && /^[0-9a-f]*$/.test(value);

function isEncryption(value: Partial<StoredEncryption> | null): value is StoredEncryption {
  if (typeof value !== "object" || value === null) return false;
  const { salt, seed, keys } = value;
  const areKeys =
    Array.isArray(keys) && keys.length >= 1 && keys.length <= WRAPPED_KEYS_MAX && keys.every(isWrappedKey);
  return isHex(salt, FILE_SALT_BYTES) && isHex(seed, SEED_BYTES + TAG_BYTES) && areKeys;
}

const seedCipher = (cipher: VaultCipher, salt: Uint8Array): ReturnType<VaultCipher["file"]> =>
  cipher.file({ kind: "identity", number: 0, generation: 0, salt });

/** What is readable in the file beside the sealed seed. */
const boundOf = ({ format, id, journalFileBytes }: StoredIdentity): Uint8Array =>
  new TextEncoder().encode(JSON.stringify([format, id, journalFileBytes]));
