/** Arguments as people write them, turned into values. What a moment means is the appliance's to say: here it stays text. */
import { InvalidArgumentError } from "commander";
import { SternwayError } from "../base/errors.ts";
import { SECTOR_SIZE, VOLUME_SIZE_MAX, formatSize, parseSize } from "../base/units.ts";

export const MOMENT_HELP = `
A MOMENT is one of
  now                      the present
  -15m, -2h30m, -1d        that long ago
  2026-11-20T21:31:05Z     a time (RFC 3339; any zone; up to microseconds)
  bookmark:NAME            a bookmark of the volume
  lsn:N                    a log sequence number, as timeline and bookmarks show it`;

/** `NAME@MOMENT`, split; `NAME` alone is its present. */
export function splitExport(text: string): { volume: string; at: string } {
  const at = text.indexOf("@");
  if (at < 0) return { volume: text, at: "now" };
  const moment = text.slice(at + 1);
  if (moment === "")
    throw new SternwayError("invalid", `${text} names no moment after the @: try ${text}now or ${text}-15m`);
  return { volume: text.slice(0, at), at: moment };
}

/** For commander: a volume's size such as `10G`. */
export function sizeArgument(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError("It must be a size such as 10G, 512M or 1.5TiB.");
  if (bytes < SECTOR_SIZE || bytes > VOLUME_SIZE_MAX) {
    throw new InvalidArgumentError(`It must be from ${SECTOR_SIZE} B to ${formatSize(VOLUME_SIZE_MAX)}.`);
  }
  if (bytes % SECTOR_SIZE !== 0) throw new InvalidArgumentError(`It must be a multiple of ${SECTOR_SIZE} bytes.`);
  return bytes;
}

/** For commander: a whole number in a range. */
export function integerArgument(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** For commander: one of a few words. */
export function wordArgument<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`It must be one of ${words.join(", ")}.`);
  };
}

/** Without what was not given. */
export function given<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Fields]?: Exclude<Fields[Key], undefined>;
  };
}

/** What an option and its `--no-` leave of a setting. @param wanted - false: taken away; undefined: as it was */
export function replaced<Value>(before: Value | undefined, wanted: Value | false | undefined): Value | undefined {
  return wanted === false ? undefined : (wanted ?? before);
}

/** For commander: an option that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
