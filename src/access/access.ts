/**
 * The door of the room: who may come in. Accounts with passwords and second factors, sessions of browsers, API tokens, sign-in through a provider, and
 * the first set-up. It says who asks; what they may do is the table of rights (`contract/rights.ts`).
 *
 * All of it lies in the catalog, which may be lost: then the appliance is to be set up anew, by whoever is at the machine. What takes a right away is
 * on the disk before it is answered, and so is all but a new session, and when something was used or tried (see `catalog.ts`).
 */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { micros, type Micros } from "../base/units.ts";
import type { Account, AccountTable, Catalog } from "../catalog/catalog.ts";
import type { Principal } from "../contract/rights.ts";
import type { Log } from "../observe/log.ts";
import { Accounts, checkHasPassword, setUpAlready } from "./accounts.ts";
import { Oidc, type OidcSettings } from "./oidc.ts";
import { Passwords, type HashCost } from "./passwords.ts";
import { SecondFactor } from "./second-factor.ts";
import { Sessions, type FoundSession, type OpenedSession } from "./sessions.ts";
import { SetupCode } from "./setup-code.ts";
import { accountNameOf, SignIn, type SignInRequest, type Tell } from "./sign-in.ts";
import { Tokens, type TokenWish } from "./tokens.ts";

export type { FoundSession, OpenedSession, RunningSession } from "./sessions.ts";
export type { OidcSettings } from "./oidc.ts";
export type { SignInRequest } from "./sign-in.ts";

export interface AccessOptions {
  catalog: Pick<Catalog, "accounts" | "sessions" | "tokens">;
  disk: Disk;
  clock: Clock;
  /** Cryptographic. */
  random: Random;
  log: Log;
  /** Takes what people are to be told: trouble with signing in. */
  tell: Tell;
  oidc?: OidcSettings | undefined;
  /** Administrators get at nothing until they have a second factor. */
  administratorsNeedSecondFactor?: boolean;
  /** Of hashing passwords; for tests. */
  hashCost?: HashCost;
}

/** Of a request, what tells who asks. */
export interface RequestFacts {
  method: string;
  headers: Headers;
  /** It came over TLS. */
  secure: boolean;
  /** Address that it came from. */
  from: string;
}

export type Authentication =
  | { principal: Principal; session?: FoundSession; refused?: never }
  | { refused: SternwayError; principal?: never }
  | undefined;

/** Makes what there is to be made. @throws unavailable: the catalog cannot be used */
export async function openAccess(options: AccessOptions): Promise<Access> {
  return new Access(options, await Passwords.open(options.random, options.hashCost));
}

export class Access {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly tokens: Tokens;
  readonly secondFactor: SecondFactor;
  readonly signing: SignIn;
  /** Absent: nobody signs in through a provider. */
  readonly oidc: Oidc | undefined;
  private readonly table: AccountTable;
  private readonly clock: Clock;
  private readonly code: SetupCode;
  private readonly needsSecondFactor: boolean;

  constructor(options: AccessOptions, passwords: Passwords) {
    const { catalog, clock, random, log, disk } = options;
    const accounts = catalog.accounts;
    this.table = accounts;
    this.clock = clock;
    this.sessions = new Sessions({ table: catalog.sessions, clock, random, log });
    this.tokens = new Tokens({ table: catalog.tokens, accounts, clock, random, log });
    this.accounts = new Accounts({ table: accounts, sessions: this.sessions, tokens: this.tokens, passwords, clock });
    this.secondFactor = new SecondFactor({ accounts, clock, random });
    this.signing = new SignIn({ accounts, passwords, secondFactor: this.secondFactor, clock, tell: options.tell });
    this.oidc = options.oidc && new Oidc({ settings: options.oidc, accounts: this.accounts, disk, clock, random, log });
    this.code = new SetupCode(random);
    this.needsSecondFactor = options.administratorsNeedSecondFactor ?? false;
  }

  /** Whether there is an account. */
  get isSetUp(): boolean {
    return this.table.count() > 0;
  }

  /** What whoever is at the machine is shown; undefined once there is an account. Never to be logged. */
  get setupCode(): string | undefined {
    return this.isSetUp ? undefined : this.code.show();
  }

  /**
   * Makes the first administrator.
   * @param wish.code - undefined only for whoever is at the machine anyway
   * @throws conflict: it was done already; denied: the code is wrong; invalid: the name or password is not taken
   */
  async setUp(wish: { code: string | undefined; name: string; password: string; from: string }): Promise<Account> {
    if (this.isSetUp) throw setUpAlready();
    if (wish.code !== undefined) this.signing.guessing(wish.from, () => this.code.isRight(wish.code ?? ""));
    const { name, password } = wish;
    const account = await this.accounts.add(
      { name: accountNameOf(name), role: "administrator", machines: [], password },
      true,
    );
    // By the code the browser is signed in at once; at the machine nobody is, by this.
    if (wish.code !== undefined) this.table.update(account.name, { signedInAt: this.clock.wall() });
    return account;
  }

  /** Signs in with a password. @throws denied, unavailable: see {@link SignIn.signIn} */
  async signIn(
    request: SignInRequest & Pick<RequestFacts, "headers" | "secure">,
  ): Promise<{ account: Account; session: OpenedSession }> {
    const account = await this.signing.signIn(request);
    return { account, session: this.sessions.open(account, request) };
  }

  /**
   * Changes one's own password; all sessions end, and the one that asked is opened anew.
   * @throws denied, unavailable: see {@link SignIn.signIn}; invalid: the new one is not taken, or the account has none
   */
  async changePassword(
    name: string,
    change: { password: string; newPassword: string },
    request: Pick<RequestFacts, "headers" | "secure" | "from">,
  ): Promise<{ account: Account; session: OpenedSession }> {
    checkHasPassword(this.accounts.get(name));
    await this.signing.confirm(name, change.password, request.from);
    await this.accounts.setPassword(name, change.newPassword);
    const account = this.accounts.get(name);
    return { account, session: this.sessions.open(account, request) };
  }

  /** Makes the secret of a second factor, which a code confirms. @throws conflict: there is one */
  beginSecondFactor(account: Account): { secret: string; uri: string } {
    checkHasPassword(account);
    // Otherwise whoever has the session and the password would replace what is there to stop him.
    if (account.totpSecret !== null) throw new SternwayError("conflict", "there is a second factor: turn it off first");
    return this.secondFactor.begin(account);
  }

  /** @throws denied: the password or code is wrong, or not yet; conflict: administrators need one */
  async turnSecondFactorOff(name: string, shown: { password: string; code: string }, from: string): Promise<void> {
    const before = this.accounts.get(name);
    if (this.mustEnrol({ ...before, totpSecret: null })) {
      throw new SternwayError("conflict", "administrators need a second factor on this appliance: it stays on");
    }
    await this.signing.signIn({ name, ...shown, from });
    this.secondFactor.turnOff(name);
  }

  /** Makes an API token. @throws denied, invalid, conflict: see {@link Tokens.add} */
  addToken(account: Account, wish: TokenWish): ReturnType<Tokens["add"]> {
    if (this.mustEnrol(account)) throw new SternwayError("denied", `${account.name} needs a second factor first`);
    return this.tokens.add(account, wish);
  }

  /** Until when nobody signs in to an account after wrong attempts; undefined: at once. */
  pausedUntil(account: Account): Micros | undefined {
    const pause = this.signing.pauseOf(account);
    return pause > 0 ? micros(this.clock.wall() + pause) : undefined;
  }

  /** Signs in whoever the provider sent back. @throws denied, unavailable: see {@link Oidc.finish}; not_found: there is no provider */
  async signInThroughProvider(request: Parameters<Oidc["finish"]>[0]): Promise<Account> {
    if (!this.oidc) throw new SternwayError("not_found", "nobody signs in here through a provider");
    const account = await this.oidc.finish(request);
    this.table.update(account.name, { signedInAt: this.clock.wall() });
    return account;
  }

  /** Whether an account has to get a second factor before it gets at anything else. Whoever a provider lets in has the provider's. */
  mustEnrol({ role, passwordHash, totpSecret }: Account): boolean {
    return this.needsSecondFactor && role === "administrator" && passwordHash !== null && totpSecret === null;
  }

  /**
   * Finds out who asks, by an API token or a session's cookie.
   * @returns undefined: the request carries neither, or a session that is over; `refused`: what it carries does not count
   */
  async authenticate(request: RequestFacts): Promise<Authentication> {
    try {
      return this.found(request);
    } catch (error) {
      if (error instanceof SternwayError) return { refused: error };
      throw error;
    }
  }

  private found({ method, headers, secure }: RequestFacts): Authentication {
    const authorization = headers.get("authorization");
    if (authorization !== null) return { principal: this.tokenHolder(bearerOf(authorization)) };
    const session = this.sessions.find(headers, secure);
    const account = session && this.table.find(session.account);
    if (!session || !account) return undefined;
    const refused = this.sessions.refusal(session, method, headers);
    if (refused) return { refused };
    this.sessions.used(session);
    const { name, role, machines } = account;
    // Somebody with no machine at all gets at nothing but what is about his own account.
    const limited = this.mustEnrol(account) ? ({ role: "self-service", machines: [] } as const) : { role, machines };
    return { principal: { name, ...limited, by: "session" }, session };
  }

  /** @throws denied: see {@link Tokens.principalOf}; or its account needs a second factor, without which a session of it gets at nothing either */
  private tokenHolder(token: string): Principal {
    const principal = this.tokens.principalOf(token);
    const account = this.table.find(principal.name);
    if (!account || !this.mustEnrol(account)) return principal;
    throw new SternwayError("denied", `the API token counts when ${principal.name} has a second factor again`, {
      status: 401,
    });
  }
}

/** @throws denied: it is of another kind */
function bearerOf(authorization: string): string {
  const token = /^Bearer +(\S+)$/i.exec(authorization.trim())?.[1];
  if (token !== undefined) return token;
  throw new SternwayError("denied", "the header authorization must be `Bearer` and an API token", { status: 401 });
}
