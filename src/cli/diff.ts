/** `sternway diff NAME --from MOMENT [--to MOMENT]` */
import type { Command } from "commander";
import { formatSize } from "../base/units.ts";
import { MOMENT_HELP } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { interruptible } from "./terminal.ts";
import { count, showTime } from "./text.ts";

export function registerDiff(program: Command, context: Context): void {
  examples(
    program
      .command("diff")
      .description("ranges that were written differently between two moments; never misses one, may name equal bytes")
      .argument("<volume>")
      .requiredOption("--from <moment>", "the earlier moment")
      .option("--to <moment>", "the later moment", "now")
      .option("--summary", "only how much")
      .action(async (volume: string, options: { from: string; to: string; summary?: boolean }, command: Command) => {
        const run = invocation(context, command);
        await interruptible(async (signal) => {
          if (!run.json && options.summary !== true) run.terminal.out("      offset        length\n");
          // Ranges are printed as they come: there may be millions.
          for await (const line of run.client().diff(volume, options.from, options.to, signal)) {
            if (line.line === "range") {
              if (options.summary === true) continue;
              run.print(line, `${String(line.offset).padStart(12)}  ${String(line.length).padStart(12)}\n`);
            } else if (line.line === "end") {
              run.print(
                line,
                `${formatSize(line.bytes)} in ${count(line.ranges, "range")} differ between lsn ${line.from.lsn} ` +
                  `(${showTime(line.from.time)}) and lsn ${line.to.lsn} (${showTime(line.to.time)})\n`,
              );
            }
          }
        });
      }),
    "sternway diff web1 --from -1h",
    "sternway diff web1 --from bookmark:before --to bookmark:after --json",
  ).addHelpText("after", MOMENT_HELP);
}
