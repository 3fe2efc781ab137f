/**
 * A passphrase from whoever runs the command: typed at the terminal without being shown, or one line on standard input. Never from the
 * command line or the environment, where every process of the machine could read it.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { isatty, ReadStream } from "node:tty";
import { SternwayError } from "../base/errors.ts";
import { Interrupted } from "./terminal.ts";

const INPUT = 0;
const LENGTH_MAX = 1024;
const CONTROL_C = 3;
const CONTROL_D = 4;
const BACKSPACES = new Set([8, 127]);
const LINE_ENDS = new Set([10, 13]);

/** Asks for a passphrase. @throws invalid: it is empty or too long, or there is neither a terminal nor input */
export function readPassphrase(prompt: string): string {
  const text = isatty(INPUT) ? typed(prompt) : firstLine();
  if (text === "") throw new SternwayError("invalid", "no passphrase was given");
  return text;
}

/** Asks twice, because what nobody can type again locks its owner out; input that is no terminal is believed at once. */
export function readNewPassphrase(prompt: string): string {
  const first = readPassphrase(prompt);
  if (isatty(INPUT) && first !== readPassphrase("The same again: ")) {
    throw new SternwayError("invalid", "the two passphrases differ");
  }
  return first;
}

/** One line of standard input, without its end. */
function firstLine(): string {
  const bytes = Buffer.alloc(LENGTH_MAX + 2);
  let length = 0;
  while (length < bytes.length) {
    const got = readSync(INPUT, bytes, length, 1, null);
    if (got === 0 || bytes[length] === 10) break;
    length += got;
  }
  const text = bytes.toString("utf8", 0, length).replace(/\r$/, "");
  bytes.fill(0);
  if (length > LENGTH_MAX) throw new SternwayError("invalid", `a passphrase has at most ${LENGTH_MAX} bytes`);
  return text;
}

/**
 * In raw mode nothing is echoed, and line editing and Ctrl-C are ours to do. Bytes are read one by one and at once: nothing else is to be done
 * meanwhile, and a stream that was begun on a terminal would keep the process from ending.
 */
function typed(prompt: string): string {
  const terminal = openSync("/dev/tty", "r+");
  // Its descriptor is the stream's, which closes it. Only the mode is set by it.
  const mode = new ReadStream(openSync("/dev/tty", "r"));
  const typedBytes: number[] = [];
  const byte = Buffer.alloc(1);
  try {
    // Before anybody is asked: what is typed at once must not show either.
    mode.setRawMode(true);
    writeSync(terminal, prompt);
    for (;;) {
      const got = readSync(terminal, byte, 0, 1, null);
      const key = byte[0]!;
      if (got === 0 || key === CONTROL_C || (key === CONTROL_D && typedBytes.length === 0)) throw new Interrupted();
      if (LINE_ENDS.has(key)) return Buffer.from(typedBytes).toString("utf8");
      if (BACKSPACES.has(key)) dropCharacter(typedBytes);
      else if (typedBytes.length < LENGTH_MAX) typedBytes.push(key);
    }
  } finally {
    typedBytes.fill(0);
    byte.fill(0);
    mode.setRawMode(false);
    mode.destroy();
    writeSync(terminal, "\n");
    closeSync(terminal);
  }
}

/** A character of UTF-8: its continuation bytes, then its first. */
function dropCharacter(bytes: number[]): void {
  while ((bytes.at(-1) ?? 0) >> 6 === 2) bytes.pop();
  bytes.pop();
}
