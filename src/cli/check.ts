/** `sternway check`: through the daemon where one runs, else on the stopped vault itself. */
import type { Command } from "commander";
import { SternwayError, isSternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { CheckLine, CheckRequest, VaultKey } from "../contract/contract.ts";
import { examples, invocation, type Context, type Invocation } from "./context.ts";
import { readPassphrase } from "./secret.ts";
import { interruptible } from "./terminal.ts";
import { count } from "./text.ts";
import { givenKey, type KeyOptions } from "./vault-key-options.ts";

export function registerCheck(program: Command, context: Context): void {
  examples(
    program
      .command("check")
      .description("verify the vaults and report each damaged place; exit code 6 when there is any")
      .option("--volume <name>", "only what this volume needs")
      .option("--vault <name>", "only this vault")
      .option("--quick", "structure and checksums of metadata; no block is read")
      .option("--key-file <path>", "of encrypted vaults that no daemon serves: a key file that unlocks them")
      .option("--passphrase", "of such vaults: ask for a passphrase, or read it as one line of standard input")
      .action(async (options: CheckRequest & KeyOptions, command: Command) => {
        const run = invocation(context, command);
        const { keyFile, passphrase, ...request } = options;
        const hasKey = keyFile !== undefined || passphrase === true;
        const key = hasKey ? (): VaultKey | undefined => givenKey(options, readPassphrase) : undefined;
        await interruptible(async (signal) => {
          const damaged = await report(run, await checkLines(run, request, key, signal));
          if (damaged > 0) throw new SternwayError("corrupt", `the check found ${count(damaged, "damaged place")}`);
        });
      }),
    "sternway check --data /srv/sternway",
    "sternway check --quick --json",
    "sternway check --vault payroll --key-file /etc/sternway/payroll.key",
  ).addHelpText(
    "after",
    "\nWorks beside a running daemon, and on a vault that none serves, which it then\nopens for reading only: encrypted ones by the key given here, or else by the one\nthat opens them at a start.",
  );
}

async function checkLines(
  run: Invocation,
  request: CheckRequest,
  key: (() => VaultKey | undefined) | undefined,
  signal: AbortSignal,
): Promise<AsyncIterable<CheckLine>> {
  const client = run.client();
  try {
    await client.health();
  } catch (error) {
    // An unhealthy daemon still answers, and holds the vault: only without any is the vault ours to open.
    if (!isSternwayError(error, "unavailable") || error.facts["address"] === undefined) throw error;
    return run.services.checkStopped({ dataDir: run.dataDir(), request, signal, key: key?.() });
  }
  if (key) {
    throw new SternwayError(
      "invalid",
      "a daemon serves these vaults, and the check goes through it: leave the key out, and unlock a locked vault with `sternway vault unlock`",
    );
  }
  return client.check(request, signal);
}

async function report(run: Invocation, lines: AsyncIterable<CheckLine>): Promise<number> {
  let damaged = 0;
  let warnings = 0;
  let drawn = false;
  for await (const line of lines) {
    if (run.json) run.terminal.out(`${JSON.stringify(line)}\n`);
    if (line.line === "finding" && line.severity === "damage") damaged++;
    if (line.line === "finding" && line.severity === "warning") warnings++;
    if (run.json) continue;
    if (drawn) run.terminal.err("\r\x1b[K");
    drawn = false;
    switch (line.line) {
      case "progress":
        if (!run.terminal.errIsTerminal) break;
        run.terminal.err(`checking ${line.what}: ${line.done} of ${line.total}`.slice(0, 78));
        drawn = true;
        break;
      case "finding":
        run.terminal.out(`${line.severity}: ${line.subject}: ${line.message}\n`);
        break;
      case "end":
        run.terminal.out(
          `checked ${count(line.objects, "object")}, ${formatSize(line.bytes)}: ${verdict(damaged, warnings)}\n`,
        );
        break;
      case "failed":
        throw new SternwayError(line.problem.kind, line.problem.detail, line.problem.facts);
    }
  }
  return damaged;
}

function verdict(damaged: number, warnings: number): string {
  const warned = warnings === 0 ? "" : `, ${count(warnings, "warning")}`;
  return damaged === 0 ? `no damage${warned}` : `${count(damaged, "damaged place")}${warned}`;
}
