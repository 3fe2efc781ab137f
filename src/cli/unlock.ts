/** The secret that a command works with itself, where no daemon does: made from its options, kept out of core dumps, overwritten afterwards. */
import { resolve } from "node:path";
import { SternwayError } from "../base/errors.ts";
import { realDisk } from "../base/real-disk.ts";
import { keepOutOfCoreDumps } from "../security/core-dumps.ts";
import { secretOfKeyFile, secretOfPassphrase, wipeSecret, type Secret } from "../security/secret.ts";
import { readPassphrase } from "./secret.ts";

/** `--key-file PATH` and `--passphrase`. */
export interface UnlockOptions {
  keyFile?: string | undefined;
  passphrase?: boolean | undefined;
}

/** @throws invalid: not exactly one of the two is given */
export async function withSecret<Result>(
  options: UnlockOptions,
  work: (secret: Secret) => Promise<Result>,
): Promise<Result> {
  const secret = await secretFrom(options, "", () => readPassphrase("Passphrase: "));
  try {
    return await work(secret);
  } finally {
    wipeSecret(secret);
  }
}

/** @param prefix - of the options' names, for messages @param ask - for the passphrase @returns the caller's, to wipe */
export async function secretFrom(
  { keyFile, passphrase }: UnlockOptions,
  prefix: string,
  ask: () => string,
): Promise<Secret> {
  if ((keyFile === undefined) === (passphrase !== true)) {
    throw new SternwayError("invalid", `give either --${prefix}key-file PATH or --${prefix}passphrase`);
  }
  // Where that is not possible, a dump of this short-lived process is what a debugger could read as well.
  keepOutOfCoreDumps();
  return keyFile === undefined ? secretOfPassphrase(ask()) : await secretOfKeyFile(realDisk, resolve(keyFile));
}
