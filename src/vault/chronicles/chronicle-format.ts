/**
 * Chronicles: what happened when. One row per (journal group, strand), so that times become LSNs and back, and a timeline of years is
 * drawn without reading the map. Derived from the journal when it is sealed, immutable afterwards, and kept for as long as the moments
 * it dates.
 *
 * The frame is paged-file.ts's. Rows are in the order of their groups: `firstLsn` and `time` never fall. A page holds up to 4,096 rows as
 * eight signed columns: strand, firstLsn, lastLsn - firstLsn, time, writes, writtenBytes, clearedBytes, flush. The last is 0 without a
 * flush point, else 1 + the zigzag of flushLsn - lastLsn, which is small.
 *
 * Index, one record per page, with one total per strand in it (none at all when the page has more than 64 strands):
 *
 *       0  8  lowest LSN         32  4  rows             0  4  strand             24  8  cleared bytes
 *       8  8  highest LSN        36  4  totals           4  4  rows               32  4  flush points
 *      16  8  first time         40  8  offset           8  8  writes             36  4  zero
 *      24  8  last time          48  4  stored length   16  8  written bytes      40  8  highest LSN
 *                                52  4  raw length
 *                                56  8  checksum
 *                                64     totals, 48 bytes each, ascending by strand
 *
 * Trailer words: first LSN, last LSN, first time, last time, 0, 0. Damage gives `corrupt`, as in layers.
 */
import { decodeSigned, encodeSigned } from "../files/column-page.ts";

export const CHRONICLE_RECORD_SIZE = 64;
export const TOTAL_RECORD_SIZE = 48;
/** Strands with totals in a page: 3 KiB of index at most. */
export const TOTALS_MAX = 64;
/** Columns of a page. */
const COLUMNS = [
  "strand",
  "firstLsn",
  "lastLsn",
  "time",
  "writes",
  "writtenBytes",
  "clearedBytes",
  "flushLsn",
] as const;

/** What one journal group did to one strand. All integers in [0, 2^53). */
export interface ChronicleRow {
  strand: number;
  /** Lowest and highest LSN of the group in this strand; both the flush point's where the group holds nothing else of it. */
  firstLsn: number;
  lastLsn: number;
  /** Microseconds since 1970; never falls from row to row. */
  time: number;
  writes: number;
  writtenBytes: number;
  /** Bytes trimmed or zeroed. */
  clearedBytes: number;
  /** The newest flush point in the group; 0: none. */
  flushLsn: number;
}

/** What the manifest stores of a chronicle: plain data, fit for JSON. */
export interface ChronicleMeta {
  id: number;
  /** It dates every LSN of this range. */
  firstLsn: number;
  lastLsn: number;
  /** Times of its first and last row; 0 without rows. */
  firstTime: number;
  lastTime: number;
  rows: number;
  sizeBytes: number;
  /** XXH64 of the file's bytes, seed 0, as 16 hex digits. */
  checksum: string;
}

/** The sums of one strand's rows. */
export interface StrandTotals {
  strand: number;
  rows: number;
  writes: number;
  writtenBytes: number;
  clearedBytes: number;
  /** Rows with a flush point. */
  flushPoints: number;
  /** Highest LSN, flush points included. */
  lastLsn: number;
}

/** What the index says of a page. */
export interface ChroniclePageInfo {
  page: number;
  firstLsn: number;
  /** Highest LSN, flush points included. */
  lastLsn: number;
  firstTime: number;
  lastTime: number;
  rows: number;
  /** Ascending by strand; undefined: too many strands to keep. */
  totals: StrandTotals[] | undefined;
}

/** Rows as columns. */
export interface ChroniclePage extends Record<(typeof COLUMNS)[number], Float64Array> {
  length: number;
  /** Memory it takes. */
  sizeBytes: number;
}

export function emptyChroniclePage(capacity: number): ChroniclePage {
  const column = (): Float64Array => new Float64Array(capacity);
  return {
    length: 0,
    strand: column(),
    firstLsn: column(),
    lastLsn: column(),
    time: column(),
    writes: column(),
    writtenBytes: column(),
    clearedBytes: column(),
    flushLsn: column(),
    sizeBytes: capacity * 8 * COLUMNS.length + 400,
  };
}

export function setRow(page: ChroniclePage, at: number, row: ChronicleRow): void {
  for (const name of COLUMNS) page[name][at] = row[name];
}

export function rowAt(page: ChroniclePage, at: number): ChronicleRow {
  return {
    strand: page.strand[at]!,
    firstLsn: page.firstLsn[at]!,
    lastLsn: page.lastLsn[at]!,
    time: page.time[at]!,
    writes: page.writes[at]!,
    writtenBytes: page.writtenBytes[at]!,
    clearedBytes: page.clearedBytes[at]!,
    flushLsn: page.flushLsn[at]!,
  };
}

/** Encodes a page. @returns the length in `into`, which holds PAGE_RAW_MAX bytes */
export function encodeChroniclePage(page: ChroniclePage, into: Uint8Array): number {
  const { length } = page;
  const span = new Float64Array(length);
  const flush = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const last = page.lastLsn[i]!;
    span[i] = last - page.firstLsn[i]!;
    const ahead = page.flushLsn[i]! - last;
    if (page.flushLsn[i] !== 0) flush[i] = 1 + (ahead < 0 ? -2 * ahead - 1 : 2 * ahead);
  }
  let at = 0;
  for (const name of COLUMNS) {
    const column = name === "lastLsn" ? span : name === "flushLsn" ? flush : page[name];
    at = encodeSigned(column, length, into, at);
  }
  return at;
}

/** Decodes and checks a raw page. @returns what is wrong with it, when it is not the page that the index describes */
export function decodeChroniclePage(raw: Uint8Array, info: ChroniclePageInfo): ChroniclePage | string {
  const page = emptyChroniclePage(info.rows);
  page.length = info.rows;
  let at = 0;
  for (const name of COLUMNS) at = decodeSigned(raw, at, info.rows, page[name]);
  if (at !== raw.length) return "its columns do not fit its length";
  for (const name of COLUMNS) {
    const column = page[name];
    for (let i = 0; i < info.rows; i++) {
      if (!(column[i]! >= 0 && column[i]! <= Number.MAX_SAFE_INTEGER)) return `row ${i} has ${name} ${column[i]}`;
    }
  }
  let lastLsn = 0;
  for (let i = 0; i < info.rows; i++) {
    const last = (page.lastLsn[i]! += page.firstLsn[i]!);
    const flush = page.flushLsn[i]!;
    // Odd codes are at or after the last LSN, even ones before it.
    if (flush !== 0) page.flushLsn[i] = flush % 2 === 1 ? last + (flush - 1) / 2 : last - flush / 2;
    if (page.flushLsn[i]! < 0 || page.strand[i]! >= 2 ** 32) return `row ${i} is impossible`;
    if (i > 0 && (page.firstLsn[i]! < page.firstLsn[i - 1]! || page.time[i]! < page.time[i - 1]!))
      return `row ${i} is out of order`;
    lastLsn = Math.max(lastLsn, highestLsn(page, i));
  }
  const end = info.rows - 1;
  const agrees =
    page.firstLsn[0] === info.firstLsn &&
    lastLsn === info.lastLsn &&
    page.time[0] === info.firstTime &&
    page.time[end] === info.lastTime;
  return agrees ? page : "its rows differ from the index";
}

/** Highest LSN of a row, its flush point included. */
export function highestLsn(page: ChroniclePage, at: number): number {
  return Math.max(page.lastLsn[at]!, page.flushLsn[at]!);
}

/** Sums up a page by strand; undefined if it has more than {@link TOTALS_MAX} strands. */
export function totalsOf(page: ChroniclePage): StrandTotals[] | undefined {
  const totals = new Map<number, StrandTotals>();
  for (let i = 0; i < page.length; i++) {
    const strand = page.strand[i]!;
    let total = totals.get(strand);
    if (!total) {
      if (totals.size === TOTALS_MAX) return undefined;
      total = { strand, rows: 0, writes: 0, writtenBytes: 0, clearedBytes: 0, flushPoints: 0, lastLsn: 0 };
      totals.set(strand, total);
    }
    total.rows++;
    total.writes += page.writes[i]!;
    total.writtenBytes += page.writtenBytes[i]!;
    total.clearedBytes += page.clearedBytes[i]!;
    total.flushPoints += page.flushLsn[i] === 0 ? 0 : 1;
    total.lastLsn = Math.max(total.lastLsn, highestLsn(page, i));
  }
  return [...totals.values()].sort((a, b) => a.strand - b.strand);
}
