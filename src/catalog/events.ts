/** Queries on events. */
import { and, desc, gte, inArray, lt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import { events, NEXT_ID } from "./schema.ts";

export type CatalogEvent = typeof events.$inferSelect;

/** Older ones are forgotten: at 200 bytes each that is 10 MB. */
const EVENTS_MAX = 50_000;

export function insertEvent(db: BunSQLiteDatabase, event: Omit<CatalogEvent, "id">): number {
  const row = db
    .insert(events)
    .values({ id: NEXT_ID, ...event })
    .returning({ id: events.id })
    .get();
  db.delete(events)
    .where(lt(events.id, row.id - EVENTS_MAX))
    .run();
  return row.id;
}

/** Newest first. @param page.before - only ids below it */
export function selectEvents(
  db: BunSQLiteDatabase,
  page: { before?: number | undefined; limit: number },
): CatalogEvent[] {
  return db
    .select()
    .from(events)
    .where(page.before === undefined ? undefined : lt(events.id, page.before))
    .orderBy(desc(events.id))
    .limit(page.limit)
    .all();
}

/** Of `[from, to)`, oldest first; the newest `limit` of them. */
export function selectEventsBetween(
  db: BunSQLiteDatabase,
  range: { from: Micros; to: Micros; kinds?: readonly string[]; limit: number },
): CatalogEvent[] {
  const { from, to, kinds, limit } = range;
  return db
    .select()
    .from(events)
    .where(
      and(
        gte(events.time, from),
        lt(events.time, to),
        kinds === undefined ? undefined : inArray(events.kind, [...kinds]),
      ),
    )
    .orderBy(desc(events.id))
    .limit(limit)
    .all()
    .reverse();
}
