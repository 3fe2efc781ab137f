/** How values look on screen: tables, times with the local zone, durations, counts. */
import { formatTime, micros, parseTime, type Micros } from "../base/units.ts";

export interface Column {
  title: string;
  align?: "left" | "right";
}

/** An aligned table with two spaces between columns; no trailing blanks. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, i) =>
    rows.reduce((most, row) => Math.max(most, width(row[i] ?? "")), width(column.title)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const gap = " ".repeat(Math.max(0, (widths[i] ?? 0) - width(cell)));
        return columns[i]?.align === "right" ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].map((text) => `${text}\n`).join("");
}

/** `label   value` lines. */
export function facts(pairs: readonly (readonly [label: string, value: string])[]): string {
  const widest = pairs.reduce((most, [label]) => Math.max(most, width(label)), 0);
  return pairs.map(([label, value]) => `${label.padEnd(widest)}  ${value}\n`).join("");
}

const width = (text: string): number => Bun.stringWidth(text);

/** A wire time for people: UTC as RFC 3339, which every command takes back, then the local time of day where it differs. */
export function showTime(time: string): string {
  const at = parseTime(time);
  return at === undefined ? time : showMicros(at);
}

export function showMicros(at: Micros): string {
  const date = new Date(at / 1000);
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return formatTime(at);
  return `${formatTime(at)} (${localClock(at, minutes)})`;
}

function localClock(at: Micros, offsetMinutes: number): string {
  const local = formatTime(micros(at + offsetMinutes * 60e6));
  const utc = formatTime(at);
  // The date only where it is another day here.
  const day = local.slice(0, 10) === utc.slice(0, 10) ? "" : `${local.slice(0, 10)} `;
  const size = Math.abs(offsetMinutes);
  const zone = `${offsetMinutes < 0 ? "-" : "+"}${String(Math.floor(size / 60)).padStart(2, "0")}:${String(size % 60).padStart(2, "0")}`;
  return `${day}${local.slice(11, 19)} ${zone}`;
}

/** `40 ms`, `3.0 s`, `2 min 5 s`, `1 h 20 min`, `2 d 3 h`: at most the two largest units. */
export function showSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown";
  if (seconds < 0.9995e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount], i) => i === 0 || amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** `1 write`, `12,345 writes`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount.toLocaleString("en-US")} ${amount === 1 ? one : many}`;
}

const SPARKS = "▁▂▃▄▅▆▇█";

/** One character per value; a blank for zero, so that idle stretches stand out. */
export function sparkline(values: readonly number[]): string {
  const most = values.reduce((max, value) => Math.max(max, value), 0);
  return values
    .map((value) =>
      value <= 0 ? " " : SPARKS[Math.min(SPARKS.length - 1, Math.floor((value / most) * SPARKS.length))],
    )
    .join("");
}
