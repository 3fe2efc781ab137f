/**
 * What the writes of one stretch were like, by strand and in slices of some seconds: the sums that the signals go by. It is counted when the stretch is
 * sealed, from what sealing found out anyway, so it costs a pass over the entries and reads no block.
 */
import { NO_WRITES, type WriteCounts } from "../../base/write-counts.ts";
import type { ChronicleRow } from "../chronicles/chronicle.ts";
import { LEVEL_SHIFT, TARGET_ZERO } from "../map.ts";
import type { Stretch, StretchRun } from "../sealing/stretch.ts";
import { CONTENT_DENSE, CONTENT_NONE, CONTENT_PLAIN, CONTENT_UNKNOWN, type ContentMap } from "./content-map.ts";

/** How long a slice lasts at the most, unless one group took longer. */
const SLICE_MICROS = 5e6;

/** The writes of one strand in some seconds. */
export interface WriteSlice extends WriteCounts {
  /** Wall times of its first and last group, microseconds. */
  from: number;
  to: number;
  firstLsn: number;
  lastLsn: number;
  /** The last flush of the strand in it; 0: none. */
  flushLsn: number;
  /** LSN of the first of the turned ones; 0: none. */
  turnedLsn: number;
  /** The last flush of the strand in this stretch before that; 0: none. */
  flushBefore: number;
}

export interface StrandWrites {
  strand: number;
  slices: WriteSlice[];
}

/** What sealing found out of each payload page. */
export interface PageFacts {
  targets: Float64Array;
  /** Bits of {@link PAGE_NEW} and {@link PAGE_DENSE}. */
  kinds: Uint8Array;
  /** Of new ones: their share of their frame as stored. */
  storedBytes: Uint16Array;
}

export const PAGE_NEW = 1;
export const PAGE_DENSE = 2;

/** Counts a stretch that is sealed and takes it over into the map. @returns ordered by strand; only what wrote */
export function measureWrites(stretch: Stretch, facts: PageFacts, map: ContentMap): StrandWrites[] {
  const slices = new Slices(stretch.rows);
  const all: StrandWrites[] = [];
  for (let first = 0; first < stretch.runs.length;) {
    const { strand } = stretch.runs[first]!;
    let end = first;
    while (stretch.runs[end]?.strand === strand) end++;
    all.push({ strand, slices: measureStrand(strand, stretch.runs.slice(first, end), facts, map, slices) });
    first = end;
  }
  return all;
}

function measureStrand(
  strand: number,
  runs: readonly StretchRun[],
  facts: PageFacts,
  map: ContentMap,
  slices: Slices,
): WriteSlice[] {
  slices.begin(strand);
  // Large clears first, as if nothing had been written before them in this stretch; blocks written before one are put right below.
  const clears = new LargeClears();
  for (const run of runs) {
    if (run.level === 0) continue;
    const blocks = 2 ** LEVEL_SHIFT[run.level];
    for (let i = 0; i < run.length; i++) {
      map.clear(strand, run.index[i]! * blocks, blocks);
      clears.add(run.level, run.index[i]!, run.lsn[i]!);
      slices.at(run.lsn[i]!).cleared += blocks;
    }
  }
  for (const run of runs) {
    if (run.level !== 0) continue;
    for (let i = 0; i < run.length; i++) {
      const block = run.index[i]!;
      const lsn = run.lsn[i]!;
      const page = run.page[i]!;
      const slice = slices.at(lsn);
      const isZero = page < 0 || facts.targets[page] === TARGET_ZERO;
      if (page < 0) slice.cleared++;
      else countWritten(slice, isZero, page, facts);
      if (isZero) {
        map.set(strand, block, CONTENT_NONE);
        continue;
      }
      const isDense = (facts.kinds[page]! & PAGE_DENSE) !== 0;
      countOver(slice, map.get(strand, block), isDense && (facts.kinds[page]! & PAGE_NEW) !== 0, lsn);
      const isCleared = run.index[i + 1] !== block && clears.after(block, lsn);
      map.set(strand, block, isCleared ? CONTENT_NONE : isDense ? CONTENT_DENSE : CONTENT_PLAIN);
    }
  }
  return slices.take();
}

function countWritten(slice: WriteSlice, isZero: boolean, page: number, facts: PageFacts): void {
  slice.blocks++;
  const kind = facts.kinds[page]!;
  if (isZero) slice.zero++;
  else if ((kind & PAGE_NEW) === 0) slice.duplicate++;
  else {
    slice.fresh++;
    slice.storedBytes += facts.storedBytes[page]!;
    if ((kind & PAGE_DENSE) !== 0) slice.dense++;
  }
}

function countOver(slice: WriteSlice, before: number, isNewAndDense: boolean, lsn: number): void {
  if (before === CONTENT_NONE) return;
  if (before === CONTENT_UNKNOWN) {
    slice.unknown++;
    return;
  }
  slice.rewrites++;
  if (before !== CONTENT_PLAIN) return;
  slice.overPlain++;
  if (!isNewAndDense) return;
  slice.turned++;
  if (slice.turnedLsn === 0 || lsn < slice.turnedLsn) slice.turnedLsn = lsn;
}

/** The newest clear of each chunk and shard in a stretch. */
class LargeClears {
  private readonly newest = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()] as const;

  add(level: 0 | 1 | 2, index: number, lsn: number): void {
    this.newest[level].set(index, Math.max(lsn, this.newest[level].get(index) ?? 0));
  }

  /** Whether a block was cleared after an LSN. */
  after(block: number, lsn: number): boolean {
    for (const level of [1, 2] as const) {
      const clears = this.newest[level];
      if (clears.size > 0 && (clears.get(Math.floor(block / 2 ** LEVEL_SHIFT[level])) ?? 0) > lsn) return true;
    }
    return false;
  }
}

/** The slices of one strand after another, found by LSN. */
class Slices {
  private readonly rows: readonly ChronicleRow[];
  /** Where each slice begins, the same for all strands. */
  private readonly firstLsns: number[] = [];
  private readonly times: { from: number; to: number }[] = [];
  private counted: (WriteSlice | undefined)[] = [];
  private strand = 0;
  private last = 0;

  constructor(rows: readonly ChronicleRow[]) {
    this.rows = rows;
    for (const { firstLsn, time } of rows) {
      const slice = this.times.at(-1);
      if (slice && time < slice.from + SLICE_MICROS) {
        slice.to = Math.max(slice.to, time);
        continue;
      }
      this.firstLsns.push(firstLsn);
      this.times.push({ from: time, to: time });
    }
  }

  begin(strand: number): void {
    this.strand = strand;
    this.counted = [];
    for (const row of this.rows) {
      if (row.strand !== strand) continue;
      const slice = this.at(row.firstLsn);
      slice.lastLsn = Math.max(slice.lastLsn, row.lastLsn);
      if (row.flushLsn > 0) slice.flushLsn = row.flushLsn;
    }
  }

  /** The slice that holds an LSN of the stretch. */
  at(lsn: number): WriteSlice {
    const { firstLsns } = this;
    // Neighbouring blocks were mostly written one after another.
    let found = this.last;
    if (firstLsns[found]! > lsn || (firstLsns[found + 1] ?? Infinity) <= lsn) {
      found = Math.max(
        0,
        firstLsns.findLastIndex((first) => first <= lsn),
      );
      this.last = found;
    }
    return (this.counted[found] ??= { ...EMPTY, ...this.times[found]!, firstLsn: lsn, lastLsn: lsn });
  }

  take(): WriteSlice[] {
    const slices = this.counted.filter((slice) => slice !== undefined);
    for (const slice of slices) {
      if (slice.turnedLsn === 0) continue;
      const flushes = this.rows.filter(
        ({ strand, flushLsn }) => strand === this.strand && flushLsn > 0 && flushLsn < slice.turnedLsn,
      );
      slice.flushBefore = flushes.at(-1)?.flushLsn ?? 0;
    }
    return slices;
  }
}

const EMPTY: WriteSlice = {
  from: 0,
  to: 0,
  firstLsn: 0,
  lastLsn: 0,
  flushLsn: 0,
  ...NO_WRITES,
  turnedLsn: 0,
  flushBefore: 0,
};
