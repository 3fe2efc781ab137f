/** `sternway scrub run|status`: reading everything that the vaults hold, and repairing what is damaged. */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { ScrubLine, ScrubStatus, VaultScrub } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { printLines } from "./printed-lines.ts";
import { interruptible } from "./terminal.ts";
import { count, facts, showTime } from "./text.ts";

export function registerScrub(program: Command, context: Context): void {
  const scrub = program
    .command("scrub")
    .description("the continuous reading and repairing of everything that is stored");
  examples(
    scrub
      .command("run")
      .description("go on with the present cycle at full speed, repair what is damaged, and say what is lost")
      .option("--full", "begin the cycle anew, so that everything is read")
      .option("--vault <name>", "only this vault")
      .action(async (options: { full?: boolean; vault?: string }, command: Command) => {
        const run = invocation(context, command);
        await interruptible(async (signal) => {
          const last = await printLines<RunLine>(run, run.client().scrub(options, signal), lineText);
          const damaged = last?.line === "end" ? last.damaged : 0;
          if (damaged > 0) {
            throw new SternwayError(
              "corrupt",
              `${count(damaged, "place")} could not be repaired; the lines above name them`,
            );
          }
        });
      }),
    "sternway scrub run",
    "sternway scrub run --full --json",
  ).addHelpText(
    "after",
    "\nInterrupting it loses nothing: the scrub goes on from there by itself. Exit code 6\nwhen something is still damaged at the end.",
  );
  examples(
    scrub
      .command("status")
      .description("how far the scrub has come, and what is in quarantine")
      .action(async (_options: object, command: Command) => {
        const run = invocation(context, command);
        const status = await run.client().scrubStatus();
        run.print(status, statusText(status));
      }),
    "sternway scrub status",
  );
}

type RunLine = Exclude<ScrubLine, { line: "failed" }>;

function lineText(line: RunLine): string {
  switch (line.line) {
    case "progress":
      return `scrubbing ${line.what}: ${formatSize(line.done)} of ${formatSize(line.total)}`.slice(0, 78);
    case "finding":
      return `damage${line.known ? " (known)" : ""}: ${line.message}`;
    case "repair": {
      const restored = Object.values(line.restored).reduce((sum, blocks) => sum + blocks, 0);
      const parts = [
        restored > 0 ? `${count(restored, "block")} brought back` : "",
        line.freed > 0 ? `${count(line.freed, "block")} not needed any more` : "",
        line.lost > 0 ? `${count(line.lost, "block")} lost` : "",
        line.obstacle ?? "",
      ].filter((part) => part !== "");
      return `repair of ${line.subject}: ${parts.length === 0 ? "nothing was lost" : parts.join(", ")}`;
    }
    case "end": {
      const verdict = line.damaged === 0 ? "nothing is damaged" : `${count(line.damaged, "place")} still damaged`;
      return `scrubbed ${count(line.objects, "object")}, ${formatSize(line.bytes)}: ${count(line.findings, "damaged place")} found, ${count(line.restored, "block")} brought back; ${verdict}`;
    }
  }
}

function statusText({ cycleDays, vaults }: ScrubStatus): string {
  if (vaults.length === 0) return "no vault is open for writing, so none is scrubbed\n";
  return vaults.map((vault) => vaultText(vault, cycleDays)).join("\n");
}

function vaultText(vault: VaultScrub, cycleDays: number): string {
  const total = vault.bytes + vault.bytesLeft;
  const { last } = vault;
  return facts([
    ["vault", vault.vault],
    ["state", vault.trouble === undefined ? vault.state : `${vault.state}: ${vault.trouble}`],
    ["cycle", `${vault.cycle}, since ${showTime(vault.startedAt)}, to take ${count(cycleDays, "day")}`],
    ["read", `${formatSize(vault.bytes)} of ${formatSize(total)}, now the ${vault.part}`],
    ["found", `${count(vault.findings, "damaged place")}, ${count(vault.restored, "block")} brought back`],
    ["quarantine", count(vault.quarantined, "block")],
    [
      "last cycle",
      last
        ? `ended ${showTime(last.endedAt)}: ${formatSize(last.bytes)}, ${count(last.findings, "damaged place")}, ${count(last.restored, "block")} brought back`
        : "none yet",
    ],
  ]);
}
