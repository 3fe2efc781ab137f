/**
 * One file of a simulated disk: what readers see now, what the medium holds for certain, and the writes in between.
 *
 * - `current` is what reads give: every finished write.
 * - `durable` is what a power cut cannot take: everything synced, and finished write-through writes.
 * - `pending` are finished writes that no sync has covered; `inFlight` those whose promise has not resolved. After a power cut each of
 *   them is there whole, in part (cut at multiples of 512 bytes of the file) or not at all, independently of the others.
 *
 * Invariant: `current` = `durable` + `pending` in order, except after a failed sync and after planted damage.
 */
import type { Random } from "./random.ts";
import { SparsePages } from "./sparse-pages.ts";
import { SECTOR_SIZE } from "./units.ts";

export interface SimulatedWrite {
  /** In order of arrival on this disk; a write in flight has none yet. */
  id: number;
  offset: number;
  data: Uint8Array;
}

export class FileNode {
  readonly kind = "file";
  current = new SparsePages();
  durable = new SparsePages();
  pending: SimulatedWrite[] = [];
  readonly inFlight = new Set<SimulatedWrite>();
  /** Open handles; the space of a removed file returns with the last of them. */
  handleCount = 0;
  /** Names that lead here now. */
  linkCount = 0;

  /** A copy without handles. Writes in flight come along, for {@link settleAfterPowerCut}. */
  clone(): FileNode {
    const copy = new FileNode();
    copy.current = this.current.fork();
    copy.durable = this.durable.fork();
    copy.pending = this.pending.slice();
    for (const write of this.inFlight) copy.inFlight.add(write);
    return copy;
  }

  /** A finished buffered write. */
  applyBuffered(write: SimulatedWrite): void {
    this.current.write(write.data, write.offset);
    this.pending.push(write);
  }

  /** A finished write-through write. */
  applyThrough(write: SimulatedWrite): void {
    // An older buffered write must not come back over this one after a crash.
    this.#forgetPending(write.offset, write.offset + write.data.length);
    this.current.write(write.data, write.offset);
    this.durable.write(write.data, write.offset);
  }

  /** Makes pending writes up to `id` durable. */
  applySync(id: number): void {
    for (const write of this.pending) {
      if (write.id <= id) this.durable.write(write.data, write.offset);
    }
    this.pending = this.pending.filter((write) => write.id > id);
  }

  /**
   * A sync up to `id` that failed. As on Linux, the pages count as clean afterwards: the next sync succeeds without them. Each write
   * is durable, torn or lost, and reads go on to show it (still cached) or not (dropped from the cache).
   */
  failSync(id: number, random: Random): void {
    for (const write of this.pending) {
      if (write.id <= id) surviveMaybe(this.durable, write, random);
    }
    this.pending = this.pending.filter((write) => write.id > id);
    if (random.below(2) === 0) return;
    const sizeBefore = this.current.size;
    this.current = this.durable.fork();
    // The size is kept in memory and does not shrink when pages are dropped.
    this.current.size = Math.max(this.current.size, sizeBefore);
    for (const write of this.pending) this.current.write(write.data, write.offset);
  }

  /** What the medium holds after the power returns becomes all there is. */
  settleAfterPowerCut(random: Random): void {
    // Writes in flight at the same time have no order among each other.
    const flying = shuffled([...this.inFlight], random);
    for (const write of [...this.pending, ...flying]) surviveMaybe(this.durable, write, random);
    this.pending = [];
    this.inFlight.clear();
    this.current = this.durable.fork();
  }

  #forgetPending(start: number, end: number): void {
    if (this.pending.length === 0) return;
    const kept: SimulatedWrite[] = [];
    for (const write of this.pending) {
      const writeEnd = write.offset + write.data.length;
      if (write.offset < Math.min(start, writeEnd)) {
        kept.push({ ...write, data: write.data.subarray(0, Math.min(start, writeEnd) - write.offset) });
      }
      if (writeEnd > Math.max(end, write.offset)) {
        const from = Math.max(end, write.offset);
        kept.push({ id: write.id, offset: from, data: write.data.subarray(from - write.offset) });
      }
    }
    this.pending = kept;
  }
}

function surviveMaybe(medium: SparsePages, write: SimulatedWrite, random: Random): void {
  for (const part of survivors(write, random)) medium.write(part.data, part.offset);
  // The new size may have been written without the data: the file then ends in zeroes.
  if (random.below(4) === 0) medium.size = Math.max(medium.size, write.offset + write.data.length);
}

/** What is left of a write that was cut off: all of it, none, or runs of whole 512-byte sectors. */
export function survivors(write: SimulatedWrite, random: Random): SimulatedWrite[] {
  const fate = random.below(3);
  if (fate === 0 || write.data.length === 0) return [];
  if (fate === 1) return [write];
  const firstSector = Math.floor(write.offset / SECTOR_SIZE);
  const end = write.offset + write.data.length;
  const sectorCount = Math.ceil(end / SECTOR_SIZE) - firstSector;
  // Up to five cuts split the write into runs of which every other one survives: prefixes, suffixes, holes, stripes.
  const cuts = Array.from({ length: 1 + random.below(5) }, () => random.below(sectorCount + 1));
  const bounds = [0, ...cuts.sort((a, b) => a - b), sectorCount];
  const parts: SimulatedWrite[] = [];
  for (let i = random.below(2); i + 1 < bounds.length; i += 2) {
    const from = Math.max(write.offset, (firstSector + bounds[i]!) * SECTOR_SIZE);
    const to = Math.min(end, (firstSector + bounds[i + 1]!) * SECTOR_SIZE);
    if (from >= to) continue;
    parts.push({ id: write.id, offset: from, data: write.data.subarray(from - write.offset, to - write.offset) });
  }
  return parts;
}

function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
