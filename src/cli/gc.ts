/** `sternway gc run` */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { GcRunLine } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { printLines } from "./printed-lines.ts";
import { interruptible } from "./terminal.ts";
import { count, showTime } from "./text.ts";

export function registerGc(program: Command, context: Context): void {
  const gc = program.command("gc").description("give back the space of what is not kept any more");
  examples(
    gc
      .command("run")
      .description("carry out every retention policy now, and collect what nothing needs any more")
      .option("--vault <name>", "only this vault")
      .action(async (options: { vault?: string }, command: Command) => {
        const run = invocation(context, command);
        await interruptible(async (signal) => {
          const last = await printLines<GcRunLine>(run, run.client().gc(options, signal), lineText);
          const failures = last?.line === "end" ? last.failures : 0;
          if (failures > 0) {
            throw new SternwayError(
              "unavailable",
              `${count(failures, "part")} of it failed; the lines above and \`sternway events\` say why. What failed keeps everything`,
            );
          }
        });
      }),
    "sternway gc run",
    "sternway gc run --vault archive --json",
  ).addHelpText(
    "after",
    "\nThe appliance does this by itself every quarter of an hour. Interrupting it loses\nnothing: what was not done is done the next time.",
  );
}

function lineText(line: GcRunLine): string {
  switch (line.line) {
    case "progress":
      return `working on ${line.what}, ${line.done + 1} of ${line.total}`.slice(0, 78);
    case "thinned":
      return (
        `volume ${line.volume}: every write is kept from ${showTime(line.to.time)} on, and ${count(line.pointCount, "point")} before; ` +
        `${count(line.writes, "write")} and ${count(line.goingPoints, "point")} came behind that`
      );
    case "kept":
      return `volume ${line.volume} keeps everything: ${line.reason}`;
    case "collected":
      return (
        `vault ${line.vault}: ${formatSize(line.freedBytes)} given back; ${count(line.packsDeleted, "pack")} deleted, ` +
        `${line.packsRepacked} written anew (${formatSize(line.copiedBytes)}), ${formatSize(line.deadBytes)} dead but too little of their packs`
      );
    case "end":
      return `done: ${formatSize(line.freedBytes)} given back`;
  }
}
