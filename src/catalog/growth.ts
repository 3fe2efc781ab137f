/**
 * Queries on growth: samples of what vaults store and volumes receive, by the hour for 90 days and by the day for five years. A sample stands for the hour or
 * day that begins at its time; a vault's holds the newest reading in it, a volume's the sum of what was written. Losable: forecasts then begin anew.
 */
import { and, asc, eq, gte, lt, sql } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { micros, type Micros } from "../base/units.ts";
import { growth, NEXT_ID } from "./schema.ts";

export type GrowthRow = typeof growth.$inferSelect;
export type GrowthSample = Omit<GrowthRow, "id" | "rhythm">;
export type GrowthRhythm = GrowthRow["rhythm"];

const HOUR = 3_600e6;
const DAY = 24 * HOUR;
/** How long samples are kept. */
const KEPT: Record<GrowthRhythm, number> = { hour: 90 * DAY, day: 5 * 365 * DAY };
/** Of volumes, however many there are: at 100 bytes each that is 50 MB. Vaults are few, and forecasts need all that there is of them. */
const ROWS_MAX = 500_000;
const LENGTH: Record<GrowthRhythm, number> = { hour: HOUR, day: DAY };

export interface GrowthTable {
  /** Puts samples into the hour and the day that they lie in; what was written is added up. */
  add(samples: readonly GrowthSample[]): void;
  /** Oldest first, of `[from, to)`. */
  samples(query: {
    kind: "vault" | "volume";
    name?: string | undefined;
    rhythm: GrowthRhythm;
    from: Micros;
    to: Micros;
  }): GrowthRow[];
}

/** @param rowsMax - of volumes, for tests */
export function growthTable(
  db: BunSQLiteDatabase,
  run: <Result>(work: () => Result) => Result,
  rowsMax = ROWS_MAX,
): GrowthTable {
  return {
    add: (samples) =>
      run(() =>
        db.transaction((inside) => {
          for (const sample of samples) for (const rhythm of ["hour", "day"] as const) put(inside, sample, rhythm);
          const newest = Math.max(...samples.map(({ time }) => time));
          if (samples.length > 0) forgetOld(inside, newest, rowsMax);
        }),
      ),
    samples: ({ kind, name, rhythm, from, to }) =>
      run(() =>
        db
          .select()
          .from(growth)
          .where(
            and(
              eq(growth.kind, kind),
              eq(growth.rhythm, rhythm),
              name === undefined ? undefined : eq(growth.name, name),
              gte(growth.time, from),
              lt(growth.time, to),
            ),
          )
          .orderBy(asc(growth.time), asc(growth.name))
          .limit(ROWS_MAX)
          .all(),
      ),
  };
}

type Inside = Pick<BunSQLiteDatabase, "insert" | "delete" | "select">;

function put(db: Inside, sample: GrowthSample, rhythm: GrowthRhythm): void {
  const time = micros(Math.floor(sample.time / LENGTH[rhythm]) * LENGTH[rhythm]);
  const { kind: _, name: __, writtenBytes, ...reading } = sample;
  // A reading that was not taken this time leaves the one before.
  const set = Object.fromEntries(
    Object.entries({ ...reading, time }).filter(([, value]) => value !== null),
  ) as Partial<GrowthRow>;
  db.insert(growth)
    .values({ id: NEXT_ID, ...sample, time, rhythm })
    .onConflictDoUpdate({
      target: [growth.kind, growth.rhythm, growth.name, growth.time],
      set: {
        ...set,
        ...(writtenBytes === null
          ? {}
          : { writtenBytes: sql`coalesce(${growth.writtenBytes}, 0) + ${BigInt(writtenBytes)}` }),
      },
    })
    .run();
}

function forgetOld(db: Inside, newest: number, rowsMax: number): void {
  for (const rhythm of ["hour", "day"] as const) {
    db.delete(growth)
      .where(and(eq(growth.rhythm, rhythm), lt(growth.time, micros(newest - KEPT[rhythm]))))
      .run();
  }
  const last =
    db
      .select({ id: sql<bigint | null>`max(${growth.id})` })
      .from(growth)
      .get()?.id ?? null;
  if (last !== null)
    db.delete(growth)
      .where(and(eq(growth.kind, "volume"), lt(growth.id, Number(last) - rowsMax)))
      .run();
}
