/**
 * What the strip shows, as numbers: the API's timeline of one volume, or the sum of several, on one grid. Sums are exact, since all volumes are asked for the
 * same intervals. What is kept of a machine is what is kept of each of its volumes, because a moment of the machine needs all of them.
 */
import type { WireTimeline } from "../../../contract/contract.ts";
import type { Grid } from "./grid.ts";
import { microsOf } from "./time.ts";
import type { View } from "./view.ts";

export type MarkKind = WireTimeline["marks"][number]["kind"] | "alarm";

export interface Mark {
  kind: MarkKind;
  time: number;
  /** 0 where it is of no volume: a moment of its own has no LSN. */
  lsn: number;
  /** Its volume; told where several are shown. */
  volume: string;
  detail: string;
}

export interface KeptPoint {
  time: number;
  lsn: number;
  /** The rhythm that keeps it. */
  why: string;
}

/** One array entry per interval of the grid. */
export interface StripFacts {
  grid: Grid;
  writes: Float64Array;
  writtenBytes: Float64Array;
  clearedBytes: Float64Array;
  flushPoints: Float64Array;
  /** The volume's last LSN in each interval; 0: nothing happened, or several volumes are shown. */
  lastLsns: Float64Array;
  /** Every one in the grid, oldest first. */
  marks: Mark[];
}

/** What is kept, over all of history. */
export interface KeptFacts {
  /** When history begins. */
  createdAt: number;
  /** From here on every write can be had; equal to `createdAt` while nothing was let go. */
  everyWriteFrom: number;
  /** Kept of the time before, oldest first. */
  points: KeptPoint[];
  /** How long every write is kept; undefined: for ever. */
  keptFor: number | undefined;
}

/** @param timelines - each of the same grid, by volume */
export function stripFacts(grid: Grid, timelines: ReadonlyMap<string, WireTimeline>): StripFacts {
  const facts: StripFacts = {
    grid,
    writes: new Float64Array(grid.count),
    writtenBytes: new Float64Array(grid.count),
    clearedBytes: new Float64Array(grid.count),
    flushPoints: new Float64Array(grid.count),
    lastLsns: new Float64Array(grid.count),
    marks: [],
  };
  for (const [volume, timeline] of timelines) {
    for (const [i, bucket] of timeline.buckets.slice(0, grid.count).entries()) {
      facts.writes[i]! += bucket.writes;
      facts.writtenBytes[i]! += bucket.writtenBytes;
      facts.clearedBytes[i]! += bucket.clearedBytes;
      facts.flushPoints[i]! += bucket.flushPoints;
      if (timelines.size === 1) facts.lastLsns[i] = bucket.lastLsn;
    }
    for (const { time, ...mark } of timeline.marks) facts.marks.push({ ...mark, volume, time: microsOf(time) });
  }
  facts.marks.sort((a, b) => a.time - b.time || a.lsn - b.lsn);
  return facts;
}

/** Of several volumes: what every one of them still has. */
export function keptOfAll(all: readonly KeptFacts[]): KeptFacts | undefined {
  const [first, ...others] = all;
  if (!first) return undefined;
  if (others.length === 0) return first;
  const keptFor = all.flatMap((each) => each.keptFor ?? []);
  return {
    createdAt: Math.max(...all.map((each) => each.createdAt)),
    everyWriteFrom: Math.max(...all.map((each) => each.everyWriteFrom)),
    // Points of different volumes are moments of their own: none stands for the machine.
    points: [],
    keptFor: keptFor.length === 0 ? undefined : Math.min(...keptFor),
  };
}

export type Retained = "before" | "points" | "expiring" | "every-write" | "ahead";

export interface RetainedRange extends View {
  kind: Retained;
}

/** How far ahead a strip warns of what goes. */
const WARNING_MICROS = 86_400e6;

/**
 * Cuts a view by what can be had there: before history, only points, every write but not for long, every write, still to come.
 * What `expiring` is goes within a day, or within a tenth of the time for which everything is kept, where that is less.
 */
export function retainedRanges(kept: KeptFacts, view: View, now: number): RetainedRange[] {
  const warning = Math.min(WARNING_MICROS, (kept.keptFor ?? 0) * 0.1);
  const goesUntil = kept.keptFor === undefined ? kept.everyWriteFrom : now - kept.keptFor + warning;
  const edges: [Retained, number, number][] = [
    ["before", -Infinity, kept.createdAt],
    ["points", kept.createdAt, kept.everyWriteFrom],
    ["expiring", kept.everyWriteFrom, Math.min(now, Math.max(kept.everyWriteFrom, goesUntil))],
    ["every-write", Math.min(now, Math.max(kept.everyWriteFrom, goesUntil)), now],
    ["ahead", now, Infinity],
  ];
  return edges
    .map(([kind, from, to]) => ({ kind, from: Math.max(from, view.from), to: Math.min(to, view.to) }))
    .filter(({ from, to }) => from < to);
}

/** Of a time: what can be had there. A point counts where it is the very moment. */
export function retainedAt(kept: KeptFacts, time: number, now: number): Retained {
  return retainedRanges(kept, { from: time, to: time + 1 }, now)[0]?.kind ?? "every-write";
}

/** Height of a bar, 0 to 1. The root keeps a small burst visible beside a large one. */
export function barHeight(value: number, most: number): number {
  return value <= 0 || most <= 0 ? 0 : Math.max(0.03, Math.sqrt(value / most));
}

/** The largest of `values` among the intervals that a view shows. */
export function mostIn(values: Float64Array, grid: Grid, view: View): number {
  const [first, end] = shownIntervals(grid, view);
  let most = 0;
  for (let i = first; i < end; i++) most = Math.max(most, values[i]!);
  return most;
}

/** Intervals `[first, end)` that a view shows, cut ones included. */
export function shownIntervals(grid: Grid, view: View): [number, number] {
  const within = (index: number): number => Math.min(Math.max(index, 0), grid.count);
  return [
    within(Math.floor((view.from - grid.from) / grid.width)),
    within(Math.ceil((view.to - grid.from) / grid.width)),
  ];
}

/** The interval of a time; undefined outside of the grid. */
export function intervalAt(grid: Grid, time: number): number | undefined {
  const i = Math.floor((time - grid.from) / grid.width);
  return i >= 0 && i < grid.count ? i : undefined;
}
