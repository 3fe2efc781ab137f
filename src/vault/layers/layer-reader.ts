/**
 * Reads one layer (layout in layer-format.ts): the page index stays in memory (72 bytes per page), pages are decoded into a shared
 * cache. Looking up a window costs a binary search over the page index and one within each page that it meets.
 */
import type { Disk } from "../../base/disk.ts";
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import {
  decodeLayerPage,
  EntryMix,
  hasShard,
  type LayerMeta,
  type LayerPage,
  type LayerPageBounds,
  type ShardList,
} from "./layer-format.ts";
import { boundsOf, placeOf, readLayerIndex, type LayerIndex } from "./layer-index.ts";
import {
  emptyResolution,
  offer,
  SHARD_BLOCKS,
  TARGET_HOLE,
  type EntryColumns,
  type Level,
  type Resolution,
} from "../map.ts";
import type { PageCache } from "../files/page-cache.ts";
import { PagedFile } from "../files/paged-file.ts";

export interface OpenLayerOptions {
  disk: Disk;
  path: string;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** As the manifest says; the file must agree. */
  meta: LayerMeta;
  cache: PageCache<LayerPage>;
}

/** Which pages an iteration visits: all that may hold such entries, so a page may bring others along. */
export interface LayerRange {
  strand?: number;
  /** Levels `[levelMin, levelMax]`. */
  levelMin?: Level;
  levelMax?: Level;
  /** Blocks `[firstBlock, endBlock)`, on every level. */
  firstBlock?: number;
  endBlock?: number;
  /** LSNs in `(afterLsn, throughLsn]`. */
  afterLsn?: number;
  throughLsn?: number;
}

/** Blocks per place, by level. */
const PLACE_BLOCKS = [1, 256, SHARD_BLOCKS] as const;

/** Pages of one (strand, level): `[start, end)`. */
interface PageGroup {
  start: number;
  end: number;
}

/**
 * Opens a layer and checks its header, trailer and page index, and that they are what the manifest says.
 * @throws not_found; corrupt: damaged, foreign, or not the file of this meta
 */
export async function openLayer(options: OpenLayerOptions): Promise<LayerReader> {
  const { disk, path, vaultId, cipher, meta, cache } = options;
  const file = await PagedFile.open(disk, path, { vaultId, cipher, id: meta.id, kind: meta.kind }, meta.sizeBytes);
  try {
    return new LayerReader(file, meta, readLayerIndex(file, meta), cache);
  } catch (error) {
    await file.close();
    throw error;
  }
}

const asMap = (lists: readonly ShardList[]): Map<number, readonly number[]> =>
  new Map(lists.map(({ strand, shards }) => [strand, shards]));

/** An open layer. Any number of calls may run at once. */
export class LayerReader {
  readonly meta: LayerMeta;
  readonly #file: PagedFile;
  readonly #table: LayerIndex;
  readonly #cache: PageCache<LayerPage>;
  readonly #owner: number;
  readonly #shards: Map<number, readonly number[]>;
  readonly #coverage: Map<number, readonly number[]>;
  /** By strand: its pages of levels 0, 1 and 2. */
  readonly #groups = new Map<number, [PageGroup, PageGroup, PageGroup]>();

  constructor(file: PagedFile, meta: LayerMeta, table: LayerIndex, cache: PageCache<LayerPage>) {
    this.#file = file;
    this.meta = meta;
    this.#table = table;
    this.#cache = cache;
    this.#owner = cache.newOwner();
    this.#shards = asMap(meta.shards);
    this.#coverage = asMap(meta.coverage ?? []);
    for (let page = 0; page < table.count; page++) {
      const strand = table.strand[page]!;
      let groups = this.#groups.get(strand);
      if (!groups) this.#groups.set(strand, (groups = [emptyGroup(), emptyGroup(), emptyGroup()]));
      const group = groups[table.level[page] as Level];
      if (group.end === 0) group.start = page;
      group.end = page + 1;
    }
  }

  /** Images: whether this layer speaks for a block. */
  covers(strand: number, block: number): boolean {
    const shards = this.#coverage.get(strand);
    return shards !== undefined && hasShard(shards, Math.floor(block / SHARD_BLOCKS));
  }

  /**
   * Offers what this layer knows of the resolution's window: the newest entry with an LSN of at most `maxLsn` for every place, on
   * all three levels. Sources may be asked in any order; newest first reads least, because pages that cannot add anything are not read.
   *
   * An image is silent about moments before its LSN. From then on it is the last word on its covered shards: a block without an entry
   * is offered as a hole *at the image's LSN* (whatever older layer is asked before or after), so nothing covered stays missing.
   *
   * @returns undefined when done (nothing here, or all pages cached), else a promise
   * @throws corrupt, with facts layer, page and offset
   */
  collect(strand: number, into: Resolution, maxLsn: number): Promise<void> | undefined {
    if (into.count === 0) return undefined;
    if (this.meta.kind === "image") return this.#collectImage(strand, into, maxLsn);
    if (maxLsn < this.meta.firstLsn || !inWindow(this.#shards, strand, into)) return undefined;
    return this.#offerPages(strand, into, maxLsn);
  }

  #collectImage(strand: number, into: Resolution, maxLsn: number): Promise<void> | undefined {
    const { lastLsn } = this.meta;
    if (maxLsn < lastLsn || !inWindow(this.#coverage, strand, into) || settled(into, 0, into.count, lastLsn))
      return undefined;
    // Collected apart: an entry that an older delta offered must not pass for one of the image's.
    const own = emptyResolution(into.firstBlock, into.count);
    for (let i = 0; i < into.count; i++) if (into.lsn[i]! > lastLsn) own.lsn[i] = Infinity;
    const pending = this.#offerPages(strand, own, lastLsn);
    if (pending) return pending.then(() => this.#applyImage(strand, own, into));
    this.#applyImage(strand, own, into);
    return undefined;
  }

  #applyImage(strand: number, own: Resolution, into: Resolution): void {
    let shardEnd = -1;
    let covered = false;
    for (let i = 0; i < into.count; i++) {
      const block = into.firstBlock + i;
      if (block >= shardEnd) {
        shardEnd = (Math.floor(block / SHARD_BLOCKS) + 1) * SHARD_BLOCKS;
        covered = this.covers(strand, block);
      }
      if (!covered || own.lsn[i] === Infinity) continue;
      if (own.lsn[i]! >= 0) offer(into, 0, block, own.lsn[i]!, own.target[i]!);
      else offer(into, 0, block, this.meta.lastLsn, TARGET_HOLE);
    }
  }

  #offerPages(strand: number, into: Resolution, maxLsn: number): Promise<void> | undefined {
    const candidates = this.#candidates(strand, into);
    for (let i = 0; i < candidates.length; i++) {
      const page = candidates[i]!;
      if (this.#useless(page, into, maxLsn)) continue;
      const known = this.#cache.get(this.#owner + page);
      if (!known) return this.#offerLoading(candidates, i, into, maxLsn);
      offerPage(known, into, maxLsn);
    }
    return undefined;
  }

  /** Goes on at `start`, where a page must be loaded. One after another: each page may spare the next ones. */
  async #offerLoading(candidates: readonly number[], start: number, into: Resolution, maxLsn: number): Promise<void> {
    for (const page of candidates.slice(start)) {
      if (this.#useless(page, into, maxLsn)) continue;
      offerPage(await this.#load(page), into, maxLsn);
    }
  }

  /** The pages that meet the window: backwards, because where one place fills several pages its newest versions spare the older ones. */
  #candidates(strand: number, window: Resolution): number[] {
    const candidates: number[] = [];
    const groups = this.#groups.get(strand);
    if (!groups) return candidates;
    for (let level: Level = 0; level <= 2; level++) {
      const group = groups[level as Level];
      if (group.start === group.end) continue;
      const start = this.#firstPage(group, firstPlace(window, level as Level));
      const high = lastPlace(window, level as Level);
      let end = start;
      while (end < group.end && this.#table.firstIndex[end]! <= high) end++;
      for (let page = end - 1; page >= start; page--) candidates.push(page);
    }
    return candidates;
  }

  /** The first page of a group with a place at or after `index`. */
  #firstPage(group: PageGroup, index: number): number {
    let start = group.start;
    let end = group.end;
    while (start < end) {
      const middle = (start + end) >>> 1;
      if (this.#table.lastIndex[middle]! < index) start = middle + 1;
      else end = middle;
    }
    return start;
  }

  /** True if no entry of the page can change the resolution. */
  #useless(page: number, into: Resolution, maxLsn: number): boolean {
    const table = this.#table;
    if (table.minLsn[page]! > maxLsn) return true;
    const blocks = PLACE_BLOCKS[table.level[page] as Level];
    const start = Math.max(table.firstIndex[page]! * blocks - into.firstBlock, 0);
    const end = Math.min((table.lastIndex[page]! + 1) * blocks - into.firstBlock, into.count);
    return settled(into, start, end, Math.min(table.maxLsn[page]!, maxLsn));
  }

  #load(page: number): Promise<LayerPage> {
    return this.#cache.load(this.#owner + page, () => this.#read(page));
  }

  async #read(page: number): Promise<LayerPage> {
    const place = placeOf(this.#table, page);
    const bounds = boundsOf(this.#table, page);
    const decoded = await this.#file.readPage(place, (raw) => decodeLayerPage(raw, bounds));
    if (typeof decoded === "string") throw this.#file.damage(place, decoded);
    return decoded;
  }

  /** Whether a page may hold entries of a strand that concern only a part of a shard. Reads nothing. */
  divides(strand: number, shard: number): boolean {
    const groups = this.#groups.get(strand);
    if (!groups) return false;
    const { firstIndex, lastIndex } = this.#table;
    return ([0, 1] as const).some((level) => {
      const places = SHARD_BLOCKS / PLACE_BLOCKS[level];
      const page = this.#firstPage(groups[level], shard * places);
      return page < groups[level].end && firstIndex[page]! < (shard + 1) * places && lastIndex[page]! >= shard * places;
    });
  }

  /** All pages that may hold entries of the range, in order, read past the cache. The caller may keep them. @throws corrupt */
  async *pages(range: LayerRange = {}): AsyncGenerator<LayerPage, void, undefined> {
    const table = this.#table;
    const {
      strand,
      levelMin = 0,
      levelMax = 2,
      firstBlock = 0,
      endBlock = Infinity,
      afterLsn = -1,
      throughLsn = Infinity,
    } = range;
    let before: { page: number; group: number; index: number; lsn: number } | undefined;
    for (let page = 0; page < table.count; page++) {
      if (strand !== undefined && table.strand[page] !== strand) continue;
      if (table.level[page]! < levelMin || table.level[page]! > levelMax) continue;
      if (table.minLsn[page]! > throughLsn || table.maxLsn[page]! <= afterLsn) continue;
      const blocks = PLACE_BLOCKS[table.level[page] as Level];
      if (table.firstIndex[page]! * blocks >= endBlock || (table.lastIndex[page]! + 1) * blocks <= firstBlock) continue;
      const next = await this.#read(page);
      if (before?.page === page - 1 && !continues(before, next)) {
        throw this.#file.damage(placeOf(table, page), "its first entry does not follow the page before");
      }
      before = { page, group: groupOf(next), index: next.index[next.length - 1]!, lsn: next.lsn[next.length - 1]! };
      yield next;
    }
  }

  /**
   * Every page, in order, read past the cache; a damaged one as its error and what the index says of it. Does not compare
   * pages with one another.
   */
  async *inspect(): AsyncGenerator<{ bounds: LayerPageBounds; page: LayerPage | SternwayError }, void, undefined> {
    for (let page = 0; page < this.#table.count; page++) {
      const bounds = boundsOf(this.#table, page);
      try {
        yield { bounds, page: await this.#read(page) };
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        yield { bounds, page: error };
      }
    }
  }

  /** {@link pages} as entry columns. */
  async *entries(range: LayerRange = {}): AsyncGenerator<EntryColumns, void, undefined> {
    for await (const { length, strand, level, index, lsn, target } of this.pages(range)) {
      const strands = new Uint32Array(length).fill(strand);
      const levels = new Uint8Array(length).fill(level);
      yield { length, strand: strands, level: levels, index, lsn, target };
    }
  }

  /** Reads every page and compares count and xor with the manifest's. @throws corrupt */
  async verify(): Promise<void> {
    const mix = new EntryMix();
    for await (const page of this.pages()) mix.add(page);
    if (mix.hex() === this.meta.xor) return;
    const { kind, id, xor } = this.meta;
    throw new SternwayError("corrupt", `${kind} ${id}: its entries give xor ${mix.hex()}, not ${xor}`, { layer: id });
  }

  /** Closes the file and gives its cached pages up. Idempotent. */
  async close(): Promise<void> {
    this.#cache.forget(this.#owner, this.#table.count);
    await this.#file.close();
  }
}

const firstPlace = (window: Resolution, level: Level): number => Math.floor(window.firstBlock / PLACE_BLOCKS[level]);
const lastPlace = (window: Resolution, level: Level): number =>
  Math.floor((window.firstBlock + window.count - 1) / PLACE_BLOCKS[level]);

/** Orders (strand, level). */
const groupOf = (page: LayerPage): number => page.strand * 4 + page.level;

/** True if a page goes on after the last entry of the one before it. */
function continues(before: { group: number; index: number; lsn: number }, next: LayerPage): boolean {
  const { group, index, lsn } = before;
  if (groupOf(next) !== group) return groupOf(next) > group;
  return next.index[0]! > index || (next.index[0] === index && next.lsn[0]! > lsn);
}

const emptyGroup = (): PageGroup => ({ start: 0, end: 0 });

/** True if one of the shards that the window meets is listed. */
function inWindow(lists: Map<number, readonly number[]>, strand: number, window: Resolution): boolean {
  const shards = lists.get(strand);
  if (!shards) return false;
  const last = Math.floor((window.firstBlock + window.count - 1) / SHARD_BLOCKS);
  for (let shard = Math.floor(window.firstBlock / SHARD_BLOCKS); shard <= last; shard++) {
    if (hasShard(shards, shard)) return true;
  }
  return false;
}

/** True if places `[start, end)` are all resolved at `bound` or later. */
function settled(into: Resolution, start: number, end: number, bound: number): boolean {
  const { lsn } = into;
  for (let i = start; i < end; i++) if (lsn[i]! < bound) return false;
  return true;
}

/** First entry at or after (index, lsn). */
function lowerBound(page: LayerPage, index: number, lsn: number): number {
  let start = 0;
  let end = page.length;
  while (start < end) {
    const middle = (start + end) >>> 1;
    const place = page.index[middle]!;
    if (place < index || (place === index && page.lsn[middle]! < lsn)) start = middle + 1;
    else end = middle;
  }
  return start;
}

/** Offers a page's newest entries up to `maxLsn` for the places that meet the window. */
function offerPage(page: LayerPage, into: Resolution, maxLsn: number): void {
  const { index, lsn, target, length, level } = page;
  const low = firstPlace(into, level);
  const high = lastPlace(into, level);
  if (low === high) {
    const at = lowerBound(page, low, maxLsn + 1) - 1;
    if (at >= 0 && index[at] === low) offer(into, level, low, lsn[at]!, target[at]!);
    return;
  }
  let at = lowerBound(page, low, 0);
  while (at < length) {
    const place = index[at]!;
    if (place > high) return;
    let newest = -1;
    while (at < length && index[at] === place) {
      if (lsn[at]! <= maxLsn) newest = at;
      at++;
    }
    if (newest >= 0) offer(into, level, place, lsn[newest]!, target[newest]!);
  }
}
