/**
 * The code of the first set-up: while there is no account, whoever knows it makes the first administrator. It is shown at the terminal on which the appliance was started and over
 * the control socket, so only who is at the machine has it; it is in memory alone, another one after each start, and never logged. Sixty bits and
 * ten guesses: after that many wrong ones it is replaced.
 */
import type { Random } from "../base/random.ts";
import { isSameSecret, newCode, plainCode } from "./credentials.ts";

const GROUPS = 3;
const GUESSES_MAX = 10;

export class SetupCode {
  private readonly random: Random;
  private code: string;
  private wrongCount = 0;

  constructor(random: Random) {
    this.random = random;
    this.code = newCode(random, GROUPS);
  }

  /** Shows it. Only for who is at the machine. */
  show(): string {
    return this.code;
  }

  /** Whether this is it. A wrong one counts. */
  isRight(typed: string): boolean {
    if (isSameSecret(plainCode(typed), plainCode(this.code))) return true;
    this.wrongCount++;
    if (this.wrongCount >= GUESSES_MAX) {
      this.wrongCount = 0;
      this.code = newCode(this.random, GROUPS);
    }
    return false;
  }
}
