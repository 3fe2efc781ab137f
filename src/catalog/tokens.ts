/** Queries on API tokens. */
import { asc, eq, lte } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { tokens } from "./schema.ts";

export type ApiToken = typeof tokens.$inferSelect;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface TokenTable {
  insert(token: Omit<ApiToken, "usedAt">): void;
  findByHash(hash: string): ApiToken | undefined;
  find(id: string): ApiToken | undefined;
  /** Oldest first. @param account - of this one alone */
  list(account?: string): ApiToken[];
  used(id: string, at: Micros): void;
  delete(id: string): void;
  deleteExpired(by: Micros): void;
}

export function tokenTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): TokenTable {
  return {
    insert: (token) => keep(() => db.insert(tokens).values(token).run()),
    findByHash: (hash) => run(() => db.select().from(tokens).where(eq(tokens.hash, hash)).get()),
    find: (id) => run(() => db.select().from(tokens).where(eq(tokens.id, id)).get()),
    list: (account) =>
      run(() =>
        db
          .select()
          .from(tokens)
          .where(account === undefined ? undefined : eq(tokens.account, account))
          .orderBy(asc(tokens.createdAt), asc(tokens.id))
          .all(),
      ),
    used: (id, at) => run(() => db.update(tokens).set({ usedAt: at }).where(eq(tokens.id, id)).run()),
    delete: (id) => keep(() => db.delete(tokens).where(eq(tokens.id, id)).run()),
    deleteExpired: (by) => run(() => db.delete(tokens).where(lte(tokens.expiresAt, by)).run()),
  };
}
