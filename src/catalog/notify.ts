/**
 * Queries on notifications: channels and rules as people made them, troubles that were told and go on, and the queue of deliveries. Settings and contents are
 * JSON whose shape the room of notifications knows. A channel's secret lies in its row, since it must be used again; the file's folder is 0700.
 */
import { and, asc, count, desc, eq, gt, inArray, lt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { channels, deliveries, NEXT_ID, rules, troubles } from "./schema.ts";

export type ChannelRow = typeof channels.$inferSelect;
export type RuleRow = typeof rules.$inferSelect;
export type TroubleRow = typeof troubles.$inferSelect;
export type DeliveryRow = typeof deliveries.$inferSelect;

/** Ended deliveries that are kept; with 100 events each they take some 25 MB. */
const ENDED_MAX = 1_000;
/** Troubles that are remembered; the oldest are forgotten, and told anew if they are still there. */
const TROUBLES_MAX = 10_000;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface NotifyTable {
  channels(): ChannelRow[];
  putChannel(row: ChannelRow): void;
  /** With its troubles and deliveries. */
  deleteChannel(name: string): void;
  rules(): RuleRow[];
  putRule(row: RuleRow): void;
  deleteRule(name: string): void;
  troubles(): TroubleRow[];
  putTrouble(row: TroubleRow): void;
  deleteTrouble(key: string): void;
  /** @returns its id */
  addDelivery(row: Omit<DeliveryRow, "id">): number;
  updateDelivery(id: number, change: Partial<Omit<DeliveryRow, "id" | "channel">>): void;
  /** Gathering and waiting ones, oldest first. */
  openDeliveries(): DeliveryRow[];
  /** Newest first. */
  deliveries(page: { channel?: string | undefined; before?: number | undefined; limit: number }): DeliveryRow[];
  /** When the newest of a channel were released to be sent, newest first. */
  released(channel: string, since: Micros, limit: number): Micros[];
  /** Of all that were ever ended and are kept. */
  endedCount(state: "sent" | "given-up"): number;
}

export function notifyTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): NotifyTable {
  return {
    channels: () => run(() => db.select().from(channels).orderBy(asc(channels.name)).all()),
    putChannel: (row) =>
      keep(() => db.insert(channels).values(row).onConflictDoUpdate({ target: channels.name, set: row }).run()),
    deleteChannel: (name) =>
      keep(() =>
        db.transaction((inside) => {
          inside.delete(channels).where(eq(channels.name, name)).run();
          inside.delete(troubles).where(eq(troubles.channel, name)).run();
          inside.delete(deliveries).where(eq(deliveries.channel, name)).run();
        }),
      ),
    rules: () => run(() => db.select().from(rules).orderBy(asc(rules.name)).all()),
    putRule: (row) =>
      keep(() => db.insert(rules).values(row).onConflictDoUpdate({ target: rules.name, set: row }).run()),
    deleteRule: (name) => keep(() => db.delete(rules).where(eq(rules.name, name)).run()),
    troubles: () => run(() => db.select().from(troubles).orderBy(desc(troubles.toldAt)).limit(TROUBLES_MAX).all()),
    putTrouble: (row) =>
      run(() => db.insert(troubles).values(row).onConflictDoUpdate({ target: troubles.key, set: row }).run()),
    deleteTrouble: (key) => run(() => db.delete(troubles).where(eq(troubles.key, key)).run()),
    addDelivery: (row) =>
      run(
        () =>
          db
            .insert(deliveries)
            .values({ id: NEXT_ID, ...row })
            .returning({ id: deliveries.id })
            .get().id,
      ),
    updateDelivery: (id, change) =>
      run(() => {
        db.update(deliveries).set(change).where(eq(deliveries.id, id)).run();
        if (change.endedAt !== undefined && change.endedAt !== null) forgetOld(db);
      }),
    openDeliveries: () =>
      run(() =>
        db
          .select()
          .from(deliveries)
          .where(inArray(deliveries.state, ["gathering", "waiting"]))
          .orderBy(asc(deliveries.id))
          .all(),
      ),
    deliveries: ({ channel, before, limit }) =>
      run(() =>
        db
          .select()
          .from(deliveries)
          .where(
            and(
              channel === undefined ? undefined : eq(deliveries.channel, channel),
              before === undefined ? undefined : lt(deliveries.id, before),
            ),
          )
          .orderBy(desc(deliveries.id))
          .limit(limit)
          .all(),
      ),
    released: (channel, since, limit) =>
      run(() =>
        db
          .select({ at: deliveries.releasedAt })
          .from(deliveries)
          .where(and(eq(deliveries.channel, channel), gt(deliveries.releasedAt, since)))
          .orderBy(desc(deliveries.releasedAt))
          .limit(limit)
          .all()
          .map(({ at }) => at!),
      ),
    endedCount: (state) =>
      run(() => db.select({ n: count() }).from(deliveries).where(eq(deliveries.state, state)).get()?.n ?? 0),
  };
}

/** Keeps the newest that have ended. */
function forgetOld(db: BunSQLiteDatabase): void {
  const ended = inArray(deliveries.state, ["sent", "given-up"]);
  const [oldest] = db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(ended)
    .orderBy(desc(deliveries.id))
    .limit(1)
    .offset(ENDED_MAX)
    .all();
  if (oldest)
    db.delete(deliveries)
      .where(and(ended, lt(deliveries.id, oldest.id + 1)))
      .run();
}
