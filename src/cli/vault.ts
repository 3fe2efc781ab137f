/** `sternway vault create|list|show|space|lock|unlock|delete|forget`; the rest is in vault-open.ts and vault-key.ts. */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { VaultKey, VaultStatus, WireFollow, WireVault, WireVaultSpace } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { readNewPassphrase, readPassphrase } from "./secret.ts";
import { count, facts, table } from "./text.ts";
import { registerVaultKey } from "./vault-key.ts";
import { givenKey, KEY_FILE, PASSPHRASE, type KeyOptions } from "./vault-key-options.ts";
import { registerVaultOpen } from "./vault-open.ts";

export function registerVault(program: Command, context: Context): void {
  const vault = program
    .command("vault")
    .description("create, list, show, lock, unlock and delete vaults; open them from tiers; change their keys");
  registerVaultOpen(vault, context);
  registerVaultKey(vault, context);

  examples(
    vault
      .command("create")
      .description("make another vault, with a journal, deduplication and key of its own")
      .argument("<name>", "1 to 64 of a-z A-Z 0-9 . _ -")
      .option("--encrypt", "encrypt it at rest; this cannot be changed later")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (name: string, options: KeyOptions & { encrypt?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const made = await run.client().createVault(name, newKey(options));
        const kind = made.encrypted === true ? "encrypted" : "not encrypted";
        run.print(
          made,
          `made vault ${name}, ${kind}: \`sternway volume create NAME SIZE --vault ${name}\` puts a volume there\n`,
        );
      }),
    "sternway vault create archive",
    "sternway vault create payroll --encrypt --key-file /etc/sternway/payroll.key",
    "sternway vault create payroll --encrypt --passphrase",
  ).addHelpText(
    "after",
    "\nIt lies in DATA/vaults/NAME. To have it on another disk, mount that disk there\nfirst. Volumes' names are given once per appliance; branches stay in their vault.",
  );

  examples(
    vault
      .command("list")
      .description("list the vaults, also those that are locked or could not be opened")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const vaults = await run.client().vaults();
        run.print({ vaults }, vaultTable(vaults));
      }),
    "sternway vault list",
  );

  examples(
    vault
      .command("show")
      .description("show one vault")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().vaultNamed(name);
        run.print(info, facts(vaultFacts(info)));
      }),
    "sternway vault show default",
  );

  examples(
    vault
      .command("space")
      .description("who needs what is stored: counts a vault's space volume by volume, which takes a while")
      .argument("[name]", "the vault", "default")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const space = await run.client().vaultSpace(name);
        run.print(space, spaceText(space));
      }),
    "sternway vault space",
    "sternway vault space payroll --json",
  ).addHelpText(
    "after",
    "\n`alone` comes back when the volume is deleted, `shared` when the last of those who\nshare it is. `sternway retention plan VOLUME` says what its next expiry frees.",
  );

  examples(
    vault
      .command("lock")
      .description("close a vault and forget its key; its volumes are not served until it is unlocked")
      .argument("<name>")
      .option("--force", "although its volumes are in use: their clients get errors from then on")
      .action(async (name: string, options: { force?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().lockVault(name, options);
        run.print(info, `vault ${name} is ${info.state}\n`);
      }),
    "sternway vault lock payroll",
  );

  examples(
    vault
      .command("unlock")
      .description("open a vault that is locked or closed, or that could not be opened at the start")
      .argument("<name>")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (name: string, options: KeyOptions, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().unlockVault(name, givenKey(options, readPassphrase));
        run.print(info, `vault ${name} is open and ${info.state}: ${count(info.volumeCount, "volume")}\n`);
      }),
    "sternway vault unlock payroll --key-file /etc/sternway/payroll.key",
    "sternway vault unlock payroll --passphrase",
    "systemd-ask-password | sternway vault unlock payroll --passphrase",
  );

  examples(
    vault
      .command("delete")
      .description("delete an open vault and all that it stores, for good; its volumes are to be deleted before")
      .argument("<name>")
      .option("--force <name>", "delete its volumes too: type the vault's name once more; locks and holds still refuse")
      .action(async (name: string, options: { force?: string }, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteVault(name, options.force === undefined ? {} : { confirm: options.force });
        run.print({ deleted: name }, `vault ${name} and all that it stored are gone\n`);
      }),
    "sternway vault delete archive",
    "sternway vault delete archive --force archive",
  ).addHelpText(
    "after",
    "\nA vault whose key is lost cannot be opened, nor deleted here: stop the\nappliance, remove DATA/vaults/NAME, start it and run `sternway vault forget NAME`.",
  );

  examples(
    vault
      .command("forget")
      .description("strike a vault off the list whose folder is gone; deletes nothing, frees its volumes' names")
      .argument("<name>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().forgetVault(name);
        run.print({ forgotten: name }, `vault ${name} is listed no more\n`);
      }),
    "sternway vault forget archive",
  );
}

function newKey(options: KeyOptions & { encrypt?: boolean }): VaultKey | undefined {
  const key = givenKey(options, readNewPassphrase);
  if (options.encrypt === true && key === undefined) {
    throw new SternwayError("invalid", "--encrypt needs a key: add --key-file PATH or --passphrase");
  }
  if (options.encrypt !== true && key !== undefined) {
    throw new SternwayError("invalid", "a key is for an encrypted vault: add --encrypt");
  }
  return key;
}

function vaultTable(vaults: readonly WireVault[]): string {
  const columns = [
    { title: "name" },
    { title: "state" },
    { title: "encrypted" },
    { title: "volumes", align: "right" as const },
    { title: "stored", align: "right" as const },
    { title: "free", align: "right" as const },
    { title: "reason" },
  ];
  return table(
    columns,
    vaults.map(({ name, state, encrypted, volumeCount, status, reason }) => [
      name,
      state,
      encrypted === undefined ? "unknown" : encrypted ? "yes" : "no",
      String(volumeCount),
      status === undefined ? "" : formatSize(status.storedBytes),
      status === undefined ? "" : formatSize(status.freeBytes),
      status?.follow === undefined ? (reason ?? "") : followWords(status.follow),
    ]),
  );
}

function followWords({ currentAt, newestAt, reason }: WireFollow): string {
  const asOf = currentAt === undefined ? "its tier was not reached yet" : `as its tier was at ${currentAt}`;
  return `read only, ${asOf}; newest write ${newestAt ?? "none"}${reason === undefined ? "" : `; ${reason}`}`;
}

function spaceText({ storedBytes, liveBytes, deadBytes, volumes }: WireVaultSpace): string {
  const right = (title: string): { title: string; align: "right" } => ({ title, align: "right" });
  const columns = [{ title: "volume" }, right("alone"), right("shared"), right("versions kept, raw")];
  const rows = volumes.map(({ volume, uniqueBytes, sharedBytes, mappedBytes }) => [
    volume,
    ...[uniqueBytes, sharedBytes, mappedBytes].map(formatSize),
  ]);
  const sums = `stored ${formatSize(storedBytes)}: ${formatSize(liveBytes)} needed, ${formatSize(deadBytes)} needed by nobody\n`;
  return volumes.length === 0 ? sums : `${table(columns, rows)}${sums}`;
}

/** The facts of one vault; also printed by `status`. */
export function vaultFacts(vault: WireVault): [label: string, value: string][] {
  const { name, state, reason, encrypted, volumes, volumeCount, status } = vault;
  const kind = encrypted === true ? ", encrypted" : "";
  const label = name === "default" ? "vault" : `vault ${name}`;
  return [
    [label, status === undefined ? `${state}${kind}` : `${status.id}, ${state}${kind}, epoch ${status.epoch}`],
    ...(reason === undefined ? [] : [["", reason] satisfies [string, string]]),
    [
      "volumes",
      volumeCount === 0
        ? "none"
        : `${volumeCount}${volumes.length === 0 ? ", names locked" : `: ${shortened(volumes)}`}`,
    ],
    ...(status === undefined ? [] : statusFacts(status)),
  ];
}

function shortened(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

function statusFacts(status: VaultStatus): [label: string, value: string][] {
  const lag = status.lastLsn - status.sealedLsn;
  return [
    [
      "history",
      `lsn ${status.lastLsn}, durable up to ${status.durableLsn}, sealed up to ${status.sealedLsn}${lag > 0 ? ` (${lag} behind)` : ""}`,
    ],
    ["journal", `${formatSize(status.journalUsedBytes)} of ${formatSize(status.journalSizeBytes)} in use`],
    [
      "stored",
      `${formatSize(status.storedBytes)} in ${count(status.packCount, "pack")} and ${count(status.layerCount, "layer")}`,
    ],
    ["free", `${formatSize(status.freeBytes)} of ${formatSize(status.totalBytes)}`],
    ...(status.follow === undefined ? [] : followFacts(status.follow)),
  ];
}

function followFacts({ everySeconds, currentAt, newestAt, reason, olderViews }: WireFollow): [string, string][] {
  const how = everySeconds === 0 ? "only when it is refreshed" : `every ${everySeconds} s`;
  const asOf = currentAt === undefined ? "its tier was not reached since the start" : `its tier as of ${currentAt}`;
  const older = olderViews === 0 ? "" : `; ${count(olderViews, "older state")} still being read`;
  return [
    ["shows", `${asOf}, looks ${how}${older}`],
    ["newest write", newestAt ?? "none"],
    ...(reason === undefined ? [] : [["not newer", reason] satisfies [string, string]]),
  ];
}
