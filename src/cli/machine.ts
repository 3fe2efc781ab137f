/** `sternway machine list|show|add|change|remove`; what is done with one is in `machine-moments.ts`. */
import type { Command } from "commander";
import { formatSize } from "../base/units.ts";
import type { WireMachine } from "../contract/machines.ts";
import { collect } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { registerMachineMoments } from "./machine-moments.ts";
import { scriptsOf, scriptsText, withScriptOptions, type ScriptOptions } from "./script-options.ts";
import { facts, table } from "./text.ts";

export function registerMachine(program: Command, context: Context): void {
  const machine = program.command("machine").description("volumes that belong together and are restored to one moment");

  examples(
    machine
      .command("list")
      .description("list the machines")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const machines = await run.client().machines();
        const text = table(
          [{ title: "name" }, { title: "volumes" }, { title: "scripts" }, { title: "description" }],
          machines.map((each) => [each.name, volumesText(each), scriptsText(each.scripts), each.description]),
        );
        run.print({ machines }, machines.length === 0 ? "no machines yet\n" : text);
      }),
    "sternway machine list",
  );

  examples(
    machine
      .command("show")
      .description("show a machine")
      .argument("<machine>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const shown = await run.client().machine(name);
        run.print(shown, machineFacts(shown));
      }),
    "sternway machine show web",
  );

  examples(
    withScriptOptions(
      machine
        .command("add")
        .description("note that volumes belong together; each belongs to one machine at most")
        .argument("<machine>")
        .argument("<volumes...>")
        .option("--description <text>", "what it is"),
    ).action(
      async (name: string, volumes: string[], options: ScriptOptions & { description?: string }, command: Command) => {
        const run = invocation(context, command);
        const { description } = options;
        const scripts = scriptsOf(options);
        const made = await run.client().createMachine({
          name,
          volumes,
          ...(description === undefined ? {} : { description }),
          ...(scripts === undefined ? {} : { scripts }),
        });
        run.print(made, machineFacts(made));
      },
    ),
    "sternway machine add web web-system web-data",
    "sternway machine add db db1 --pre freeze-db --post thaw-db --script-timeout 30",
  );

  examples(
    withScriptOptions(
      machine
        .command("change")
        .description("change a machine; what is not named stays")
        .argument("<machine>")
        .option("--description <text>", "what it is")
        .option("--volume <name>", "one of its volumes from now on; give all of them", collect)
        .option("--no-scripts", "without scripts from now on"),
    ).action(
      async (
        name: string,
        options: ScriptOptions & { description?: string; volume?: string[]; scripts: boolean },
        command: Command,
      ) => {
        const run = invocation(context, command);
        const { description, volume: volumes } = options;
        const scripts = options.scripts ? scriptsOf(options) : null;
        const changed = await run.client().changeMachine(name, {
          ...(description === undefined ? {} : { description }),
          ...(volumes === undefined ? {} : { volumes }),
          ...(scripts === undefined ? {} : { scripts }),
        });
        run.print(changed, machineFacts(changed));
      },
    ),
    "sternway machine change web --volume web-system --volume web-data --volume web-logs",
    "sternway machine change db --no-scripts",
  );

  examples(
    machine
      .command("remove")
      .description("forget that the volumes belong together; they and their bookmarks stay")
      .argument("<machine>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteMachine(name);
        run.print({ removed: name }, `forgot machine ${name}; its volumes stay as they are\n`);
      }),
    "sternway machine remove web",
  );

  registerMachineMoments(machine, context);
}

function volumesText({ volumes, missing }: WireMachine): string {
  const names = volumes.map(({ name }) => name).join(", ");
  return missing.length === 0 ? names : `${names} (${missing.length} missing)`;
}

function machineFacts(machine: WireMachine): string {
  return facts([
    ["machine", machine.name],
    ["description", machine.description],
    ...machine.volumes.map((each): [string, string] => [
      "volume",
      `${each.name}, ${formatSize(each.sizeBytes)}, vault ${each.vault}`,
    ]),
    ...machine.missing.map((each): [string, string] => ["missing", `made at lsn ${each.createdLsn}: ${each.reason}`]),
    ["scripts", scriptsText(machine.scripts)],
  ]);
}
