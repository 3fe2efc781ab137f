/** Schedules in words. Pure. */
import type { WireSchedule, WireShownTask, WireTask, WireTiming } from "../../contract/schedules.ts";
import { spell } from "./words.ts";

const TASKS: Record<WireShownTask["kind"], string> = {
  bookmark: "Bookmark",
  check: "Check",
  scrub: "Scrub",
  gc: "Give space back",
  "sync-tier": "Bring a tier up",
  "verify-tier": "Verify a tier",
  report: "Send a report",
};

export const TASK_CHOICES = Object.entries(TASKS).map(([value, label]) => ({
  value: value as WireShownTask["kind"],
  label,
}));

/** What a schedule does, and to what. */
export function taskWords(task: WireShownTask): string {
  const title = TASKS[task.kind];
  switch (task.kind) {
    case "bookmark": {
      const subject = task.machine ?? task.volume ?? "something that cannot be had";
      return `${title} ${subject}${task.keep === undefined ? "" : `, the last ${task.keep} stay`}`;
    }
    case "check":
    case "scrub":
    case "gc":
      return task.vault === undefined ? `${title}, all vaults` : `${title}, vault ${task.vault}`;
    case "sync-tier":
    case "verify-tier":
      return `${title}: ${task.tier ?? "all"} of vault ${task.vault ?? "?"}`;
    case "report":
      return `${title}: ${task.report ?? "?"} of the last ${task.span ?? "?"}, through ${task.channel ?? "?"}`;
  }
}

/** When a schedule runs. */
export function timingWords(timing: WireSchedule["timing"]): string {
  if (timing.kind === "interval") return `every ${spell(timing.everySeconds ?? 0)}`;
  const expression = timing.expression ?? "";
  const zone = timing.timeZone === undefined ? "" : `, ${timing.timeZone}`;
  return `${cronWords(expression) ?? expression}${zone}`;
}

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** The usual cron expressions in words; undefined for the others, which speak for themselves. */
export function cronWords(expression: string): string | undefined {
  const match = /^(\d{1,2}) (\d{1,2}|\*) (\d{1,2}|\*) \* ([0-7]|\*|1-5)$/.exec(expression.trim());
  if (!match) return undefined;
  const [, minute = "", hour = "", day = "", weekday = ""] = match;
  const at = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  if (hour === "*") return day === "*" && weekday === "*" ? `each hour at minute ${Number(minute)}` : undefined;
  if (day !== "*") return weekday === "*" ? `each month on day ${Number(day)} at ${at}` : undefined;
  if (weekday === "*") return `each day at ${at}`;
  return weekday === "1-5" ? `Monday to Friday at ${at}` : `each ${WEEKDAYS[Number(weekday)] ?? weekday} at ${at}`;
}

/** A timing as the form has it, all fields as written. */
export interface TimingFields {
  rhythm: "minutes" | "hourly" | "daily" | "weekly" | "cron";
  minutes: string;
  /** `HH:MM` */
  at: string;
  /** 0 is Sunday. */
  weekday: string;
  cron: string;
  /** Empty: the appliance's. */
  timeZone: string;
}

/** The fields by which a form shows a timing that there is; `timingOf` makes the same of them again. */
export function timingFieldsOf(timing: WireSchedule["timing"]): TimingFields {
  const fields: TimingFields = {
    rhythm: "cron",
    minutes: "60",
    at: "01:30",
    weekday: "1",
    cron: timing.expression ?? "",
    timeZone: timing.timeZone ?? "",
  };
  if (timing.kind === "interval") {
    return { ...fields, rhythm: "minutes", minutes: String((timing.everySeconds ?? 3_600) / 60) };
  }
  if (fields.cron === "hourly") return { ...fields, rhythm: "hourly" };
  const [, minute = "", hour = "", weekday] = /^(\d{1,2}) (\d{1,2}) \* \* ([0-7]|\*)$/.exec(fields.cron) ?? [];
  if (weekday === undefined) return fields;
  const at = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  return weekday === "*"
    ? { ...fields, rhythm: "daily", at }
    : { ...fields, rhythm: "weekly", at, weekday: weekday === "7" ? "0" : weekday };
}

/**
 * A changed task with what the form does not show of the one before: scripts and names of bookmarks, and how thorough work is. Undefined: it is the same, and
 * need not be sent.
 */
export function changedTask(before: WireShownTask, task: WireTask): WireTask | undefined {
  const isOf = Object.entries(task).every(([key, value]) => before[key as keyof WireShownTask] === value);
  const shown = ["machine", "volume", "keep", "vault", "tier"] as const;
  if (isOf && shown.every((key) => before[key] === (task as WireShownTask)[key])) return undefined;
  switch (task.kind) {
    case "bookmark":
      return before.kind !== "bookmark"
        ? task
        : {
            ...task,
            ...(before.prefix === undefined ? {} : { prefix: before.prefix }),
            ...(before.scripts === undefined ? {} : { scripts: before.scripts }),
          };
    case "check":
      return before.kind === "check" && before.quick !== undefined ? { ...task, quick: before.quick } : task;
    case "verify-tier":
      return before.kind === "verify-tier" && before.repair !== undefined ? { ...task, repair: before.repair } : task;
    case "scrub":
    case "gc":
    case "sync-tier":
    case "report":
      return task;
  }
}

/** What the form's choice of a rhythm means. @param at - `HH:MM` @param weekday - 0 is Sunday */
export function timingOf(form: TimingFields): WireTiming | undefined {
  const zone = form.timeZone.trim() === "" ? {} : { timeZone: form.timeZone.trim() };
  const time = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(form.at.trim());
  switch (form.rhythm) {
    case "minutes": {
      const minutes = Number(form.minutes);
      return minutes >= 1 && minutes <= 527_040
        ? { kind: "interval", everySeconds: Math.round(minutes * 60) }
        : undefined;
    }
    case "hourly":
      return { kind: "calendar", expression: "hourly", ...zone };
    case "daily":
      return time
        ? { kind: "calendar", expression: `${Number(time[2])} ${Number(time[1])} * * *`, ...zone }
        : undefined;
    case "weekly":
      return time
        ? { kind: "calendar", expression: `${Number(time[2])} ${Number(time[1])} * * ${form.weekday}`, ...zone }
        : undefined;
    case "cron":
      return form.cron.trim() === "" ? undefined : { kind: "calendar", expression: form.cron.trim(), ...zone };
  }
}
