/** `sternway status`: how the appliance itself stands. */
import type { Command } from "commander";
import { formatSize } from "../base/units.ts";
import type { Health, VaultStatus } from "../contract/contract.ts";
import { examples, invocation, type Context } from "./context.ts";
import { count, facts, showTime } from "./text.ts";

export function registerStatus(program: Command, context: Context): void {
  examples(
    program
      .command("status")
      .description("how the appliance and its vault stand")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const client = run.client();
        const [health, vault] = await Promise.all([client.health(), client.vault()]);
        run.print({ health, vault }, statusFacts(health, vault));
      }),
    "sternway status",
  );
}

function statusFacts(health: Health, vault: VaultStatus): string {
  const lag = vault.lastLsn - vault.sealedLsn;
  return facts([
    ["appliance", `${health.status}, version ${health.version}, since ${showTime(health.startedAt)}`],
    ...health.reasons.map((reason) => ["", reason] as const),
    ["vault", `${vault.id}, ${vault.state}, epoch ${vault.epoch}`],
    ...(vault.reason === undefined ? [] : [["", vault.reason] as const]),
    ["volumes", String(vault.volumeCount)],
    [
      "history",
      `lsn ${vault.lastLsn}, durable up to ${vault.durableLsn}, sealed up to ${vault.sealedLsn}${lag > 0 ? ` (${lag} behind)` : ""}`,
    ],
    ["journal", `${formatSize(vault.journalUsedBytes)} of ${formatSize(vault.journalSizeBytes)} in use`],
    [
      "stored",
      `${formatSize(vault.storedBytes)} in ${count(vault.packCount, "pack")} and ${count(vault.layerCount, "layer")}`,
    ],
    ["free", `${formatSize(vault.freeBytes)} of ${formatSize(vault.totalBytes)}`],
  ]);
}
