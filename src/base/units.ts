/**
 * The units of the vault. Brands keep apart numbers that must never mix; they cost nothing at run time.
 * All of them are exact integers below 2^53.
 */

declare const brand: unique symbol;
type Brand<Name extends string> = number & { readonly [brand]: Name };

/** Log sequence number: one per write, trim or mark; strictly increasing in a vault; 0 is "before everything". */
export type Lsn = Brand<"Lsn">;
/** A run of history without a jump: a volume starts one at its creation, at each rollback and as a branch. */
export type StrandId = Brand<"StrandId">;
/** Microseconds since 1970-01-01T00:00:00Z. */
export type Micros = Brand<"Micros">;

export const lsn = (value: number): Lsn => value as Lsn;
export const strandId = (value: number): StrandId => value as StrandId;
export const micros = (value: number): Micros => value as Micros;

/** The grid of all addresses, maps and deduplication. Measured: at 16 KiB a second machine needs 3.8 times the space. */
export const BLOCK_SIZE = 4096;
/** The smallest unit a client may address; smaller-than-block writes are merged inside. */
export const SECTOR_SIZE = 512;
/** Largest volume: block indexes fit 32 bits, and ext4, the most common guest file system, ends at 16 TiB with 4 KiB blocks too. */
export const VOLUME_SIZE_MAX = 16 * 2 ** 40;

const SIZE_UNITS: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** Reads `10G`, `512M`, `1.5TiB`, `4096`: powers of 1024, as disk tools do. Undefined if it is not a size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return undefined;
  const bytes = Number(match[1]) * (SIZE_UNITS[(match[2] ?? "").toLowerCase()] ?? 1);
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** Prints a size as people write it: `10 GiB`, `1.5 MiB`, `512 B`. */
export function formatSize(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || Number.isInteger(value) ? 0 : value < 10 ? 2 : 1;
  return `${value.toFixed(digits)} ${names[unit]}`;
}

const DURATION_UNITS: Record<string, number> = { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, d: 86_400e6, w: 604_800e6 };

/** Reads `15m`, `2h30m`, `1d`, `250ms` to microseconds. Undefined if it is not a duration, or one of more than 285 years. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) return undefined;
  let total = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    total += Number(part[1]) * (DURATION_UNITS[part[2] ?? ""] ?? 0);
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

// The second that was printed last: a timeline prints thousands of times, neighbours mostly of one second, and a date costs many times what the rest does.
let printedSecond = 0;
let printedText = "1970-01-01T00:00:00";

/** Prints microseconds since 1970 as RFC 3339 in UTC with microseconds: `2026-11-20T21:31:05.123456Z`. */
export function formatTime(time: Micros): string {
  const second = Math.floor(time / 1e6);
  if (second !== printedSecond) {
    printedText = new Date(second * 1000).toISOString().slice(0, 19);
    printedSecond = second;
  }
  return `${printedText}.${String(((time % 1e6) + 1e6) % 1e6).padStart(6, "0")}Z`;
}

/** Reads RFC 3339 (a zone is required; up to microseconds). Undefined if it is not a time. */
export function parseTime(text: string): Micros | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?\s?([Zz]|[+-]\d{2}:?\d{2})$/.exec(
    text.trim(),
  );
  if (!match) return undefined;
  const zone = /z/i.test(match[4] ?? "") ? "Z" : (match[4] ?? "").replace(/^([+-]\d{2}):?/, "$1:");
  const clock = (match[2] ?? "").length === 5 ? `${match[2]}:00` : match[2];
  const millis = Date.parse(`${match[1]}T${clock}${zone}`);
  if (Number.isNaN(millis)) return undefined;
  return micros(millis * 1000 + Number((match[3] ?? "").padEnd(6, "0").slice(0, 6)));
}
