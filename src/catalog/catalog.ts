/**
 * The door of the room: `catalog.db`, an SQLite database of what people want to know about the appliance's work: jobs
 * and events. It is never needed to read a vault (DESIGN: section 1) and may be lost.
 *
 * After a crash SQLite's write-ahead log brings it to the last transaction that reached the disk; the newest few may be
 * missing (synchronous=NORMAL), which costs lines of history and nothing else. A file that is damaged, or that a newer
 * program made, is renamed to `catalog.db.set-aside-…` and a new one is made, with an event that says so; if that fails
 * too (a full disk), the catalog lives in memory until the next start.
 */
import { Database } from "bun:sqlite";
import { drizzle } from "drizzle-orm/bun-sqlite";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import { insertEvent, selectEvents, type CatalogEvent } from "./events.ts";
import { insertJob, interruptRunningJobs, selectJobs, updateJob, type Job, type JobKind } from "./jobs.ts";
import { catalogVersion, migrate, MIGRATIONS } from "./migrations.ts";

export type { CatalogEvent } from "./events.ts";
export type { Job, JobKind } from "./jobs.ts";

type Page = { before?: number | undefined; limit: number };

/** Every method throws SternwayError "unavailable" when SQLite cannot do it; no caller's work should depend on one. */
export interface Catalog {
  /** True when nothing is kept after a stop. */
  readonly inMemory: boolean;
  /** @returns the job's id; it is running */
  startJob(kind: JobKind, subject: string): number;
  /** @param progress - 0 to 1 */
  progressJob(id: number, progress: number): void;
  /** @param error - why it failed; done if left out */
  finishJob(id: number, error?: string): void;
  /** Newest first. */
  jobs(page: Page): Job[];
  addEvent(event: Omit<CatalogEvent, "id" | "time">): void;
  /** Newest first. */
  events(page: Page): CatalogEvent[];
  /** Idempotent. */
  close(): void;
}

/** Opens or makes `DIR/catalog.db`. Jobs that ran when it was last used are marked as interrupted. Never fails for what the file holds. */
export async function openCatalog(options: { disk: Disk; dir: string; clock: Clock }): Promise<Catalog> {
  const path = `${options.dir}/catalog.db`;
  const first = tryOpen(path);
  if (first.database) return catalogOn(first.database, options.clock, false);
  const { aside, second } = await setAside(options.disk, path, options.clock.wall());
  const catalog = catalogOn(second.database ?? openDatabase(":memory:"), options.clock, second.database === undefined);
  catalog.addEvent({
    level: "alert",
    kind: "catalog-lost",
    subject: "catalog",
    message: second.database
      ? `the catalog could not be used (${first.reason}); it lies in ${aside} now and a new one was made; volumes are not affected`
      : `the catalog cannot be kept on disk (${first.reason}; ${second.reason}); jobs and events are forgotten at the next stop; volumes are not affected`,
  });
  return catalog;
}

type Opened = { database: Database; reason?: never } | { database?: never; reason: string };

function tryOpen(path: string): Opened {
  try {
    return { database: openDatabase(path) };
  } catch (error) {
    return { reason: errorText(error) };
  }
}

function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, strict: true, safeIntegers: true });
  try {
    // Before anything else, or the switch to WAL itself may meet a lock.
    database.run("PRAGMA busy_timeout = 2000");
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    database.run("PRAGMA foreign_keys = ON");
    const found = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
    if (found !== "ok") throw new Error(`damaged: ${found ?? "no answer from quick_check"}`);
    const version = catalogVersion(database);
    if (version > MIGRATIONS.length) throw new Error(`a newer program made it (version ${version})`);
    migrate(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Renames the file and its companions out of the way and makes a new one. */
async function setAside(disk: Disk, path: string, at: number): Promise<{ aside: string; second: Opened }> {
  const aside = `${path}.set-aside-${at}`;
  try {
    for (const suffix of ["", "-wal", "-shm"]) {
      if ((await disk.sizeOf(path + suffix)) !== undefined) await disk.rename(path + suffix, aside + suffix);
    }
  } catch (error) {
    return { aside, second: { reason: errorText(error) } };
  }
  return { aside, second: tryOpen(path) };
}

function catalogOn(database: Database, clock: Clock, inMemory: boolean): Catalog {
  const db = drizzle(database);
  let open = true;
  const run = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (cause) {
      throw new SternwayError("unavailable", `the catalog could not be used: ${errorText(cause)}`, {}, { cause });
    }
  };
  run(() => interruptRunningJobs(db, clock.wall()));
  return {
    inMemory,
    startJob: (kind, subject) => run(() => insertJob(db, { kind, subject, startedAt: clock.wall() })),
    progressJob: (id, progress) => run(() => updateJob(db, id, { progress: Math.min(Math.max(progress, 0), 1) })),
    finishJob: (id, error) =>
      run(() =>
        updateJob(db, id, {
          finishedAt: clock.wall(),
          ...(error === undefined ? { state: "done", progress: 1 } : { state: "failed", error }),
        }),
      ),
    jobs: (page) => run(() => selectJobs(db, page)),
    addEvent: (event) => void run(() => insertEvent(db, { ...event, time: clock.wall() })),
    events: (page) => run(() => selectEvents(db, page)),
    close() {
      if (!open) return;
      open = false;
      // Prepared statements keep SQLite from doing this by itself at close; without it the log file stays behind.
      try {
        run(() => database.run("PRAGMA wal_checkpoint(TRUNCATE)"));
      } finally {
        database.close();
      }
    },
  };
}
