/**
 * What somebody gave to unlock a vault becomes a secret here: a path's file is read, a passphrase is made bytes. Before a secret is in memory, this
 * process is taken out of core dumps. A secret is overwritten when the work with it is done.
 */
import type { Disk } from "../base/disk.ts";
import type { VaultKey } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import { keepOutOfCoreDumps } from "../security/core-dumps.ts";
import { secretOfKeyFile, secretOfPassphrase, wipeSecret, type Secret } from "../security/secret.ts";

/**
 * Hands the secret of a key to `work`, and overwrites it afterwards.
 * @param key - undefined: none was given, and `work` gets none
 * @throws not_found, unavailable: the key file cannot be read; invalid: it cannot be a key
 */
export async function withSecret<Result>(
  disk: Disk,
  log: Log,
  key: VaultKey | undefined,
  work: (secret: Secret | undefined) => Promise<Result>,
): Promise<Result> {
  const secret = key && (await secretOf(disk, log, key));
  try {
    return await work(secret);
  } finally {
    if (secret) wipeSecret(secret);
  }
}

/** The secret of a key. The caller wipes it. @throws not_found, unavailable, invalid: as for {@link withSecret} */
export async function secretOf(disk: Disk, log: Log, key: VaultKey): Promise<Secret> {
  if (!keepOutOfCoreDumps()) log.warn({}, "core dumps of this process could hold keys: forbid them (LimitCORE=0)");
  return "keyFile" in key ? await secretOfKeyFile(disk, key.keyFile) : secretOfPassphrase(key.passphrase);
}
