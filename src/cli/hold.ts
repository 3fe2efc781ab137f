/** `sternway hold NAME@MOMENT`, `sternway hold list|release` */
import type { Command } from "commander";
import { formatTime } from "../base/units.ts";
import { MOMENT_HELP, splitExport } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

export function registerHold(program: Command, context: Context): void {
  const hold = program
    .command("hold")
    .description("keep a moment, whatever the retention policy says, until it is released");

  examples(
    hold
      .command("create", { isDefault: true })
      .description("hold a moment; the present is made durable first. `create` may be left out")
      .argument("<volume@moment>")
      .option("--name <name>", "what to call it (default: hold- and the time)")
      .option("--note <text>", "why it is held", "")
      .action(async (text: string, options: { name?: string; note: string }, command: Command) => {
        const run = invocation(context, command);
        const { volume, at } = splitExport(text);
        const name =
          options.name ?? `hold-${formatTime(context.terminal.clock.wall()).replaceAll(/\D/g, "").slice(0, 17)}`;
        const made = await run.client().createHold(volume, { name, at, note: options.note });
        run.print(
          made,
          `hold ${name} keeps lsn ${made.lsn}, ${showTime(made.time)}, until \`sternway hold release ${volume} ${name}\`\n`,
        );
      }),
    "sternway hold web1@-15m --name case-4711",
    'sternway hold web1@2026-11-20T21:31:05Z --note "asked for by the court"',
  ).addHelpText("after", MOMENT_HELP);

  examples(
    hold
      .command("list")
      .description("list the holds of a volume, oldest moment first")
      .argument("<volume>")
      .action(async (volume: string, _options, command: Command) => {
        const run = invocation(context, command);
        const holds = await run.client().holds(volume);
        const text = table(
          [
            { title: "name" },
            { title: "lsn", align: "right" },
            { title: "moment" },
            { title: "since" },
            { title: "note" },
          ],
          holds.map((each) => [each.name, String(each.lsn), showTime(each.time), showTime(each.createdAt), each.note]),
        );
        run.print({ holds }, holds.length === 0 ? `${volume} has no holds\n` : text);
      }),
    "sternway hold list web1",
  );

  examples(
    hold
      .command("release")
      .description("release a hold: its moment goes when the policy lets it, for ever")
      .argument("<volume>")
      .argument("<name>")
      .action(async (volume: string, name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().releaseHold(volume, name);
        run.print({ released: name }, `released hold ${name}\n`);
      }),
    "sternway hold release web1 case-4711",
  );
}
