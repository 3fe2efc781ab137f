/** `sternway vault open|take-over|refresh`: a vault that another appliance wrote, from one of its tiers. */
import { resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import { parseDuration } from "../base/units.ts";
import { examples, invocation, type Context } from "./context.ts";
import { readPassphrase } from "./secret.ts";
import { count } from "./text.ts";
import { givenKey, KEY_FILE, PASSPHRASE, type KeyOptions } from "./vault-key-options.ts";

interface OpenOptions extends KeyOptions {
  name: string;
  secretFile?: string;
  caFile?: string;
  takeOver?: boolean;
  /** Seconds; 0: off. */
  follow?: number;
}

export function registerVaultOpen(vault: Command, context: Context): void {
  examples(
    vault
      .command("open")
      .description("open a vault from one of its tiers: every moment there can be read at once")
      .argument("<url>", "as for `tier add`")
      .option("--name <vault>", "what to call it here", "recovered")
      .option("--take-over", "become its writer; whoever wrote to it before no longer may")
      .option("--follow <time>", "how often to look what came to the tier since: 30s, 5m, off", followSeconds)
      .option("--secret-file <path>", "credentials of the place; the daemon reads it")
      .option("--ca-file <path>", "PEM: who signs the place's certificate")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (url: string, options: OpenOptions, command: Command) => {
        const run = invocation(context, command);
        const { name, secretFile, caFile, takeOver, follow } = options;
        const key = givenKey(options, readPassphrase);
        const info = await run.client().openVaultFrom({
          name,
          url,
          tier: "origin",
          ...(secretFile !== undefined && { secretFile: resolve(secretFile) }),
          ...(caFile !== undefined && { caFile: resolve(caFile) }),
          ...(takeOver === true && { takeOver }),
          ...(follow !== undefined && { followSeconds: follow }),
          ...(key !== undefined && { key }),
        });
        run.print(info, `vault ${name} is open and ${info.state}: ${count(info.volumeCount, "volume")}\n`);
      }),
    "sternway vault open file:///mnt/usb --name web",
    "sternway vault open file:///mnt/usb --name web --follow 5m",
    "sternway vault open 's3://backups/web?endpoint=https://s3.example.org&region=eu-1' \\\n      --secret-file /etc/sternway/s3.keys --key-file /etc/sternway/web.key --take-over",
  ).addHelpText(
    "after",
    "\nNothing is copied first: what is read comes from the tier and is kept here. After\na take-over the rest follows in the background. Without one the vault goes along with\nits tier, as --follow says (default 30s), and what is being read is not disturbed.",
  );

  examples(
    vault
      .command("take-over")
      .description("become the writer of a vault that was opened from a tier, or was taken over by another appliance")
      .argument("<name>")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (name: string, options: KeyOptions, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().takeOverVault(name, givenKey(options, readPassphrase));
        run.print(info, `vault ${name} is ${info.state}; whoever wrote to it before no longer may\n`);
      }),
    "sternway vault take-over web",
  );

  examples(
    vault
      .command("refresh")
      .description("read anew what the tier holds of a vault that was opened from it for reading")
      .argument("<name>")
      .option(...KEY_FILE)
      .option(...PASSPHRASE)
      .action(async (name: string, options: KeyOptions, command: Command) => {
        const run = invocation(context, command);
        const info = await run.client().refreshVault(name, givenKey(options, readPassphrase));
        run.print(info, `vault ${name} holds history up to LSN ${info.status?.lastLsn ?? 0}\n`);
      }),
    "sternway vault refresh web",
  );
}

/** For commander. */
function followSeconds(text: string): number {
  if (text === "off") return 0;
  const seconds = (parseDuration(text) ?? Number.NaN) / 1e6;
  if (Number.isInteger(seconds) && seconds >= 1) return seconds;
  throw new InvalidArgumentError("It must be a duration in whole seconds such as 30s or 5m, or off.");
}
