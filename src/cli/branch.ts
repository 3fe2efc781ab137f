/** `sternway branch NAME@MOMENT NEW` */
import type { Command } from "commander";
import { MOMENT_HELP, splitExport } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { volumeFacts } from "./volume.ts";

export function registerBranch(program: Command, context: Context): void {
  examples(
    program
      .command("branch")
      .description("a new writable volume that starts as another at a moment, at once and sharing all blocks")
      .argument("<volume@moment>", "where it starts")
      .argument("<new>", "the new volume's name")
      .option("--vault <name>", "the vault it is expected in; a branch stays in its volume's vault")
      .action(async (from: string, name: string, options: { vault?: string }, command: Command) => {
        const run = invocation(context, command);
        const { volume, at } = splitExport(from);
        const made = await run.client().branch(volume, at, name, options);
        run.print(made, volumeFacts(made));
      }),
    "sternway branch web1@-1h web1-trial",
    "sternway branch web1@bookmark:before-upgrade web1-old",
  ).addHelpText("after", MOMENT_HELP);
}
