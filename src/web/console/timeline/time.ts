/**
 * Times as the timeline handles them: microseconds since 1970 as numbers, and wall-clock times of a zone.
 *
 * A wall-clock time means no moment at all when clocks skip it, and two when they are set back over it; {@link timesOfWall} gives them all, so that whoever
 * asks for 02:30 on such a night is told, and never gets the wrong one of two.
 */
import { formatTime, micros, parseTime } from "../../../base/units.ts";

export const MILLISECOND = 1e3;
export const SECOND = 1e6;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface WallTime {
  year: number;
  /** 1 to 12. */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** 0 to 999,999. */
  micro: number;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** The zone of the machine that the browser runs on. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** A time of the API in microseconds. @throws RangeError: it is none, which the contract's schemas rule out */
export function microsOf(text: string): number {
  const time = parseTime(text);
  if (time === undefined) throw new RangeError(`not a time: ${text}`);
  return time;
}

/** As the API takes it. */
export function wireTime(time: number): string {
  return formatTime(micros(Math.round(time)));
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** One formatter per zone: making one costs a thousand times more than using it. */
function formatterOf(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      era: "short",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formatters.set(zone, formatter);
  }
  return formatter;
}

/** What clocks in a zone show at a time. */
export function wallOf(time: number, zone: string): WallTime {
  const seconds = Math.floor(time / SECOND);
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
  for (const { type, value } of formatterOf(zone).formatToParts(seconds * 1000)) parts[type] = value;
  return {
    year: Number(parts.year),
    month: Number(parts.month),
    day: Number(parts.day),
    hour: Number(parts.hour),
    minute: Number(parts.minute),
    second: Number(parts.second),
    micro: Math.round(time - seconds * SECOND),
  };
}

/** The wall time as if the zone were UTC. Days and months out of range carry over, as in a Date. */
function asUtc(wall: WallTime): number {
  return Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute, wall.second) * 1000 + wall.micro;
}

/** By how much a zone's clocks are ahead of UTC at a time. */
export function offsetAt(time: number, zone: string): number {
  return asUtc(wallOf(time, zone)) - Math.round(time);
}

/** Every time at which clocks in a zone show this, ascending: one, none where clocks skip it, two where they are set back over it. */
export function timesOfWall(wall: WallTime, zone: string): number[] {
  const guess = asUtc(wall);
  const offsets = new Set([offsetAt(guess - DAY, zone), offsetAt(guess + DAY, zone)]);
  return [...offsets]
    .map((offset) => guess - offset)
    .filter((time) => offsetAt(time, zone) === guess - time)
    .sort((a, b) => a - b);
}

const two = (value: number): string => String(value).padStart(2, "0");

/** `CET, UTC+1`; `UTC`; `UTC+5:30` where the zone has no short name of its own. */
export function zoneText(time: number, zone: string): string {
  const offset = offsetAt(time, zone) / MINUTE;
  const size = Math.abs(offset);
  const minutes = size % 60 === 0 ? "" : `:${two(size % 60)}`;
  const ahead = offset === 0 ? "UTC" : `UTC${offset < 0 ? "−" : "+"}${Math.floor(size / 60)}${minutes}`;
  // British English names European zones (CET, BST); where it knows no name it gives the offset, which we write ourselves.
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "short" }).formatToParts(time / 1000);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  return /^[A-Z]{2,5}$/.test(name) && name !== "GMT" && name !== "UTC" ? `${name}, ${ahead}` : ahead;
}

export type Precision = "day" | "minute" | "second" | "millisecond" | "microsecond";

/** `Fri 20 Nov 2026, 21:31:05.123` in a zone, without naming it. */
export function localText(time: number, zone: string, precision: Precision = "second"): string {
  const wall = wallOf(time, zone);
  return precision === "day" ? dateText(wall) : `${dateText(wall)}, ${clockText(wall, precision)}`;
}

export function dateText(wall: WallTime): string {
  const weekday = WEEKDAYS[new Date(Date.UTC(wall.year, wall.month - 1, wall.day)).getUTCDay()]!;
  return `${weekday} ${wall.day} ${monthText(wall)} ${wall.year}`;
}

export function monthText(wall: WallTime): string {
  return MONTHS[wall.month - 1]!;
}

export function clockText(wall: WallTime, precision: Precision): string {
  const minutes = `${two(wall.hour)}:${two(wall.minute)}`;
  if (precision === "day" || precision === "minute") return minutes;
  const seconds = `${minutes}:${two(wall.second)}`;
  if (precision === "second") return seconds;
  const micro = String(wall.micro).padStart(6, "0");
  return `${seconds}.${precision === "millisecond" ? micro.slice(0, 3) : micro}`;
}

/** `2026-11-20 20:31:05.123456 UTC`. */
export function utcText(time: number): string {
  return wireTime(time).replace("T", " ").replace("Z", " UTC");
}

/** As precise as a strip of this length makes sense. */
export function precisionOf(spanMicros: number): Precision {
  if (spanMicros > 60 * DAY) return "day";
  if (spanMicros > 6 * HOUR) return "minute";
  if (spanMicros > 2 * MINUTE) return "second";
  return spanMicros > 100 * MILLISECOND ? "millisecond" : "microsecond";
}

const LENGTHS: readonly (readonly [number, string])[] = [
  [365.25 * DAY, "year"],
  [30.4375 * DAY, "month"],
  [DAY, "day"],
  [HOUR, "hour"],
  [MINUTE, "minute"],
  [SECOND, "second"],
  [MILLISECOND, "millisecond"],
];

/** `3 days 4 hours`, `12 minutes`, `250 milliseconds`: the two largest units, the second only while the first is small. */
export function lengthText(lengthMicros: number): string {
  const length = Math.abs(lengthMicros);
  const at = LENGTHS.findIndex(([unit]) => length >= unit);
  if (at < 0) return `${Math.round(length)} microseconds`;
  const [unit, name] = LENGTHS[at]!;
  const whole = Math.floor(length / unit);
  const next = LENGTHS[at + 1];
  const rest = next === undefined || whole >= 10 ? 0 : Math.floor((length - whole * unit) / next[0]);
  return rest === 0 ? several(whole, name) : `${several(whole, name)} ${several(rest, next![1])}`;
}

export function several(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** `3 hours ago`, `now`, `in 2 minutes`. */
export function agoText(time: number, now: number): string {
  const age = now - time;
  // Milliseconds of what is seconds ago would be out of date before they are read.
  const whole = Math.floor(Math.abs(age) / SECOND) * SECOND;
  if (whole === 0) return "just now";
  return age > 0 ? `${lengthText(whole)} ago` : `in ${lengthText(whole)}`;
}
