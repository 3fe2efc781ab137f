/** Schedules in words. Pure. */
import type { WireSchedule, WireShownTask, WireTiming } from "../../contract/schedules.ts";
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

/** What the form's choice of a rhythm means. @param at - `HH:MM` @param weekday - 0 is Sunday */
export function timingOf(form: {
  rhythm: "minutes" | "hourly" | "daily" | "weekly" | "cron";
  minutes: string;
  at: string;
  weekday: string;
  cron: string;
  timeZone: string;
}): WireTiming | undefined {
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
