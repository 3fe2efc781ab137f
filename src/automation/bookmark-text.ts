/** What bookmarks are called and noted by. */
import { formatTime, type Micros } from "../base/units.ts";

/** `20261120T213105Z`: a time as part of a name. */
export function stamp(time: Micros): string {
  return `${formatTime(time).slice(0, 19).replaceAll(/[:-]/g, "")}Z`;
}

/** The beginning of a text, in whole characters. */
export function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  let end = bytesMax;
  const bytes = Buffer.from(text);
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return `${bytes.subarray(0, end).toString("utf8")}…`;
}
