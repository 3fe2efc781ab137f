/**
 * `sternway vault key list|add|rotate|remove`
 *
 * They work on the vault's folder and need no daemon: what they rewrite is read when a vault is opened, so one that is open is not disturbed, and
 * no key crosses a socket. A lock keeps two of them apart.
 */
import { join } from "node:path";
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { lockFile } from "../base/file-lock.ts";
import { systemRandom } from "../base/random.ts";
import { realDisk } from "../base/real-disk.ts";
import { nameSchema } from "../contract/fields.ts";
import { wipeSecret, type Secret } from "../security/secret.ts";
import { addVaultKey, listVaultKeys, removeVaultKey, rotateVaultKey, type VaultKeyInfo } from "../vault/vault-keys.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { readNewPassphrase } from "./secret.ts";
import { table } from "./text.ts";
import { secretFrom, withSecret, type UnlockOptions } from "./unlock.ts";

interface NewOptions extends UnlockOptions {
  newKeyFile?: string;
  newPassphrase?: boolean;
  label?: string;
}

const KEY_FILE = ["--key-file <path>", "a key file that unlocks the vault now"] as const;
const PASSPHRASE = ["--passphrase", "ask for a passphrase that unlocks the vault now"] as const;
const NEW_KEY_FILE = ["--new-key-file <path>", "the key file to unlock it from now on"] as const;
const NEW_PASSPHRASE = ["--new-passphrase", "ask for the passphrase to unlock it from now on"] as const;
const LABEL = ["--label <text>", "what to call it, up to 64 characters"] as const;

export function registerVaultKey(vault: Command, context: Context): void {
  const key = vault.command("key").description("list, add, change and remove the keys of an encrypted vault");

  examples(
    key
      .command("list")
      .description("list the keys that unlock a vault")
      .argument("<vault>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const keys = await listVaultKeys({ disk: realDisk, dir: folderOf(run, name) });
        run.print({ keys }, keys.length === 0 ? `vault ${name} is not encrypted\n` : keyTable(keys));
      }),
    "sternway vault key list payroll",
  );

  const taking = (command: Command): Command =>
    command
      .argument("<vault>")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .option(...NEW_KEY_FILE)
      .option(...NEW_PASSPHRASE)
      .option(...LABEL);

  examples(
    taking(key.command("add").description("let another key unlock a vault, beside those that do")).action(
      async (name: string, options: NewOptions, command: Command) => {
        const run = invocation(context, command);
        const added = await changing(run, name, (dir) =>
          withBoth(options, (have, next) =>
            addVaultKey({ disk: realDisk, dir }, systemRandom, have, next, options.label),
          ),
        );
        run.print(added, `key ${added.id} unlocks vault ${name} from now on\n`);
      },
    ),
    "sternway vault key add payroll --key-file a.key --new-passphrase --label spare",
  );

  examples(
    taking(key.command("rotate").description("put a new key in the place of the one that is given")).action(
      async (name: string, options: NewOptions, command: Command) => {
        const run = invocation(context, command);
        const made = await changing(run, name, (dir) =>
          withBoth(options, (have, next) =>
            rotateVaultKey({ disk: realDisk, dir }, systemRandom, have, next, options.label),
          ),
        );
        run.print(made, `key ${made.id} unlocks vault ${name} from now on, and the old one no longer does\n`);
      },
    ),
    "sternway vault key rotate payroll --passphrase --new-passphrase",
  ).addHelpText("after", "\nNo data is rewritten. Older copies of vault.json open by the old key: destroy them.");

  examples(
    key
      .command("remove")
      .description("take a key away; the one given here must be another, which stays")
      .argument("<vault>")
      .argument("<id>", "as `vault key list` shows it")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (name: string, id: string, options: UnlockOptions, command: Command) => {
        const run = invocation(context, command);
        await changing(run, name, (dir) =>
          withSecret(options, (have) => removeVaultKey({ disk: realDisk, dir }, have, id)),
        );
        run.print({ removed: id }, `key ${id} unlocks vault ${name} no longer\n`);
      }),
    "sternway vault key remove payroll 1f0c22aa --passphrase",
  );
}

function folderOf(run: Invocation, name: string): string {
  if (!nameSchema.safeParse(name).success) throw new SternwayError("invalid", `"${name}" is not the name of a vault`);
  return join(run.dataDir(), "vaults", name);
}

async function changing<Result>(
  run: Invocation,
  name: string,
  work: (dir: string) => Promise<Result>,
): Promise<Result> {
  const dir = folderOf(run, name);
  // Before a lock is made in a folder that is no vault's.
  await listVaultKeys({ disk: realDisk, dir });
  const lock = lockFile(join(dir, "keys.lock"));
  try {
    return await work(dir);
  } finally {
    lock.release();
  }
}

async function withBoth<Result>(
  options: NewOptions,
  work: (have: Secret, next: Secret) => Promise<Result>,
): Promise<Result> {
  return await withSecret(options, async (have) => {
    const wanted = { keyFile: options.newKeyFile, passphrase: options.newPassphrase };
    const next = await secretFrom(wanted, "new-", () => readNewPassphrase("New passphrase: "));
    try {
      return await work(have, next);
    } finally {
      wipeSecret(next);
    }
  });
}

function keyTable(keys: readonly VaultKeyInfo[]): string {
  return table(
    [{ title: "id" }, { title: "kind" }, { title: "label" }],
    keys.map(({ id, kind, label }) => [id, kind === "key-file" ? "key file" : "passphrase", label]),
  );
}
