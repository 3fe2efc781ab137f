/**
 * API tokens: what lets programs in. One is shown once and kept as its SHA-256; it belongs to an account, does at most what that may do at the moment, expires,
 * and goes with it. A token of the role `self-service` may be limited to some of the account's machines.
 */
import type { Clock } from "../base/clock.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { micros } from "../base/units.ts";
import type { Account, AccountTable, ApiToken, TokenTable } from "../catalog/catalog.ts";
import type { Principal, Role } from "../contract/rights.ts";
import type { Log } from "../observe/log.ts";
import { hashOf, isToken, newToken, newPublicId } from "./credentials.ts";
import { isRoleWithin } from "./roles.ts";

export const TOKEN_DAYS_DEFAULT = 90;
const DAY_MICROS = 86_400e6;
/** Of one account. */
const TOKENS_MAX = 64;
/** A use is noted at most so often. */
const USED_MICROS = 60e6;

export interface TokenWish {
  name: string;
  /** Absent: the account's. */
  role?: Role | undefined;
  machines?: readonly string[] | undefined;
  days?: number | undefined;
}

export class Tokens {
  private readonly table: TokenTable;
  private readonly accounts: AccountTable;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly log: Log;

  constructor(options: { table: TokenTable; accounts: AccountTable; clock: Clock; random: Random; log: Log }) {
    this.table = options.table;
    this.accounts = options.accounts;
    this.clock = options.clock;
    this.random = options.random;
    this.log = options.log;
  }

  /** @returns the token, which is kept nowhere @throws denied: it would do more than the account; invalid; conflict: too many */
  add(account: Account, wish: TokenWish): { token: string; kept: Omit<ApiToken, "usedAt"> } {
    const { name, role = account.role, machines, days = TOKEN_DAYS_DEFAULT } = wish;
    if (!isRoleWithin(role, account.role)) {
      throw new SternwayError("denied", `${account.name} has the role ${account.role}, which does not cover ${role}`);
    }
    checkMachines(account, role, machines);
    const now = this.clock.wall();
    this.table.deleteExpired(now);
    if (this.table.list(account.name).length >= TOKENS_MAX) {
      throw new SternwayError("conflict", `${account.name} has ${TOKENS_MAX} tokens, which are the most: remove one`);
    }
    const token = newToken(this.random);
    const kept = {
      id: newPublicId(this.random),
      hash: hashOf(token),
      account: account.name,
      name,
      role,
      machines: machines === undefined ? null : [...machines],
      createdAt: now,
      expiresAt: micros(now + days * DAY_MICROS),
    };
    this.table.insert(kept);
    return { token, kept };
  }

  /** Oldest first. @param account - of this one alone */
  list(account?: string): ApiToken[] {
    return this.table.list(account);
  }

  find(id: string): ApiToken | undefined {
    return this.table.find(id);
  }

  remove(id: string): void {
    this.table.delete(id);
  }

  /** Takes away what an account could no longer make. @returns how many */
  removeAbove(account: Account): number {
    const above = this.table.list(account.name).filter(({ role }) => !isRoleWithin(role, account.role));
    for (const { id } of above) this.table.delete(id);
    return above.length;
  }

  /** Whose token this is. @throws denied: it is none, has expired, or its account is gone or may no longer do that much */
  principalOf(token: string): Principal {
    const kept = isToken(token) ? this.table.findByHash(hashOf(token)) : undefined;
    const account = kept && this.accounts.find(kept.account);
    // One answer to a token that never was and to one that was removed.
    if (!kept || !account) throw refused("the API token is not known: it may have been removed");
    const now = this.clock.wall();
    if (kept.expiresAt <= now) throw refused("the API token has expired: make another one");
    if (!isRoleWithin(kept.role, account.role)) throw refused("the API token does more than its account may");
    if (kept.usedAt === null || Math.abs(now - kept.usedAt) >= USED_MICROS) {
      try {
        this.table.used(kept.id, now);
      } catch (error) {
        this.log.warn({ reason: errorText(error) }, "the catalog did not take the use of a token");
      }
    }
    return { name: account.name, role: kept.role, machines: machinesOf(kept, account), by: "token" };
  }
}

/** Those of the token, as far as they are the account's still. */
function machinesOf({ machines }: ApiToken, account: Account): string[] {
  if (account.role !== "self-service") return machines ?? [];
  return machines === null ? account.machines : machines.filter((name) => account.machines.includes(name));
}

function checkMachines(account: Account, role: Role, machines: readonly string[] | undefined): void {
  if (role !== "self-service") {
    if (machines === undefined) return;
    throw new SternwayError("invalid", `only tokens of the role self-service are limited to machines, not of ${role}`);
  }
  if (account.role !== "self-service") {
    if (machines !== undefined && machines.length > 0) return;
    throw new SternwayError("invalid", "a token of the role self-service needs the machines that it is for");
  }
  const foreign = machines?.find((name) => !account.machines.includes(name));
  if (foreign !== undefined) throw new SternwayError("denied", `machine ${foreign} is not one of ${account.name}'s`);
}

const refused = (message: string): SternwayError => new SternwayError("denied", message, { status: 401 });
