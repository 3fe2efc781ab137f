/** Queries on accounts. Each is one statement or one transaction, and none waits, so no two ever run into each other. */
import { and, asc, count, eq, isNotNull, lt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import { accounts } from "./schema.ts";

export type Account = typeof accounts.$inferSelect;

export interface NewAccount {
  name: string;
  role: Account["role"];
  machines: string[];
  passwordHash: string | null;
  identity: string | null;
  createdAt: Micros;
}

/**
 * Runs a query, and turns what SQLite throws into our error. There are two: `run`, after which a power cut may undo what was written, and `keep`, after which it
 * may not (see `catalog.ts`). What takes a right away, or uses up what lets somebody in, must be kept.
 */
export type RunQuery = <Result>(work: () => Result) => Result;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface AccountTable {
  count(): number;
  /** By name. */
  list(): Account[];
  find(name: string): Account | undefined;
  findByIdentity(identity: string): Account | undefined;
  /** @returns false: there is one of that name or identity */
  insert(account: NewAccount): boolean;
  /** Nothing happens when it is gone. Kept, unless it only notes attempts to sign in. */
  update(name: string, change: Partial<Omit<Account, "name">>): void;
  /** Notes that the code of a step was used. @returns false: it, or a later one, was already */
  useTotpStep(name: string, step: number): boolean;
  /** With its sessions and tokens. */
  delete(name: string): void;
  /** Administrators with a password of their own. */
  localAdministrators(): string[];
}

/** Wrong passwords come as fast as somebody guesses: to sync each would let him slow down everybody. */
const NOTES: ReadonlySet<string> = new Set<keyof Account>(["signedInAt", "failedCount", "failedAt"]);

export function accountTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): AccountTable {
  return {
    count: () => run(() => db.select({ count: count() }).from(accounts).all()[0]?.count ?? 0),
    list: () => run(() => db.select().from(accounts).orderBy(asc(accounts.name)).all()),
    find: (name) => run(() => db.select().from(accounts).where(eq(accounts.name, name)).get()),
    findByIdentity: (identity) => run(() => db.select().from(accounts).where(eq(accounts.identity, identity)).get()),
    insert: (account) =>
      keep(
        () =>
          db
            .insert(accounts)
            .values({ ...account, totpStep: 0, recoveryHashes: [], failedCount: 0 })
            .onConflictDoNothing()
            .returning({ name: accounts.name })
            .all().length === 1,
      ),
    update: (name, change) =>
      (Object.keys(change).every((field) => NOTES.has(field)) ? run : keep)(() =>
        db.update(accounts).set(change).where(eq(accounts.name, name)).run(),
      ),
    useTotpStep: (name, step) =>
      keep(
        () =>
          db
            .update(accounts)
            .set({ totpStep: step })
            .where(and(eq(accounts.name, name), lt(accounts.totpStep, step)))
            .returning({ name: accounts.name })
            .all().length === 1,
      ),
    delete: (name) => keep(() => db.delete(accounts).where(eq(accounts.name, name)).run()),
    localAdministrators: () =>
      run(() =>
        db
          .select({ name: accounts.name })
          .from(accounts)
          .where(and(eq(accounts.role, "administrator"), isNotNull(accounts.passwordHash)))
          .all()
          .map(({ name }) => name),
      ),
  };
}
