/**
 * Long work that goes on whoever listens. Each job is kept in the catalog, and its lines in memory while it runs and for an hour after; a follower reads them by
 * number, so that it can go on where its connection broke. A catalog that fails never stops the work.
 *
 * Bounds: RUNNING_MAX jobs at a time; of each the newest lines up to LINES_MAX and TEXT_LENGTH_MAX, progress dropped before anything else; ENDED_MAX jobs that
 * have ended. So the lines of all come to some 64 MiB at the most.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Catalog, Job, JobKind } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import { JobLines } from "./job-lines.ts";
import { problemFrom } from "./problems.ts";

const RUNNING_MAX = 16;
const ENDED_MAX = 48;
const KEPT_MS = 3_600_000;
/** Work that cannot begin says so within this time, and its route answers with the error; what takes longer has begun. */
const BEGIN_MS = 1_000;
/** How often the catalog is told of progress: each telling is a write to its file. */
const PROGRESS_MICROS = 500_000;
/** Beyond any id that the catalog gives: jobs that it did not take are known for as long as they are in memory. */
const UNKEPT_ID_MIN = 2 ** 48;

/** What one line tells of its job. */
export interface LineReading {
  /** It says how far the work is: the next such line replaces it. */
  passing: boolean;
  /** 0 to 1 */
  progress?: number | undefined;
  /** Why the job counts as failed although the work came to its end. */
  failure?: string | undefined;
}

export interface JobWork<Line extends { line: string }> {
  kind: JobKind;
  subject: string;
  /** The account that asks. */
  askedBy: string | undefined;
  /** The work: ends with a line `end`. Aborting the signal stops it at its next good place. */
  run(signal: AbortSignal): AsyncIterable<Line>;
  read(line: Line): LineReading;
}

interface Task {
  job: Job;
  lines: JobLines;
  stop: AbortController;
  ended: Promise<void>;
  /** Why it was stopped, if it was. */
  stopped?: { state: "cancelled" | "interrupted"; why: string };
}

export class JobRunner {
  private readonly catalog: Catalog;
  private readonly log: Log;
  readonly clock: Clock;
  private readonly tasks = new Map<number, Task>();
  /** Ids in the order in which they ended, with the timers that let go of them. */
  private readonly kept = new Map<number, Timer>();
  private runningCount = 0;
  private unkeptId = UNKEPT_ID_MIN;
  private isStopped = false;

  constructor(options: { catalog: Catalog; log: Log; clock: Clock }) {
    this.catalog = options.catalog;
    this.log = options.log;
    this.clock = options.clock;
  }

  /**
   * Starts work and returns its job when the first line has come, or a second is over.
   * @throws what the work throws before its first line; no job is kept then
   * @throws unavailable: too many jobs run, or the appliance stops
   */
  async start<Line extends { line: string }>(work: JobWork<Line>): Promise<Job> {
    if (this.isStopped) throw new SternwayError("unavailable", "the appliance is stopping: no work is begun any more");
    if (this.runningCount >= RUNNING_MAX) {
      throw new SternwayError("unavailable", `${RUNNING_MAX} jobs run already; wait for one, or cancel it`, {
        jobsMax: RUNNING_MAX,
      });
    }
    this.runningCount++;
    const stop = new AbortController();
    let lines: AsyncIterator<Line>;
    let first: Promise<IteratorResult<Line>>;
    try {
      lines = work.run(stop.signal)[Symbol.asyncIterator]();
      first = lines.next();
      await this.begun(first);
    } catch (error) {
      this.runningCount--;
      throw error;
    }
    const task = this.newTask(work, stop);
    task.ended = this.follow(task, work, lines, first);
    // The appliance may have begun to stop while the work began.
    if (this.isStopped) this.interrupt(task);
    return task.job;
  }

  /** One job, as it is now. @throws not_found */
  job(id: number): Job {
    const job = this.tasks.get(id)?.job ?? this.guarded(() => this.catalog.job(id));
    if (job) return job;
    throw new SternwayError("not_found", `there is no job ${id}; GET /v1/jobs lists them`, { job: id });
  }

  /** How many lines other than progress were too many to keep. */
  droppedLines(id: number): number {
    return this.tasks.get(id)?.lines.dropped ?? 0;
  }

  /** The job's lines; absent when it was forgotten, or ran before this start of the appliance. @throws not_found: no such job */
  lines(id: number): JobLines | undefined {
    this.job(id);
    return this.tasks.get(id)?.lines;
  }

  /** Asks a job to stop. @param by - who asks @throws not_found; conflict: it has ended, or is not one that can be stopped */
  cancel(id: number, by: string): Job {
    const job = this.job(id);
    const task = this.tasks.get(id);
    if (job.state !== "running" || !task) {
      const why = job.state === "running" ? "cannot be stopped" : `has ended: ${job.state}`;
      throw new SternwayError("conflict", `job ${id} (${job.kind} of ${job.subject}) ${why}`, { job: id });
    }
    task.stopped ??= { state: "cancelled", why: `at the request of ${by}` };
    task.stop.abort();
    return task.job;
  }

  /** Starts nothing more, stops what runs, and resolves when all has ended, or after `graceMs`. Idempotent. */
  async stop(graceMs: number): Promise<void> {
    this.isStopped = true;
    const running = [...this.tasks.values()].filter((task) => task.job.state === "running");
    for (const task of running) this.interrupt(task);
    const late = Promise.withResolvers<void>();
    const timer = this.clock.timer(graceMs, () => late.resolve());
    await Promise.race([Promise.all(running.map((task) => task.ended)), late.promise]);
    timer.cancel();
    // What hangs is told to its followers as ended, or their connections would outlast the appliance.
    for (const task of running) if (task.job.state === "running") this.end(task, undefined);
    for (const each of this.kept.values()) each.cancel();
    this.kept.clear();
  }

  private interrupt(task: Task): void {
    task.stopped ??= { state: "interrupted", why: "the appliance stopped while it ran" };
    task.stop.abort();
  }

  private async begun(first: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.clock.timer(BEGIN_MS, () => late.resolve());
    try {
      await Promise.race([first, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  private newTask(
    { kind, subject, askedBy }: Pick<JobWork<never>, "kind" | "subject" | "askedBy">,
    stop: AbortController,
  ): Task {
    const id = this.guarded(() => this.catalog.startJob(kind, subject, askedBy)) ?? this.unkeptId++;
    const job: Job = {
      id,
      kind,
      subject,
      state: "running",
      progress: 0,
      startedAt: this.clock.wall(),
      finishedAt: null,
      error: null,
      askedBy: askedBy ?? null,
    };
    const task: Task = { job: this.asKept(job), lines: new JobLines(), stop, ended: Promise.resolve() };
    this.tasks.set(id, task);
    return task;
  }

  private async follow<Line extends { line: string }>(
    task: Task,
    work: JobWork<Line>,
    lines: AsyncIterator<Line>,
    first: Promise<IteratorResult<Line>>,
  ): Promise<void> {
    let failure: string | undefined = "it stopped before its end";
    let toldAt = Number.NEGATIVE_INFINITY;
    try {
      for (let result = await first; result.done !== true; result = await lines.next()) {
        const line = result.value;
        const reading = work.read(line);
        task.lines.add(line, reading.passing);
        if (line.line === "end") failure = reading.failure;
        if (reading.progress === undefined || task.job.state !== "running") continue;
        const progress = Math.min(Math.max(reading.progress, 0), 1);
        task.job = { ...task.job, progress };
        if (this.clock.monotonic() - toldAt < PROGRESS_MICROS) continue;
        toldAt = this.clock.monotonic();
        this.guarded(() => this.catalog.progressJob(task.job.id, progress));
      }
    } catch (error) {
      failure = errorText(error);
      if (!task.stopped) this.failed(task, error);
    } finally {
      this.runningCount--;
      this.end(task, failure);
    }
  }

  /** What failed tells followers in a last line; what is no error of ours stays in the log. */
  private failed(task: Task, error: unknown): void {
    const { id, kind } = task.job;
    if (!isSternwayError(error) || error.kind === "internal")
      this.log.error({ err: error, job: id, kind }, "a job failed");
    task.lines.add({ line: "failed", problem: problemFrom(error) }, false);
  }

  private end(task: Task, failure: string | undefined): void {
    if (task.job.state !== "running") return;
    const { id } = task.job;
    const { state, why } = task.stopped ?? { state: failure === undefined ? "done" : "failed", why: failure };
    const finishedAt = this.clock.wall();
    task.job = { ...task.job, state, finishedAt, error: why ?? null, ...(state === "done" ? { progress: 1 } : {}) };
    this.guarded(() =>
      state === "done" ? this.catalog.finishJob(id) : this.catalog.finishJob(id, why ?? "it failed", state),
    );
    task.job = this.asKept(task.job);
    task.lines.end();
    // A timer of an hour would keep the process from ending.
    if (this.isStopped) return;
    this.kept.set(
      id,
      this.clock.timer(KEPT_MS, () => this.forget(id)),
    );
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= ENDED_MAX) break;
      this.forget(oldest);
    }
  }

  /** With the times that the catalog noted, so that the list and the job say the same. */
  private asKept(job: Job): Job {
    const { startedAt = job.startedAt, finishedAt = job.finishedAt } =
      this.guarded(() => this.catalog.job(job.id)) ?? {};
    return { ...job, startedAt, finishedAt };
  }

  private forget(id: number): void {
    this.kept.get(id)?.cancel();
    this.kept.delete(id);
    this.tasks.delete(id);
  }

  private guarded<Result>(work: () => Result): Result | undefined {
    try {
      return work();
    } catch (error) {
      this.log.warn({ err: error }, "the catalog did not take a job");
      return undefined;
    }
  }
}
