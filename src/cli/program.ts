/**
 * The door of the room: the command line. The executable is on a higher floor and passes in what it alone can do
 * (run the daemon, open a stopped vault).
 */
import { Command, CommanderError } from "commander";
import { registerAudit } from "./audit.ts";
import { registerAccount } from "./account.ts";
import { registerBookmark } from "./bookmark.ts";
import { registerBranch } from "./branch.ts";
import { registerCheck } from "./check.ts";
import type { CliServices, Context } from "./context.ts";
import { registerCredential } from "./credential.ts";
import { registerDemo } from "./demo.ts";
import { registerDiff } from "./diff.ts";
import { registerDisks } from "./disks.ts";
import { registerEvents } from "./events.ts";
import { EXIT_CODE_HELP } from "./exit-codes.ts";
import { reportFailure } from "./failure.ts";
import { registerGc } from "./gc.ts";
import { registerHold } from "./hold.ts";
import { registerImport } from "./import.ts";
import { registerJobs } from "./jobs.ts";
import { registerMachine } from "./machine.ts";
import { registerNotify } from "./notify.ts";
import { registerReceive } from "./receive.ts";
import { registerReport } from "./report.ts";
import { registerRestore } from "./restore.ts";
import { registerRetention } from "./retention.ts";
import { registerRollback } from "./rollback.ts";
import { registerSchedule } from "./schedule.ts";
import { registerScrub } from "./scrub.ts";
import { registerServe } from "./serve.ts";
import { registerSignals } from "./signals.ts";
import { registerSetup } from "./setup.ts";
import { registerStatus } from "./status.ts";
import { processTerminal, type Terminal } from "./terminal.ts";
import { registerTier } from "./tier.ts";
import { registerTimeline } from "./timeline.ts";
import { registerToken } from "./token.ts";
import { registerVault } from "./vault.ts";
import { registerVolume } from "./volume.ts";

export type { CliServices, ServeAddresses } from "./context.ts";
export type { Terminal } from "./terminal.ts";

/** All commands. Parsing throws CommanderError for wrong usage and whatever the command throws otherwise. */
export function buildProgram(services: CliServices, terminal: Terminal): Command {
  const context: Context = { services, terminal };
  const program = new Command("sternway")
    .description("Keeps every write that a disk ever received, and gives the disk back as of any of them.")
    .version(services.version, "--version", "print the version")
    .option("--data <dir>", "the appliance's data folder (default: STERNWAY_DATA)")
    .option("--json", "print JSON; errors too, on standard error")
    .helpOption("--help", "show this help")
    .configureHelp({ showGlobalOptions: true, helpWidth: 80 })
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: (text, write) => write(`sternway: ${text.replace(/^error: /, "")}`),
    })
    .showHelpAfterError("(add --help to see what the command takes)")
    .exitOverride();
  // Set before the commands are added: they inherit how output and exits are handled.
  registerServe(program, context);
  registerSetup(program, context);
  registerAccount(program, context);
  registerToken(program, context);
  registerDemo(program, context);
  registerStatus(program, context);
  registerVault(program, context);
  registerTier(program, context);
  registerReceive(program, context);
  registerVolume(program, context);
  registerCredential(program, context);
  registerMachine(program, context);
  registerSchedule(program, context);
  registerImport(program, context);
  registerTimeline(program, context);
  registerBookmark(program, context);
  registerHold(program, context);
  registerRetention(program, context);
  registerGc(program, context);
  registerRestore(program, context);
  registerRollback(program, context);
  registerBranch(program, context);
  registerDiff(program, context);
  registerCheck(program, context);
  registerScrub(program, context);
  registerSignals(program, context);
  registerDisks(program, context);
  registerJobs(program, context);
  registerEvents(program, context);
  registerNotify(program, context);
  registerReport(program, context);
  registerAudit(program, context);
  program.addHelpText("after", EXIT_CODE_HELP);
  return program;
}

/** Runs one command line (without the program's own name). Never throws. @returns the exit code */
export async function runProgram(
  services: CliServices,
  args: readonly string[],
  terminal: Terminal = processTerminal,
): Promise<number> {
  const program = buildProgram(services, terminal);
  try {
    if (args.length === 0) throw usage(program);
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    return reportFailure(error, terminal, args.includes("--json"));
  }
}

function usage(program: Command): CommanderError {
  program.outputHelp({ error: true });
  return new CommanderError(2, "sternway.usage", "no command given");
}
