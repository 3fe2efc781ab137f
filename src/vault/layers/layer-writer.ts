/**
 * Writes one layer (layout in layer-format.ts) from sorted entries, in one pass. Memory: one page, the file buffer, 64 bytes per
 * page written and the list of shards. Nothing has the layer's name until finish() has made all of it durable.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { PAGE_RAW_MAX, PAGE_ROWS_MAX, writeU64 } from "../files/column-page.ts";
import {
  COVERAGE_RECORD_SIZE,
  encodeLayerPage,
  EntryMix,
  INDEX_END,
  PAGE_RECORD_SIZE,
  SHARD_SHIFT,
  type LayerMeta,
  type LayerPage,
  type ShardList,
} from "./layer-format.ts";
import { TARGET_ADDRESS_MIN, TARGET_ZERO, type EntryColumns, type Level } from "../map.ts";
import { FILE_PAGES_MAX } from "../files/page-cache.ts";
import { PagedFileWriter } from "../files/paged-file-writer.ts";

export interface LayerWriterOptions {
  disk: Disk;
  /** Where the layer is published; nothing may be there. */
  path: string;
  /** 16 bytes. */
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Never used before in this vault. */
  id: number;
  kind: "delta" | "image";
  /** The range that the layer speaks for; it may be wider than the LSNs of its entries. For an image only `lastLsn` counts. */
  firstLsn: number;
  lastLsn: number;
  /** Images: the shards that it speaks for, ascending by (strand, shard). */
  coverage?: ShardList[];
}

/** Sorted entries of one strand and level, as {@link LayerPage} without the bookkeeping. */
export type EntryRun = Pick<LayerPage, "strand" | "level" | "index" | "lsn" | "target">;

const raw = new Uint8Array(PAGE_RAW_MAX);

/** Use: append (awaiting what it returns) until done, then finish or abort. */
export class LayerWriter {
  readonly #options: LayerWriterOptions;
  readonly #file: PagedFileWriter;
  readonly #page: LayerPage;
  readonly #mix = new EntryMix();
  readonly #shards: ShardList[] = [];
  #records = new Uint8Array(64 * PAGE_RECORD_SIZE);
  #entries = 0;
  // Of the entry appended last, within its strand and level.
  #lastIndex = -1;
  #lastLsn = -1;
  #lastShard = -1;

  constructor(options: LayerWriterOptions) {
    const { disk, path, vaultId, cipher, id, kind, firstLsn, lastLsn } = options;
    assert(firstLsn >= 0 && firstLsn <= lastLsn && Number.isSafeInteger(lastLsn), "a layer has an LSN range");
    assert((kind === "image") === (options.coverage !== undefined), "an image, and nothing else, has a coverage");
    this.#options = options;
    this.#file = new PagedFileWriter(disk, path, { vaultId, cipher, id, kind });
    this.#page = {
      strand: 0,
      level: 0,
      length: 0,
      index: new Uint32Array(PAGE_ROWS_MAX),
      lsn: new Float64Array(PAGE_ROWS_MAX),
      target: new Float64Array(PAGE_ROWS_MAX),
      sizeBytes: 0,
    };
  }

  /** Entries appended so far. */
  get entries(): number {
    return this.#entries;
  }

  /** XOR over the entries appended so far; as {@link LayerMeta}.xor. Writes out the current page, so call it once, at the end. */
  async sealedXor(): Promise<string> {
    await this.#emit();
    return this.#mix.hex();
  }

  /**
   * Appends entries `[from, to)`, which continue the order (strand, level, index, lsn) without equal keys; they are copied.
   * @returns undefined when done; else a promise that must resolve before the next call
   */
  append(columns: EntryColumns, from: number, to: number): Promise<void> | undefined {
    let at = from;
    while (at < to) {
      const strand = columns.strand[at]!;
      const level = columns.level[at]! as Level;
      let end = at + 1;
      while (end < to && columns.strand[end] === strand && columns.level[end] === level) end++;
      const written = this.appendRun(
        { strand, level, index: columns.index, lsn: columns.lsn, target: columns.target },
        at,
        end,
      );
      if (written) return this.#after(written, () => this.append(columns, end, to));
      at = end;
    }
    return undefined;
  }

  /** {@link append} for entries `[from, to)` of one strand and level. */
  appendRun(run: EntryRun, from: number, to: number): Promise<void> | undefined {
    if (from >= to) return undefined;
    const page = this.#page;
    if (page.length === PAGE_ROWS_MAX || run.strand !== page.strand || run.level !== page.level) {
      const written = this.#turn(run);
      if (written) return this.#after(written, () => this.appendRun(run, from, to));
    }
    const end = Math.min(to, from + PAGE_ROWS_MAX - page.length);
    this.#copy(run, from, end);
    return end < to ? this.appendRun(run, end, to) : undefined;
  }

  async #after(written: Promise<void>, next: () => Promise<void> | undefined): Promise<void> {
    await written;
    await next();
  }

  /** Writes out the current page, if there is one, and prepares for entries of the run. */
  #turn(run: EntryRun): Promise<void> | undefined {
    const page = this.#page;
    const written = this.#emit();
    if (run.strand !== page.strand || run.level !== page.level) {
      const later = run.strand > page.strand || (run.strand === page.strand && run.level > page.level);
      assert(later || this.#entries === 0, "entries come ordered by strand and level");
      assert(run.level <= 2, "a level is 0, 1 or 2");
      page.strand = run.strand;
      page.level = run.level;
      this.#lastIndex = -1;
      this.#lastShard = -1;
    }
    return written;
  }

  /** Copies entries that fit the current page, checking each: what is written wrong here would be read wrong forever. */
  #copy(run: EntryRun, from: number, to: number): void {
    const { index, lsn, target } = run;
    const page = this.#page;
    const { index: pageIndex, lsn: pageLsn, target: pageTarget } = page;
    const lowest = this.#options.kind === "delta" ? this.#options.firstLsn : 0;
    const highest = this.#options.lastLsn;
    const indexEnd = INDEX_END[run.level];
    const shardShift = SHARD_SHIFT[run.level];
    let length = page.length;
    let lastIndex = this.#lastIndex;
    let lastLsn = this.#lastLsn;
    let lastShard = this.#lastShard;
    for (let i = from; i < to; i++) {
      const place = index[i]!;
      const entryLsn = lsn[i]!;
      const held = target[i]!;
      if (place < lastIndex || (place === lastIndex && entryLsn <= lastLsn)) assert(false, "entries come ordered");
      if (!(entryLsn >= lowest && entryLsn <= highest)) assert(false, `LSN ${entryLsn} is outside of the layer's`);
      if (place >= indexEnd) assert(false, `place ${place} is past the largest volume`);
      if (held !== 0 && held !== TARGET_ZERO && !(run.level === 0 && held >= TARGET_ADDRESS_MIN)) {
        assert(false, `target ${held} is not one of level ${run.level}`);
      }
      pageIndex[length] = place;
      pageLsn[length] = entryLsn;
      pageTarget[length] = held;
      length++;
      lastIndex = place;
      lastLsn = entryLsn;
      const shard = place >>> shardShift;
      if (shard !== lastShard) {
        lastShard = shard;
        this.#noteShard(run.strand, shard);
      }
    }
    this.#entries += to - from;
    page.length = length;
    this.#lastIndex = lastIndex;
    this.#lastLsn = lastLsn;
    this.#lastShard = lastShard;
  }

  #noteShard(strand: number, shard: number): void {
    let list = this.#shards.at(-1);
    if (list?.strand !== strand) this.#shards.push((list = { strand, shards: [] }));
    // Each level of a strand ascends by itself: finish() merges them.
    list.shards.push(shard);
  }

  #emit(): Promise<void> | undefined {
    const page = this.#page;
    if (page.length === 0) return undefined;
    const rawLength = encodeLayerPage(page, raw);
    this.#mix.add(page);
    const { place, written } = this.#file.appendPage(raw.subarray(0, rawLength));
    assert(place.page < FILE_PAGES_MAX, "a layer has fewer than 2^24 pages");
    const at = place.page * PAGE_RECORD_SIZE;
    if (at === this.#records.length) {
      const larger = new Uint8Array(this.#records.length * 2);
      larger.set(this.#records);
      this.#records = larger;
    }
    let minLsn = page.lsn[0]!;
    let maxLsn = minLsn;
    for (let i = 1; i < page.length; i++) {
      const entryLsn = page.lsn[i]!;
      if (entryLsn < minLsn) minLsn = entryLsn;
      if (entryLsn > maxLsn) maxLsn = entryLsn;
    }
    const view = new DataView(this.#records.buffer, at, PAGE_RECORD_SIZE);
    view.setUint32(0, page.strand, true);
    view.setUint32(4, page.level, true);
    view.setUint32(8, page.index[0]!, true);
    view.setUint32(12, page.index[page.length - 1]!, true);
    writeU64(view, 16, minLsn);
    writeU64(view, 24, maxLsn);
    view.setUint32(32, page.length, true);
    writeU64(view, 40, place.offset);
    view.setUint32(48, place.storedLength, true);
    view.setUint32(52, place.rawLength, true);
    view.setBigUint64(56, place.checksum, true);
    page.length = 0;
    return written;
  }

  /**
   * Completes and publishes the layer: durable when it resolves. On an error nothing was published and the temporary file is removed.
   * @throws unavailable: the disk refused
   */
  async finish(): Promise<LayerMeta> {
    await this.#emit();
    const { id, kind, firstLsn, lastLsn, coverage } = this.#options;
    const records = this.#records.subarray(0, this.#file.pageCount * PAGE_RECORD_SIZE);
    const covered = encodeCoverage(coverage ?? []);
    const index = new Uint8Array(records.length + covered.length);
    index.set(records);
    index.set(covered, records.length);
    const xor = this.#mix.hex();
    const words = [BigInt(firstLsn), BigInt(lastLsn), BigInt(`0x${xor}`)];
    words.push(BigInt(covered.length / COVERAGE_RECORD_SIZE), 0n, 0n);
    const { sizeBytes, checksum } = await this.#file.publish(index, this.#entries, words);
    const shards = this.#shards.map(({ strand, shards: all }) => ({
      strand,
      shards: [...new Set(all)].sort((a, b) => a - b),
    }));
    const meta: LayerMeta = { id, kind, firstLsn, lastLsn, entries: this.#entries, sizeBytes, checksum, xor, shards };
    return coverage ? { ...meta, coverage } : meta;
  }

  /** Gives the layer up and removes what was written. Idempotent. */
  abort(): Promise<void> {
    return this.#file.abort();
  }
}

function encodeCoverage(coverage: readonly ShardList[]): Uint8Array {
  const count = coverage.reduce((sum, { shards }) => sum + shards.length, 0);
  const bytes = new Uint8Array(count * COVERAGE_RECORD_SIZE);
  const view = new DataView(bytes.buffer);
  let at = 0;
  let lastStrand = -1;
  for (const { strand, shards } of coverage) {
    assert(strand > lastStrand, "coverage comes ordered by strand");
    lastStrand = strand;
    let lastShard = -1;
    for (const shard of shards) {
      assert(shard > lastShard && shard < INDEX_END[2], "coverage comes ordered by shard");
      lastShard = shard;
      view.setUint32(at, strand, true);
      view.setUint32(at + 4, shard, true);
      at += COVERAGE_RECORD_SIZE;
    }
  }
  return bytes;
}
