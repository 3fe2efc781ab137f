/**
 * Asking whoever started the appliance for the passphrase of a vault for which no key lies ready. Only where somebody sits at a terminal, and
 * only for a vault that a passphrase unlocks; an empty answer, or a few wrong ones, leave it locked for `sternway vault unlock`.
 */
import type { Disk } from "../base/disk.ts";
import { isSternwayError, type SternwayError } from "../base/errors.ts";
import type { VaultKey } from "../contract/contract.ts";
import { listVaultKeys } from "../vault/vault-keys.ts";

/** Asks for one vault's passphrase. @param tries - how often it was given wrong before @returns undefined: it stays locked */
export type AskPassphrase = (vault: string, tries: number) => string | undefined;

/** Somebody who does not know it must not keep the other vaults from being served. */
const TRIES_MAX = 3;

/**
 * Opens a vault by a passphrase that is asked for.
 * @param denied - what it said to no key; thrown when it stays locked without a try
 * @throws denied: it stays locked; else why it does not open
 */
export async function openAsking(
  { disk, dir, vault }: { disk: Disk; dir: string; vault: string },
  ask: AskPassphrase,
  denied: SternwayError,
  open: (key: VaultKey) => Promise<void>,
): Promise<void> {
  const keys = await listVaultKeys({ disk, dir });
  if (!keys.some((key) => key.kind === "passphrase")) throw denied;
  let last = denied;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const passphrase = ask(vault, tries);
    if (passphrase === undefined) throw last;
    try {
      await open({ passphrase });
      return;
    } catch (error) {
      if (!isSternwayError(error, "denied")) throw error;
      last = error;
    }
  }
  throw last;
}
