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
export async function readPassphrase(prompt: string): Promise<string> {
  const text = isatty(INPUT) ? await typed(prompt) : firstLine();
  if (text === "") throw new SternwayError("invalid", "no passphrase was given");
  return text;
}

/** Asks twice, because what nobody can type again locks its owner out; input that is no terminal is believed at once. */
export async function readNewPassphrase(prompt: string): Promise<string> {
  const first = await readPassphrase(prompt);
  if (isatty(INPUT) && first !== (await readPassphrase("The same again: "))) {
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

/** In raw mode nothing is echoed, and line editing and Ctrl-C are ours to do. */
async function typed(prompt: string): Promise<string> {
  const screen = openSync("/dev/tty", "w");
  // Its descriptor is the stream's, which closes it.
  const input = new ReadStream(openSync("/dev/tty", "r"));
  const typedBytes: number[] = [];
  try {
    writeSync(screen, prompt);
    input.setRawMode(true);
    return await new Promise<string>((resolve, reject) => {
      input.on("error", reject);
      input.on("data", (part: Buffer) => {
        for (const byte of part) {
          if (byte === CONTROL_C || (byte === CONTROL_D && typedBytes.length === 0)) reject(new Interrupted());
          else if (LINE_ENDS.has(byte)) resolve(Buffer.from(typedBytes).toString("utf8"));
          else if (BACKSPACES.has(byte)) dropCharacter(typedBytes);
          else if (typedBytes.length < LENGTH_MAX) typedBytes.push(byte);
        }
        part.fill(0);
      });
    });
  } finally {
    typedBytes.fill(0);
    input.setRawMode(false);
    input.destroy();
    writeSync(screen, "\n");
    closeSync(screen);
  }
}

/** A character of UTF-8: its continuation bytes, then its first. */
function dropCharacter(bytes: number[]): void {
  while ((bytes.at(-1) ?? 0) >> 6 === 2) bytes.pop();
  bytes.pop();
}
