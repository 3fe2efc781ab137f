/**
 * Passwords: what is taken as one, and argon2id over it. Each hashing takes MEMORY_KIB of memory and some 150 ms of a core, so that guessing costs as much; at
 * most two run at a time and so many wait, so that a flood of sign-ins takes neither the memory nor the cores that blocks are served with.
 *
 * Whoever names an account that does not exist, or that has no password, is checked against a hash that nothing fits: the work is the same.
 */
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { base64url } from "./credentials.ts";

/** RFC 9106, section 4, second recommended: 64 MiB in three passes. */
const MEMORY_KIB = 65_536;
const PASSES = 3;
const RUNNING_MAX = 2;
/** At two a time these are done in under three seconds. */
const WAITING_MAX = 32;

export const PASSWORD_LENGTH_MIN = 10;
/** Long enough for any sentence. */
export const PASSWORD_LENGTH_MAX = 256;
const DISTINCT_MIN = 5;

export interface HashCost {
  memoryKib: number;
  passes: number;
}

/** @throws invalid: why it is not taken; the message does not repeat it */
export function checkPassword(password: string, name: string): void {
  const characters = Array.from(password.normalize("NFC"));
  if (characters.length < PASSWORD_LENGTH_MIN) {
    throw new SternwayError("invalid", `a password has at least ${PASSWORD_LENGTH_MIN} characters; a sentence is good`);
  }
  if (characters.length > PASSWORD_LENGTH_MAX) {
    throw new SternwayError("invalid", `a password has at most ${PASSWORD_LENGTH_MAX} characters`);
  }
  if (new Set(characters).size < DISTINCT_MIN) {
    throw new SternwayError("invalid", `a password has at least ${DISTINCT_MIN} different characters`);
  }
  if (password.toLowerCase().replaceAll(name, "").length < PASSWORD_LENGTH_MIN / 2) {
    throw new SternwayError("invalid", "the password is little more than the account's name");
  }
}

export class Passwords {
  private readonly cost: HashCost;
  private readonly nobodys: string;
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  private constructor(cost: HashCost, nobodys: string) {
    this.cost = cost;
    this.nobodys = nobodys;
  }

  /** @param cost - for tests, which have not the time; the default otherwise */
  static async open(random: Random, cost: HashCost = { memoryKib: MEMORY_KIB, passes: PASSES }): Promise<Passwords> {
    const nobodys = await Bun.password.hash(base64url(random.bytes(32)), argon2id(cost));
    return new Passwords(cost, nobodys);
  }

  /** @throws unavailable: too many are hashed already */
  async hash(password: string): Promise<string> {
    return await this.inTurn(() => Bun.password.hash(password.normalize("NFC"), argon2id(this.cost)));
  }

  /** @param hash - undefined: there is no such account; false then, after the same work @throws unavailable: too many are hashed already */
  async verify(password: string, hash: string | undefined): Promise<boolean> {
    // An empty one is refused by Bun without any work.
    const text = password === "" ? " " : password.normalize("NFC");
    const fits = await this.inTurn(() => Bun.password.verify(text, hash ?? this.nobodys, "argon2id"));
    return fits && hash !== undefined && password !== "";
  }

  private async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.running >= RUNNING_MAX) {
      if (this.waiting.length >= WAITING_MAX) {
        throw new SternwayError("unavailable", "too many people sign in at this moment: try again in a few seconds");
      }
      // Whoever ends hands his turn over, so `running` stays as it is.
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    } else {
      this.running++;
    }
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}

const argon2id = ({ memoryKib, passes }: HashCost) =>
  ({ algorithm: "argon2id", memoryCost: memoryKib, timeCost: passes }) as const;
