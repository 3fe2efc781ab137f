/** `sternway rollback NAME --to MOMENT` */
import type { Command } from "commander";
import { MOMENT_HELP } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime } from "./text.ts";

export function registerRollback(program: Command, context: Context): void {
  examples(
    program
      .command("rollback")
      .description("set a volume's present back to a moment; history keeps everything, so this can be undone")
      .argument("<volume>")
      .requiredOption("--to <moment>", "the moment to go back to")
      .option("--force", "although a client is attached: what it holds in memory will not match the disk")
      .action(async (volume: string, options: { to: string; force?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const { to, ...rest } = options;
        const done = await run.client().rollback(volume, to, rest);
        const kind = done.to.flushPoint ? "a flush point" : "a write boundary";
        run.print(
          done,
          `${volume} is as of ${showTime(done.to.time)}, lsn ${done.to.lsn} (${kind})\n` +
            `undo it with: sternway rollback ${volume} --to ${done.undo}\n`,
        );
      }),
    "sternway rollback web1 --to -15m",
    "sternway rollback web1 --to bookmark:before-upgrade",
  ).addHelpText("after", MOMENT_HELP);
}
