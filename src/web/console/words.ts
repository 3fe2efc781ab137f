/** Figures and times as the console says them. Pure: the present is a parameter, in milliseconds since 1970. */
import { SternwayError, type ErrorKind } from "../../base/errors.ts";
import { formatSize } from "../../base/units.ts";
import { isForPrograms } from "../../contract/problem.ts";

export { formatSize };

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** A length of time as one or two units: `0.4 s`, `42 s`, `5 min`, `3 h 20 min`, `6 days`, `14 months`. */
export function spell(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 1) return seconds === 0 ? "0 s" : `${Math.max(0.1, Math.round(seconds * 10) / 10)} s`;
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < DAY) return two(seconds, HOUR, "h", MINUTE, "min");
  if (seconds < 60 * DAY) return plural(Math.round(seconds / DAY), "day");
  if (seconds < 731 * DAY) return plural(Math.round(seconds / (30.44 * DAY)), "month");
  return `${(seconds / (365.25 * DAY)).toFixed(1).replace(/\.0$/, "")} years`;
}

function two(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const whole = Math.floor(seconds / large);
  const rest = Math.round((seconds - whole * large) / small);
  if (rest === large / small) return `${whole + 1} ${largeName}`;
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
}

/** `1 volume`, `3 volumes`, `1,204 writes`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}

/** How long ago, or how far ahead: `just now`, `5 min ago`, `in 3 h`. @param time - RFC 3339 */
export function ago(time: string, nowMs: number): string {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return "at an unknown time";
  const seconds = (nowMs - at) / 1000;
  if (Math.abs(seconds) < 2) return "just now";
  return seconds > 0 ? `${spell(seconds)} ago` : `in ${spell(-seconds)}`;
}

/** Seconds between a time and the present; 0 for one that lies ahead. */
export function ageSeconds(time: string, nowMs: number): number {
  const at = Date.parse(time);
  return Number.isNaN(at) ? 0 : Math.max(0, (nowMs - at) / 1000);
}

/** Local time as people read it, with its zone: `21 Nov 2026, 10:16:49 CET`. @param zone - default: the browser's */
export function localTime(time: string, zone?: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  return new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
    ...(zone === undefined ? {} : { timeZone: zone }),
  }).format(at);
}

/** `a`, `a and b`, `a, b and c`; with more than `max`, the rest as a count. */
export function listed(words: readonly string[], max = 5): string {
  const shown = words.length > max ? [...words.slice(0, max - 1), `${words.length - max + 1} more`] : [...words];
  const last = shown.pop();
  if (last === undefined) return "";
  return shown.length === 0 ? last : `${shown.join(", ")} and ${last}`;
}

/** A part of a whole in percent, from 0 to 100; 0 of nothing. */
export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (100 * part) / whole)) : 0;
}

/** What a person in the console does next; undefined where the message says all there is to say. */
const NEXT_STEP: Record<ErrorKind, string | undefined> = {
  invalid: undefined,
  not_found: "It may have been removed or renamed meanwhile: load the page anew.",
  conflict: undefined,
  unavailable: "Try again later.",
  corrupt: "Start a check under Jobs to see what is damaged; other moments may still be whole.",
  fenced: "Find out which installation is meant to write there; taking the vault over moves it here.",
  denied: undefined,
  internal: "Look into the appliance's log and report the entry found there.",
};

/** What went wrong, and what to do about it, from whatever was thrown. The appliance's advice counts where it belongs to this very error. */
export function troubleOf(error: unknown): { message: string; todo: string | undefined } {
  if (error instanceof SternwayError) {
    const { todo } = error.facts;
    const advice = typeof todo === "string" && !isForPrograms(todo) ? todo : undefined;
    return { message: sentence(error.message), todo: advice ?? NEXT_STEP[error.kind] };
  }
  return { message: error instanceof Error ? sentence(error.message) : "Something went wrong.", todo: undefined };
}

/** A message with a capital letter, unless it begins with an address or a path, and a full stop; without the marks around commands. */
export function sentence(text: string): string {
  const trimmed = text.trim().replaceAll("`", "");
  if (trimmed === "") return "";
  const begun = /^[a-z'-]+(?:[\s,;.!?]|$)/.test(trimmed) ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?:]$/.test(begun) ? begun : `${begun}.`;
}
