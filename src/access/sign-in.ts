/**
 * Signing in with name, password and, where the account has one, second factor. What is wrong is never said, nor whether there is such an account: the answer, the work
 * and the pauses are the same for every name.
 *
 * Pauses are counted in memory ({@link Lockout}). From the fifth failure on an account's count is kept in the catalog as well, and holds over a restart: silently, for a pause that
 * only existing accounts had would tell that they exist.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Account, AccountTable, CatalogEvent } from "../catalog/catalog.ts";
import { Lockout, NAME_FREE, pauseMicros, type Attempt } from "./lockout.ts";
import type { Passwords } from "./passwords.ts";
import type { SecondFactor } from "./second-factor.ts";

/** Pauses of the set-up code; no account has such a name. */
const SETUP = " setup";

export interface SignInRequest {
  name: string;
  password: string;
  /** Six digits that an authenticator shows, or a recovery code. */
  code?: string | undefined;
  /** Address that it came from. */
  from: string;
}

export type Tell = (event: Omit<CatalogEvent, "id" | "time">) => void;

export class SignIn {
  private readonly accounts: AccountTable;
  private readonly passwords: Passwords;
  private readonly secondFactor: SecondFactor;
  private readonly clock: Clock;
  private readonly tell: Tell;
  private readonly lockout: Lockout;

  constructor(options: {
    accounts: AccountTable;
    passwords: Passwords;
    secondFactor: SecondFactor;
    clock: Clock;
    tell: Tell;
  }) {
    this.accounts = options.accounts;
    this.passwords = options.passwords;
    this.secondFactor = options.secondFactor;
    this.clock = options.clock;
    this.tell = options.tell;
    this.lockout = new Lockout(options.clock);
  }

  /**
   * @returns the account, as it is now
   * @throws denied, with facts.status 401: something is wrong, and facts.needsCode true when it is only that a code is missing; with 429: not yet.
   *   unavailable: too many at once
   */
  async signIn(request: SignInRequest): Promise<Account> {
    const name = accountNameOf(request.name);
    const attempt = this.lockout.begin(name, request.from);
    const account = await this.checked(name, request, attempt);
    this.succeeded(account, attempt);
    this.accounts.update(account.name, { signedInAt: this.clock.wall() });
    return this.accounts.find(account.name) ?? account;
  }

  /** Asks an account that is signed in for its password once more. @throws like {@link signIn} */
  async confirm(name: string, password: string, from: string): Promise<Account> {
    const attempt = this.lockout.begin(name, from);
    const account = await this.withPassword(name, password, attempt);
    if (!account) throw this.failed(name, { from }, attempt);
    this.succeeded(account, attempt);
    return account;
  }

  /** Lets the code of the first set-up be guessed no faster than a password. @throws denied: it is wrong, or not yet */
  guessing(from: string, isRight: () => boolean): void {
    const attempt = this.lockout.begin(SETUP, from);
    if (!isRight())
      throw new SternwayError("denied", "that is not the set-up code: `sternway setup --show-code` shows it");
    attempt.succeeded();
  }

  /** Ends the pause of an account. */
  unlock(name: string): void {
    this.lockout.forgive(name);
    this.accounts.update(name, { failedCount: 0, failedAt: null });
  }

  /** Microseconds that an account's pause lasts still. */
  pauseOf(account: Account): number {
    return Math.max(this.lockout.pauseOfName(account.name), this.keptPause(account));
  }

  private async checked(name: string, request: SignInRequest, attempt: Attempt): Promise<Account> {
    const account = await this.withPassword(name, request.password, attempt);
    if (!account) throw this.failed(name, request, attempt);
    if (account.totpSecret === null) return account;
    if (request.code === undefined || request.code === "") {
      attempt.takeBack();
      throw new SternwayError("denied", "a code is missing: the one that the authenticator shows, or a recovery code", {
        status: 401,
        needsCode: true,
      });
    }
    if (!this.secondFactor.use(account, request.code)) throw this.failed(name, request, attempt);
    return account;
  }

  /** @returns undefined: the password is wrong, the account unknown, gone or paused */
  private async withPassword(name: string, password: string, attempt: Attempt): Promise<Account | undefined> {
    const before = this.accounts.find(name)?.passwordHash ?? undefined;
    let isRight: boolean;
    try {
      isRight = await this.passwords.verify(password, before);
    } catch (error) {
      // Nothing was found out, so nothing counts.
      attempt.takeBack();
      throw error;
    }
    // Read again: meanwhile it may have been removed, or got another password.
    const account = this.accounts.find(name);
    if (!isRight || !account || account.passwordHash !== before || this.keptPause(account) > 0) return undefined;
    return account;
  }

  private keptPause({ failedCount, failedAt }: Account): number {
    if (failedAt === null) return 0;
    const now = this.clock.wall();
    // A clock that was set back must not shut anybody out for longer than the pause.
    return now < failedAt ? 0 : Math.max(0, failedAt + pauseMicros(failedCount) - now);
  }

  private succeeded(account: Account, attempt: Attempt): void {
    attempt.succeeded();
    if (account.failedCount > 0) this.accounts.update(account.name, { failedCount: 0, failedAt: null });
  }

  private failed(name: string, { from }: Pick<SignInRequest, "from">, attempt: Attempt): SternwayError {
    const account = this.accounts.find(name);
    if (account && (attempt.nameCount > NAME_FREE || account.failedCount > 0)) {
      const failedCount = Math.max(account.failedCount + 1, attempt.nameCount);
      this.accounts.update(name, { failedCount, failedAt: this.clock.wall() });
    }
    const pause = Lockout.isFirstPause(attempt);
    if (pause !== undefined) {
      // What was typed as a name may be a password: only names that exist are told.
      const whose = account && pause === "name" ? `the account ${name}` : "an account";
      const message = `there were many wrong attempts to sign in to ${whose}, the last from ${from}: each is made to wait longer now`;
      this.tell({ level: "warning", kind: "sign-in-paused", subject: account?.name ?? from, message });
    }
    return new SternwayError(
      "denied",
      "the name, the password or the code is wrong, or there were too many wrong ones before",
      { status: 401 },
    );
  }
}

/** As names are kept, however they are typed. */
export const accountNameOf = (typed: string): string => typed.trim().toLowerCase();
