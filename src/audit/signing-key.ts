/**
 * `key.pem` in the audit's folder: the Ed25519 key with which this appliance signs its audit. PKCS #8 as PEM, mode 0600, made at the first use and never
 * changed. Who can read it can sign as this appliance, so a chain proves most to whoever noted its head, or keeps an export, elsewhere.
 */
import { createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { isSternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { keyFingerprint, sealedText } from "./line.ts";

export interface SigningKey {
  /** SPKI in base64. */
  readonly publicKey: string;
  /** SHA-256 of the SPKI, hexadecimal: what people note down. */
  readonly fingerprint: string;
  /** The signature of a seal with this hash, base64. */
  sign(hash: string): string;
}

const SEED_BYTES = 32;
/** PKCS #8 around an Ed25519 seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Reads the key, or makes one. Durable when it resolves.
 * @returns a new one also when what lay there is none, which is set aside
 * @throws unavailable: the folder cannot be read or written
 */
export async function openSigningKey(disk: Disk, dir: string, random: Random): Promise<SigningKey> {
  const path = `${dir}/key.pem`;
  let text: string | undefined;
  try {
    text = new TextDecoder().decode(await readWhole(disk, path));
  } catch (error) {
    if (!isSternwayError(error, "not_found")) throw error;
  }
  const found = text === undefined ? undefined : privateKeyOf(text);
  if (found !== undefined) return signingKey(found);
  if (text !== undefined) {
    await disk.rename(path, `${path}.broken`);
    await disk.syncDir(dir);
  }
  const made = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, random.bytes(SEED_BYTES)]),
    format: "der",
    type: "pkcs8",
  });
  const pem = made.export({ format: "pem", type: "pkcs8" }).toString();
  await publish(disk, path, [new TextEncoder().encode(pem)]);
  return signingKey(made);
}

function privateKeyOf(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    // Damaged, or another kind of file: the caller sets it aside.
    return undefined;
  }
}

function signingKey(key: KeyObject): SigningKey {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64");
  return {
    publicKey,
    fingerprint: keyFingerprint(publicKey),
    sign: (hash) => sign(null, sealedText(hash), key).toString("base64"),
  };
}
