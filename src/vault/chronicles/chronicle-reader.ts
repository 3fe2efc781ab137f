/**
 * Reads chronicles (layout in chronicle-format.ts). The page index stays in memory (about 200 bytes and the totals per 4,096 rows), so a
 * timeline decodes only the pages that an edge between two of its intervals cuts.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import { isSternwayError, type SternwayError } from "../../base/errors.ts";
import type { Turn } from "../../base/turns.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import {
  CHRONICLE_RECORD_SIZE,
  decodeChroniclePage,
  highestLsn,
  rowAt,
  TOTAL_RECORD_SIZE,
  TOTALS_MAX,
  type ChronicleMeta,
  type ChroniclePage,
  type ChroniclePageInfo,
  type ChronicleRow,
  type StrandTotals,
} from "./chronicle-format.ts";
import { PAGE_ROWS_MAX, readU64 } from "../files/column-page.ts";
import { FILE_PAGES_MAX, type PageCache } from "../files/page-cache.ts";
import { PagedFile, type PagePlace } from "../files/paged-file.ts";

export interface OpenChronicleOptions {
  disk: Disk;
  path: string;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** As the manifest says; the file must agree. */
  meta: ChronicleMeta;
  cache: PageCache<ChroniclePage>;
}

/** Which rows; everything that is not given is not asked for. */
export interface ChronicleRange {
  /** Times in `[fromTime, toTime)`. */
  fromTime?: number;
  toTime?: number;
  strand?: number;
  /** Rows with an LSN or flush point in `(afterLsn, throughLsn]`; a row that lies across an end comes whole. */
  afterLsn?: number;
  throughLsn?: number;
  /** Only rows with a flush point. */
  flushPoints?: boolean;
}

/** Sums over an interval. */
export interface ChronicleTally {
  writes: number;
  writtenBytes: number;
  clearedBytes: number;
  flushPoints: number;
  /** Highest LSN, flush points included; 0: none. */
  lastLsn: number;
}

export interface TallyQuery {
  strand: number;
  /** Ascending times: interval i is `[edges[i], edges[i + 1])`. */
  edges: readonly number[];
  /** Rows count whose first LSN lies in `(afterLsn, throughLsn]`. */
  afterLsn?: number;
  throughLsn?: number;
}

export const emptyTally = (): ChronicleTally => ({
  writes: 0,
  writtenBytes: 0,
  clearedBytes: 0,
  flushPoints: 0,
  lastLsn: 0,
});

/**
 * Opens a chronicle and checks header, trailer and index, and that they are what the manifest says.
 * @throws not_found; corrupt: damaged, foreign, or not the file of this meta
 */
export async function openChronicle(options: OpenChronicleOptions): Promise<ChronicleReader> {
  const { disk, path, vaultId, cipher, meta, cache } = options;
  const file = await PagedFile.open(disk, path, { vaultId, cipher, id: meta.id, kind: "chronicle" }, meta.sizeBytes);
  try {
    const [infos, places] = readIndex(file, meta);
    return new ChronicleReader(file, meta, infos, places, cache);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function readIndex(file: PagedFile, meta: ChronicleMeta): [ChroniclePageInfo[], PagePlace[]] {
  const { trailer, index } = file;
  const expected = [meta.firstLsn, meta.lastLsn, meta.firstTime, meta.lastTime].map(BigInt);
  if (trailer.rows !== meta.rows || expected.some((word, i) => trailer.words[i] !== word)) {
    throw file.badIndex("LSNs, times or rows are not what the manifest says");
  }
  if (trailer.pageCount > FILE_PAGES_MAX) throw file.badIndex(`${trailer.pageCount} pages`);
  const view = new DataView(index.buffer, index.byteOffset, index.length);
  const infos: ChroniclePageInfo[] = [];
  const places: PagePlace[] = [];
  let at = 0;
  let end = file.firstPageOffset;
  let rows = 0;
  for (let page = 0; page < trailer.pageCount; page++) {
    // The length first: a count of pages that the index does not hold ends here.
    if (at + CHRONICLE_RECORD_SIZE > index.length) throw file.badIndex(`ends within page ${page}`);
    const info: ChroniclePageInfo = {
      page,
      firstLsn: readU64(view, at),
      lastLsn: readU64(view, at + 8),
      firstTime: readU64(view, at + 16),
      lastTime: readU64(view, at + 24),
      rows: view.getUint32(at + 32, true),
      totals: undefined,
    };
    const place: PagePlace = {
      page,
      offset: readU64(view, at + 40),
      storedLength: view.getUint32(at + 48, true),
      rawLength: view.getUint32(at + 52, true),
      checksum: view.getBigUint64(at + 56, true),
    };
    const strands = view.getUint32(at + 36, true);
    at += CHRONICLE_RECORD_SIZE;
    if (!file.fits(place, end)) throw file.badIndex(`page ${page} lies at ${place.offset}, +${place.storedLength}`);
    if (info.rows < 1 || info.rows > PAGE_ROWS_MAX || info.firstLsn > info.lastLsn || info.lastLsn > meta.lastLsn) {
      throw file.badIndex(`page ${page} cannot have ${info.rows} rows of LSNs ${info.firstLsn} to ${info.lastLsn}`);
    }
    const before = infos.at(-1);
    const early = before !== undefined && (info.firstLsn < before.firstLsn || info.firstTime < before.lastTime);
    if (early || info.firstTime > info.lastTime || info.lastTime > meta.lastTime || info.firstTime < meta.firstTime) {
      throw file.badIndex(`page ${page} is out of order`);
    }
    if (strands > TOTALS_MAX || at + strands * TOTAL_RECORD_SIZE > index.length)
      throw file.badIndex(`page ${page} has ${strands} totals`);
    if (strands > 0) info.totals = readTotals(file, view, at, strands, info);
    at += strands * TOTAL_RECORD_SIZE;
    infos.push(info);
    places.push(place);
    end = place.offset + place.storedLength;
    rows += info.rows;
  }
  if (at !== index.length || end !== trailer.indexOffset || rows !== trailer.rows)
    throw file.badIndex("its pages do not fill the file");
  return [infos, places];
}

function readTotals(
  file: PagedFile,
  view: DataView,
  start: number,
  count: number,
  info: ChroniclePageInfo,
): StrandTotals[] {
  const totals: StrandTotals[] = [];
  let rows = 0;
  for (let i = 0; i < count; i++) {
    const at = start + i * TOTAL_RECORD_SIZE;
    const total: StrandTotals = {
      strand: view.getUint32(at, true),
      rows: view.getUint32(at + 4, true),
      writes: readU64(view, at + 8),
      writtenBytes: readU64(view, at + 16),
      clearedBytes: readU64(view, at + 24),
      flushPoints: view.getUint32(at + 32, true),
      lastLsn: readU64(view, at + 40),
    };
    if (total.strand <= (totals.at(-1)?.strand ?? -1))
      throw file.badIndex(`totals of page ${info.page} are out of order`);
    totals.push(total);
    rows += total.rows;
  }
  if (rows !== info.rows) throw file.badIndex(`totals of page ${info.page} have ${rows} of ${info.rows} rows`);
  return totals;
}

/** An open chronicle. Any number of calls may run at once. */
export class ChronicleReader {
  readonly meta: ChronicleMeta;
  readonly #file: PagedFile;
  readonly #infos: readonly ChroniclePageInfo[];
  readonly #places: readonly PagePlace[];
  readonly #cache: PageCache<ChroniclePage>;
  readonly #owner: number;
  /** Highest LSN of pages [0, i]. */
  readonly #lastLsns: Float64Array;

  constructor(
    file: PagedFile,
    meta: ChronicleMeta,
    infos: readonly ChroniclePageInfo[],
    places: readonly PagePlace[],
    cache: PageCache<ChroniclePage>,
  ) {
    this.#file = file;
    this.meta = meta;
    this.#infos = infos;
    this.#places = places;
    this.#cache = cache;
    this.#owner = cache.newOwner();
    this.#lastLsns = new Float64Array(infos.length);
    for (const [i, { lastLsn }] of infos.entries()) this.#lastLsns[i] = Math.max(lastLsn, this.#lastLsns[i - 1] ?? 0);
  }

  /** The highest LSN among rows with a time of at most `time`; undefined: `time` lies before the first row. @throws corrupt */
  async lsnAt(time: number): Promise<number | undefined> {
    const page = lastWhere(this.#infos.length, (i) => this.#infos[i]!.firstTime <= time);
    if (page < 0) return undefined;
    if (this.#infos[page]!.lastTime <= time) return this.#lastLsns[page]!;
    const rows = await this.#load(page);
    // Rows of one group share a time but not an order of their last LSNs: take the highest of all up to here.
    let highest = page > 0 ? this.#lastLsns[page - 1]! : 0;
    for (let i = 0; i < rows.length && rows.time[i]! <= time; i++) highest = Math.max(highest, highestLsn(rows, i));
    return highest;
  }

  /** The time of the last row with a first LSN of at most `lsn`; undefined: there is none. @throws corrupt */
  async timeAt(lsn: number): Promise<number | undefined> {
    const page = lastWhere(this.#infos.length, (i) => this.#infos[i]!.firstLsn <= lsn);
    if (page < 0) return undefined;
    const rows = await this.#load(page);
    return rows.time[lastWhere(rows.length, (i) => rows.firstLsn[i]! <= lsn)]!;
  }

  /** What the index says of the pages that may hold rows of a range, in order. Reads nothing. */
  pages(range: ChronicleRange = {}): ChroniclePageInfo[] {
    const {
      fromTime = -Infinity,
      toTime = Infinity,
      afterLsn = -1,
      throughLsn = Infinity,
      strand,
      flushPoints,
    } = range;
    return this.#infos.filter((info) => {
      if (info.lastTime < fromTime || info.firstTime >= toTime) return false;
      if (info.lastLsn <= afterLsn || info.firstLsn > throughLsn) return false;
      if (!info.totals) return true;
      return info.totals.some(
        (total) => (strand === undefined || total.strand === strand) && (flushPoints !== true || total.flushPoints > 0),
      );
    });
  }

  /** Rows of a range, oldest first. @param isBackwards - newest first @throws corrupt */
  async *rows(range: ChronicleRange = {}, isBackwards = false): AsyncGenerator<ChronicleRow, void, undefined> {
    const {
      fromTime = -Infinity,
      toTime = Infinity,
      afterLsn = -1,
      throughLsn = Infinity,
      strand,
      flushPoints,
    } = range;
    const pages = this.pages(range);
    if (isBackwards) pages.reverse();
    for (const info of pages) {
      const page = await this.#load(info.page);
      for (let step = 0; step < page.length; step++) {
        const i = isBackwards ? page.length - 1 - step : step;
        if (page.time[i]! < fromTime || page.time[i]! >= toTime) continue;
        if (highestLsn(page, i) <= afterLsn || page.firstLsn[i]! > throughLsn) continue;
        if (strand !== undefined && page.strand[i] !== strand) continue;
        if (flushPoints === true && page.flushLsn[i] === 0) continue;
        yield rowAt(page, i);
      }
    }
  }

  /** Every page, in order: its rows, or its error and what the index says of it. */
  async *inspect(): AsyncGenerator<{ info: ChroniclePageInfo; rows: ChronicleRow[] | SternwayError }, void, undefined> {
    for (const info of this.#infos) {
      try {
        const page = await this.#load(info.page);
        yield { info, rows: Array.from({ length: page.length }, (_, i) => rowAt(page, i)) };
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        yield { info, rows: error };
      }
    }
  }

  /**
   * Adds this chronicle's rows to the intervals of a timeline. A page is decoded only where an edge or an end of the LSN range cuts it.
   * @param into - one tally per interval; several chronicles may be added up in it
   * @param turn - ends after a page when it is over: pages lie in memory as a rule, and a long history has hundreds
   * @throws corrupt
   */
  async tally(query: TallyQuery, into: readonly ChronicleTally[], turn?: Turn): Promise<void> {
    const { strand, edges, afterLsn = -1, throughLsn = Infinity } = query;
    assert(edges.length >= 2 && into.length === edges.length - 1, "one tally per interval");
    const from = edges[0]!;
    const to = edges[edges.length - 1]!;
    for (const info of this.pages({ strand, fromTime: from, toTime: to, afterLsn, throughLsn })) {
      const interval = intervalOf(edges, info.firstTime);
      const whole = interval >= 0 && info.firstLsn > afterLsn && info.lastLsn <= throughLsn;
      const total = info.totals?.find((each) => each.strand === strand);
      if (total && whole && interval === intervalOf(edges, info.lastTime)) {
        add(into[interval]!, total);
        continue;
      }
      if (turn?.isOver === true) await turn.next();
      addRows(await this.#load(info.page), query, into);
    }
  }

  #load(page: number): Promise<ChroniclePage> {
    return this.#cache.load(this.#owner + page, async () => {
      const place = this.#places[page]!;
      const info = this.#infos[page]!;
      const decoded = await this.#file.readPage(place, (raw) => decodeChroniclePage(raw, info));
      if (typeof decoded === "string") throw this.#file.damage(place, decoded);
      return decoded;
    });
  }

  /** Closes the file and gives its cached pages up. Idempotent. */
  async close(): Promise<void> {
    this.#cache.forget(this.#owner, this.#infos.length);
    await this.#file.close();
  }
}

/** The highest i in [0, count) for which `holds(i)`, which is true up to some point and false after it; -1: none. */
function lastWhere(count: number, holds: (i: number) => boolean): number {
  let start = 0;
  let end = count;
  while (start < end) {
    const middle = (start + end) >>> 1;
    if (holds(middle)) start = middle + 1;
    else end = middle;
  }
  return start - 1;
}

/** The interval that holds a time; -1 before the first edge, `edges.length - 1` from the last on. */
function intervalOf(edges: readonly number[], time: number): number {
  return lastWhere(edges.length, (i) => edges[i]! <= time);
}

/** Adds a page's rows to the intervals. Times never fall within a page, so each interval is one run of rows, found by its end. */
function addRows(page: ChroniclePage, query: TallyQuery, into: readonly ChronicleTally[]): void {
  const { strand: wanted, edges, afterLsn = -1, throughLsn = Infinity } = query;
  const { length, strand, firstLsn, lastLsn, time, writes, writtenBytes, clearedBytes, flushLsn } = page;
  const last = edges.length - 1;
  let at = lastWhere(length, (i) => time[i]! < edges[0]!) + 1;
  while (at < length && time[at]! < edges[last]!) {
    const interval = intervalOf(edges, time[at]!);
    const before = edges[interval + 1]!;
    const sum = emptyTally();
    for (; at < length && time[at]! < before; at++) {
      if (strand[at] !== wanted || firstLsn[at]! <= afterLsn || firstLsn[at]! > throughLsn) continue;
      const flush = flushLsn[at]!;
      sum.writes += writes[at]!;
      sum.writtenBytes += writtenBytes[at]!;
      sum.clearedBytes += clearedBytes[at]!;
      if (flush !== 0) sum.flushPoints++;
      sum.lastLsn = Math.max(sum.lastLsn, Math.min(Math.max(lastLsn[at]!, flush), throughLsn));
    }
    add(into[interval]!, sum);
  }
}

function add(into: ChronicleTally, more: ChronicleTally): void {
  into.writes += more.writes;
  into.writtenBytes += more.writtenBytes;
  into.clearedBytes += more.clearedBytes;
  into.flushPoints += more.flushPoints;
  into.lastLsn = Math.max(into.lastLsn, more.lastLsn);
}
