/** `sternway restore NAME@MOMENT --to FILE|DEVICE|-`: reads through the daemon's block door, writes here. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import { restoreTo, sidecarPath, type RestoreReport } from "../restore/restore.ts";
import { streamTo } from "../restore/stream.ts";
import { MOMENT_HELP, integerArgument, splitExport } from "./arguments.ts";
import { connectPast, vaultIdOf } from "./blocks.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { meter } from "./progress.ts";
import { interruptible } from "./terminal.ts";
import { count, showSeconds, showTime } from "./text.ts";

interface RestoreCommandOptions {
  to: string;
  fresh?: boolean;
  pastDamage?: boolean;
  verify: boolean;
  inFlight: number;
  progress?: boolean;
}

const STANDARD_OUTPUT = 1;

export function registerRestore(program: Command, context: Context): void {
  examples(
    program
      .command("restore")
      .description("write a volume as of a moment to a file, a block device or standard output, and verify it")
      .argument("<volume@moment>", "what to restore; without @MOMENT the present")
      .requiredOption("--to <target>", "a new file (sparse), a block device, or - for standard output")
      .option("--fresh", "start over: forget an unfinished restore, overwrite an existing file")
      .option(
        "--past-damage",
        "go on past damaged ranges: zeroes there, a map of them in TARGET.damage.jsonl, exit code 6",
      )
      .option("--no-verify", "do not read the target back at the end")
      .option("--in-flight <n>", "pieces of 4 MiB in flight", integerArgument(1, 64), 8)
      .option("--progress", "show progress where standard error is no terminal, too")
      .action(async (from: string, options: RestoreCommandOptions, command: Command) => {
        const run = invocation(context, command);
        await interruptible((signal) => restore(run, from, options, signal));
      }),
    "sternway restore web1@-15m --to web1.img",
    "sternway restore web1@bookmark:before-upgrade --to /dev/sdb",
    "sternway restore web1 --to - | zstd > web1.zst",
  ).addHelpText(
    "after",
    `${MOMENT_HELP}

An interrupted restore to a file or device goes on where it was when it is run
again for the same moment (an age such as -15m is another moment by then: the
message names the LSN to use). Until it is complete, TARGET.sternway-restore
lies beside the target. A device must not be in use; it is never truncated, and
what lies past the image stays.`,
  );
}

async function restore(
  run: Invocation,
  from: string,
  options: RestoreCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { volume, at } = splitExport(from);
  const client = run.client();
  const moment = await client.resolve(volume, at);
  const vaultId = await vaultIdOf(client, volume);
  // By LSN, so that what is read is what was resolved, however long it takes.
  const device = await connectPast(run.blockSocket(), `${volume}@lsn:${moment.lsn}`);
  const progress = meter(run.terminal, options.progress === true);
  const what = `${volume} as of ${showTime(moment.time)}, lsn ${moment.lsn}`;
  try {
    if (options.to === "-") {
      const lost = { ranges: 0, bytes: 0 };
      const onLost = (range: { length: number }): void => {
        lost.ranges++;
        lost.bytes += range.length;
        // There is no target to put a map beside.
        run.terminal.err(`${JSON.stringify(range)}\n`);
      };
      const bytes = await streamTo({
        device,
        fd: STANDARD_OUTPUT,
        inFlight: options.inFlight,
        signal,
        ...(options.pastDamage === true ? { onLost } : {}),
        onProgress: (state) => progress.update("sending", state),
      });
      progress.end();
      if (!run.json) run.terminal.err(`sent ${what}: ${formatSize(bytes)}\n`);
      if (lost.ranges > 0) throw incomplete(what, lost, "standard error");
      return;
    }
    const report = await restoreTo({
      source: { device, vault: vaultId, volume, lsn: moment.lsn },
      target: options.to,
      verify: options.verify,
      inFlight: options.inFlight,
      signal,
      ...(options.fresh === undefined ? {} : { fresh: options.fresh }),
      ...(options.pastDamage === undefined ? {} : { pastDamage: options.pastDamage }),
      onProgress: (state) => progress.update(state.phase === "copy" ? "copying" : "verifying", state),
    });
    progress.end();
    run.print({ volume, moment, ...report }, reportText(what, report));
    if (report.lost) throw incomplete(what, report.lost, report.lost.map);
  } catch (error) {
    progress.end();
    const resumable = !isSternwayError(error, "conflict") && existsSync(sidecarPath(options.to));
    if (resumable && !run.json) {
      run.terminal.err(`to go on where it stopped: sternway restore ${volume}@lsn:${moment.lsn} --to ${options.to}\n`);
    }
    if (!isSternwayError(error, "corrupt") || options.pastDamage === true || error.facts["pieces"] !== undefined)
      throw error;
    const message = `${error.message}; --past-damage goes on past what is damaged and tells what is missing`;
    throw new SternwayError("corrupt", message, error.facts, { cause: error });
  } finally {
    progress.end();
    await device.close();
  }
}

function incomplete(what: string, { ranges, bytes }: { ranges: number; bytes: number }, map: string): SternwayError {
  const places = count(ranges, "damaged range");
  const message = `${what} is restored but for ${places}, ${formatSize(bytes)}, which hold zeroes: ${map} lists them`;
  return new SternwayError("corrupt", message, { ranges, bytes, map });
}

function reportText(what: string, report: RestoreReport): string {
  const seconds = report.copySeconds;
  const rate = formatSize(Math.round(report.copiedBytes / Math.max(seconds, 1e-3)));
  const resumed = report.resumedBytes === 0 ? "" : `, ${formatSize(report.resumedBytes)} of it by an earlier run`;
  const verified = {
    direct: `verified by reading it back from the disk, ${showSeconds(report.verifySeconds)}`,
    buffered: `verified by reading it back, ${showSeconds(report.verifySeconds)} (this file system may have answered from memory)`,
    skipped: "not verified",
  }[report.verified];
  return (
    `restored ${what}\n` +
    `  to ${report.target}: ${formatSize(report.sizeBytes)}, of which ${formatSize(report.dataBytes)} data${resumed}\n` +
    `  copied in ${showSeconds(seconds)} (${rate}/s); ${verified}\n`
  );
}
