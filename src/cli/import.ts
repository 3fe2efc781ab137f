/** `sternway import FILE|DEVICE NAME`: reads here, writes through the daemon's block door like any other client. */
import { basename } from "node:path";
import type { Command } from "commander";
import { SternwayError, isSternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { Client } from "../contract/client.ts";
import type { WireVolume } from "../contract/contract.ts";
import { importDevice, inspectSource, type SourceFacts } from "../sources/import.ts";
import { connectBlocks, untilDetached } from "./blocks.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { meter } from "./progress.ts";
import { interruptible } from "./terminal.ts";
import { showSeconds } from "./text.ts";

interface ImportOptions {
  create: boolean;
  vault?: string;
  bookmark?: string;
  force?: boolean;
  progress?: boolean;
}

export function registerImport(program: Command, context: Context): void {
  examples(
    program
      .command("import")
      .description("copy a disk image or block device into a volume; holes and zeroes are not sent")
      .argument("<source>", "a file or block device; it is only read")
      .argument("[volume]", "default: the source's name without its extension")
      .option("--no-create", "fail when the volume does not exist, instead of creating it with the source's size")
      .option("--vault <name>", "the vault that takes a new volume (default: default)")
      .option("--bookmark <name>", "name the moment at which the copy is complete")
      .option("--force", "although a client is attached to the volume, or the source is mounted")
      .option("--progress", "show progress where standard error is no terminal, too")
      .action(async (source: string, name: string | undefined, options: ImportOptions, command: Command) => {
        const run = invocation(context, command);
        await interruptible((signal) => importInto(run, source, name ?? volumeNameFor(source), options, signal));
      }),
    "sternway import disk.raw web1",
    "sternway import /dev/sdb web1 --bookmark first-copy",
  ).addHelpText(
    "after",
    "\nA volume that exists is overwritten from its start, and what lies past the\n" +
      "source's end becomes zeroes. Its history keeps what was there before.",
  );
}

async function importInto(
  run: Invocation,
  source: string,
  name: string,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<void> {
  const facts = inspectSource(source);
  if (facts.mountedOn !== undefined && options.force !== true) {
    throw new SternwayError(
      "conflict",
      `${source} is mounted for writing on ${facts.mountedOn}: its copy would be torn; unmount it, or use --force`,
    );
  }
  const client = run.client();
  const { volume, created } = await volumeFor(run, client, name, facts, options);
  const progress = meter(run.terminal, options.progress === true);
  const device = await connectBlocks(run.blockSocket(), name);
  const start = run.terminal.clock.monotonic();
  let report;
  try {
    report = await importDevice({
      source,
      target: device,
      blank: created,
      signal,
      onProgress: (state) => progress.update("importing", state),
    });
  } finally {
    progress.end();
    await device.close();
    await untilDetached(client, name, volume.attached, run.terminal.clock);
  }
  const seconds = (run.terminal.clock.monotonic() - start) / 1e6;
  const bookmark =
    options.bookmark === undefined
      ? undefined
      : await client.createBookmark(name, { name: options.bookmark, note: `imported from ${basename(source)}` });
  const rate = formatSize(Math.round(report.sizeBytes / Math.max(seconds, 1e-3)));
  run.print(
    { volume: name, created, ...report, seconds, bookmark, before: created ? undefined : `lsn:${volume.lastLsn}` },
    `imported ${source} into ${name}: ${formatSize(report.sizeBytes)}, of which ${formatSize(report.sentBytes)} data, in ${showSeconds(seconds)} (${rate}/s)\n` +
      (bookmark === undefined ? "" : `bookmark ${bookmark.name} names lsn ${bookmark.lsn}\n`) +
      (created ? "" : `what ${name} held before is ${name}@lsn:${volume.lastLsn}\n`),
  );
}

async function volumeFor(
  run: Invocation,
  client: Client,
  name: string,
  facts: SourceFacts,
  options: ImportOptions,
): Promise<{ volume: WireVolume; created: boolean }> {
  try {
    const volume = await client.volume(name);
    if (volume.attached > 0 && options.force !== true) {
      throw new SternwayError(
        "conflict",
        `${name} has ${volume.attached} clients attached: detach them, or use --force`,
        { volume: name },
      );
    }
    return { volume, created: false };
  } catch (error) {
    if (!isSternwayError(error, "not_found") || !options.create) throw error;
  }
  const { vault } = options;
  const volume = await client.createVolume(name, facts.volumeBytes, vault === undefined ? {} : { vault });
  if (!run.json) run.terminal.err(`created volume ${name}, ${formatSize(volume.sizeBytes)}\n`);
  return { volume, created: true };
}

function volumeNameFor(source: string): string {
  const name = basename(source).replace(/\.(img|raw|bin|iso|dd)$/i, "");
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return name;
  throw new SternwayError("invalid", `${source} gives no name for a volume: pass one as the second argument`);
}
