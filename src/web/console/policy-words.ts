/** Retention policies as people say and enter them. Pure. Lengths are whole numbers of a unit; a month has 31 days and a year 366, as the appliance counts. */
import type { WirePlan, WirePolicy } from "../../contract/contract.ts";
import { plural, spell, formatSize } from "./words.ts";

export const PARTS = ["allSeconds", "hourlySeconds", "dailySeconds", "weeklySeconds", "monthlySeconds"] as const;
export type PolicyPart = (typeof PARTS)[number];

export const PART_LABELS: Record<PolicyPart, string> = {
  allSeconds: "Every write",
  hourlySeconds: "One an hour",
  dailySeconds: "One a day",
  weeklySeconds: "One a week",
  monthlySeconds: "One a month",
};

export const LENGTH_UNITS = ["hours", "days", "weeks", "months", "years"] as const;
export type LengthUnit = (typeof LENGTH_UNITS)[number];
const UNIT_SECONDS: Record<LengthUnit, number> = {
  hours: 3600,
  days: 86_400,
  weeks: 604_800,
  months: 31 * 86_400,
  years: 366 * 86_400,
};

export interface Length {
  /** As written; empty: not at all. */
  count: string;
  unit: LengthUnit;
}

/** The form's content. */
export type PolicyForm = Record<PolicyPart, Length>;

/** What most want, and what is offered when there is no policy. */
export const USUAL_POLICY: PolicyForm = {
  allSeconds: { count: "2", unit: "days" },
  hourlySeconds: { count: "2", unit: "weeks" },
  dailySeconds: { count: "8", unit: "weeks" },
  weeklySeconds: { count: "6", unit: "months" },
  monthlySeconds: { count: "2", unit: "years" },
};

/** Seconds in the largest unit of which they are a whole number. */
export function lengthOf(seconds: number): Length {
  if (seconds === 0) return { count: "", unit: "days" };
  const unit = LENGTH_UNITS.toReversed().find((each) => seconds % UNIT_SECONDS[each] === 0) ?? "hours";
  return { count: String(Math.round((100 * seconds) / UNIT_SECONDS[unit]) / 100), unit };
}

export function formOf(policy: WirePolicy): PolicyForm {
  const entries = PARTS.map((part) => [part, lengthOf(policy[part])] as const);
  return Object.fromEntries(entries) as PolicyForm;
}

/** The policy that a form means. @returns what is wrong, by part, when it means none */
export function readForm(form: PolicyForm): { policy: WirePolicy } | { errors: Partial<Record<PolicyPart, string>> } {
  const errors: Partial<Record<PolicyPart, string>> = {};
  const policy = { allSeconds: 0, hourlySeconds: 0, dailySeconds: 0, weeklySeconds: 0, monthlySeconds: 0 };
  for (const part of PARTS) {
    const { count, unit } = form[part];
    const value = count.trim() === "" ? 0 : Number(count.trim().replace(",", "."));
    if (!Number.isFinite(value) || value < 0) errors[part] = "Write a number, or nothing.";
    else policy[part] = Math.round(value * UNIT_SECONDS[unit]);
  }
  if (errors.allSeconds === undefined && policy.allSeconds < 1)
    errors.allSeconds = "At least for some time every write must be kept.";
  if (PARTS.some((part) => policy[part] > 36_525 * 86_400)) errors.monthlySeconds ??= "A hundred years are the most.";
  return Object.keys(errors).length > 0 ? { errors } : { policy };
}

/** A policy in one line. Undefined: none. */
export function policyWords(policy: WirePolicy | undefined): string {
  if (!policy) return "everything, for ever";
  const parts = [`every write for ${lengthWords(policy.allSeconds)}`];
  const rhythm = (seconds: number, name: string): void => {
    if (seconds > 0) parts.push(`one a${name === "hour" ? "n" : ""} ${name} for ${lengthWords(seconds)}`);
  };
  rhythm(policy.hourlySeconds, "hour");
  rhythm(policy.dailySeconds, "day");
  rhythm(policy.weeklySeconds, "week");
  rhythm(policy.monthlySeconds, "month");
  return parts.join(", ");
}

function lengthWords(seconds: number): string {
  if (seconds < 3600) return spell(seconds);
  const { count, unit } = lengthOf(seconds);
  return count.includes(".") ? spell(seconds) : plural(Number(count), unit.slice(0, -1));
}

/** What a plan does, in sentences; the first is the answer. */
export function planSentences(plan: WirePlan): string[] {
  const goes = plan.writes > 0 || plan.goingPoints.length > 0;
  const sentences: string[] = [];
  if (!goes) {
    sentences.push("Nothing goes now.");
  } else {
    const span = (Date.parse(plan.to.time) - Date.parse(plan.from.time)) / 1000;
    if (plan.writes > 0) {
      sentences.push(
        `${plural(plan.writes, "write")} of ${formatSize(plan.writtenBytes)}, the oldest ${spell(span)}, can no longer be told apart: ${plural(plan.newPoints.length, "moment")} of that time ${plan.newPoints.length === 1 ? "stays" : "stay"}.`,
      );
    }
    if (plan.goingPoints.length > 0)
      sentences.push(
        `${plural(plan.goingPoints.length, "older moment")} ${plan.goingPoints.length === 1 ? "goes" : "go"}.`,
      );
    sentences.push("That cannot be undone once it is carried out, within a quarter of an hour.");
  }
  if (plan.pointCount > 0) {
    sentences.push(
      `${plural(plan.pointCount, "single moment")} would be kept in all, besides every write of the newest time.`,
    );
  }
  if (plan.freedBytes !== undefined && goes) {
    sentences.push(
      plan.freedBytes > 0 ? `That gives back about ${formatSize(plan.freedBytes)}.` : "That gives back no space yet.",
    );
  }
  if (plan.lockHolds) sentences.push("The lock keeps some of what the policy would let go of.");
  if (goes && plan.clockAheadSeconds > 3600) {
    sentences.push(
      `The clock is ${spell(plan.clockAheadSeconds)} ahead of the running time, so less goes than the clock says.`,
    );
  }
  return sentences;
}

/** Whether carrying a plan out loses something. */
export const losesSomething = (plan: WirePlan): boolean => plan.writes > 0 || plan.goingPoints.length > 0;
