/** Queries on jobs. */
import { and, desc, eq, gte, lt, max } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Micros } from "../base/units.ts";
import { jobs, NEXT_ID } from "./schema.ts";

export type Job = typeof jobs.$inferSelect;
export type JobState = Job["state"];
export type JobKind =
  "check" | "gc" | "scrub" | "sync-tiers" | "verify-tier" | "import" | "restore" | "rollback" | "bookmark" | "report";

/** Older ones are forgotten: a page of the console shows a hundred, a year of daily checks is 365. */
const JOBS_MAX = 10_000;

export function insertJob(
  db: BunSQLiteDatabase,
  job: { kind: JobKind; subject: string; startedAt: Micros; askedBy?: string | undefined },
): number {
  const row = db
    .insert(jobs)
    .values({ id: NEXT_ID, ...job, state: "running", progress: 0 })
    .returning({ id: jobs.id })
    .get();
  db.delete(jobs)
    .where(lt(jobs.id, row.id - JOBS_MAX))
    .run();
  return row.id;
}

export function updateJob(
  db: BunSQLiteDatabase,
  id: number,
  change: Partial<Pick<Job, "state" | "progress" | "finishedAt" | "error">>,
): void {
  db.update(jobs).set(change).where(eq(jobs.id, id)).run();
}

export function selectJob(db: BunSQLiteDatabase, id: number): Job | undefined {
  return db.select().from(jobs).where(eq(jobs.id, id)).get();
}

/** What was running when the appliance last ended did not finish. @returns how many */
export function interruptRunningJobs(db: BunSQLiteDatabase, at: Micros): number {
  const changed = db
    .update(jobs)
    .set({ state: "interrupted", finishedAt: at, error: "the appliance stopped while it ran" })
    .where(eq(jobs.state, "running"))
    .returning({ id: jobs.id })
    .all();
  return changed.length;
}

/** Newest first. @param page.before - only ids below it */
export function selectJobs(db: BunSQLiteDatabase, page: { before?: number | undefined; limit: number }): Job[] {
  return db
    .select()
    .from(jobs)
    .where(page.before === undefined ? undefined : lt(jobs.id, page.before))
    .orderBy(desc(jobs.id))
    .limit(page.limit)
    .all();
}

/** Of those that started in `[from, to)`, oldest first; the newest `limit` of them. */
export function selectJobsBetween(db: BunSQLiteDatabase, range: { from: Micros; to: Micros; limit: number }): Job[] {
  return db
    .select()
    .from(jobs)
    .where(and(gte(jobs.startedAt, range.from), lt(jobs.startedAt, range.to)))
    .orderBy(desc(jobs.id))
    .limit(range.limit)
    .all()
    .reverse();
}

/** When the newest of each kind came to a good end. */
export function selectLastDone(db: BunSQLiteDatabase): { kind: string; finishedAt: Micros }[] {
  return db
    .select({ kind: jobs.kind, finishedAt: max(jobs.finishedAt) })
    .from(jobs)
    .where(eq(jobs.state, "done"))
    .groupBy(jobs.kind)
    .all()
    .flatMap(({ kind, finishedAt }) => (finishedAt === null ? [] : [{ kind, finishedAt }]));
}
