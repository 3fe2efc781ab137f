/**
 * What kind of content each block of the live strands has, as far as the sealer knows: two bits a block, in areas of 64 MiB of a strand, the newest
 * areas of a bounded number. It tells what a write overwrites without reading it.
 *
 * It lives in memory alone. An area that is not in it is unknown; what its blocks held is learned from layers and packs (content-work.ts), so nothing is lost
 * with it but the first look at an area after a start.
 */
import { SHARD_BLOCKS } from "../map.ts";

/** Never written, trimmed, or zeroes. */
export const CONTENT_NONE = 0;
/** Compresses. */
export const CONTENT_PLAIN = 1;
/** Looks random: encrypted, or compressed already. */
export const CONTENT_DENSE = 2;
/** Not known yet. */
export const CONTENT_UNKNOWN = 3;
export type Content = typeof CONTENT_NONE | typeof CONTENT_PLAIN | typeof CONTENT_DENSE | typeof CONTENT_UNKNOWN;

/** 64 MiB of a volume; takes 4 KiB here. */
export const AREA_BLOCKS = 16_384;
export const AREAS_PER_SHARD = SHARD_BLOCKS / AREA_BLOCKS;
/** 16 MiB of memory, for 256 GiB that are written to. */
const AREAS_MAX = 4096;
/** Areas of a strand that one can number: 16 TiB. */
const AREAS_PER_STRAND = 2 ** 18;

/** Areas of one strand. */
export interface StrandAreas {
  strand: number;
  areas: number[];
}

export class ContentMap {
  private readonly areasMax: number;
  /** Least recently used first. */
  private readonly areas = new Map<number, Uint8Array>();
  /** Made since they were last asked for: nothing is known of what they held before. */
  private strange = new Set<number>();
  private lastKey = -1;
  private lastCells: Uint8Array | undefined;

  /** @param areasMax - how many to keep */
  constructor(areasMax = AREAS_MAX) {
    this.areasMax = areasMax;
  }

  get(strand: number, block: number): Content {
    const cells = this.find(keyOf(strand, block));
    if (!cells) return CONTENT_UNKNOWN;
    const at = block % AREA_BLOCKS;
    return ((cells[at >>> 2]! >>> ((at & 3) * 2)) & 3) as Content;
  }

  set(strand: number, block: number, content: Content): void {
    put(this.open(keyOf(strand, block)), block % AREA_BLOCKS, content);
  }

  /** A range holds nothing from now on. Areas that are not known stay so. */
  clear(strand: number, firstBlock: number, count: number): void {
    for (let block = firstBlock; block < firstBlock + count;) {
      const end = Math.min(firstBlock + count, (Math.floor(block / AREA_BLOCKS) + 1) * AREA_BLOCKS);
      const cells = this.find(keyOf(strand, block));
      if (cells) for (let at = block; at < end; at++) put(cells, at % AREA_BLOCKS, CONTENT_NONE);
      block = end;
    }
  }

  /** Fills in what an area's blocks held before any write that this map knows of. @param held - one for each block */
  learn(strand: number, area: number, held: (block: number) => Content): void {
    const key = strand * AREAS_PER_STRAND + area;
    const cells = this.open(key);
    this.strange.delete(key);
    for (let at = 0; at < AREA_BLOCKS; at++) {
      if (((cells[at >>> 2]! >>> ((at & 3) * 2)) & 3) === CONTENT_UNKNOWN)
        put(cells, at, held(area * AREA_BLOCKS + at));
    }
  }

  /** Whether it has an area that needs no learning. */
  knows(strand: number, area: number): boolean {
    const key = strand * AREAS_PER_STRAND + area;
    return this.areas.has(key) && !this.strange.has(key);
  }

  get isFull(): boolean {
    return this.areas.size >= this.areasMax;
  }

  /** Areas that were written to and of which no more is known, at most so many. */
  strangeAreas(max: number): StrandAreas[] {
    const byStrand = new Map<number, number[]>();
    let count = 0;
    for (const key of this.strange) {
      if (count++ >= max) break;
      const strand = Math.floor(key / AREAS_PER_STRAND);
      const areas = byStrand.get(strand);
      if (areas) areas.push(key % AREAS_PER_STRAND);
      else byStrand.set(strand, [key % AREAS_PER_STRAND]);
    }
    return [...byStrand].map(([strand, areas]) => ({ strand, areas }));
  }

  private find(key: number): Uint8Array | undefined {
    if (key === this.lastKey) return this.lastCells;
    const cells = this.areas.get(key);
    if (!cells) return undefined;
    // Asking makes it the newest.
    this.areas.delete(key);
    this.areas.set(key, cells);
    this.lastKey = key;
    this.lastCells = cells;
    return cells;
  }

  private open(key: number): Uint8Array {
    const known = this.find(key);
    if (known) return known;
    const cells = new Uint8Array(AREA_BLOCKS / 4).fill(0xff);
    this.areas.set(key, cells);
    this.strange.add(key);
    this.lastKey = key;
    this.lastCells = cells;
    if (this.areas.size > this.areasMax) {
      const [oldest] = this.areas.keys();
      this.areas.delete(oldest!);
      this.strange.delete(oldest!);
    }
    return cells;
  }
}

const keyOf = (strand: number, block: number): number => strand * AREAS_PER_STRAND + Math.floor(block / AREA_BLOCKS);

function put(cells: Uint8Array, at: number, content: Content): void {
  const shift = (at & 3) * 2;
  cells[at >>> 2] = (cells[at >>> 2]! & ~(3 << shift)) | (content << shift);
}
