/**
 * Tells of each entry of a merge how long it stood: from its own LSN until the next entry of its place, or a coarser clear over it, took over.
 * Thinning, dry runs and space accounting are sinks behind it.
 *
 * A successor that lies outside the inputs is not known: the entry then counts as standing for ever, which keeps it (law 6). So
 * the inputs may be one layer, neighbours, or all; the more there are, the more is found superseded. Deltas that follow the inputs may
 * be given besides: they are read for their LSNs alone.
 *
 * Memory: one batch, and the coarse entries (levels 1 and 2) of the inputs up to {@link COARSE_MAX}; those beyond are passed over as
 * successors, which again keeps more.
 */
import { breatheAfter, breathing, type Breathe } from "./breathe.ts";
import type { EntryRun } from "./layer-writer.ts";
import { mergeRuns, type RunSink } from "./layer-merge.ts";
import type { LayerReader } from "./layer-reader.ts";
import { LEVEL_SHIFT, type Level } from "../map.ts";

/** Rows of a batch: a page's. */
const BATCH_ROWS = 4096;
/** In maps, some 50 MiB at the worst: a trim of 512 GiB in scattered pieces of 1 MiB. */
const COARSE_MAX = 2 ** 19;

/** Entries of one strand and level, each with the LSN at which it was superseded; Infinity: not, as far as the inputs tell. */
export interface StoodRun extends EntryRun {
  length: number;
  next: Float64Array;
}

/** Takes batches in layer order; they are reused after it returned, or its promise resolved. */
export type StoodSink = (run: StoodRun) => Promise<void> | undefined;

/** By strand and level: place → LSNs of its coarse entries, ascending. */
type CoarsePlaces = Map<number, number[]>;

/**
 * Streams all entries of the inputs (as for mergeLayers) with their ends into `take`.
 * @param after - deltas behind the inputs that only tell what superseded them
 * @param breathe - told of every entry, coarse ones twice
 * @throws corrupt: a damaged layer
 */
export async function walkStood(
  inputs: readonly LayerReader[],
  after: readonly LayerReader[],
  take: StoodSink,
  breathe?: Breathe,
): Promise<void> {
  const all = [...inputs, ...after];
  const lastLsn = inputs[inputs.length - 1]!.meta.lastLsn;
  const successors = new Successors(await coarseEntries(all, breathe), lastLsn, take);
  await mergeRuns(all, breathing(successors, breathe));
  const last = successors.end();
  if (last) await last;
}

/** Inputs come oldest first and pages are sorted by place and LSN, so each place's LSNs come ascending. */
async function coarseEntries(
  inputs: readonly LayerReader[],
  breathe: Breathe | undefined,
): Promise<Map<number, CoarsePlaces>> {
  const found = new Map<number, CoarsePlaces>();
  let count = 0;
  for (const input of inputs) {
    for await (const page of input.pages({ levelMin: 1 })) {
      const key = page.strand * 4 + page.level;
      let places = found.get(key);
      if (!places) found.set(key, (places = new Map()));
      for (let i = 0; i < page.length && count < COARSE_MAX; i++, count++) {
        const known = places.get(page.index[i]!);
        if (known) known.push(page.lsn[i]!);
        else places.set(page.index[i]!, [page.lsn[i]!]);
      }
      await breatheAfter(breathe, page.length);
    }
  }
  return found;
}

class Successors implements RunSink {
  readonly #coarse: Map<number, CoarsePlaces>;
  /** Of the inputs: entries beyond it only end others. */
  readonly #lastLsn: number;
  readonly #take: StoodSink;
  readonly #batch: StoodRun;
  #length = 0;

  constructor(coarse: Map<number, CoarsePlaces>, lastLsn: number, take: StoodSink) {
    this.#coarse = coarse;
    this.#lastLsn = lastLsn;
    this.#take = take;
    this.#batch = {
      strand: 0,
      level: 0,
      length: 0,
      index: new Uint32Array(BATCH_ROWS),
      lsn: new Float64Array(BATCH_ROWS),
      target: new Float64Array(BATCH_ROWS),
      next: new Float64Array(BATCH_ROWS),
    };
  }

  appendRun(run: EntryRun, from: number, to: number): Promise<void> | undefined {
    const batch = this.#batch;
    if (run.strand !== batch.strand || run.level !== batch.level) {
      // The batch says whose its entries are until the last of them is taken.
      const taken = this.end();
      if (taken) return taken.then(() => this.appendRun(run, from, to));
      batch.strand = run.strand;
      batch.level = run.level;
    }
    let at = from;
    while (at < to) {
      const end = Math.min(to, at + BATCH_ROWS - this.#length);
      this.#copy(run, at, end);
      at = end;
      if (this.#length < BATCH_ROWS) continue;
      // What comes after the last one is not known yet: it stays for the next batch.
      const taken = this.#flush(BATCH_ROWS - 1);
      const rest = at;
      if (taken) return taken.then(() => (this.#keepLast(), this.appendRun(run, rest, to)));
      this.#keepLast();
    }
    return undefined;
  }

  /** The end of a strand's level: nothing follows its last entry. */
  end(): Promise<void> | undefined {
    const length = this.#length;
    if (length === 0) return undefined;
    this.#length = 0;
    return this.#flush(length);
  }

  #copy(run: EntryRun, from: number, to: number): void {
    const { index, lsn, target } = run;
    const batch = this.#batch;
    const { index: outIndex, lsn: outLsn, target: outTarget, next } = batch;
    const lastLsn = this.#lastLsn;
    let length = this.#length;
    let before = length > 0 ? outIndex[length - 1]! : -1;
    for (let i = from; i < to; i++) {
      const place = index[i]!;
      const entryLsn = lsn[i]!;
      // The first one that follows counts: later ones end entries that are not the inputs'.
      if (place === before && next[length - 1] === Infinity) next[length - 1] = entryLsn;
      if (entryLsn > lastLsn) continue;
      outIndex[length] = place;
      outLsn[length] = entryLsn;
      outTarget[length] = target[i]!;
      next[length] = Infinity;
      before = place;
      length++;
    }
    this.#length = length;
  }

  #keepLast(): void {
    const { index, lsn, target, next } = this.#batch;
    for (const column of [index, lsn, target]) column[0] = column[BATCH_ROWS - 1]!;
    next[0] = Infinity;
    this.#length = 1;
  }

  #flush(length: number): Promise<void> | undefined {
    const batch = this.#batch;
    batch.length = length;
    for (let level = batch.level + 1; level <= 2; level++) {
      const places = this.#coarse.get(batch.strand * 4 + level);
      if (places) hide(batch, level as Level, places);
    }
    return this.#take(batch);
  }
}

/** Ends entries where a coarser one of the same strand covers them. */
function hide(batch: StoodRun, level: Level, places: CoarsePlaces): void {
  const shift = LEVEL_SHIFT[level] - LEVEL_SHIFT[batch.level];
  let place = -1;
  let lsns: readonly number[] | undefined;
  for (let i = 0; i < batch.length; i++) {
    const over = batch.index[i]! >>> shift;
    if (over !== place) {
      place = over;
      lsns = places.get(over);
    }
    if (!lsns) continue;
    const end = firstAfter(lsns, batch.lsn[i]!);
    if (end < batch.next[i]!) batch.next[i] = end;
  }
}

/** The lowest of ascending LSNs above `lsn`; Infinity: none. */
function firstAfter(lsns: readonly number[], lsn: number): number {
  let low = 0;
  let high = lsns.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (lsns[middle]! <= lsn) low = middle + 1;
    else high = middle;
  }
  return lsns[low] ?? Infinity;
}
