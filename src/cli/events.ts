/** `sternway events` */
import type { Command } from "commander";
import { integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

export function registerEvents(program: Command, context: Context): void {
  examples(
    program
      .command("events")
      .description("what happened that a person may want to know, newest first")
      .option("--limit <n>", "how many", integerArgument(1, 1000), 50)
      .action(async (options: { limit: number }, command: Command) => {
        const run = invocation(context, command);
        const page = await run.client().events(options);
        const text = table(
          [{ title: "time" }, { title: "level" }, { title: "kind" }, { title: "of" }, { title: "what" }],
          page.events.map(({ time, level, kind, subject, message }) => [showTime(time), level, kind, subject, message]),
        );
        run.print(page, page.events.length === 0 ? "no events yet\n" : text);
      }),
    "sternway events",
    "sternway events --limit 500 --json",
  );
}
