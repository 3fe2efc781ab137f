/** `sternway tier add|list|remove|sync|verify`: where else a vault is kept. */
import { resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize, parseSize } from "../base/units.ts";
import type { AddTier, WireTier } from "../contract/contract.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { interruptible } from "./terminal.ts";
import { count, table } from "./text.ts";

interface AddOptions {
  name?: string;
  mode: AddTier["mode"];
  schedule?: string;
  rpo: number;
  bandwidth?: string;
  backlog?: number;
  secretFile?: string;
  caFile?: string;
}

const URL_HELP = `
A URL is one of
  file:///PATH                                   a directory; also a mounted share
  s3://BUCKET/PREFIX?endpoint=URL&region=NAME    any S3-compatible service
  https://HOST:PORT/NAME                         another Sternway; \`receive add\` there
and never holds a secret: S3 keys come from --secret-file (lines accessKeyId= and
secretAccessKey=) or the daemon's environment, a peer's token from --secret-file.`;

export function registerTier(program: Command, context: Context): void {
  const tier = program
    .command("tier")
    .description("where else a vault is kept: add, list, remove, sync and verify tiers");

  examples(
    tier
      .command("add")
      .description("keep a vault at another place too; copying begins in the background")
      .argument("<vault>")
      .argument("<url>")
      .option("--name <tier>", "what to call it; default: by its kind")
      .option("--mode <mode>", "sync, continuous or scheduled", parseMode, "continuous" as const)
      .option("--schedule <when>", "for scheduled: hourly, daily, weekly, monthly, or a cron expression")
      .option("--rpo <seconds>", "how far it may lag behind before it is told", parseSeconds, 5)
      .option("--bandwidth <limit>", "such as 20MiB/s, or 08:00-18:00=5MiB/s,*=unlimited")
      .option("--backlog <size>", "slow writers down before more than this waits for it", parseBacklog)
      .option("--secret-file <path>", "credentials; the daemon reads it")
      .option("--ca-file <path>", "PEM: who signs the place's certificate")
      .action(async (vault: string, url: string, options: AddOptions, command: Command) => {
        const run = invocation(context, command);
        const made = await run.client().addTier(vault, requestOf(url, options, await run.client().tiers(vault)));
        run.print(made, addedText(made));
      }),
    "sternway tier add default file:///mnt/usb",
    "sternway tier add default 's3://backups/web?endpoint=https://s3.example.org' \\\n      --secret-file /etc/sternway/s3.keys --bandwidth 20MiB/s",
    "sternway tier add default https://other:7443/web --mode sync \\\n      --secret-file /etc/sternway/peer.token",
    "sternway tier add default file:///mnt/nas --mode scheduled --schedule daily",
  ).addHelpText("after", URL_HELP);

  examples(
    tier
      .command("list")
      .description("the tiers of a vault, in the order in which they are read from, and how far they are")
      .argument("[vault]", "the vault", "default")
      .action(async (vault: string, _options, command: Command) => {
        const run = invocation(context, command);
        const tiers = await run.client().tiers(vault);
        run.print({ tiers }, tierTable(tiers));
      }),
    "sternway tier list",
    "sternway tier list payroll --json",
  );

  examples(
    tier
      .command("remove")
      .description("let go of a tier; what lies there stays")
      .argument("<vault>")
      .argument("<tier>")
      .action(async (vault: string, name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().removeTier(vault, name);
        run.print({ removed: name }, `vault ${vault} has no tier ${name} any more; what lies there stays\n`);
      }),
    "sternway tier remove default offsite",
  );

  examples(
    tier
      .command("sync")
      .description("bring tiers up to everything written so far, and wait for it")
      .argument("<vault>")
      .argument("[tier]", "only this one")
      .action(async (vault: string, name: string | undefined, _options, command: Command) => {
        const run = invocation(context, command);
        await interruptible((signal) => followSync(run, vault, name, signal));
      }),
    "sternway tier sync default",
    "sternway tier sync default offsite",
  ).addHelpText("after", "\nInterrupting it stops the waiting, not the copying.");

  examples(
    tier
      .command("verify")
      .description("read all that a tier should hold, the journal's tail too, and compare it")
      .argument("<vault>")
      .argument("<tier>")
      .option("--repair", "put anew what is damaged or missing there")
      .action(async (vault: string, name: string, options: { repair?: boolean }, command: Command) => {
        const run = invocation(context, command);
        await interruptible((signal) => followVerify(run, vault, name, options, signal));
      }),
    "sternway tier verify default offsite",
    "sternway tier verify default offsite --repair",
  ).addHelpText("after", "\nExit code 6 when something is still damaged or missing at the end.");
}

/** @throws invalid: a name is needed */
function requestOf(url: string, options: AddOptions, tiers: readonly WireTier[]): AddTier {
  const { mode, schedule, rpo, bandwidth, backlog, secretFile, caFile } = options;
  return {
    name: options.name ?? defaultName(url, tiers),
    url,
    mode,
    rpoSeconds: rpo,
    ...(schedule !== undefined && { schedule }),
    ...(bandwidth !== undefined && { bandwidth }),
    ...(backlog !== undefined && { backlogBytesMax: backlog }),
    // The daemon runs in a folder of its own.
    ...(secretFile !== undefined && { secretFile: resolve(secretFile) }),
    ...(caFile !== undefined && { caFile: resolve(caFile) }),
  };
}

function defaultName(url: string, tiers: readonly WireTier[]): string {
  const kind = url.startsWith("s3:") ? "s3" : url.startsWith("https:") ? "peer" : "directory";
  for (let number = 1; ; number++) {
    const name = number === 1 ? kind : `${kind}-${number}`;
    if (!tiers.some((tier) => tier.name === name)) return name;
  }
}

function parseMode(text: string): AddTier["mode"] {
  if (text === "sync" || text === "continuous" || text === "scheduled") return text;
  throw new InvalidArgumentError("use sync, continuous or scheduled");
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("use seconds, 0.1 to 86400");
}

function parseBacklog(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes >= 2 ** 20) return bytes;
  throw new InvalidArgumentError("use a size such as 10G, 1MiB at the least");
}

function addedText({ name, url, mode, vault }: WireTier): string {
  const price: Record<WireTier["mode"], string> = {
    sync: url.startsWith("https:")
      ? "each flush waits until the peer has it on disk"
      : "each flush waits for a request that stores an object and one that looks for other writers",
    continuous: "packs go as soon as they are sealed, the rest of the journal within the RPO",
    scheduled: "what is written between two times is here alone",
  };
  return `${url} is tier ${name} of vault ${vault}: ${price[mode]}\n\`sternway tier list ${vault}\` shows how far it is\n`;
}

function tierTable(tiers: readonly WireTier[]): string {
  if (tiers.length === 0) return "no tiers: the vault is on this machine alone; `sternway tier add` gives it one\n";
  const right = (title: string): { title: string; align: "right" } => ({ title, align: "right" });
  return table(
    [
      { title: "name" },
      { title: "mode" },
      { title: "state" },
      right("lag"),
      right("to copy"),
      { title: "place" },
      { title: "reason" },
    ],
    tiers.map(({ name, mode, schedule, state, lagSeconds, lagBytes, url, reason = "" }) => [
      name,
      schedule === undefined ? mode : `${mode} ${schedule}`,
      state,
      `${lagSeconds.toFixed(1)} s`,
      formatSize(lagBytes),
      url,
      reason,
    ]),
  );
}

async function followSync(
  run: Invocation,
  vault: string,
  tier: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  let drawn = false;
  const clear = (): void => {
    if (drawn) run.terminal.err("\r\x1b[K");
    drawn = false;
  };
  for await (const line of run.client().syncTiers(vault, tier === undefined ? {} : { tier }, signal)) {
    if (line.line === "failed") throw new SternwayError(line.problem.kind, line.problem.detail, line.problem.facts);
    clear();
    if (run.json) run.terminal.out(`${JSON.stringify(line)}\n`);
    else if (line.line === "end")
      run.terminal.out(`${tier === undefined ? "every tier" : `tier ${tier}`} has everything up to LSN ${line.lsn}\n`);
    else if (run.terminal.errIsTerminal) {
      run.terminal.err(`${line.tier.name}: ${line.tier.state}, ${formatSize(line.tier.lagBytes)} to copy`.slice(0, 78));
      drawn = true;
    }
  }
}

async function followVerify(
  run: Invocation,
  vault: string,
  tier: string,
  options: { repair?: boolean },
  signal: AbortSignal,
): Promise<void> {
  let left = 0;
  for await (const line of run.client().verifyTier(vault, tier, options, signal)) {
    if (line.line === "failed") throw new SternwayError(line.problem.kind, line.problem.detail, line.problem.facts);
    if (line.line === "end") left = line.findings - line.repaired;
    if (run.json) run.terminal.out(`${JSON.stringify(line)}\n`);
    else if (line.line === "finding") {
      run.terminal.out(`${line.object}: ${line.message}${line.repaired ? "; put anew" : ""}\n`);
    } else if (line.line === "end") {
      const verdict = left === 0 ? "nothing is damaged" : `${count(left, "object")} still damaged or missing`;
      run.terminal.out(
        `verified ${count(line.objects, "object")}, ${formatSize(line.bytes)}: ${count(line.findings, "finding")}, ${line.repaired} put anew; ${verdict}\n`,
      );
    }
  }
  if (left > 0) {
    throw new SternwayError(
      "corrupt",
      `tier ${tier}: ${count(left, "object")} damaged or missing; ${options.repair === true ? "what could not be put anew is named above" : "--repair puts anew what this machine or another tier has"}`,
    );
  }
}
