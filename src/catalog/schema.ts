/** The catalog's tables, as drizzle sees them. `migrations.ts` makes them; a test holds the two together. */
import { sql } from "drizzle-orm";
import { customType, index, real, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { Micros } from "../base/units.ts";

/** Microseconds since 1970. The connection hands out 64-bit integers; these stay exact as numbers until the year 2255. */
const microsColumn = customType<{ data: Micros; driverData: bigint | number }>({
  dataType: () => "integer",
  fromDriver: (value) => Number(value) as Micros,
  toDriver: (value) => BigInt(value),
});

/** Insert it as {@link NEXT_ID}. */
const idColumn = customType<{ data: number; driverData: bigint | number }>({
  dataType: () => "integer",
  fromDriver: Number,
  toDriver: (value) => BigInt(value),
});

/** Lets SQLite choose: one above the highest. */
export const NEXT_ID = sql<number>`NULL`;

/** Work that someone asked for and may ask about later: checks, imports, restores, rollbacks. */
export const jobs = sqliteTable(
  "jobs",
  {
    id: idColumn("id").primaryKey(),
    kind: text("kind").notNull(),
    /** What it works on: a volume's name, or empty for the vault. */
    subject: text("subject").notNull(),
    state: text("state", { enum: ["running", "done", "failed", "interrupted"] }).notNull(),
    /** 0 to 1. */
    progress: real("progress").notNull(),
    startedAt: microsColumn("started_at").notNull(),
    finishedAt: microsColumn("finished_at"),
    error: text("error"),
  },
  (table) => [index("jobs_by_state").on(table.state)],
);

/** What happened that a person may want to know. */
export const events = sqliteTable("events", {
  id: idColumn("id").primaryKey(),
  time: microsColumn("time").notNull(),
  level: text("level", { enum: ["info", "warning", "alert"] }).notNull(),
  kind: text("kind").notNull(),
  subject: text("subject").notNull(),
  message: text("message").notNull(),
});
