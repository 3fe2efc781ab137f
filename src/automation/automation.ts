/**
 * The door of the room: what the appliance does by itself and what goes around it. Machines, which several volumes are bookmarked, rolled back and branched as;
 * schedules; and the scripts that make bookmarks application-consistent.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/units.ts";
import type { Catalog, CatalogEvent, Schedule, StoredTask } from "../catalog/catalog.ts";
import type { TaskKind, WireShownTask, WireTask, WireTiming } from "../contract/schedules.ts";
import type { Log } from "../observe/log.ts";
import type { VolumeInfo, Volumes } from "../volume/volumes.ts";
import { MachineDesk } from "./machine-desk.ts";
import { scheduledBookmark } from "./scheduled-bookmark.ts";
import { Scheduler, type StartJob, type TaskJob } from "./scheduler.ts";
import { ScriptFolder } from "./script-folder.ts";
import { nextTimes, storedTiming } from "./timing.ts";
import { meantAmong, referenceOf, whyMissing, type FindMeant } from "./volume-reference.ts";

export type { Surrounded } from "./around-bookmark.ts";
export type { MachineDesk, MachineState } from "./machine-desk.ts";
export type { MachineBookmark, VolumeRollback } from "./machine-history.ts";
export type { MachineMoment } from "./machine-moment.ts";
export type { Scheduler, ScheduleState, StartJob, TaskJob } from "./scheduler.ts";
export type { ScriptFolder } from "./script-folder.ts";

type OtherTask<Kind extends TaskKind> = Extract<StoredTask, { kind: Kind }>;

/** What schedules can have done beside bookmarks. Each resolves with what was done, in words, and rejects with why it was not. */
export interface Tasks {
  check(task: OtherTask<"check">, job: TaskJob): Promise<string>;
  scrub(task: OtherTask<"scrub">, job: TaskJob): Promise<string>;
  gc(task: OtherTask<"gc">, job: TaskJob): Promise<string>;
  syncTier(task: OtherTask<"sync-tier">, job: TaskJob): Promise<string>;
  verifyTier(task: OtherTask<"verify-tier">, job: TaskJob): Promise<string>;
  report(task: OtherTask<"report">, job: TaskJob): Promise<string>;
}

export interface AutomationOptions {
  volumes: Volumes;
  catalog: Pick<Catalog, "machines" | "schedules" | "frozen">;
  /** DATA/scripts. */
  scriptsDir: string;
  clock: Clock;
  random: Random;
  /** Whose hours calendar times mean where none is named. */
  zone: string;
  log: Log;
  startJob: StartJob;
  tasks: Tasks;
  /** Whether there is a notification channel of that name, through which reports go. */
  hasChannel: (name: string) => boolean;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

/** What there is for tasks to be about. */
export interface TaskSubjects {
  volumes: readonly VolumeInfo[];
  meant: FindMeant;
  machines: ReadonlySet<string>;
}

/** As many as a person sets up by hand, and few enough to be looked through at each due time. */
const SCHEDULES_MAX = 500;
const KEY_BYTES = 4;

export class Automation {
  readonly zone: string;
  readonly folder: ScriptFolder;
  readonly machines: MachineDesk;
  readonly schedules: Scheduler;
  private readonly options: AutomationOptions;
  private readonly stopping = new AbortController();

  /** @throws unavailable: the catalog cannot be read, or the folder for scripts cannot be made */
  constructor(options: AutomationOptions) {
    const { volumes, catalog, clock, log, tell } = options;
    this.options = options;
    this.zone = options.zone;
    this.folder = new ScriptFolder({ dir: options.scriptsDir });
    this.folder.prepare();
    this.machines = new MachineDesk({
      volumes,
      table: catalog.machines,
      frozen: catalog.frozen,
      folder: this.folder,
      clock,
      log,
      tell,
      stopping: this.stopping.signal,
    });
    this.schedules = new Scheduler({
      table: catalog.schedules,
      clock,
      log,
      startJob: options.startJob,
      perform: (schedule, job) => this.perform(schedule, job),
      subjectOf: ({ task }) => this.subjectOf(task),
      tell,
    });
  }

  /** Thaws what a killed appliance left frozen, and begins to do what schedules say. */
  start(): void {
    void this.machines.thawLeftovers().then(() => this.schedules.start());
  }

  /**
   * Begins nothing more, and resolves when all that was begun has ended: the script after a bookmark still runs. Call it while
   * volumes can be written to. Idempotent.
   */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.schedules.stop();
    await this.machines.idle();
  }

  /** @throws conflict: the name is taken, or there are too many; not_found: its machine or volume; invalid: its time never comes */
  addSchedule(wanted: {
    name: string;
    description: string;
    task: WireTask;
    timing: WireTiming;
    jitterSeconds: number;
    missed: "run" | "skip";
    paused: boolean;
  }): void {
    const { clock, random } = this.options;
    const { name, description, task, timing, jitterSeconds, missed, paused } = wanted;
    if (this.schedules.list().length >= SCHEDULES_MAX) {
      throw new SternwayError("conflict", `there are ${SCHEDULES_MAX} schedules already: remove one first`);
    }
    const now = clock.wall();
    this.schedules.add({
      name,
      key: Buffer.from(random.bytes(KEY_BYTES)).toString("hex"),
      description,
      task: this.stored(task),
      timing: storedTiming(timing, jitterSeconds, this.zone, now),
      missed,
      state: paused ? "paused" : "active",
      createdAt: now,
      handledAt: now,
    });
  }

  /** @throws not_found: the schedule, its machine or volume; invalid: its time never comes */
  changeSchedule(
    name: string,
    wanted: {
      description?: string | undefined;
      task?: WireTask | undefined;
      timing?: WireTiming | undefined;
      jitterSeconds?: number | undefined;
      missed?: "run" | "skip" | undefined;
      paused?: boolean | undefined;
    },
  ): void {
    const { schedule } = this.schedules.state(name);
    const { description, task, missed, paused } = wanted;
    const isTimed = wanted.timing !== undefined || wanted.jitterSeconds !== undefined;
    const timing = wanted.timing ?? wireTiming(schedule);
    const jitterSeconds = wanted.jitterSeconds ?? schedule.timing.jitterSeconds;
    this.schedules.change(name, {
      ...(description === undefined ? {} : { description }),
      ...(task === undefined ? {} : { task: this.stored(task) }),
      ...(isTimed ? { timing: storedTiming(timing, jitterSeconds, this.zone, this.options.clock.wall()) } : {}),
      ...(missed === undefined ? {} : { missed }),
      ...(paused === undefined ? {} : { state: paused ? "paused" : "active" }),
    });
  }

  /** The next times of a timing. @throws invalid: its time never comes */
  preview(timing: WireTiming, count: number): Micros[] {
    const now = this.options.clock.wall();
    const timed = { key: "", createdAt: now, timing: storedTiming(timing, 0, this.zone, now) };
    return nextTimes(timed, now, count);
  }

  /** What tasks may be about, looked up once for all of a list. */
  subjects(): TaskSubjects {
    const volumes = this.options.volumes.list();
    return { volumes, meant: meantAmong(volumes), machines: new Set(this.machines.list().map(({ name }) => name)) };
  }

  /** A task with its volume by name, and why it cannot be done, if so. */
  wireTask(task: StoredTask, subjects = this.subjects()): { task: WireShownTask; trouble?: string } {
    if (task.kind === "report" && !this.options.hasChannel(task.channel)) {
      return { task, trouble: `there is no channel ${task.channel} any more` };
    }
    if (task.kind !== "bookmark") return { task };
    const { volume: reference, ...rest } = task;
    if (!reference) {
      return subjects.machines.has(task.machine ?? "")
        ? { task: rest }
        : { task: rest, trouble: `there is no machine ${task.machine} any more` };
    }
    const infos = subjects.volumes;
    const info = subjects.meant(reference);
    if (info) return { task: { ...rest, volume: info.name } };
    const trouble = `its volume, made at lsn ${reference.createdLsn}, cannot be had: ${whyMissing(infos, reference)}`;
    return { task: rest, trouble };
  }

  private stored(task: WireTask): StoredTask {
    if (task.kind === "report" && !this.options.hasChannel(task.channel)) {
      throw new SternwayError("not_found", `there is no channel ${task.channel}`, { channel: task.channel });
    }
    if (task.kind !== "bookmark") return task;
    const { volume, ...rest } = task;
    if (task.machine !== undefined) this.machines.get(task.machine);
    return volume === undefined ? rest : { ...rest, volume: referenceOf(this.options.volumes.get(volume)) };
  }

  private async perform(schedule: Schedule, job: TaskJob): Promise<string> {
    const { task } = schedule;
    const { tasks, volumes, clock } = this.options;
    switch (task.kind) {
      case "bookmark":
        return await scheduledBookmark(schedule, task, {
          volumes,
          machines: this.machines,
          now: clock.wall(),
          signal: job.signal,
        });
      case "check":
        return await tasks.check(task, job);
      case "scrub":
        return await tasks.scrub(task, job);
      case "gc":
        return await tasks.gc(task, job);
      case "sync-tier":
        return await tasks.syncTier(task, job);
      case "verify-tier":
        return await tasks.verifyTier(task, job);
      case "report":
        return await tasks.report(task, job);
    }
  }

  private subjectOf(task: StoredTask): string {
    switch (task.kind) {
      case "bookmark": {
        const { machine, volume } = this.wireTask(task).task;
        return machine ?? volume ?? `vault ${task.volume?.vault ?? ""}`;
      }
      case "check":
      case "scrub":
      case "gc":
        return task.vault ?? "appliance";
      case "sync-tier":
        return task.tier === undefined ? task.vault : `${task.vault}/${task.tier}`;
      case "verify-tier":
        return `${task.vault}/${task.tier}`;
      case "report":
        return `${task.report} through ${task.channel}`;
    }
  }
}

function wireTiming({ timing: { jitterSeconds: _, ...timing } }: Schedule): WireTiming {
  return timing;
}
