/** `sternway status`: how the appliance itself stands. */
import type { Command } from "commander";
import type { Health, WireVault } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { facts, showTime } from "./text.ts";
import { vaultFacts } from "./vault.ts";

export function registerStatus(program: Command, context: Context): void {
  examples(
    program
      .command("status")
      .description("how the appliance and its vaults stand")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const client = run.client();
        const [health, vaults] = await Promise.all([client.health(), client.vaults()]);
        run.print({ health, vaults }, statusText(health, vaults));
      }),
    "sternway status",
  );
}

function statusText(health: Health, vaults: readonly WireVault[]): string {
  const appliance: [string, string][] = [
    ["appliance", `${health.status}, version ${health.version}, since ${showTime(health.startedAt)}`],
    ...health.reasons.map((reason): [string, string] => ["", reason]),
  ];
  return facts([...appliance, ...vaults.flatMap(vaultFacts)]);
}
