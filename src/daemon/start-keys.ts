/**
 * Keys with which encrypted vaults open by themselves when the appliance starts: a file that config.json names, or a credential that
 * systemd passes (`LoadCredential=` or `LoadCredentialEncrypted=`): `vault.NAME.key` holds a key file's bytes, `vault.NAME.passphrase`
 * a passphrase. A vault with none of these waits for `sternway vault unlock`.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SternwayError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import type { VaultKey } from "../contract/contract.ts";

/** @param environment - CREDENTIALS_DIRECTORY is where systemd puts credentials (systemd.exec(5)) */
export function startKeys(
  vaults: Config["vaults"],
  environment: Record<string, string | undefined>,
): (vault: string) => VaultKey | undefined {
  const folder = environment["CREDENTIALS_DIRECTORY"];
  return (vault) => {
    const configured = vaults[vault]?.keyFile;
    if (configured !== undefined) return { keyFile: configured };
    if (folder === undefined || folder === "") return undefined;
    const keyFile = join(folder, `vault.${vault}.key`);
    if (existsSync(keyFile)) return { keyFile };
    const passphraseFile = join(folder, `vault.${vault}.passphrase`);
    return existsSync(passphraseFile) ? { passphrase: passphraseIn(passphraseFile) } : undefined;
  };
}

/** A file's final newline belongs to the file, not to the passphrase. */
function passphraseIn(path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (cause) {
    const { message } = cause as Error;
    throw new SternwayError("unavailable", `the credential ${path} cannot be read: ${message}`, { path }, { cause });
  }
}
