/** Queries on sessions. */
import { and, asc, eq, lt, ne, or } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { sessions } from "./schema.ts";

export type Session = typeof sessions.$inferSelect;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface SessionTable {
  insert(session: Session): void;
  find(idHash: string): Session | undefined;
  /** By the name that people give it. */
  findById(id: string): Session | undefined;
  /** Oldest first. */
  ofAccount(account: string): Session[];
  seen(idHash: string, at: Micros): void;
  delete(idHash: string): void;
  /** @param but - the hash of the one that stays */
  deleteOfAccount(account: string, but?: string): void;
  /** Those that were opened, or last seen, before. */
  deleteOld(openedBefore: Micros, seenBefore: Micros): void;
}

export function sessionTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): SessionTable {
  return {
    insert: (session) => run(() => db.insert(sessions).values(session).run()),
    find: (idHash) => run(() => db.select().from(sessions).where(eq(sessions.idHash, idHash)).get()),
    findById: (id) => run(() => db.select().from(sessions).where(eq(sessions.id, id)).get()),
    ofAccount: (account) =>
      run(() => db.select().from(sessions).where(eq(sessions.account, account)).orderBy(asc(sessions.createdAt)).all()),
    seen: (idHash, at) => run(() => db.update(sessions).set({ seenAt: at }).where(eq(sessions.idHash, idHash)).run()),
    delete: (idHash) => keep(() => db.delete(sessions).where(eq(sessions.idHash, idHash)).run()),
    deleteOfAccount: (account, but = "") =>
      keep(() =>
        db
          .delete(sessions)
          .where(and(eq(sessions.account, account), ne(sessions.idHash, but)))
          .run(),
      ),
    deleteOld: (openedBefore, seenBefore) =>
      run(() =>
        db
          .delete(sessions)
          .where(or(lt(sessions.createdAt, openedBefore), lt(sessions.seenAt, seenBefore)))
          .run(),
      ),
  };
}
