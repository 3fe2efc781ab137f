/** A password for an account: typed twice at the terminal without being shown, one line on standard input, or the first line of a file. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { systemError } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { readNewPassphrase } from "./secret.ts";
import { Interrupted } from "./terminal.ts";

export const PASSWORD_FILE = [
  "--password-file <path>",
  "its first line is the password (default: asked for, or one line on standard input)",
] as const;

export interface PasswordOptions {
  passwordFile?: string;
}

const BYTES_MAX = 4096;

/** @throws invalid: there is none; not_found, unavailable: the file cannot be read; Interrupted */
export function newPassword({ passwordFile }: PasswordOptions, name: string): string {
  const password =
    passwordFile === undefined ? readNewPassphrase(`New password of ${name}: `) : firstLineOf(passwordFile);
  if (password !== "") return password;
  throw new SternwayError("invalid", `${passwordFile ?? "standard input"} holds no password in its first line`);
}

function firstLineOf(path: string): string {
  const bytes = Buffer.alloc(BYTES_MAX);
  try {
    const descriptor = openSync(path, "r");
    try {
      const length = readSync(descriptor, bytes, 0, BYTES_MAX, 0);
      return bytes.toString("utf8", 0, length).split(/\r?\n/, 1)[0] ?? "";
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw systemError(error, `the password file ${path} cannot be read`);
  } finally {
    bytes.fill(0);
  }
}

/** Asks at the terminal for something that may be seen. @returns its line @throws Interrupted: the terminal was closed */
export function askLine(prompt: string): string {
  const terminal = openSync("/dev/tty", "r+");
  const bytes = Buffer.alloc(256);
  try {
    writeSync(terminal, prompt);
    const length = readSync(terminal, bytes, 0, bytes.length, null);
    if (length === 0) throw new Interrupted();
    return bytes.toString("utf8", 0, length).trim();
  } finally {
    closeSync(terminal);
  }
}
