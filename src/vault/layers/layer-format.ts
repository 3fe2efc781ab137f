/**
 * Layers: immutable sorted files of the block map. A *delta* holds every entry made in an LSN range; an *image* says what every
 * block of some shards holds at one LSN. Which layers exist is the manifest's to say, and with the packs they are the whole
 * truth about sealed history.
 *
 * The frame is paged-file.ts's. Entries are sorted by (strand, level, index, lsn), one per place and LSN; a page holds up to
 * 4,096 entries of one strand and level as three columns: index (ascending), lsn, target (signed). Runs need no format of
 * their own: sequential writes give columns whose differences repeat, 4,096 of them in some 60 bytes.
 *
 * Index, one record of 64 bytes per page, then one of 8 bytes per covered shard (images):
 *
 *       0  4  strand              16  8  lowest LSN          40  8  offset
 *       4  4  level               24  8  highest LSN         48  4  stored length
 *       8  4  first place index   32  4  entries             52  4  raw length
 *      12  4  last place index    36  4  zero                56  8  checksum of the stored page
 *
 *       0  4  strand               4  4  shard
 *
 * Trailer words: first LSN, last LSN, xor of the entries, covered shards, 0, 0.
 *
 * The xor is over a 64-bit mix of every entry, so it depends on the set of entries and not on their order or layers: a merge that loses,
 * doubles or alters one is found before its output is published. It finds defects; it does not resist malice.
 *
 * A file that is damaged gives `corrupt`, and a hostile one cannot make a reader allocate or loop beyond its own size; entries
 * are checked again after decoding (order, ranges, targets), so that no later code meets impossible ones.
 */
import { decodeAscending, decodeSigned, encodeAscending, encodeSigned } from "../files/column-page.ts";
import { LEVEL_SHIFT, TARGET_ADDRESS_MIN, TARGET_ZERO, type Level } from "../map.ts";

export const PAGE_RECORD_SIZE = 64;
export const COVERAGE_RECORD_SIZE = 8;

/** Shards of one strand, ascending. */
export interface ShardList {
  strand: number;
  shards: number[];
}

/** What the manifest stores of a layer: plain data, fit for JSON. */
export interface LayerMeta {
  id: number;
  kind: "delta" | "image";
  /** Delta: the layer holds every entry of `[firstLsn, lastLsn]`. Image: valid for moments from `lastLsn` on. */
  firstLsn: number;
  lastLsn: number;
  entries: number;
  sizeBytes: number;
  /** XXH64 of the file's bytes, seed 0, as 16 hex digits. */
  checksum: string;
  /** XOR of {@link EntryMix} over all entries, as 16 hex digits. */
  xor: string;
  /** Shards in which some entry lies; entries of levels 1 and 2 count for the shard they cover. */
  shards: ShardList[];
  /** Images only: what they speak for, by (strand, shard); a block there without an entry is a hole. */
  coverage?: ShardList[];
}

/** Entries of one strand and level as columns, sorted by (index, lsn). */
export interface LayerPage {
  strand: number;
  level: Level;
  length: number;
  index: Uint32Array;
  lsn: Float64Array;
  target: Float64Array;
  /** Memory it takes. */
  sizeBytes: number;
}

/** log2 of places per shard, by level. */
export const SHARD_SHIFT = [LEVEL_SHIFT[2], LEVEL_SHIFT[2] - LEVEL_SHIFT[1], 0] as const;
/** First index past the largest volume (2^32 blocks), by level. */
export const INDEX_END = [2 ** 32, 2 ** 24, 2 ** 14] as const;

/** Encodes a page's columns. @returns the length in `into`, which holds PAGE_RAW_MAX bytes */
export function encodeLayerPage(page: LayerPage, into: Uint8Array): number {
  let at = encodeAscending(page.index, page.length, into, 0);
  at = encodeSigned(page.lsn, page.length, into, at);
  return encodeSigned(page.target, page.length, into, at);
}

/** What the index says of a page and its entries must obey. */
export interface LayerPageBounds {
  strand: number;
  level: Level;
  entries: number;
  firstIndex: number;
  lastIndex: number;
  minLsn: number;
  maxLsn: number;
}

/** Decodes and checks a raw page. @returns what is wrong with it, when it is not a page */
export function decodeLayerPage(raw: Uint8Array, bounds: LayerPageBounds): LayerPage | string {
  const { strand, level, entries } = bounds;
  const index = new Uint32Array(entries);
  const lsn = new Float64Array(entries);
  const target = new Float64Array(entries);
  let at = decodeAscending(raw, 0, entries, index);
  at = decodeSigned(raw, at, entries, lsn);
  at = decodeSigned(raw, at, entries, target);
  if (at !== raw.length) return "its columns do not fit its length";
  const page = { strand, level, length: entries, index, lsn, target, sizeBytes: entries * 20 + 200 };
  const wrong = checkEntries(page, bounds);
  return wrong ?? page;
}

function checkEntries(page: LayerPage, bounds: LayerPageBounds): string | undefined {
  const { length, index, lsn, target } = page;
  if (index[0] !== bounds.firstIndex || index[length - 1] !== bounds.lastIndex)
    return "its places differ from the index";
  let minLsn = Infinity;
  let maxLsn = -1;
  let previousIndex = -1;
  let previousLsn = -1;
  const targetMax = page.level === 0 ? Number.MAX_SAFE_INTEGER : TARGET_ZERO;
  for (let i = 0; i < length; i++) {
    const place = index[i]!;
    const entryLsn = lsn[i]!;
    const held = target[i]!;
    if (place < previousIndex || (place === previousIndex && entryLsn <= previousLsn))
      return `entry ${i} is out of order`;
    if (held < 0 || held > targetMax || (held > TARGET_ZERO && held < TARGET_ADDRESS_MIN))
      return `entry ${i} has target ${held}`;
    if (entryLsn < minLsn) minLsn = entryLsn;
    if (entryLsn > maxLsn) maxLsn = entryLsn;
    previousIndex = place;
    previousLsn = entryLsn;
  }
  return minLsn === bounds.minLsn && maxLsn === bounds.maxLsn ? undefined : "its LSNs differ from the index";
}

/** XOR of 64-bit mixes of entries; the order in which they are added does not matter, and adding one twice takes it away. */
export class EntryMix {
  #low = 0;
  #high = 0;

  /** Adds all entries of a page. */
  add(page: LayerPage): void {
    const { index, lsn, target, length } = page;
    const seed = Math.imul(page.strand, 0x9e3779b1) ^ (page.level + 1);
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < length; i++) {
      const entryLsn = lsn[i]!;
      const held = target[i]!;
      let a = seed;
      let b = seed ^ 0x5bd1e995;
      const place = index[i]!;
      a = round(a, place, 0x85ebca6b);
      b = round(b, place, 0xc2b2ae35);
      const lsnLow = entryLsn >>> 0;
      a = round(a, lsnLow, 0x85ebca6b);
      b = round(b, lsnLow, 0xc2b2ae35);
      const targetLow = held >>> 0;
      a = round(a, targetLow, 0x85ebca6b);
      b = round(b, targetLow, 0xc2b2ae35);
      // The high halves are below 2^21 each: one word for both.
      const upper = ((((entryLsn - lsnLow) / 2 ** 32) << 11) ^ ((held - targetLow) / 2 ** 32)) | 0;
      a = round(a, upper, 0x85ebca6b);
      b = round(b, upper, 0xc2b2ae35);
      low ^= finish(a);
      high ^= finish(b);
    }
    this.#low = low;
    this.#high = high;
  }

  /** Takes in a mix given as hex, as from {@link LayerMeta}.xor. */
  addHex(hex: string): void {
    this.#high ^= parseInt(hex.slice(0, 8), 16);
    this.#low ^= parseInt(hex.slice(8), 16);
  }

  hex(): string {
    const half = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return half(this.#high) + half(this.#low);
  }
}

function round(state: number, word: number, factor: number): number {
  const mixed = Math.imul(word ^ (word >>> 15), factor) ^ state;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 0x27d4eb2f) + 0x165667b1) | 0;
}

function finish(state: number): number {
  let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** True if `shard` is in an ascending list. */
export function hasShard(shards: readonly number[], shard: number): boolean {
  let start = 0;
  let end = shards.length;
  while (start < end) {
    const middle = (start + end) >>> 1;
    if (shards[middle]! < shard) start = middle + 1;
    else end = middle;
  }
  return shards[start] === shard;
}
