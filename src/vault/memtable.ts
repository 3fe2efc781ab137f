/**
 * The memory map of one journal file: where every version of every place lies that the file holds, from the moment a write is
 * sequenced until its file is sealed and a layer takes over. Rebuilt from the journal at open; never the source of truth.
 *
 * Versions are nodes in columns; the versions of one place form a chain from the newest back. A hash table per
 * (strand, level) finds a chain's head. A node is named by its ordinal, which with the file's number makes a target.
 */
import { LEVEL_SHIFT, offer, SHARD_BLOCKS, TARGET_HOLE, TARGET_ZERO, type Level, type Resolution } from "./map.ts";

const NONE = -1;
/** Location of a node that holds no bytes. */
const LOCATION_ZERO = 0xffff_ffff;
const LOCATION_HOLE = 0xffff_fffe;

/** Targets below zero are nodes of memory maps: −1 − (file number × 2^32 + node), the number being the file sequence modulo 2^20. */
export const FILE_NUMBERS = 2 ** 20;
export const isMemoryTarget = (target: number): boolean => target < 0;
export const fileNumberOf = (target: number): number => Math.floor((-1 - target) / 2 ** 32);
export const nodeOf = (target: number): number => (-1 - target) % 2 ** 32;

/** Open addressing from a place's index to the newest node. */
class ChainTable {
  private mask = 63;
  private indexes = new Uint32Array(64);
  private heads = new Int32Array(64).fill(NONE);
  count = 0;

  /** Makes `node` the newest of `index`. @returns the newest before, or −1 */
  push(index: number, node: number): number {
    if (this.count * 2 > this.mask) this.grow();
    const at = this.find(index);
    const previous = this.heads[at]!;
    if (previous === NONE) {
      this.indexes[at] = index;
      this.count++;
    }
    this.heads[at] = node;
    return previous;
  }

  head(index: number): number {
    return this.heads[this.find(index)]!;
  }

  forEach(visit: (index: number, head: number) => void): void {
    for (let i = 0; i <= this.mask; i++) if (this.heads[i] !== NONE) visit(this.indexes[i]!, this.heads[i]!);
  }

  private find(index: number): number {
    let at = Math.imul(index, 0x9e3779b1) >>> 0;
    at = (at ^ (at >>> 15)) & this.mask;
    while (this.heads[at] !== NONE && this.indexes[at] !== index) at = (at + 1) & this.mask;
    return at;
  }

  private grow(): void {
    const { indexes, heads } = this;
    this.mask = this.mask * 2 + 1;
    this.indexes = new Uint32Array(this.mask + 1);
    this.heads = new Int32Array(this.mask + 1).fill(NONE);
    for (let i = 0; i < heads.length; i++) {
      if (heads[i] === NONE) continue;
      const at = this.find(indexes[i]!);
      this.indexes[at] = indexes[i]!;
      this.heads[at] = heads[i]!;
    }
  }
}

interface StrandTables {
  levels: [ChainTable, ChainTable, ChainTable];
  shards: Set<number>;
  /** Those of them with entries finer than the shard. */
  fineShards: Set<number>;
}

export class Memtable {
  readonly fileSequence: number;
  /** Lowest and highest LSN in it; 0 while empty. */
  firstLsn = 0;
  lastLsn = 0;
  nodeCount = 0;

  private readonly strands = new Map<number, StrandTables>();
  private lsns = new Float64Array(1024);
  private locations = new Uint32Array(1024);
  private prints = new BigUint64Array(1024);
  private previous = new Int32Array(1024);

  constructor(fileSequence: number) {
    this.fileSequence = fileSequence;
  }

  /** Adds a block version whose bytes lie at `location` of the journal file. */
  addBlock(strand: number, index: number, lsn: number, location: number, print: bigint): void {
    this.add(this.tablesOf(strand), 0, index, lsn, location, print);
  }

  /** Adds versions for a cleared range of blocks, on the coarsest grids that fit. @returns how many */
  addCleared(strand: number, firstBlock: number, count: number, lsn: number, isHole: boolean): number {
    const before = this.nodeCount;
    const tables = this.tablesOf(strand);
    const location = isHole ? LOCATION_HOLE : LOCATION_ZERO;
    forEachPlace(firstBlock, count, (level, index) => this.add(tables, level, index, lsn, location, 0n));
    return this.nodeCount - before;
  }

  /** Offers what it knows of the resolution's blocks up to `maxLsn`. */
  collect(strand: number, into: Resolution, maxLsn: number): void {
    if (this.nodeCount === 0 || this.firstLsn > maxLsn) return;
    const tables = this.strands.get(strand);
    if (!tables) return;
    const base = -1 - (this.fileSequence % FILE_NUMBERS) * 2 ** 32;
    for (let level = 0; level < 3; level++) {
      const table = tables.levels[level as Level];
      if (table.count === 0) continue;
      const shift = LEVEL_SHIFT[level as Level];
      const first = Math.floor(into.firstBlock / 2 ** shift);
      const last = Math.floor((into.firstBlock + into.count - 1) / 2 ** shift);
      const take = (index: number, head: number): void => {
        let node = head;
        while (node !== NONE && this.lsns[node]! > maxLsn) node = this.previous[node]!;
        if (node === NONE) return;
        const location = this.locations[node]!;
        const target =
          location === LOCATION_ZERO ? TARGET_ZERO : location === LOCATION_HOLE ? TARGET_HOLE : base - node;
        offer(into, level as Level, index, this.lsns[node]!, target);
      };
      if (last - first < table.count) {
        for (let index = first; index <= last; index++) take(index, table.head(index));
      } else {
        table.forEach((index, head) => {
          if (index >= first && index <= last) take(index, head);
        });
      }
    }
  }

  /** Adds the shards of a strand that it touches. */
  shardsOf(strand: number, into: Set<number>): void {
    for (const shard of this.strands.get(strand)?.shards ?? []) into.add(shard);
  }

  /** Shows every version with where it lies, in no particular order; `node` as in {@link locationOf}. */
  forEachVersion(visit: (strand: number, level: Level, index: number, node: number) => void): void {
    for (const [strand, tables] of this.strands) {
      for (const level of [0, 1, 2] as const) {
        tables.levels[level].forEach((index, head) => {
          for (let node = head; node !== NONE; node = this.previous[node]!) visit(strand, level, index, node);
        });
      }
    }
  }

  /** Whether a version has bytes in the journal; else it was cleared. */
  hasBytes(node: number): boolean {
    return this.locations[node]! < LOCATION_HOLE;
  }

  /** Whether anything in it concerns only a part of a shard. */
  divides(strand: number, shard: number): boolean {
    return this.strands.get(strand)?.fineShards.has(shard) ?? false;
  }

  locationOf(node: number): number {
    return this.locations[node]!;
  }

  printOf(node: number): bigint {
    return this.prints[node]!;
  }

  lsnOf(node: number): number {
    return this.lsns[node]!;
  }

  /** Copies the nodes of moved groups to the table of their new file. @param ordinals - old group ordinal → new one */
  copyGroups(to: Memtable, ordinals: Map<number, number>, groupSize: number, fromLsn: number): void {
    const moved: { strand: number; level: Level; index: number; node: number }[] = [];
    for (const [strand, tables] of this.strands) {
      for (const level of [0, 1, 2] as const) {
        tables.levels[level].forEach((index, head) => {
          for (let node = head; node !== NONE && this.lsns[node]! >= fromLsn; node = this.previous[node]!) {
            moved.push({ strand, level, index, node });
          }
        });
      }
    }
    moved.sort((a, b) => a.node - b.node);
    for (const { strand, level, index, node } of moved) {
      let location = this.locations[node]!;
      if (location < LOCATION_HOLE) {
        const ordinal = ordinals.get(Math.floor(location / groupSize));
        if (ordinal === undefined) continue;
        location = ordinal * groupSize + (location % groupSize);
      }
      to.add(to.tablesOf(strand), level, index, this.lsns[node]!, location, this.prints[node]!);
    }
  }

  private tablesOf(strand: number): StrandTables {
    let tables = this.strands.get(strand);
    if (!tables) {
      tables = {
        levels: [new ChainTable(), new ChainTable(), new ChainTable()],
        shards: new Set(),
        fineShards: new Set(),
      };
      this.strands.set(strand, tables);
    }
    return tables;
  }

  private add(tables: StrandTables, level: Level, index: number, lsn: number, location: number, print: bigint): void {
    if (this.nodeCount === this.lsns.length) this.grow();
    const node = this.nodeCount++;
    this.lsns[node] = lsn;
    this.locations[node] = location;
    this.prints[node] = print;
    this.link(tables.levels[level], index, node);
    const shard = Math.floor((index * 2 ** LEVEL_SHIFT[level]) / SHARD_BLOCKS);
    tables.shards.add(shard);
    if (level < 2) tables.fineShards.add(shard);
    if (this.firstLsn === 0 || lsn < this.firstLsn) this.firstLsn = lsn;
    if (lsn > this.lastLsn) this.lastLsn = lsn;
  }

  /** Chains run from the newest version back. A version that comes late (its group moved here) takes its place in the order of LSNs. */
  private link(table: ChainTable, index: number, node: number): void {
    const lsn = this.lsns[node]!;
    const head = lsn < this.lastLsn ? table.head(index) : NONE;
    if (head === NONE || this.lsns[head]! < lsn) {
      this.previous[node] = table.push(index, node);
      return;
    }
    let newer = head;
    for (let older = this.previous[newer]!; older !== NONE && this.lsns[older]! > lsn; older = this.previous[newer]!)
      newer = older;
    this.previous[node] = this.previous[newer]!;
    this.previous[newer] = node;
  }

  private grow(): void {
    const size = this.lsns.length * 2;
    const lsns = new Float64Array(size);
    lsns.set(this.lsns);
    this.lsns = lsns;
    const locations = new Uint32Array(size);
    locations.set(this.locations);
    this.locations = locations;
    const prints = new BigUint64Array(size);
    prints.set(this.prints);
    this.prints = prints;
    const previous = new Int32Array(size);
    previous.set(this.previous);
    this.previous = previous;
  }
}

/** Cuts a range of blocks into places on the three grids, coarsest where they fit: at most 2·255 + 2·1,023 + size/1 GiB places. */
export function forEachPlace(firstBlock: number, count: number, visit: (level: Level, index: number) => void): void {
  let block = firstBlock;
  const end = firstBlock + count;
  while (block < end) {
    const level: Level = fits(block, end, 2) ? 2 : fits(block, end, 1) ? 1 : 0;
    const size = 2 ** LEVEL_SHIFT[level];
    visit(level, Math.floor(block / size));
    block += size;
  }
}

function fits(block: number, end: number, level: Level): boolean {
  const size = 2 ** LEVEL_SHIFT[level];
  return block % size === 0 && block + size <= end;
}
