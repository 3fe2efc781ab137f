/** The lines in which the appliance tells of long work, printed as they come: progress redrawn in place on a terminal, everything else one below the other. */
import { SternwayError } from "../base/errors.ts";
import type { Problem } from "../contract/problem.ts";
import type { Invocation } from "./context.ts";

/** How work ends that could not be done. */
interface FailedLine {
  line: "failed";
  problem: Problem;
}

/**
 * @param text - of a line; one of progress must be shorter than a terminal is wide
 * @returns the last line that was no failure; undefined: there was none
 * @throws SternwayError what a line says that the work failed of
 */
export async function printLines<Line extends { line: string }>(
  run: Invocation,
  lines: AsyncIterable<Line | FailedLine>,
  text: (line: Line) => string,
): Promise<Line | undefined> {
  let last: Line | undefined;
  let isDrawn = false;
  for await (const line of lines) {
    if (isFailed(line)) throw new SternwayError(line.problem.kind, line.problem.detail, line.problem.facts);
    last = line;
    if (run.json) {
      run.terminal.out(`${JSON.stringify(line)}\n`);
      continue;
    }
    if (isDrawn) run.terminal.err("\r\x1b[K");
    isDrawn = line.line === "progress" && run.terminal.errIsTerminal;
    if (isDrawn) run.terminal.err(text(line));
    else if (line.line !== "progress") run.terminal.out(`${text(line)}\n`);
  }
  return last;
}

function isFailed(line: { line: string }): line is FailedLine {
  return line.line === "failed";
}
