/**
 * The secrets that unlock an encrypted vault: list, add, remove, rotate. Each rewrites `vault.json` alone, atomically; data stays as it is, and a vault that is
 * open is not disturbed, since the file is read at opening only. The caller sees to it that one of these runs at a time.
 *
 * A secret that was removed still opens any older copy of `vault.json` that somebody kept, because the data key stays the same.
 */
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { unwrapKey, wrapKey, WRAPPED_KEYS_MAX, type WrappedKey } from "../security/keys.ts";
import type { Secret } from "../security/secret.ts";
import { readIdentity, unlockIdentity, writeIdentity, type StoredEncryption, type StoredIdentity } from "./identity.ts";

/** One secret, without anything secret. */
export type VaultKeyInfo = Pick<WrappedKey, "id" | "kind" | "label">;

interface Place {
  disk: Disk;
  /** The vault's folder. */
  dir: string;
}

type Encrypted = StoredIdentity & { encryption: StoredEncryption };

/** @returns in the order in which they were added; empty for a vault that is not encrypted @throws not_found, corrupt */
export async function listVaultKeys({ disk, dir }: Place): Promise<VaultKeyInfo[]> {
  const { encryption } = await readIdentity(disk, dir);
  return (encryption?.keys ?? []).map(infoOf);
}

/** Adds a secret. @param have - one that unlocks the vault now @throws denied; conflict: there are as many as can be */
export async function addVaultKey(
  place: Place,
  random: Random,
  have: Secret,
  add: Secret,
  label = "",
): Promise<VaultKeyInfo> {
  const stored = await readEncrypted(place);
  const { keys } = stored.encryption;
  if (keys.length >= WRAPPED_KEYS_MAX) {
    throw new SternwayError("conflict", `a vault has at most ${WRAPPED_KEYS_MAX} keys: remove one first`);
  }
  const added = await wrapped(place, stored, random, have, add, label);
  await writeKeys(place, stored, [...keys, added.key]);
  return infoOf(added.key);
}

/** Puts a secret in the place of the one that is given. @throws denied */
export async function rotateVaultKey(
  place: Place,
  random: Random,
  have: Secret,
  next: Secret,
  label?: string,
): Promise<VaultKeyInfo> {
  const stored = await readEncrypted(place);
  const { keys } = stored.encryption;
  const { key, opened } = await wrapped(place, stored, random, have, next, label);
  await writeKeys(
    place,
    stored,
    keys.map((old) => (old.id === opened ? key : old)),
  );
  return infoOf(key);
}

/**
 * Removes a secret.
 * @param have - one that unlocks the vault and stays: so nobody locks themselves out
 * @throws not_found: there is none of that id; denied: `have` does not unlock the vault, or only by what is to be removed
 */
export async function removeVaultKey(place: Place, have: Secret, id: string): Promise<void> {
  const stored = await readEncrypted(place);
  const { keys } = stored.encryption;
  const rest = keys.filter((key) => key.id !== id);
  if (rest.length === keys.length) throw new SternwayError("not_found", `the vault has no key ${id}`, { key: id });
  if (rest.length === 0) {
    throw new SternwayError("conflict", `${id} is the vault's only key: without it nothing could be read again`);
  }
  const { dataKey } = await unwrapKey(rest, have, Buffer.from(stored.id, "hex"));
  dataKey.fill(0);
  await writeKeys(place, stored, rest);
}

const infoOf = ({ id, kind, label }: WrappedKey): VaultKeyInfo => ({ id, kind, label });

async function wrapped(
  { dir }: Place,
  stored: Encrypted,
  random: Random,
  have: Secret,
  secret: Secret,
  label: string | undefined,
): Promise<{ key: WrappedKey; opened: string }> {
  const { keys } = stored.encryption;
  const { dataKey, id: opened } = await unlockIdentity(dir, stored, have);
  try {
    const taken = keys.map(({ id }) => id);
    const name = label ?? keys.find(({ id }) => id === opened)?.label ?? "";
    const key = await wrapKey(dataKey, secret, Buffer.from(stored.id, "hex"), random, { label: name, taken });
    return { key, opened };
  } finally {
    dataKey.fill(0);
  }
}

async function readEncrypted({ disk, dir }: Place): Promise<Encrypted> {
  const stored = await readIdentity(disk, dir);
  const { encryption } = stored;
  if (encryption) return { ...stored, encryption };
  throw new SternwayError("conflict", `the vault in ${dir} is not encrypted, which was decided when it was made`);
}

async function writeKeys({ disk, dir }: Place, stored: Encrypted, keys: WrappedKey[]): Promise<void> {
  await writeIdentity(disk, dir, { ...stored, encryption: { ...stored.encryption, keys } });
}
