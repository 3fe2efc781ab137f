/**
 * Moments as people write them, and how they are written back.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn, parseDuration, parseTime } from "../base/units.ts";
import type { Moment } from "./volumes.ts";

export const MOMENT_FORMS =
  "now, lsn:123, bookmark:NAME, an age like -15m or -2h30m, or a time like 2026-11-20T21:31:05Z";

/** @throws invalid: not a moment, with the accepted forms in its message */
export function parseMoment(text: string): Moment {
  if (text === "now") return { kind: "now" };
  const position = /^lsn:(\d{1,15})$/.exec(text);
  if (position) return { kind: "lsn", lsn: lsn(Number(position[1])) };
  const bookmark = /^bookmark:(.+)$/.exec(text);
  if (bookmark) return { kind: "bookmark", name: bookmark[1]! };
  const age = text.startsWith("-") ? parseDuration(text.slice(1)) : undefined;
  if (age !== undefined) return { kind: "age", ageMicros: age };
  const time = parseTime(text);
  if (time !== undefined) return { kind: "time", time };
  throw new SternwayError("invalid", `"${text}" is not a moment: use ${MOMENT_FORMS}`, { moment: text });
}

/** The text form that {@link parseMoment} reads back. */
export function formatMoment(moment: Moment): string {
  switch (moment.kind) {
    case "now":
      return "now";
    case "lsn":
      return `lsn:${moment.lsn}`;
    case "bookmark":
      return `bookmark:${moment.name}`;
    case "age":
      return `-${moment.ageMicros / 1e6}s`;
    case "time":
      return formatTime(moment.time);
  }
}
