/**
 * The page index of a layer in memory, as columns (72 bytes per page), read from hostile bytes: what stands here after
 * {@link readLayerIndex} is in order, in range and within the file (layout in layer-format.ts).
 */
import { PAGE_ROWS_MAX, readU64 } from "../files/column-page.ts";
import {
  COVERAGE_RECORD_SIZE,
  hasShard,
  INDEX_END,
  PAGE_RECORD_SIZE,
  SHARD_SHIFT,
  type LayerMeta,
  type LayerPageBounds,
} from "./layer-format.ts";
import type { Level } from "../map.ts";
import { FILE_PAGES_MAX } from "../files/page-cache.ts";
import type { PagedFile, PagePlace } from "../files/paged-file.ts";

/** One element per page in each column. */
export interface LayerIndex {
  count: number;
  strand: Uint32Array;
  level: Uint8Array;
  firstIndex: Uint32Array;
  lastIndex: Uint32Array;
  minLsn: Float64Array;
  maxLsn: Float64Array;
  entries: Uint16Array;
  offset: Float64Array;
  storedLength: Uint32Array;
  rawLength: Uint32Array;
  checksum: BigUint64Array;
}

/**
 * Reads the index of an open file and compares it with what the manifest says.
 * @throws corrupt: it says what cannot be, or something else than the manifest
 */
export function readLayerIndex(file: PagedFile, meta: LayerMeta): LayerIndex {
  const { trailer, index } = file;
  const [firstLsn, lastLsn, xor, coverage] = trailer.words;
  const count = trailer.pageCount;
  const coverageBytes = index.length - count * PAGE_RECORD_SIZE;
  if (count > FILE_PAGES_MAX || coverageBytes !== Number(coverage) * COVERAGE_RECORD_SIZE) {
    throw file.badIndex(`${index.length} bytes do not hold ${count} pages and ${coverage} covered shards`);
  }
  const agrees =
    firstLsn === BigInt(meta.firstLsn) &&
    lastLsn === BigInt(meta.lastLsn) &&
    xor === BigInt(`0x${meta.xor}`) &&
    trailer.rows === meta.entries;
  if (!agrees) throw file.badIndex("LSN range, entries or xor are not what the manifest says");

  const view = new DataView(index.buffer, index.byteOffset, index.length);
  const table: LayerIndex = {
    count,
    strand: new Uint32Array(count),
    level: new Uint8Array(count),
    firstIndex: new Uint32Array(count),
    lastIndex: new Uint32Array(count),
    minLsn: new Float64Array(count),
    maxLsn: new Float64Array(count),
    entries: new Uint16Array(count),
    offset: new Float64Array(count),
    storedLength: new Uint32Array(count),
    rawLength: new Uint32Array(count),
    checksum: new BigUint64Array(count),
  };
  const shardsOf = new Map(meta.shards.map(({ strand, shards }) => [strand, shards]));
  let end = file.firstPageOffset;
  let rows = 0;
  for (let page = 0; page < count; page++) {
    const at = page * PAGE_RECORD_SIZE;
    const strand = (table.strand[page] = view.getUint32(at, true));
    const level = view.getUint32(at + 4, true);
    const first = (table.firstIndex[page] = view.getUint32(at + 8, true));
    const last = (table.lastIndex[page] = view.getUint32(at + 12, true));
    const minLsn = (table.minLsn[page] = readU64(view, at + 16));
    const maxLsn = (table.maxLsn[page] = readU64(view, at + 24));
    const entries = view.getUint32(at + 32, true);
    const place: PagePlace = {
      page,
      offset: readU64(view, at + 40),
      storedLength: view.getUint32(at + 48, true),
      rawLength: view.getUint32(at + 52, true),
      checksum: view.getBigUint64(at + 56, true),
    };
    if (!file.fits(place, end)) throw file.badIndex(`page ${page} lies at ${place.offset}, +${place.storedLength}`);
    if (level > 2 || first > last || last >= INDEX_END[level as Level] || entries < 1 || entries > PAGE_ROWS_MAX) {
      throw file.badIndex(
        `page ${page} cannot hold ${entries} entries of places ${first} to ${last} of level ${level}`,
      );
    }
    if (minLsn > maxLsn || maxLsn > meta.lastLsn || (meta.kind === "delta" && minLsn < meta.firstLsn)) {
      throw file.badIndex(`page ${page} has LSNs ${minLsn} to ${maxLsn}`);
    }
    if (page > 0 && !follows(table, page, level)) throw file.badIndex(`page ${page} is out of order`);
    const shards = shardsOf.get(strand) ?? [];
    const shift = SHARD_SHIFT[level as Level];
    if (!hasShard(shards, first >>> shift) || !hasShard(shards, last >>> shift)) {
      throw file.badIndex(`page ${page} lies in a shard that the manifest does not name`);
    }
    table.level[page] = level;
    table.entries[page] = entries;
    table.offset[page] = place.offset;
    table.storedLength[page] = place.storedLength;
    table.rawLength[page] = place.rawLength;
    table.checksum[page] = place.checksum;
    end = place.offset + place.storedLength;
    rows += entries;
  }
  if (end !== trailer.indexOffset || rows !== trailer.rows) throw file.badIndex("its pages do not fill the file");
  checkCoverage(file, meta, view, count * PAGE_RECORD_SIZE);
  return table;
}

function follows(table: LayerIndex, page: number, level: number): boolean {
  const strand = table.strand[page]! - table.strand[page - 1]!;
  if (strand !== 0) return strand > 0;
  const before = table.level[page - 1]!;
  return level > before || (level === before && table.firstIndex[page]! >= table.lastIndex[page - 1]!);
}

function checkCoverage(file: PagedFile, meta: LayerMeta, view: DataView, start: number): void {
  let at = start;
  for (const { strand, shards } of meta.coverage ?? []) {
    for (const shard of shards) {
      const same = at + COVERAGE_RECORD_SIZE <= view.byteLength && view.getUint32(at, true) === strand;
      if (!same || view.getUint32(at + 4, true) !== shard)
        throw file.badIndex("covered shards differ from the manifest's");
      at += COVERAGE_RECORD_SIZE;
    }
  }
  if (at !== view.byteLength) throw file.badIndex("covers more shards than the manifest says");
}

/** What the entries of a page must obey. */
export function boundsOf(table: LayerIndex, page: number): LayerPageBounds {
  return {
    strand: table.strand[page]!,
    level: table.level[page] as Level,
    entries: table.entries[page]!,
    firstIndex: table.firstIndex[page]!,
    lastIndex: table.lastIndex[page]!,
    minLsn: table.minLsn[page]!,
    maxLsn: table.maxLsn[page]!,
  };
}

/** Where a page lies. */
export function placeOf(table: LayerIndex, page: number): PagePlace {
  return {
    page,
    offset: table.offset[page]!,
    storedLength: table.storedLength[page]!,
    rawLength: table.rawLength[page]!,
    checksum: table.checksum[page]!,
  };
}
