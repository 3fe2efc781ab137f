/** The options by which commands take a vault's key. */
import { resolve } from "node:path";
import { SternwayError } from "../base/errors.ts";
import type { VaultKey } from "../contract/contract.ts";

export interface KeyOptions {
  keyFile?: string;
  passphrase?: boolean;
}

export const KEY_FILE = ["--key-file <path>", "a file that holds the key; the daemon reads it"] as const;
export const PASSPHRASE = ["--passphrase", "ask for a passphrase, or read it as one line of standard input"] as const;

/** The key that a command's options give; a passphrase is asked for. @throws invalid */
export function givenKey(options: KeyOptions, ask: (prompt: string) => string): VaultKey | undefined {
  if (options.keyFile !== undefined && options.passphrase === true) {
    throw new SternwayError("invalid", "--key-file and --passphrase are two ways: choose one");
  }
  // The daemon runs in a folder of its own.
  if (options.keyFile !== undefined) return { keyFile: resolve(options.keyFile) };
  return options.passphrase === true ? { passphrase: ask("Passphrase: ") } : undefined;
}
