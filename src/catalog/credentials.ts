/**
 * Queries on credentials: the client certificates with which a machine's disks may be reached through the block door, and the users of the appliance's own
 * system who may reach them there. What lies here is no secret; the keys are kept by the clients alone. Without a row a certificate or a user opens nothing,
 * so a catalog that is lost takes all of them back.
 */
import { and, asc, eq, gt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { credentials, NEXT_ID } from "./schema.ts";

export type Credential = typeof credentials.$inferSelect;

/** What it is besides: a certificate, or a user. */
type CredentialKind = { fingerprint: string } | { uid: number; user: string };

export interface CredentialTable {
  add(credential: Omit<Credential, "id" | "fingerprint" | "uid" | "user"> & CredentialKind): Credential;
  /** Oldest first. */
  ofMachine(machine: string): Credential[];
  /** Oldest first. @param account - its name */
  madeBy(account: string): Credential[];
  /** The one with this certificate, if it holds at this time. */
  byFingerprint(fingerprint: string, now: Micros): Credential | undefined;
  /** Those of a local user, expired ones too, oldest first. */
  ofUser(uid: number): Credential[];
  /** @returns false: the machine has no such one */
  remove(machine: string, id: number): boolean;
  /** Takes all of a machine back. */
  removeAll(machine: string): void;
}

export function credentialTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): CredentialTable {
  return {
    add: (credential) =>
      keep(() =>
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
    ofUser: (uid) =>
      run(() => db.select().from(credentials).where(eq(credentials.uid, uid)).orderBy(asc(credentials.id)).all()),
    remove: (machine, id) =>
      keep(
        () =>
          db
            .delete(credentials)
            .where(and(eq(credentials.machine, machine), eq(credentials.id, id)))
            .returning({ id: credentials.id })
            .all().length > 0,
      ),
    removeAll: (machine) =>
      keep(() => {
        db.delete(credentials).where(eq(credentials.machine, machine)).run();
      }),
  };
}
