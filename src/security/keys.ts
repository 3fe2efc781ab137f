/**
 * How a vault's data key is kept: wrapped, in one copy for each secret that may unlock it. Adding, removing and rotating secrets rewrites these
 * copies alone; the data key stays, so no data is rewritten.
 *
 * A copy is the data key under AES-256-GCM with a key made of the secret and the copy's own 32 random bytes of salt:
 *
 *     key file     HKDF-SHA256 of the file's bytes, of which there are at least 32: they are taken for random
 *     passphrase   scrypt (RFC 7914) with N = 2^17, r = 8, p = 1: 128 MiB and 0.2 s here for each guess. The parameters are kept with the copy.
 *
 * Since the salt is fresh for each wrapping, its key encrypts one text only, and the nonce is zero. Vault id, copy id, kind and parameters are bound as
 * associated data. A secret that opens no copy is refused as `denied`; that the copies themselves are whole is proved by whoever keeps them.
 */
import { createCipheriv, createDecipheriv, hkdfSync, scrypt } from "node:crypto";
import { assert } from "../base/assert.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { DATA_KEY_BYTES, TAG_BYTES } from "./cipher.ts";
import type { Secret } from "./secret.ts";

/** Each passphrase's copy costs a guess of its own at unlocking: eight take two seconds. */
export const WRAPPED_KEYS_MAX = 8;
const SALT_BYTES = 32;
const ID_BYTES = 4;
const LABEL_LENGTH_MAX = 64;

/** scrypt's cost parameters. */
export interface ScryptCost {
  n: number;
  r: number;
  p: number;
}
export const SCRYPT_COST: ScryptCost = { n: 2 ** 17, r: 8, p: 1 };
/** What a stored copy may ask for: four times the memory and the passes of ours, or a file that somebody changed could stop the appliance. */
const SCRYPT_MEMORY_MAX = 2 ** 29;
const SCRYPT_PASSES_MAX = 4;

/** One copy as it is stored; byte strings are hexadecimal. */
export interface WrappedKey {
  /** 8 digits, to name it by. */
  id: string;
  kind: Secret["kind"];
  /** What people call it; may be empty. */
  label: string;
  salt: string;
  /** Passphrases only. */
  scrypt?: ScryptCost;
  /** The sealed data key and its tag. */
  sealed: string;
}

/** Wraps a data key for a secret. @param taken - ids that are in use */
export async function wrapKey(
  dataKey: Uint8Array,
  secret: Secret,
  vaultId: Uint8Array,
  random: Random,
  { label = "", cost = SCRYPT_COST, taken = [] }: { label?: string; cost?: ScryptCost; taken?: readonly string[] } = {},
): Promise<WrappedKey> {
  assert(dataKey.length === DATA_KEY_BYTES, "a data key has 32 bytes");
  checkLabel(label);
  let id: string;
  do id = hex(random.bytes(ID_BYTES));
  while (taken.includes(id));
  const head: Omit<WrappedKey, "sealed"> = {
    id,
    kind: secret.kind,
    label,
    salt: hex(random.bytes(SALT_BYTES)),
    ...(secret.kind === "passphrase" ? { scrypt: cost } : {}),
  };
  const key = await keyFrom(secret, head);
  try {
    const cipher = createCipheriv("aes-256-gcm", key, ZERO_NONCE, { authTagLength: TAG_BYTES });
    cipher.setAAD(boundOf(head, vaultId));
    const sealed = Buffer.concat([cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
    return { ...head, sealed: hex(sealed) };
  } finally {
    key.fill(0);
  }
}

/**
 * Unwraps the data key from whichever copy the secret opens.
 * @returns the key, which the caller wipes, and the copy's id
 * @throws denied: the secret opens none
 */
export async function unwrapKey(
  copies: readonly WrappedKey[],
  secret: Secret,
  vaultId: Uint8Array,
): Promise<{ dataKey: Uint8Array; id: string }> {
  const fitting = copies.filter(({ kind }) => kind === secret.kind);
  for (const copy of fitting) {
    const key = await keyFrom(secret, copy);
    try {
      const dataKey = openCopy(copy, key, vaultId);
      if (dataKey) return { dataKey, id: copy.id };
    } finally {
      key.fill(0);
    }
  }
  const given = secret.kind === "passphrase" ? "this passphrase" : "this key file";
  const kinds = [...new Set(copies.map(({ kind }) => (kind === "passphrase" ? "a passphrase" : "a key file")))];
  const why = fitting.length > 0 ? "is wrong" : `does not help: ${kinds.join(" or ")} unlocks it`;
  throw new SternwayError("denied", `${given} ${why}; the vault stays locked`);
}

function openCopy(copy: WrappedKey, key: Uint8Array, vaultId: Uint8Array): Uint8Array | undefined {
  const sealed = Buffer.from(copy.sealed, "hex");
  const decipher = createDecipheriv("aes-256-gcm", key, ZERO_NONCE, { authTagLength: TAG_BYTES });
  decipher.setAAD(boundOf(copy, vaultId));
  decipher.setAuthTag(sealed.subarray(DATA_KEY_BYTES));
  const plain = decipher.update(sealed.subarray(0, DATA_KEY_BYTES));
  try {
    decipher.final();
  } catch {
    // The tag does not hold: another secret's copy.
    plain.fill(0);
    return undefined;
  }
  const dataKey = new Uint8Array(plain);
  plain.fill(0);
  return dataKey;
}

/** True when it can be one of ours: what is read here is used for sizes and costs. */
export function isWrappedKey(value: unknown): value is WrappedKey {
  if (typeof value !== "object" || value === null) return false;
  const { id, kind, label, salt, scrypt: cost, sealed } = value as Partial<WrappedKey>;
  const isHex = (text: unknown, bytes: number): boolean =>
    typeof text === "string" && text.length === 2 * bytes && /^[0-9a-f]*$/.test(text);
  return (
    isHex(id, ID_BYTES) &&
    typeof label === "string" &&
    label.length <= LABEL_LENGTH_MAX &&
    isHex(salt, SALT_BYTES) &&
    isHex(sealed, DATA_KEY_BYTES + TAG_BYTES) &&
    (kind === "passphrase" ? isCost(cost) : kind === "key-file" && cost === undefined)
  );
}

function isCost(cost: ScryptCost | undefined): boolean {
  if (typeof cost !== "object") return false;
  const { n, r, p } = cost;
  const areWhole = [n, r, p].every((value) => Number.isSafeInteger(value) && value >= 1);
  return (
    areWhole &&
    n >= 2 &&
    Number.isInteger(Math.log2(n)) &&
    p <= SCRYPT_PASSES_MAX &&
    memoryOf(cost) <= SCRYPT_MEMORY_MAX
  );
}

/** @throws invalid */
export function checkLabel(label: string): void {
  if (label.length <= LABEL_LENGTH_MAX) return;
  throw new SternwayError("invalid", `a key's label has at most ${LABEL_LENGTH_MAX} characters`);
}

const ZERO_NONCE = new Uint8Array(12);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const memoryOf = ({ n, r, p }: ScryptCost): number => 128 * r * (n + p + 2);

async function keyFrom(secret: Secret, { salt, scrypt: cost }: Omit<WrappedKey, "sealed">): Promise<Uint8Array> {
  const saltBytes = Buffer.from(salt, "hex");
  if (secret.kind === "key-file") {
    return new Uint8Array(hkdfSync("sha256", secret.bytes, saltBytes, "sternway 1 key file", DATA_KEY_BYTES));
  }
  assert(cost !== undefined, "a passphrase's copy has its cost");
  const { n, r, p } = cost;
  // Off this thread: other vaults' clients are answered meanwhile.
  return await new Promise<Uint8Array>((resolve, reject) => {
    scrypt(secret.bytes, saltBytes, DATA_KEY_BYTES, { N: n, r, p, maxmem: memoryOf(cost) + 2 ** 20 }, (error, key) => {
      if (error) {
        const message = `the passphrase could not be tried: ${error.message}`;
        reject(new SternwayError("unavailable", message, {}, { cause: error }));
      } else resolve(key);
    });
  });
}

function boundOf({ id, kind, scrypt: cost }: Omit<WrappedKey, "sealed">, vaultId: Uint8Array): Uint8Array {
  const costs = cost ? [cost.n, cost.r, cost.p] : [];
  return new TextEncoder().encode(JSON.stringify(["sternway 1 data key", hex(vaultId), id, kind, costs]));
}
