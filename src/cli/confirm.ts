/** Asking before what nothing brings back. */
import { SternwayError } from "../base/errors.ts";
import { askLine } from "./password.ts";
import { canAsk } from "./secret.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Has whoever sits at the terminal type the name of what is to go, so that a slip in a line costs nothing. Programs are not asked: without a terminal it
 * returns at once.
 * @param consequences - one sentence, with its full stop
 * @throws invalid: something else was typed. Interrupted: Ctrl-C, or the terminal was closed
 */
export function confirmByName(terminal: Terminal, name: string, consequences: string): void {
  const ask = terminal.ask ?? (terminal.errIsTerminal && canAsk() ? askLine : undefined);
  if (ask === undefined) return;
  const typed = ask(`${consequences}\nType ${name} to go on: `);
  if (typed !== name) throw new SternwayError("invalid", `that is not ${name}: nothing was done`);
}
