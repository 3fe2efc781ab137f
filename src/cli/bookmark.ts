/** `sternway bookmark create|list|remove` */
import type { Command } from "commander";
import { MOMENT_HELP } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

export function registerBookmark(program: Command, context: Context): void {
  const bookmark = program.command("bookmark").description("name moments of a volume");

  examples(
    bookmark
      .command("create")
      .description("name a moment; now, unless told otherwise, which is made durable first")
      .argument("<volume>")
      .argument("<name>")
      .option("--at <moment>", "the moment to name", "now")
      .option("--note <text>", "what is known about it", "")
      .action(async (volume: string, name: string, options: { at: string; note: string }, command: Command) => {
        const run = invocation(context, command);
        const made = await run.client().createBookmark(volume, { name, ...options });
        run.print(
          made,
          `bookmark ${name} names lsn ${made.lsn}, ${showTime(made.time)}: use it as ${volume}@bookmark:${name}\n`,
        );
      }),
    "sternway bookmark create web1 before-upgrade",
    'sternway bookmark create web1 last-good --at -15m --note "before the alarm"',
  ).addHelpText("after", MOMENT_HELP);

  examples(
    bookmark
      .command("list")
      .description("list the bookmarks of a volume, oldest first")
      .argument("<volume>")
      .action(async (volume: string, _options, command: Command) => {
        const run = invocation(context, command);
        const bookmarks = await run.client().bookmarks(volume);
        const text = table(
          [{ title: "name" }, { title: "lsn", align: "right" }, { title: "moment" }, { title: "note" }],
          bookmarks.map((each) => [each.name, String(each.lsn), showTime(each.time), each.note]),
        );
        run.print({ bookmarks }, bookmarks.length === 0 ? `${volume} has no bookmarks\n` : text);
      }),
    "sternway bookmark list web1",
  );

  examples(
    bookmark
      .command("remove")
      .description("forget a bookmark; the moment itself stays readable")
      .argument("<volume>")
      .argument("<name>")
      .action(async (volume: string, name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteBookmark(volume, name);
        run.print({ removed: name }, `removed bookmark ${name}\n`);
      }),
    "sternway bookmark remove web1 before-upgrade",
  );
}
