/**
 * What scripts before bookmarks may have frozen: a row from before the first script is started until the second has run. One that is found at a start tells of an
 * appliance that was killed between the two, or lost power: each row is kept before it is gone by.
 */
import { asc, eq } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { frozen, NEXT_ID } from "./schema.ts";
import type { VolumeReference } from "./stored-task.ts";

export interface Frozen {
  id: number;
  /** The script that thaws. */
  script: string;
  /** The machine's name, or empty for a volume by itself. */
  machine: string;
  volumes: VolumeReference[];
  timeoutSeconds: number;
  since: Micros;
}

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface FrozenTable {
  /** Oldest first. */
  list(): Frozen[];
  /** @returns its id */
  add(row: Omit<Frozen, "id">): number;
  remove(id: number): void;
}

export function frozenTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): FrozenTable {
  return {
    list: () => run(() => db.select().from(frozen).orderBy(asc(frozen.id)).all()),
    add: (row) =>
      keep(() => {
        const added = db.insert(frozen).values({ id: NEXT_ID, ...row });
        return added.returning({ id: frozen.id }).get().id;
      }),
    remove: (id) => run(() => db.delete(frozen).where(eq(frozen.id, id)).run()),
  };
}
