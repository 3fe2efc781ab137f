/** What a command sees of the process that runs it: two streams, the environment and the clock. Tests pass their own. */
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { systemClock, type Clock } from "../base/clock.ts";
import { errnoOf, systemError } from "../base/descriptor.ts";

export interface Terminal {
  /** Writes to standard output; the text carries its own newlines. @throws OutputClosed */
  out(text: string): void;
  err(text: string): void;
  /** True when standard error is a terminal: progress is drawn there. */
  readonly errIsTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Asks for a line before something final; left out: at the terminal where there is one. */
  readonly ask?: (prompt: string) => string;
}

const OUT = 1;
const ERR = 2;

/**
 * The process's own. Writes are synchronous: a command that prints millions of lines then waits for its reader instead
 * of keeping them in memory, and nothing is lost when the process ends.
 */
export const processTerminal: Terminal = {
  out: (text) => writeAll(OUT, text),
  err: (text) => writeAll(ERR, text),
  errIsTerminal: isatty(ERR),
  env: process.env,
  clock: systemClock,
};

const PAUSE_MS = 2;
const pause = new Int32Array(new SharedArrayBuffer(4));

function writeAll(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "EPIPE") throw new OutputClosed();
      // Whoever shares the pipe may have made it non-blocking: wait for its reader.
      if (code !== "EAGAIN") throw systemError(error, "cannot write the output");
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }
}

/** Thrown when the reader of the output went away, as `head` does. */
export class OutputClosed extends Error {
  constructor() {
    super("the reader of the output went away");
    this.name = "OutputClosed";
  }
}

/** Thrown out of work that a signal ended. Not an error of ours: the person asked for it. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/**
 * Runs `work` with a signal that SIGINT or SIGTERM aborts; a second one ends the process at once.
 * @throws Interrupted when a signal came and the work did not end well, whatever it threw
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Interrupted());
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
