/**
 * The door of the room: `catalog.db`, an SQLite database of what people want to know about the appliance's work: jobs
 * and events. It is never needed to read a vault (DESIGN: section 1) and may be lost.
 *
 * After a crash SQLite's write-ahead log brings it to the last transaction that reached the disk. What people set up, and above all what takes a right away, is
 * there before it is answered (synchronous=FULL): an account that was removed must not come back with the power. Of jobs, events and series the newest few may
 * be missing (synchronous=NORMAL), for each would cost a sync, in which the one thread that answers disks stands still. A file that is damaged, or that a newer
 * program made, is renamed to `catalog.db.set-aside-…` and a new one is made, with an event that says so. One that cannot be
 * used at the moment (a full disk, somebody's lock) stays where it is, and the catalog lives in memory until the next start: what
 * people set up must not be gone because a disk was full once.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { drizzle } from "drizzle-orm/bun-sqlite";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import { accountTable, type AccountTable } from "./accounts.ts";
import { insertEvent, selectEvents, selectEventsBetween, type CatalogEvent } from "./events.ts";
import { credentialTable, type CredentialTable } from "./credentials.ts";
import { growthTable, type GrowthTable } from "./growth.ts";
import {
  insertJob,
  interruptRunningJobs,
  selectJob,
  selectJobs,
  selectJobsBetween,
  selectLastDone,
  updateJob,
  type Job,
  type JobKind,
  type JobState,
} from "./jobs.ts";
import { frozenTable, type FrozenTable } from "./frozen.ts";
import { machineTable, type MachineTable } from "./machines.ts";
import { catalogVersion, migrate, MIGRATIONS } from "./migrations.ts";
import { interruptRunningRuns, scheduleTable, type ScheduleTable } from "./schedules.ts";
import { sessionTable, type SessionTable } from "./sessions.ts";
import { signalTable, type SignalTable } from "./signals.ts";
import { tokenTable, type TokenTable } from "./tokens.ts";
import { notifyTable, type NotifyTable } from "./notify.ts";

export type { Account, AccountTable, NewAccount } from "./accounts.ts";
export type { CatalogEvent } from "./events.ts";
export type { Credential, CredentialTable } from "./credentials.ts";
export type { GrowthRow, GrowthSample, GrowthTable } from "./growth.ts";
export type { ChannelRow, DeliveryRow, NotifyTable, RuleRow, TroubleRow } from "./notify.ts";
export type { Job, JobKind, JobState } from "./jobs.ts";
export type { Frozen, FrozenTable } from "./frozen.ts";
export type { Machine, MachineChange, MachineTable } from "./machines.ts";
export { noSchedule, type RunOutcome, type Schedule, type ScheduleRun, type ScheduleTable } from "./schedules.ts";
export type { StoredBookmarkTask, StoredTask, StoredTiming, VolumeReference } from "./stored-task.ts";
export type { Session, SessionTable } from "./sessions.ts";
export type { Alarm, SignalTable, SignalSums, SignalVolume } from "./signals.ts";
export type { ApiToken, TokenTable } from "./tokens.ts";

type Page = { before?: number | undefined; limit: number };

/** Every method throws SternwayError "unavailable" when SQLite cannot do it; no caller's work should depend on one. */
export interface Catalog {
  /** True when nothing is kept after a stop. */
  readonly inMemory: boolean;
  readonly accounts: AccountTable;
  readonly sessions: SessionTable;
  readonly tokens: TokenTable;
  /** @param askedBy - the account that started it @returns the job's id; it is running */
  startJob(kind: JobKind, subject: string, askedBy?: string): number;
  /** @param progress - 0 to 1 */
  progressJob(id: number, progress: number): void;
  /** @param error - why it did not end well; done if left out @param state - how it ended if not well */
  finishJob(id: number, error?: string, state?: Exclude<JobState, "running" | "done">): void;
  /** One, if it is not forgotten. */
  job(id: number): Job | undefined;
  /** Newest first. */
  jobs(page: Page): Job[];
  addEvent(event: Omit<CatalogEvent, "id" | "time">): void;
  /** Newest first. */
  events(page: Page): CatalogEvent[];
  /** Of `[from, to)`, oldest first; the newest `limit` of them. @param kinds - only these @param asKept - as the file has them, for what leaves the house */
  eventsBetween(range: {
    from: Micros;
    to: Micros;
    kinds?: readonly string[];
    limit: number;
    asKept?: boolean;
  }): CatalogEvent[];
  /** Of those that started in `[from, to)`, oldest first; the newest `limit` of them. @param asKept - as the file has them */
  jobsBetween(range: { from: Micros; to: Micros; limit: number; asKept?: boolean }): Job[];
  /** The newest of each kind that came to a good end. */
  lastDone(): { kind: string; finishedAt: Micros }[];
  /** Calls back for each event right after it was kept; what the callback throws is lost. @returns ends it */
  onEvent(listener: (event: CatalogEvent) => void): () => void;
  readonly notify: NotifyTable;
  readonly growth: GrowthTable;
  readonly credentials: CredentialTable;
  readonly machines: MachineTable;
  readonly schedules: ScheduleTable;
  readonly frozen: FrozenTable;
  readonly signals: SignalTable;
  /** Idempotent. */
  close(): void;
}

/** Opens or makes `DIR/catalog.db`. Jobs that ran when it was last used are marked as interrupted. Never fails for what the file holds. */
export async function openCatalog(options: { disk: Disk; dir: string; clock: Clock }): Promise<Catalog> {
  const path = `${options.dir}/catalog.db`;
  const first = tryOpen(path);
  if (first.database) return catalogOn(first.database, options.clock, false);
  const { aside, second } = first.isPassing
    ? { aside: undefined, second: undefined }
    : await setAside(options.disk, path, options.clock.wall());
  const database = second?.database;
  const catalog = catalogOn(database ?? openDatabase(":memory:"), options.clock, database === undefined);
  const reasons = [first.reason, ...(second?.reason === undefined ? [] : [second.reason])].join("; ");
  const stays = first.isPassing ? "; it is left as it is and read again at the next start" : "";
  catalog.addEvent({
    level: "alert",
    kind: "catalog-lost",
    subject: "catalog",
    message: database
      ? `the catalog could not be used (${first.reason}); it lies in ${aside} now and a new one was made; volumes are not affected`
      : `the catalog cannot be kept on disk (${reasons})${stays}; what is set up until then, jobs and events are forgotten at the next stop; volumes are not affected`,
  });
  return catalog;
}

/** @property isPassing - the file may be as good as ever: only now it cannot be used */
type Opened =
  { database: Database; reason?: never; isPassing?: never } | { database?: never; reason: string; isPassing: boolean };

/** What SQLite says of the machine's state, and not of the file's content. */
const PASSING = [
  "SQLITE_BUSY",
  "SQLITE_LOCKED",
  "SQLITE_FULL",
  "SQLITE_IOERR",
  "SQLITE_CANTOPEN",
  "SQLITE_READONLY",
  "SQLITE_NOMEM",
];
/** Of those what tells of a medium that has lost it. */
const LOST = ["SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS"];

function tryOpen(path: string): Opened {
  try {
    return { database: openDatabase(path) };
  } catch (error) {
    const code = error instanceof SQLiteError ? (error.code ?? "") : "";
    return {
      reason: errorText(error),
      isPassing: PASSING.some((each) => code.startsWith(each)) && !LOST.includes(code),
    };
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
    return { aside, second: { reason: errorText(error), isPassing: false } };
  }
  return { aside, second: tryOpen(path) };
}

/** What a start puts right can wait for the next one: on a full disk what can be read is worth more. */
function atStart(work: () => void): void {
  try {
    work();
  } catch (error) {
    // The library for queries may put its own around it.
    if (!(error instanceof SQLiteError || (error instanceof Error && error.cause instanceof SQLiteError))) throw error;
  }
}

function catalogOn(database: Database, clock: Clock, inMemory: boolean): Catalog {
  const db = drizzle(database);
  let open = true;
  const run = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (cause) {
      // Such as a name that is taken: no fault of the catalog's.
      if (cause instanceof SternwayError) throw cause;
      throw new SternwayError("unavailable", `the catalog could not be used: ${errorText(cause)}`, {}, { cause });
    }
  };
  // A transaction's sync writes the log out from its beginning, so whatever was only written before is on the disk then too.
  const keep = <Result>(work: () => Result): Result =>
    run(() => {
      database.run("PRAGMA synchronous = FULL");
      try {
        return work();
      } finally {
        database.run("PRAGMA synchronous = NORMAL");
      }
    });
  atStart(() => interruptRunningJobs(db, clock.wall()));
  atStart(() => interruptRunningRuns(db, clock.wall()));
  const listeners = new Set<(event: CatalogEvent) => void>();
  const addEvent: Catalog["addEvent"] = (event) => {
    const timed = { ...event, time: clock.wall() };
    const kept = { ...timed, id: run(() => insertEvent(db, timed)) };
    for (const listener of listeners) {
      try {
        listener(kept);
      } catch {
        // What listens answers for itself: an event that is kept must not fail for it.
        continue;
      }
    }
  };
  return {
    inMemory,
    accounts: accountTable(db, run, keep),
    sessions: sessionTable(db, run, keep),
    tokens: tokenTable(db, run, keep),
    startJob: (kind, subject, askedBy) => run(() => insertJob(db, { kind, subject, askedBy, startedAt: clock.wall() })),
    progressJob: (id, progress) => run(() => updateJob(db, id, { progress: Math.min(Math.max(progress, 0), 1) })),
    finishJob: (id, error, state = "failed") =>
      run(() =>
        updateJob(db, id, {
          finishedAt: clock.wall(),
          ...(error === undefined ? { state: "done", progress: 1 } : { state, error }),
        }),
      ),
    job: (id) => run(() => selectJob(db, id)),
    jobs: (page) => run(() => selectJobs(db, page)),
    addEvent,
    events: (page) => run(() => selectEvents(db, page)),
    eventsBetween: (range) => run(() => selectEventsBetween(db, range)),
    jobsBetween: (range) => run(() => selectJobsBetween(db, range)),
    lastDone: () => run(() => selectLastDone(db)),
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    notify: notifyTable(db, run, keep),
    growth: growthTable(db, run),
    credentials: credentialTable(db, run, keep),
    machines: machineTable(db, run, keep),
    schedules: scheduleTable(db, run, keep),
    frozen: frozenTable(db, run, keep),
    signals: signalTable(db, run),
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
