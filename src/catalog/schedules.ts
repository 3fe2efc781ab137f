/** Queries on schedules and their runs. A volume is referred to as in `machines.ts`; what a run says in words is kept with its job. */
import { and, asc, desc, eq, lt } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import type { RunQuery } from "./accounts.ts";
import { NEXT_ID, scheduleRuns, schedules } from "./schema.ts";
import type { StoredTask, StoredTiming } from "./stored-task.ts";

export interface Schedule {
  name: string;
  /** Random: tells its bookmarks from those of an earlier schedule of its name. */
  key: string;
  description: string;
  task: StoredTask;
  timing: StoredTiming;
  missed: "run" | "skip";
  state: "active" | "paused";
  createdAt: Micros;
  /** The newest of its times that was seen to, without its jitter; the next one comes after it. */
  handledAt: Micros;
}

export type RunOutcome = "running" | "done" | "failed" | "missed" | "overlapped" | "interrupted";

export interface ScheduleRun {
  id: number;
  schedule: string;
  dueAt: Micros;
  startedAt: Micros;
  finishedAt: Micros | null;
  outcome: RunOutcome;
  job: number | null;
}

/** A month of hourly runs would be 720; what is older is told by jobs and events. */
const RUNS_MAX = 100;

/** Every method throws SternwayError "unavailable" when SQLite cannot do it. */
export interface ScheduleTable {
  /** By name. */
  list(): Schedule[];
  /** @throws conflict: the name is taken */
  add(schedule: Schedule): void;
  /** Kept, unless it only notes which times were seen to. @throws not_found */
  change(name: string, change: Partial<Omit<Schedule, "name" | "key" | "createdAt">>): void;
  /** Forgets its runs with it. @throws not_found */
  remove(name: string): void;
  /** Newest first. @param limit - up to 100, which is the default */
  runs(schedule: string, limit?: number): ScheduleRun[];
  /** @returns its id */
  addRun(run: Omit<ScheduleRun, "id">): number;
  changeRun(id: number, change: Partial<Pick<ScheduleRun, "finishedAt" | "outcome" | "job">>): void;
}

/** Runs that were under way when the catalog was last used did not finish. @param now - wall time */
export function interruptRunningRuns(db: BunSQLiteDatabase, now: Micros): void {
  const change = { outcome: "interrupted" as const, finishedAt: now };
  db.update(scheduleRuns).set(change).where(eq(scheduleRuns.outcome, "running")).run();
}

export function scheduleTable(db: BunSQLiteDatabase, run: RunQuery, keep: RunQuery): ScheduleTable {
  return {
    list: () => run(() => db.select().from(schedules).orderBy(asc(schedules.name)).all()),
    add: (schedule) =>
      keep(() => {
        if (exists(db, schedule.name)) {
          throw new SternwayError("conflict", `there is a schedule ${schedule.name} already`, {
            schedule: schedule.name,
          });
        }
        db.insert(schedules).values(schedule).run();
      }),
    change: (name, change) =>
      (isNote(change) ? run : keep)(() => {
        if (!exists(db, name)) throw noSchedule(name);
        if (Object.keys(change).length > 0) db.update(schedules).set(change).where(eq(schedules.name, name)).run();
      }),
    remove: (name) =>
      keep(() => {
        if (!exists(db, name)) throw noSchedule(name);
        db.transaction((tx) => {
          tx.delete(scheduleRuns).where(eq(scheduleRuns.schedule, name)).run();
          tx.delete(schedules).where(eq(schedules.name, name)).run();
        });
      }),
    runs: (schedule, limit) => run(() => selectRuns(db, schedule, limit)),
    addRun: (added) => run(() => insertRun(db, added)),
    changeRun: (id, change) => run(() => db.update(scheduleRuns).set(change).where(eq(scheduleRuns.id, id)).run()),
  };
}

/** It comes with every run, and a run that is forgotten in a power cut is made up for. */
function isNote(change: Partial<Schedule>): boolean {
  return Object.keys(change).every((field) => field === "handledAt");
}

export function noSchedule(name: string): SternwayError {
  return new SternwayError("not_found", `there is no schedule ${name}`, { schedule: name });
}

function exists(db: BunSQLiteDatabase, name: string): boolean {
  return db.select({ name: schedules.name }).from(schedules).where(eq(schedules.name, name)).get() !== undefined;
}

function selectRuns(db: BunSQLiteDatabase, schedule: string, limit = RUNS_MAX): ScheduleRun[] {
  const rows = db.select().from(scheduleRuns).where(eq(scheduleRuns.schedule, schedule));
  return rows.orderBy(desc(scheduleRuns.id)).limit(limit).all();
}

function insertRun(db: BunSQLiteDatabase, run: Omit<ScheduleRun, "id">): number {
  const { id } = db
    .insert(scheduleRuns)
    .values({ id: NEXT_ID, ...run })
    .returning({ id: scheduleRuns.id })
    .get();
  const oldest = selectRuns(db, run.schedule).at(-1);
  if (oldest) {
    const ofSchedule = eq(scheduleRuns.schedule, run.schedule);
    db.delete(scheduleRuns)
      .where(and(ofSchedule, lt(scheduleRuns.id, oldest.id)))
      .run();
  }
  return id;
}
