/**
 * Does what schedules say, when they say it. Looks at the wall clock at each due time and every half minute, for that clock may be set; each schedule runs once
 * at a time, and what came due while its last run was under way is passed over. The newest time that was seen to is kept in the catalog, so
 * that after the appliance was off it is known what was missed. Every run is a job and a line of the schedule's history.
 *
 * What is in the catalog was read once and is held here: a catalog that fails loses history, and no run.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import { formatTime, type Micros } from "../base/units.ts";
import {
  noSchedule,
  type CatalogEvent,
  type RunOutcome,
  type Schedule,
  type ScheduleRun,
  type ScheduleTable,
} from "../catalog/catalog.ts";
import type { TaskKind } from "../contract/schedules.ts";
import type { Log } from "../observe/log.ts";
import { dueSince, nextDue, nextTimes, timingTrouble, type Due } from "./timing.ts";

/** The wall clock is looked at so often at least. */
const LOOK_MS_MAX = 30_000;
/** What is due longer than this was missed: nothing else keeps this appliance from beginning a run. */
const LATE_MICROS = 5 * 60e6;
/** A clock that was set back by more has schedules run again; by less, they wait for it to come back to where it was. */
const SET_BACK_MICROS = 3_600e6;
/** Runs at once; what is due beyond that waits. Each may read as fast as the disk can. */
const RUNS_MAX = 8;

/** What a run may use. */
export interface TaskJob {
  /** The appliance stops, or somebody cancelled the job. */
  signal: AbortSignal;
  /** @param fraction - 0 to 1 */
  progress(fraction: number): void;
}

/** Runs work as a job. @returns its id, absent where it could not begin, and the work's own end; the id's promise never rejects */
export type StartJob = (
  kind: TaskKind,
  subject: string,
  work: (job: TaskJob) => Promise<string>,
) => { id: Promise<number | undefined>; ended: Promise<string> };

export interface SchedulerOptions {
  table: ScheduleTable;
  clock: Clock;
  log: Log;
  startJob: StartJob;
  /** Does it. @returns what was done, in words @throws SternwayError: why it was not */
  perform: (schedule: Schedule, job: TaskJob) => Promise<string>;
  /** What a task is about, as people call it. */
  subjectOf: (schedule: Schedule) => string;
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

export interface ScheduleState {
  schedule: Schedule;
  running: boolean;
  /** Absent while it is paused, and when it has no next time. */
  next: Due | undefined;
  trouble: string | undefined;
}

interface Entry {
  schedule: Schedule;
  next: Due | undefined;
  running: { toldOverlap: boolean } | undefined;
  /** It is due and waits for another one to end: that is not being late. */
  isWaiting: boolean;
  /** Its last run failed, and that was told. */
  hasFailed: boolean;
}

export class Scheduler {
  private readonly options: SchedulerOptions;
  private readonly entries = new Map<string, Entry>();
  /** Runs that are under way; a run outlives its schedule. */
  private readonly ending = new Set<Promise<void>>();
  private readonly stopping = new AbortController();
  private timer: Timer | undefined;
  private isStarted = false;

  /** @throws unavailable: the catalog cannot be read */
  constructor(options: SchedulerOptions) {
    this.options = options;
    for (const schedule of options.table.list()) this.entries.set(schedule.name, this.entry(schedule));
  }

  /** Begins to run what is due, and what was missed. */
  start(): void {
    this.isStarted = true;
    this.look();
  }

  /** Begins nothing more, tells running work to stop and waits for it. Idempotent. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.timer?.cancel();
    await this.idle();
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    while (this.ending.size > 0) await Promise.all(this.ending);
  }

  /** By name. */
  list(): ScheduleState[] {
    const names = [...this.entries.keys()].sort();
    return names.map((name) => this.state(name));
  }

  /** @throws not_found */
  state(name: string): ScheduleState {
    const { schedule, next, running } = this.find(name);
    const trouble = timingTrouble(schedule, this.options.clock.wall());
    return { schedule, running: running !== undefined, next, trouble };
  }

  /** Newest first. @param limit - up to 100, which is the default @throws not_found */
  runs(name: string, limit?: number): ScheduleRun[] {
    this.find(name);
    return this.options.table.runs(name, limit);
  }

  /** When it is due next, jitter and all; none while it is paused. @throws not_found */
  times(name: string, count: number): Micros[] {
    const { schedule } = this.find(name);
    const now = this.options.clock.wall();
    if (schedule.state === "paused" || timingTrouble(schedule, now) !== undefined) return [];
    return nextTimes(schedule, now, count);
  }

  /** @throws conflict: the name is taken */
  add(schedule: Schedule): void {
    this.options.table.add(schedule);
    this.entries.set(schedule.name, this.entry(schedule));
    this.look();
  }

  /** What is resumed or timed anew has missed nothing: its times count from now. @throws not_found */
  change(name: string, change: Partial<Pick<Schedule, "description" | "task" | "timing" | "missed" | "state">>): void {
    const entry = this.find(name);
    const isFresh = change.timing !== undefined || change.state !== undefined;
    const whole = { ...change, ...(isFresh ? { handledAt: this.options.clock.wall() } : {}) };
    this.options.table.change(name, whole);
    entry.schedule = { ...entry.schedule, ...whole };
    this.plan(entry);
    this.look();
  }

  /** A run that is under way comes to its end. @throws not_found */
  remove(name: string): void {
    this.find(name);
    this.options.table.remove(name);
    this.entries.delete(name);
  }

  /** Runs it now, paused or not; its times stay as they are. @throws not_found; conflict: it runs already; unavailable: the appliance stops */
  async runNow(name: string): Promise<ScheduleRun> {
    const entry = this.find(name);
    if (entry.running) throw new SternwayError("conflict", `schedule ${name} is running already`, { schedule: name });
    if (this.stopping.signal.aborted) throw new SternwayError("unavailable", "the appliance is stopping");
    return await this.run(entry, this.options.clock.wall());
  }

  private find(name: string): Entry {
    const entry = this.entries.get(name);
    if (entry) return entry;
    throw noSchedule(name);
  }

  private entry(schedule: Schedule): Entry {
    const entry: Entry = { schedule, next: undefined, running: undefined, isWaiting: false, hasFailed: false };
    this.plan(entry);
    return entry;
  }

  private plan(entry: Entry): void {
    const { schedule } = entry;
    entry.next = undefined;
    if (schedule.state === "paused") return;
    try {
      entry.next = nextDue(schedule, schedule.handledAt);
    } catch (error) {
      this.options.log.error({ err: error, schedule: schedule.name }, "a schedule has no next time");
    }
  }

  /** Runs what is due and sets the timer for what is next. */
  private look(): void {
    if (!this.isStarted || this.stopping.signal.aborted) return;
    this.timer?.cancel();
    const now = this.options.clock.wall();
    for (const entry of this.entries.values()) this.attend(entry, now);
    const soonest = [...this.entries.values()].reduce(
      (first, { next }) => (next === undefined ? first : Math.min(first, next.at)),
      Number.POSITIVE_INFINITY,
    );
    // One that is due and still waits for another to end is looked at when that ends.
    const delayMs = soonest <= now ? LOOK_MS_MAX : Math.min(Math.ceil((soonest - now) / 1000), LOOK_MS_MAX);
    this.timer = this.options.clock.timer(delayMs, () => this.look());
  }

  private attend(entry: Entry, now: Micros): void {
    const { schedule } = entry;
    if (schedule.state === "paused" || !entry.next) return;
    if (schedule.handledAt > now + SET_BACK_MICROS) {
      this.handled(entry, now);
      return;
    }
    if (entry.next.at > now) {
      entry.isWaiting = false;
      return;
    }
    const isFull = this.ending.size >= RUNS_MAX;
    // At each end of a run all that wait are gone through: what is due of them is found out when there is room.
    if (isFull && entry.isWaiting && !entry.running) return;
    const due = dueSince(schedule, schedule.handledAt, now);
    if (!due) return;
    const { newest } = due;
    if (entry.running) {
      this.handled(entry, newest.base);
      this.passOver(entry, newest, "overlapped");
      return;
    }
    const hasWaited = entry.isWaiting;
    const isLate = !hasWaited && now - newest.at > LATE_MICROS;
    const isRun = !isLate || schedule.missed === "run";
    entry.isWaiting = isRun && isFull;
    if (entry.isWaiting) return;
    this.handled(entry, newest.base);
    const missed = isLate ? due.before + 1 : due.before;
    const why = hasWaited ? `${RUNS_MAX} others ran` : "the appliance was off, or its clock was set";
    if (missed > 0) this.tellMissed(schedule, { missed, at: newest.at, isMadeUp: isRun, why });
    if (isRun) void this.run(entry, newest.at);
    else this.passOver(entry, newest, "missed");
  }

  private handled(entry: Entry, base: Micros): void {
    entry.schedule = { ...entry.schedule, handledAt: base };
    this.plan(entry);
    this.guarded(() => this.options.table.change(entry.schedule.name, { handledAt: base }));
  }

  /** Begins a run. @returns it, when its job is known; never rejects */
  private async run(entry: Entry, dueAt: Micros): Promise<ScheduleRun> {
    const { clock, perform, startJob, subjectOf, table } = this.options;
    const { schedule } = entry;
    const stopped = this.stopping.signal;
    entry.running = { toldOverlap: false };
    const started = { schedule: schedule.name, dueAt, startedAt: clock.wall(), finishedAt: null, job: null };
    const outcome = "running" as const;
    const run = this.guarded(() => table.addRun({ ...started, outcome }));
    const { id, ended } = startJob(schedule.task.kind, subjectOf(schedule), (job) =>
      perform(schedule, { ...job, signal: AbortSignal.any([job.signal, stopped]) }),
    );
    const over = ended
      .then(
        (text) => this.finished(entry, run, "done", text),
        (error: unknown) => this.finished(entry, run, stopped.aborted ? "interrupted" : "failed", errorText(error)),
      )
      .finally(() => {
        entry.running = undefined;
        this.ending.delete(over);
        this.look();
      });
    this.ending.add(over);
    const job = (await id) ?? null;
    if (run !== undefined && job !== null) this.guarded(() => table.changeRun(run, { job }));
    return { ...started, id: run ?? 0, outcome, job };
  }

  private finished(entry: Entry, run: number | undefined, outcome: RunOutcome, text: string): void {
    const { clock, log, tell } = this.options;
    const { name: subject } = entry.schedule;
    log[outcome === "done" ? "info" : "warn"]({ schedule: subject, outcome }, text);
    if (run !== undefined) {
      this.guarded(() => this.options.table.changeRun(run, { outcome, finishedAt: clock.wall() }));
    }
    if (outcome === "failed") {
      const message = `schedule ${subject} failed: ${text}`;
      tell({ level: "warning", kind: "schedule-failed", subject, message });
    }
    if (outcome === "done" && entry.hasFailed) {
      tell({ level: "info", kind: "schedule-recovered", subject, message: `schedule ${subject} works again: ${text}` });
    }
    if (outcome !== "interrupted") entry.hasFailed = outcome === "failed";
  }

  /** Notes a time at which nothing was done. */
  private passOver(entry: Entry, { at }: Due, outcome: "missed" | "overlapped"): void {
    const { name } = entry.schedule;
    const now = this.options.clock.wall();
    const run = { schedule: name, dueAt: at, startedAt: now, finishedAt: now, outcome, job: null };
    this.guarded(() => this.options.table.addRun(run));
    if (outcome === "missed" || !entry.running || entry.running.toldOverlap) return;
    entry.running.toldOverlap = true;
    const message = `schedule ${name} was due at ${formatTime(at)} and was passed over, for its last run is still under way`;
    this.options.tell({ level: "warning", kind: "schedule-missed", subject: name, message });
  }

  private tellMissed(
    { name }: Schedule,
    { missed, at, isMadeUp, why }: { missed: number; at: Micros; isMadeUp: boolean; why: string },
  ): void {
    const times = missed === 1 ? "one time" : `${missed > 100 ? "more than 100" : missed} times`;
    const then = isMadeUp ? "it runs once now" : "nothing is made up";
    const message = `schedule ${name} missed ${times}, the last at ${formatTime(at)}: ${why}; ${then}`;
    this.options.tell({ level: isMadeUp ? "info" : "warning", kind: "schedule-missed", subject: name, message });
  }

  private guarded<Result>(work: () => Result): Result | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SternwayError)) throw error;
      this.options.log.warn({ err: error }, "the catalog did not take what became of a schedule");
      return undefined;
    }
  }
}
