/**
 * Queries on signals: what volumes' writes were like, by the minute for a week and by the hour for a year; alarms; and what is usual for a volume. A volume is
 * told by the ids of its vault and of itself, so nothing here names a volume of an encrypted vault. Losable: what is usual is then learned anew.
 */
import { and, asc, count, desc, eq, gte, lt, sql, type SQL } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { micros, type Micros } from "../base/units.ts";
import { countsOf, WRITE_COUNTS, type WriteCounts } from "../base/write-counts.ts";
import { alarms, NEXT_ID, signalSeries, signalStates } from "./schema.ts";

/** A volume, wherever it is named what. */
export interface SignalVolume {
  /** Id of the vault. */
  vault: string;
  /** Number of the volume in it. */
  volume: number;
}

/** Sums of what was written in `[time, …)`. */
export interface SignalSums extends WriteCounts {
  time: Micros;
}

export type Alarm = typeof alarms.$inferSelect;
export type NewAlarm = Omit<Alarm, "id" | "endedAt" | "acknowledgedAt" | "acknowledgedBy" | "verdict" | "note">;

const MINUTE = 60e6;
const HOUR = 3600e6;
const DAY = 86_400e6;
/** Length of a row's time, and for how long it is kept. */
const RHYTHMS = { minute: { length: MINUTE, kept: 7 * DAY }, hour: { length: HOUR, kept: 366 * DAY } } as const;
type Rhythm = keyof typeof RHYTHMS;
/** Of all volumes together: at 120 bytes each that is 240 MB, some hundred volumes that are always busy. */
const ROWS_MAX = 2_000_000;
/** A page holds a hundred; one a day for 27 years. */
const ALARMS_MAX = 10_000;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface SignalTable {
  /** Adds sums up, each in the minute and the hour that it lies in. */
  addSeries(of: SignalVolume, sums: readonly SignalSums[]): void;
  /** Sums of `[from, to)`, oldest first. @param fine - by the minute, where that is still kept; by the hour without */
  series(of: SignalVolume, range: { from: Micros; to: Micros; fine: boolean }): SignalSums[];
  /** As it was put last. */
  state(of: SignalVolume): { sensitivity: string; state: unknown } | undefined;
  putState(of: SignalVolume, sensitivity: string, state: unknown): void;
  /** Of a volume that is no more. */
  forgetState(of: SignalVolume): void;
  /** @returns its id */
  addAlarm(alarm: NewAlarm): number;
  changeAlarm(
    id: number,
    change: Partial<
      Pick<
        Alarm,
        "endedAt" | "turned" | "perMinute" | "hold" | "acknowledgedAt" | "acknowledgedBy" | "verdict" | "note"
      >
    >,
  ): void;
  alarm(id: number): Alarm | undefined;
  /** Newest first. @param page.before - only ids below it */
  alarms(page: { before?: number | undefined; limit: number }): Alarm[];
  /** Of one volume, newest first. @param range - those that were raised in it */
  alarmsOf(of: SignalVolume, range: { from: Micros; to: Micros; limit: number }): Alarm[];
  /** Ids of those that are neither over nor acknowledged, of one volume. */
  openAlarms(of: SignalVolume): Alarm[];
  alarmCount(): number;
}

export function signalTable(db: BunSQLiteDatabase, run: <Result>(work: () => Result) => Result): SignalTable {
  return {
    addSeries: (of, sums) =>
      run(() =>
        db.transaction((inside) => {
          for (const rhythm of ["minute", "hour"] as const) {
            for (const sum of merged(sums, RHYTHMS[rhythm].length)) put(inside, of, rhythm, sum);
          }
          const newest = Math.max(0, ...sums.map(({ time }) => time));
          if (newest > 0) forgetOld(inside, newest);
        }),
      ),
    series: (of, { from, to, fine }) =>
      run(() =>
        db
          .select()
          .from(signalSeries)
          .where(
            and(
              isOf(signalSeries, of),
              eq(signalSeries.rhythm, fine ? "minute" : "hour"),
              gte(signalSeries.time, from),
              lt(signalSeries.time, to),
            ),
          )
          .orderBy(asc(signalSeries.time))
          .all(),
      ),
    state: (of) => run(() => db.select().from(signalStates).where(isOf(signalStates, of)).get()),
    putState: (of, sensitivity, state) =>
      run(() =>
        db
          .insert(signalStates)
          .values({ id: NEXT_ID, ...of, sensitivity, state })
          .onConflictDoUpdate({ target: [signalStates.vault, signalStates.volume], set: { sensitivity, state } })
          .run(),
      ),
    forgetState: (of) => run(() => db.delete(signalStates).where(isOf(signalStates, of)).run()),
    addAlarm: (alarm) =>
      run(() => {
        const { id } = db
          .insert(alarms)
          .values({ id: NEXT_ID, ...alarm })
          .returning({ id: alarms.id })
          .get();
        db.delete(alarms)
          .where(lt(alarms.id, id - ALARMS_MAX))
          .run();
        return id;
      }),
    changeAlarm: (id, change) => run(() => db.update(alarms).set(change).where(eq(alarms.id, id)).run()),
    alarm: (id) => run(() => db.select().from(alarms).where(eq(alarms.id, id)).get()),
    alarms: ({ before, limit }) =>
      run(() =>
        db
          .select()
          .from(alarms)
          .where(before === undefined ? undefined : lt(alarms.id, before))
          .orderBy(desc(alarms.id))
          .limit(limit)
          .all(),
      ),
    alarmsOf: (of, { from, to, limit }) =>
      run(() =>
        db
          .select()
          .from(alarms)
          .where(and(isOf(alarms, of), gte(alarms.raisedAt, from), lt(alarms.raisedAt, to)))
          .orderBy(desc(alarms.id))
          .limit(limit)
          .all(),
      ),
    openAlarms: (of) =>
      run(() =>
        db
          .select()
          .from(alarms)
          .where(and(isOf(alarms, of), sql`${alarms.endedAt} IS NULL`))
          .orderBy(desc(alarms.id))
          .limit(100)
          .all(),
      ),
    alarmCount: () => run(() => Number(db.select({ value: count() }).from(alarms).get()?.value ?? 0)),
  };
}

type Inside = Pick<BunSQLiteDatabase, "insert" | "delete" | "select">;

function isOf(table: typeof signalSeries | typeof signalStates | typeof alarms, of: SignalVolume): SQL | undefined {
  return and(eq(table.vault, of.vault), eq(table.volume, of.volume));
}

/** One sum for each interval that anything lies in. */
function merged(sums: readonly SignalSums[], length: number): SignalSums[] {
  const byTime = new Map<number, SignalSums>();
  for (const each of sums) {
    const time = micros(Math.floor(each.time / length) * length);
    const known = byTime.get(time);
    if (!known) byTime.set(time, { ...each, time });
    else for (const field of WRITE_COUNTS) known[field] += each[field];
  }
  return [...byTime.values()];
}

function put(db: Inside, of: SignalVolume, rhythm: Rhythm, sums: SignalSums): void {
  const added = WRITE_COUNTS.map((field) => [field, sql`${signalSeries[field]} + ${BigInt(Math.round(sums[field]))}`]);
  const fields = countsOf(sums);
  for (const field of WRITE_COUNTS) fields[field] = Math.round(fields[field]);
  db.insert(signalSeries)
    .values({ id: NEXT_ID, ...of, rhythm, time: sums.time, ...fields })
    .onConflictDoUpdate({
      target: [signalSeries.vault, signalSeries.volume, signalSeries.rhythm, signalSeries.time],
      set: Object.fromEntries(added) as Record<string, SQL>,
    })
    .run();
}

function forgetOld(db: Inside, newest: number): void {
  for (const rhythm of ["minute", "hour"] as const) {
    db.delete(signalSeries)
      .where(and(eq(signalSeries.rhythm, rhythm), lt(signalSeries.time, micros(newest - RHYTHMS[rhythm].kept))))
      .run();
  }
  const last = db
    .select({ id: sql<bigint | null>`max(${signalSeries.id})` })
    .from(signalSeries)
    .get()?.id;
  if (last === null || last === undefined) return;
  db.delete(signalSeries)
    .where(lt(signalSeries.id, Number(last) - ROWS_MAX))
    .run();
}
