/** The one place where a command's failure becomes text and an exit code: what happened, then what to do. */
import { CommanderError } from "commander";
import { errnoOf } from "../base/descriptor.ts";
import { SternwayError, errorText, isSternwayError, type ErrorKind } from "../base/errors.ts";
import { problemOf, type Problem } from "../contract/problem.ts";
import { EXIT_CODES, EXIT_INTERRUPTED, EXIT_OUTPUT_CLOSED } from "./exit-codes.ts";
import { Interrupted, OutputClosed, type Terminal } from "./terminal.ts";

const NEXT_STEP: Record<ErrorKind, string> = {
  invalid: "Change the command; add --help to see what it takes.",
  not_found: "`sternway volume list` shows the volumes, `sternway timeline NAME` a volume's history.",
  conflict: "Change that state first; --force (or --fresh for a restore) goes over it where the command has it.",
  unavailable: "Try again when what is missing is there.",
  corrupt: "`sternway check` shows what is damaged; other moments may still be whole.",
  denied: "Give the right key or passphrase, or run it as a user who may, such as root.",
  fenced: "Find out which installation is meant to write there; `sternway vault take-over NAME` moves a vault here.",
  internal: "This is a defect of Sternway: please report it with the daemon's log.",
};

/** What shows the things that an error's facts name when one of them is missing; a volume comes before all of them. */
const LISTS: Record<string, string> = {
  machine: "machine list",
  account: "account list",
  token: "token list",
  schedule: "schedule list",
  script: "script list",
  channel: "notify channel list",
  rule: "notify rule list",
  alarm: "alarm list",
  job: "jobs",
  tier: "tier list VAULT",
  vault: "vault list",
};

/** Reports what a command threw. @returns the exit code */
export function reportFailure(thrown: unknown, terminal: Terminal, json: boolean): number {
  // Commander printed its own message; its help and version pages are no failures.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : EXIT_CODES.invalid;
  // Like a program that SIGPIPE ends: whoever closed the pipe wants no more words either.
  if (thrown instanceof OutputClosed || errnoOf(thrown) === "EPIPE") return EXIT_OUTPUT_CLOSED;
  if (thrown instanceof Interrupted) {
    if (!json) terminal.err("interrupted\n");
    return EXIT_INTERRUPTED;
  }
  const error = isSternwayError(thrown)
    ? thrown
    : new SternwayError("internal", errorText(thrown), {}, { cause: thrown });
  const todo = nextStep(error);
  if (json) terminal.err(`${JSON.stringify(asProblem(error, todo))}\n`);
  else terminal.err(`sternway: ${error.message}\n${todo === "" ? "" : `${todo}\n`}`);
  if (error.kind === "internal" && !json && thrown instanceof Error && thrown.stack !== undefined) {
    terminal.err(`${thrown.stack}\n`);
  }
  return EXIT_CODES[error.kind];
}

/** The daemon's advice speaks of HTTP: ours, for people at a shell, takes its place. */
function asProblem(error: SternwayError, todo: string): Problem {
  const { todo: _advice, ...rest } = error.facts;
  return { ...problemOf(error, { todo }), facts: rest };
}

function nextStep(error: SternwayError): string {
  if (error.kind === "unavailable" && error.facts["address"] !== undefined) {
    return "Start the daemon with `sternway serve --data DIR`, or point --data at the folder of one that runs.";
  }
  if (error.facts["audit"] !== undefined)
    return "Keep these files as they are; an export made earlier shows what was there (--against FILE).";
  if (error.facts["code"] === "ENOSPC") return "Free some space there, then run it again.";
  return error.kind === "not_found" ? afterMissing(error.facts) : NEXT_STEP[error.kind];
}

function afterMissing(facts: SternwayError["facts"]): string {
  if (facts["volume"] !== undefined) return NEXT_STEP.not_found;
  const list = Object.entries(LISTS).find(([fact]) => facts[fact] !== undefined)?.[1];
  return list === undefined ? "Check the name or the path." : `\`sternway ${list}\` shows what there is.`;
}
