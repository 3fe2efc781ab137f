/**
 * The naive model of the block map: a list of entries, searched from end to end. And the way from entries to a layer.
 */
import type { Random } from "../../src/base/random.ts";
import { lsn, strandId } from "../../src/base/units.ts";
import type { LayerMeta, LayerPage, ShardList } from "../../src/vault/layers/layer-format.ts";
import { openLayer, type LayerReader } from "../../src/vault/layers/layer-reader.ts";
import { LayerWriter } from "../../src/vault/layers/layer-writer.ts";
import {
  emptyResolution,
  LEVEL_SHIFT,
  TARGET_ADDRESS_MIN,
  type EntryColumns,
  type Level,
  type MapEntry,
} from "../../src/vault/map.ts";
import { PageCache } from "../../src/vault/files/page-cache.ts";
import type { MemoryDisk } from "./memory-disk.ts";

export const VAULT_ID = new Uint8Array(16).map((_, i) => i * 7 + 1);

export const entry = (strand: number, level: Level, index: number, at: number, target: number): MapEntry => ({
  strand: strandId(strand),
  level,
  index,
  lsn: lsn(at),
  target,
});

/** In the order of layers. */
export function sortEntries(entries: readonly MapEntry[]): MapEntry[] {
  return entries.toSorted((a, b) => a.strand - b.strand || a.level - b.level || a.index - b.index || a.lsn - b.lsn);
}

export function columnsOf(entries: readonly MapEntry[]): EntryColumns {
  return {
    length: entries.length,
    strand: Uint32Array.from(entries, (each) => each.strand),
    level: Uint8Array.from(entries, (each) => each.level),
    index: Uint32Array.from(entries, (each) => each.index),
    lsn: Float64Array.from(entries, (each) => each.lsn),
    target: Float64Array.from(entries, (each) => each.target),
  };
}

export async function entriesOf(layer: LayerReader): Promise<MapEntry[]> {
  const found: MapEntry[] = [];
  for await (const columns of layer.entries()) {
    for (let i = 0; i < columns.length; i++) {
      const level = columns.level[i] as Level;
      found.push(entry(columns.strand[i]!, level, columns.index[i]!, columns.lsn[i]!, columns.target[i]!));
    }
  }
  return found;
}

/** What a block holds, by the definition in map.ts. */
export function modelAt(
  entries: readonly MapEntry[],
  strand: number,
  block: number,
  maxLsn: number,
): MapEntry | undefined {
  let newest: MapEntry | undefined;
  for (const each of entries) {
    if (each.strand !== strand || each.lsn > maxLsn) continue;
    if (Math.floor(block / 2 ** LEVEL_SHIFT[each.level]) !== each.index) continue;
    if (!newest || each.lsn > newest.lsn) newest = each;
  }
  return newest;
}

/** A bed of layers on one memory disk. */
export class LayerBed {
  readonly disk: MemoryDisk;
  readonly cache: PageCache<LayerPage>;
  #nextId = 1;

  constructor(disk: MemoryDisk, cacheBytes = 64 * 2 ** 20) {
    this.disk = disk;
    this.cache = new PageCache(cacheBytes);
  }

  path(id: number): string {
    return `vault/layer-${id}`;
  }

  newId(): number {
    return this.#nextId++;
  }

  writer(kind: "delta" | "image", firstLsn: number, lastLsn: number, coverage?: ShardList[]): [LayerWriter, number] {
    const id = this.newId();
    const options = { disk: this.disk, path: this.path(id), vaultId: VAULT_ID, id, kind, firstLsn, lastLsn };
    return [new LayerWriter(coverage ? { ...options, coverage } : options), id];
  }

  async write(entries: readonly MapEntry[], firstLsn: number, lastLsn: number): Promise<LayerMeta> {
    const [writer] = this.writer("delta", firstLsn, lastLsn);
    await writer.append(columnsOf(sortEntries(entries)), 0, entries.length);
    return await writer.finish();
  }

  async writeImage(entries: readonly MapEntry[], lastLsn: number, coverage: ShardList[]): Promise<LayerMeta> {
    const [writer] = this.writer("image", 0, lastLsn, coverage);
    await writer.append(columnsOf(sortEntries(entries)), 0, entries.length);
    return await writer.finish();
  }

  open(meta: LayerMeta, vaultId: Uint8Array = VAULT_ID): Promise<LayerReader> {
    return openLayer({ disk: this.disk, path: this.path(meta.id), vaultId, meta, cache: this.cache });
  }

  /** What layers, asked in this order, say of a window: [lsn, target] per block; lsn -1: nothing. */
  async ask(
    layers: readonly LayerReader[],
    strand: number,
    firstBlock: number,
    count: number,
    maxLsn: number,
  ): Promise<[number, number][]> {
    const found = emptyResolution(firstBlock, count);
    for (const layer of layers) await layer.collect(strand, found, maxLsn);
    return Array.from({ length: count }, (_, i) => [found.lsn[i]!, found.target[i]!]);
  }
}

/** Entries with LSNs `[firstLsn, firstLsn + count)`, one each, on few places, so that they overlap on all levels. */
export function randomEntries(random: Random, count: number, firstLsn: number, blocks = 2_000): MapEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const kind = random.below(20);
    const level: Level = kind === 0 ? 2 : kind < 3 ? 1 : 0;
    const shard = random.below(3);
    const block = shard * 2 ** 18 + random.below(blocks);
    const target = level > 0 || random.below(6) === 0 ? random.below(2) : TARGET_ADDRESS_MIN + random.below(1e9);
    return entry(1 + random.below(3), level, Math.floor(block / 2 ** LEVEL_SHIFT[level]), firstLsn + i, target);
  });
}
