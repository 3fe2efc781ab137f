/**
 * Faults that a simulated disk commits on command: which operations they meet, how often, and what happens then.
 */
import type { Random } from "./random.ts";
import type { SimulatedWrite } from "./simulated-file.ts";
import { SECTOR_SIZE } from "./units.ts";

/** Operations as faults and the log name them; `write-through` are writes to files opened so. */
export type DiskOperation =
  | "open"
  | "create"
  | "read"
  | "write"
  | "write-through"
  | "sync"
  | "size"
  | "close"
  | "list"
  | "sizeOf"
  | "mkdir"
  | "rename"
  | "link"
  | "remove"
  | "syncDir"
  | "space";

/**
 * - an errno name: the operation fails with it; a failed write may have reached the medium in part, and after a failed sync the fate of
 *   every unsynced write is open
 * - `stale` (writes): reports success, but at least one sector keeps its old content
 * - `misdirected` (writes): reports success, but the data went to another sector of the same file
 * - `ignored`: reports success and does nothing, like a drive that lies about its cache; also a way to plant a forgotten sync
 */
export type FaultEffect = "EIO" | "ENOSPC" | "stale" | "misdirected" | "ignored";

export interface Fault {
  effect: FaultEffect;
  /** Default: `stale` and `misdirected` meet writes, the others every operation. */
  operations?: readonly DiskOperation[];
  /** The whole path, or a pattern; for a rename either of its paths. Default: all. */
  path?: string | RegExp;
  /** Matching operations that pass before the first is met. Default 0. */
  skip?: number;
  /** Operations met; Infinity for until healed. Default 1. */
  times?: number;
}

export interface InjectedFault {
  /** Operations met so far. */
  readonly hits: number;
  heal(): void;
}

const WRITES: readonly DiskOperation[] = ["write", "write-through"];

export class FaultPlan {
  #active: { fault: Fault; seen: number; hits: number }[] = [];

  inject(fault: Fault): InjectedFault {
    const entry = { fault, seen: 0, hits: 0 };
    this.#active.push(entry);
    return {
      get hits() {
        return entry.hits;
      },
      heal: () => {
        this.#active = this.#active.filter((active) => active !== entry);
      },
    };
  }

  healAll(): void {
    this.#active = [];
  }

  /** Counts an operation against every fault. @returns the effect of the first that meets it */
  meet(operation: DiskOperation, paths: readonly string[]): FaultEffect | undefined {
    let effect: FaultEffect | undefined;
    for (const entry of this.#active) {
      const { fault } = entry;
      if (!matches(fault, operation, paths)) continue;
      entry.seen++;
      if (effect !== undefined || entry.seen <= (fault.skip ?? 0) || entry.hits >= (fault.times ?? 1)) continue;
      entry.hits++;
      effect = fault.effect;
    }
    return effect;
  }
}

function matches(fault: Fault, operation: DiskOperation, paths: readonly string[]): boolean {
  const writesOnly = fault.effect === "stale" || fault.effect === "misdirected";
  if (writesOnly && !WRITES.includes(operation)) return false;
  if (fault.operations !== undefined && !fault.operations.includes(operation)) return false;
  const { path } = fault;
  if (path === undefined) return true;
  return paths.some((candidate) => (typeof path === "string" ? candidate === path : path.test(candidate)));
}

/** The parts of a write that a lying disk stores, and where. */
export function astray(
  write: SimulatedWrite,
  effect: FaultEffect,
  fileSizeBytes: number,
  random: Random,
): SimulatedWrite[] {
  if (effect === "misdirected") {
    const sectorCount = Math.max(1, Math.floor(fileSizeBytes / SECTOR_SIZE));
    const offset = random.below(sectorCount) * SECTOR_SIZE;
    // One that hits its own place by chance would be no fault.
    return [{ ...write, offset: offset === write.offset ? offset + SECTOR_SIZE : offset }];
  }
  if (effect !== "stale" || write.data.length === 0) return [];
  const stale = random.below(Math.ceil(write.data.length / SECTOR_SIZE)) * SECTOR_SIZE;
  const after = Math.min(stale + SECTOR_SIZE, write.data.length);
  return [
    { ...write, data: write.data.subarray(0, stale) },
    { ...write, offset: write.offset + after, data: write.data.subarray(after) },
  ].filter((part) => part.data.length > 0);
}
