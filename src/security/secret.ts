/**
 * What unlocks a vault: the bytes of a key file, or of a passphrase. They come from a file, a credential that the service manager hands over
 * as a file, or a prompt; never from a command line or the environment, and they are never logged. Whoever made one wipes it after use.
 */
import { readWhole, type Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";

export interface Secret {
  kind: "key-file" | "passphrase";
  /** The owner's; {@link wipeSecret} overwrites them. */
  bytes: Uint8Array;
}

/** 256 bits, when they are random. */
export const KEY_FILE_BYTES_MIN = 32;
/** A device or a log given by mistake must not be swallowed whole. */
const KEY_FILE_BYTES_MAX = 64 * 1024;
const PASSPHRASE_BYTES_MAX = 1024;

/** A key file's bytes. @throws not_found, unavailable: it cannot be read; invalid: it is too short or too long to be a key */
export async function secretOfKeyFile(disk: Disk, path: string): Promise<Secret> {
  const sizeBytes = await disk.sizeOf(path);
  if (sizeBytes === undefined) throw new SternwayError("not_found", `there is no key file ${path}`, { path });
  checkKeyFileSize(path, sizeBytes);
  const bytes = await readWhole(disk, path);
  // Once more, for a file that changed meanwhile.
  checkKeyFileSize(path, bytes.length);
  return { kind: "key-file", bytes };
}

function checkKeyFileSize(path: string, sizeBytes: number): void {
  if (sizeBytes >= KEY_FILE_BYTES_MIN && sizeBytes <= KEY_FILE_BYTES_MAX) return;
  const rule = `a key file has ${KEY_FILE_BYTES_MIN} bytes to 64 KiB, best random ones`;
  throw new SternwayError("invalid", `${path} has ${sizeBytes} bytes: ${rule}`, { path, sizeBytes });
}

/** @throws invalid: it is empty or too long */
export function secretOfPassphrase(passphrase: string): Secret {
  // One spelling, whatever keyboard typed it.
  const bytes = new TextEncoder().encode(passphrase.normalize("NFC"));
  if (bytes.length === 0) throw new SternwayError("invalid", "the passphrase is empty");
  if (bytes.length > PASSPHRASE_BYTES_MAX) {
    throw new SternwayError("invalid", `a passphrase has at most ${PASSPHRASE_BYTES_MAX} bytes`);
  }
  return { kind: "passphrase", bytes };
}

/** Overwrites a secret after use. Copies that the runtime made of a string on the way here are beyond reach. */
export function wipeSecret(secret: Secret): void {
  secret.bytes.fill(0);
}
