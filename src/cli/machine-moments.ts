/** `sternway machine bookmark|bookmarks|unbookmark|rollback|branch` */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import type { WireMachineRollback } from "../contract/machines.ts";
import { MOMENT_HELP, splitExport } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

const APPROXIMATE = "although retention kept different moments of its volumes";

export function registerMachineMoments(machine: Command, context: Context): void {
  examples(
    machine
      .command("bookmark")
      .description("give one moment of all volumes one name; now, unless told otherwise")
      .argument("<machine>")
      .argument("<name>")
      .option("--at <moment>", "the moment to name", "now")
      .option("--note <text>", "what is known about it", "")
      .option("--no-scripts", "without the machine's scripts")
      .option("--approximate", APPROXIMATE)
      .action(
        async (
          name: string,
          bookmark: string,
          options: { at: string; note: string; scripts: boolean; approximate?: boolean },
          command: Command,
        ) => {
          const run = invocation(context, command);
          const made = await run.client().createMachineBookmark(name, { name: bookmark, ...options });
          const scripts = made.scripts.map(
            ({ phase, script, result, reason }) => `${phase}-script ${script}: ${reason ?? result}\n`,
          );
          run.print(
            made,
            `bookmark ${bookmark} names one moment of ${made.volumes.map(({ volume }) => volume).join(", ")}, ${made.consistency}-consistent\n${scripts.join("")}`,
          );
        },
      ),
    "sternway machine bookmark web before-upgrade",
    'sternway machine bookmark web last-good --at -15m --note "before the alarm"',
  ).addHelpText("after", MOMENT_HELP);

  examples(
    machine
      .command("bookmarks")
      .description("list the bookmarks that all volumes have, oldest first")
      .argument("<machine>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const bookmarks = await run.client().machineBookmarks(name);
        const text = table(
          [{ title: "name" }, { title: "made" }, { title: "one moment" }, { title: "note" }],
          bookmarks.map((each) => [
            each.name,
            showTime(each.createdAt),
            each.isOne ? "yes" : "no",
            each.volumes[0]?.note ?? "",
          ]),
        );
        run.print({ bookmarks }, bookmarks.length === 0 ? `${name} has no common bookmarks\n` : text);
      }),
    "sternway machine bookmarks web",
  );

  examples(
    machine
      .command("unbookmark")
      .description("forget a bookmark of all volumes; the moment itself stays readable")
      .argument("<machine>")
      .argument("<name>")
      .action(async (name: string, bookmark: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteMachineBookmark(name, bookmark);
        run.print({ removed: bookmark }, `removed bookmark ${bookmark}\n`);
      }),
    "sternway machine unbookmark web before-upgrade",
  );

  examples(
    machine
      .command("rollback")
      .description("set all volumes back to one moment; the state before is bookmarked, so this can be undone")
      .argument("<machine>")
      .requiredOption("--to <moment>", "the moment to go back to")
      .option("--force", "although clients are attached: what they hold in memory will not match")
      .option("--approximate", APPROXIMATE)
      .action(
        async (name: string, options: { to: string; force?: boolean; approximate?: boolean }, command: Command) => {
          const run = invocation(context, command);
          const { to, ...rest } = options;
          const done = await run.client().rollbackMachine(name, to, rest);
          run.print(done, rollbackText(name, done));
          if (done.outcome === "partly") {
            throw new SternwayError(
              "unavailable",
              `machine ${name} was rolled back in part: its volumes are at different moments`,
            );
          }
        },
      ),
    "sternway machine rollback web --to -15m",
    "sternway machine rollback web --to bookmark:before-upgrade",
  ).addHelpText("after", MOMENT_HELP);

  examples(
    machine
      .command("branch")
      .description("new writable volumes that start as all of a machine's at one moment")
      .argument("<machine@moment>", "where they start")
      .option("--prefix <text>", "put before each volume's name")
      .option("--suffix <text>", "put after each volume's name")
      .option("--approximate", APPROXIMATE)
      .action(
        async (
          from: string,
          options: { prefix?: string; suffix?: string; approximate?: boolean },
          command: Command,
        ) => {
          const run = invocation(context, command);
          const { volume: name, at } = splitExport(from);
          const volumes = await run.client().branchMachine(name, at, options);
          run.print({ volumes }, `made ${volumes.map((each) => each.name).join(", ")}\n`);
        },
      ),
    "sternway machine branch web@-1h --suffix -trial",
    "sternway machine branch web@bookmark:before-upgrade --prefix old-",
  ).addHelpText("after", MOMENT_HELP);
}

function rollbackText(name: string, { undo, volumes }: WireMachineRollback): string {
  const rows = volumes.map((each) => [
    each.volume,
    each.error === undefined ? each.state : `${each.state}: ${each.error}`,
    each.state === "rolled-back" ? showTime(each.to.time) : "as before",
    each.undo,
  ]);
  const columns = [{ title: "volume" }, { title: "state" }, { title: "is as of" }, { title: "was at" }];
  return `${table(columns, rows)}undo it with: sternway machine rollback ${name} --to ${undo}\n`;
}
