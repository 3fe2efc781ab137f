/** Schedules as people write them on a command line, and how they are shown. */
import { InvalidArgumentError } from "commander";
import { SternwayError } from "../base/errors.ts";
import { parseDuration } from "../base/units.ts";
import {
  taskSchema,
  type WireSchedule,
  type WireScheduleDetail,
  type WireTask,
  type WireTiming,
} from "../contract/schedules.ts";
import { scriptsOf, scriptsText, type ScriptOptions } from "./script-options.ts";
import { facts, showSeconds, showTime, table } from "./text.ts";

export const TASK_HELP = `
A TASK is one of
  bookmark      --machine or --volume [--keep --prefix --pre --post]
  check         [--vault --quick]
  scrub         [--vault]
  gc            [--vault]
  sync-tier     --vault [--tier]
  verify-tier   --vault --tier [--repair]
  report        --report --span --channel`;

export interface TaskOptions extends ScriptOptions {
  machine?: string;
  volume?: string;
  keep?: number;
  prefix?: string;
  vault?: string;
  tier?: string;
  quick?: boolean;
  repair?: boolean;
  report?: string;
  span?: string;
  channel?: string;
}

export interface TimingOptions {
  at?: string;
  zone?: string;
  /** Seconds. */
  every?: number;
}

/** For commander: a duration in whole seconds. */
export function durationArgument(min: number): (text: string) => number {
  return (text) => {
    const seconds = (parseDuration(text) ?? Number.NaN) / 1e6;
    if (Number.isInteger(seconds) && seconds >= min) return seconds;
    throw new InvalidArgumentError(`It must be a duration such as 15m, 6h or 7d, of at least ${min} s.`);
  };
}

/** @throws invalid: there is no such task, or its options are not those of this task */
export function taskOf(kind: string, options: TaskOptions): WireTask {
  const { machine, volume, keep, prefix, vault, tier, quick, repair, report, span, channel } = options;
  const scripts = scriptsOf(options);
  const bookmark = { machine, volume, keep, prefix, scripts };
  const given = Object.entries({ ...bookmark, vault, tier, quick, repair, report, span, channel });
  const parsed = taskSchema.safeParse({
    kind,
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".") ?? "";
  throw new SternwayError(
    "invalid",
    `"${kind}" with these options is no task: ${where === "" ? "" : `${where}: `}${issue?.message ?? "unknown reason"}; add --help for the tasks`,
  );
}

/** @throws invalid: neither or both of --at and --every */
export function timingOf({ at, zone, every }: TimingOptions): WireTiming {
  if ((at === undefined) === (every === undefined)) {
    throw new SternwayError("invalid", "when? Pass either --at (such as daily) or --every (such as 6h)");
  }
  if (every !== undefined) return { kind: "interval", everySeconds: every };
  return { kind: "calendar", expression: at!, ...(zone === undefined ? {} : { timeZone: zone }) };
}

export function taskText(task: WireSchedule["task"]): string {
  const { kind, machine, volume, vault, tier, report, span, channel } = task;
  if (kind === "report") return `${kind} ${report} of the last ${span} through ${channel}`;
  const about = machine ?? volume ?? (tier === undefined ? vault : `${vault}/${tier}`);
  return about === undefined ? kind : `${kind} ${about}`;
}

export function timingText({ kind, expression = "", timeZone = "", everySeconds = 0 }: WireSchedule["timing"]): string {
  return kind === "interval" ? `every ${showSeconds(everySeconds)}` : `${expression} ${timeZone}`;
}

export function lastText({ last, running }: WireSchedule): string {
  if (running) return "running";
  if (!last) return "";
  return `${last.outcome} ${showTime(last.startedAt)}`;
}

export function scheduleText(schedule: WireScheduleDetail): string {
  const { task, next, runs, trouble } = schedule;
  const lines = facts([
    ["schedule", schedule.name],
    ["description", schedule.description],
    ["does", taskText(task)],
    ...(task.keep === undefined ? [] : ([["keeps", `${task.keep} of its own bookmarks`]] as const)),
    ...(task.scripts === undefined ? [] : ([["scripts", scriptsText(task.scripts)]] as const)),
    ["when", timingText(schedule.timing)],
    ["jitter", schedule.jitterSeconds === 0 ? "none" : `up to ${showSeconds(schedule.jitterSeconds)}`],
    ["missed runs", schedule.missed === "run" ? "one is made up" : "none is made up"],
    ["state", schedule.paused ? "paused" : schedule.running ? "running" : "waiting"],
    ...(trouble === undefined ? [] : ([["trouble", trouble]] as const)),
    ...next.slice(0, 3).map((time) => ["next", showTime(time)] as const),
  ]);
  if (runs.length === 0) return lines;
  const rows = runs
    .slice(0, 10)
    .map((run) => [
      showTime(run.startedAt),
      run.error === undefined ? run.outcome : `${run.outcome}: ${run.error}`,
      run.job === undefined ? "" : String(run.job),
    ]);
  return `${lines}\n${table([{ title: "run" }, { title: "result" }, { title: "job", align: "right" }], rows)}`;
}
