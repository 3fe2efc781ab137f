/**
 * Queries on credentials: the client certificates with which a machine's disks may be reached through the block door. What lies here is no secret; the keys are
 * kept by the clients alone. Without a row a certificate opens nothing, so a catalog that is lost takes all of them back.
 */
import { and, asc, eq, gt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import { credentials, NEXT_ID } from "./schema.ts";

export type Credential = typeof credentials.$inferSelect;

export interface CredentialTable {
  add(credential: Omit<Credential, "id">): Credential;
  /** Oldest first. */
  ofMachine(machine: string): Credential[];
  /** Oldest first. @param account - its name */
  madeBy(account: string): Credential[];
  /** The one with this certificate, if it holds at this time. */
  byFingerprint(fingerprint: string, now: Micros): Credential | undefined;
  /** @returns false: the machine has no such one */
  remove(machine: string, id: number): boolean;
  /** Takes all of a machine back. */
  removeAll(machine: string): void;
}

export function credentialTable(db: BunSQLiteDatabase, run: <Result>(work: () => Result) => Result): CredentialTable {
  return {
    add: (credential) =>
      run(() =>
        db
          .insert(credentials)
          .values({ id: NEXT_ID, ...credential })
          .returning()
          .get(),
      ),
    ofMachine: (machine) =>
      run(() =>
        db.select().from(credentials).where(eq(credentials.machine, machine)).orderBy(asc(credentials.id)).all(),
      ),
    madeBy: (account) =>
      run(() =>
        db.select().from(credentials).where(eq(credentials.createdBy, account)).orderBy(asc(credentials.id)).all(),
      ),
    byFingerprint: (fingerprint, now) =>
      run(() =>
        db
          .select()
          .from(credentials)
          .where(and(eq(credentials.fingerprint, fingerprint), gt(credentials.expiresAt, now)))
          .get(),
      ),
    remove: (machine, id) =>
      run(
        () =>
          db
            .delete(credentials)
            .where(and(eq(credentials.machine, machine), eq(credentials.id, id)))
            .returning({ id: credentials.id })
            .all().length > 0,
      ),
    removeAll: (machine) =>
      run(() => {
        db.delete(credentials).where(eq(credentials.machine, machine)).run();
      }),
  };
}
