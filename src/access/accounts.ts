/**
 * The accounts: making, changing, removing them. One administrator with a password of his own always stays, so that nobody is shut out, whatever a provider
 * of OpenID Connect says or does. Looking at who is left and changing it is one turn, and so two removals at once leave one.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Account, AccountTable, NewAccount } from "../catalog/catalog.ts";
import type { Role } from "../contract/rights.ts";
import { checkPassword, type Passwords } from "./passwords.ts";
import { accountNameOf } from "./sign-in.ts";
import type { Sessions } from "./sessions.ts";
import type { Tokens } from "./tokens.ts";

const ACCOUNTS_MAX = 1000;
/** Who asks over the control socket. */
const RESERVED = new Set(["root"]);

export interface NewLocalAccount {
  name: string;
  role: Role;
  machines: readonly string[];
  password: string;
}

export class Accounts {
  private readonly table: AccountTable;
  private readonly sessions: Sessions;
  private readonly tokens: Tokens;
  private readonly passwords: Passwords;
  private readonly clock: Clock;

  constructor(options: {
    table: AccountTable;
    sessions: Sessions;
    tokens: Tokens;
    passwords: Passwords;
    clock: Clock;
  }) {
    this.table = options.table;
    this.sessions = options.sessions;
    this.tokens = options.tokens;
    this.passwords = options.passwords;
    this.clock = options.clock;
  }

  /** By name. */
  list(): Account[] {
    return this.table.list();
  }

  /** @param typed - a name as somebody typed it */
  has(typed: string): boolean {
    return this.table.find(accountNameOf(typed)) !== undefined;
  }

  /** @throws not_found */
  get(name: string): Account {
    const account = this.table.find(name);
    if (account) return account;
    throw new SternwayError("not_found", `there is no account ${name}`, { account: name });
  }

  /** @param first - only while there is no account @throws conflict: the name is taken, or set-up was done; invalid: what is wrong with it */
  async add(wish: NewLocalAccount, first = false): Promise<Account> {
    const { name, role, password } = wish;
    checkPassword(password, name);
    checkName(name);
    const machines = checkedMachines(role, wish.machines);
    const passwordHash = await this.passwords.hash(password);
    // Looked at after the hashing, in the turn of the insert: of two set-ups at once one wins.
    if (first && this.table.count() > 0) throw setUpAlready();
    this.insert({ name, role, machines, passwordHash, identity: null });
    return this.get(name);
  }

  /**
   * The account of somebody whom the provider let in, as the provider says he is now. Its subject alone says who that is: the name is the
   * provider's suggestion, and never leads to an account that is somebody else's.
   *
   * @throws denied: the name is somebody else's
   */
  fromProvider(wish: { identity: string; name: string; role: Role; machines: readonly string[] }): Account {
    const { identity, name, role } = wish;
    const machines = checkedMachines(role, role === "self-service" ? wish.machines : []);
    const known = this.table.findByIdentity(identity);
    if (known) {
      this.apply(known, { role, machines });
      return this.get(known.name);
    }
    checkName(name);
    if (this.table.find(name)) {
      throw new SternwayError(
        "denied",
        `the account ${name} is somebody else's: ask an administrator of this appliance`,
      );
    }
    this.insert({ name, role, machines, passwordHash: null, identity });
    return this.get(name);
  }

  /**
   * Gives another role or other machines. Its sessions end when that changes anything, and its tokens that would do more than it may.
   * @returns the account, and how many tokens went
   * @throws not_found; conflict: it is the last administrator; invalid: machines of another role than self-service
   */
  change(
    name: string,
    change: { role?: Role | undefined; machines?: readonly string[] | undefined },
  ): {
    account: Account;
    tokensRemoved: number;
  } {
    const before = this.get(name);
    const role = change.role ?? before.role;
    const machines = checkedMachines(role, change.machines ?? (role === before.role ? before.machines : []));
    if (role !== "administrator") this.keepAnAdministrator(before);
    const tokensRemoved = this.apply(before, { role, machines });
    return { account: this.get(name), tokensRemoved };
  }

  /** Takes a machine that was forgotten from all whose own it was, or they would get at another one that is given its name. */
  withoutMachine(machine: string): void {
    for (const account of this.table.list()) {
      if (!account.machines.includes(machine)) continue;
      this.apply(account, { role: account.role, machines: account.machines.filter((each) => each !== machine) });
    }
  }

  /** With its sessions and tokens. @throws not_found; conflict: it is the last administrator */
  remove(name: string): void {
    const account = this.get(name);
    this.keepAnAdministrator(account);
    this.table.delete(name);
  }

  /** Sets a password and ends all sessions. @throws not_found; invalid: it is none, or the account has none */
  async setPassword(name: string, password: string): Promise<void> {
    checkHasPassword(this.get(name));
    checkPassword(password, name);
    const passwordHash = await this.passwords.hash(password);
    this.get(name);
    this.table.update(name, { passwordHash });
    this.sessions.closeAllOf(name);
  }

  private insert(account: Omit<NewAccount, "createdAt">): void {
    if (this.table.count() >= ACCOUNTS_MAX) {
      throw new SternwayError("conflict", `there are ${ACCOUNTS_MAX} accounts, which are the most`);
    }
    if (this.table.insert({ ...account, createdAt: this.clock.wall() })) return;
    throw new SternwayError("conflict", `there is an account ${account.name} already`, { account: account.name });
  }

  private apply(before: Account, { role, machines }: { role: Role; machines: string[] }): number {
    const isSame = role === before.role && machines.join("\n") === before.machines.join("\n");
    if (isSame) return 0;
    this.table.update(before.name, { role, machines });
    this.sessions.closeAllOf(before.name);
    return this.tokens.removeAbove({ ...before, role, machines });
  }

  /** @throws conflict: it is the last one that can always sign in */
  private keepAnAdministrator({ name }: Account): void {
    const administrators = this.table.localAdministrators();
    if (administrators.length !== 1 || administrators[0] !== name) return;
    throw new SternwayError("conflict", `${name} is the last administrator with a password: make another one first`, {
      account: name,
    });
  }
}

export const setUpAlready = (): SternwayError =>
  new SternwayError("conflict", "the appliance is set up already: sign in, or ask one of its administrators");

/** @throws invalid: it signs in through a provider */
export function checkHasPassword({ name, passwordHash }: Account): void {
  if (passwordHash !== null) return;
  throw new SternwayError(
    "invalid",
    `${name} signs in through the provider of OpenID Connect and has no password here`,
  );
}

function checkName(name: string): void {
  if (RESERVED.has(name)) throw new SternwayError("invalid", `no account is called ${name}: that is the machine's own`);
}

function checkedMachines(role: Role, machines: readonly string[]): string[] {
  if (role === "self-service" || machines.length === 0) return [...new Set(machines)].sort();
  throw new SternwayError("invalid", `only accounts of the role self-service have machines of their own, not ${role}s`);
}
