/**
 * Merges deltas that follow one another into one: the same entries in fewer files, so that a read asks fewer layers. Nothing is
 * dropped (thin.ts does that). Memory: one decoded page per input and one being written.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { breathing, type Breathe } from "./breathe.ts";
import { EntryMix, type LayerMeta, type LayerPage } from "./layer-format.ts";
import type { LayerReader } from "./layer-reader.ts";
import type { PlaceSample } from "./layer-proof.ts";
import { LayerWriter, type EntryRun } from "./layer-writer.ts";

/** Inputs of one merge: keys below combine a place and an input's rank exactly, and descriptors stay few. */
export const MERGE_INPUTS_MAX = 1024;

export interface MergeOptions {
  disk: Disk;
  /** Where the result is published. */
  path: string;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Of the result; never used before. */
  id: number;
  /** Deltas, oldest first; each begins one LSN after the one before ends. They stay open. */
  inputs: readonly LayerReader[];
  /** Ends the merge early; nothing is published. */
  signal?: AbortSignal;
  /** Lets others have their turn. */
  breathe?: Breathe | undefined;
  /** Takes a sample of what was written, for checkReads. */
  sample?: PlaceSample | undefined;
}

/** One input's place in the merge. */
interface Cursor {
  readonly pages: AsyncGenerator<LayerPage, void, undefined>;
  /** The page at hand; undefined at the end of the input. */
  page: LayerPage | undefined;
  /** Next entry of the page. */
  at: number;
}

/**
 * Streams the inputs into one delta over their whole LSN range, and compares entry count and xor before publishing it.
 * @returns the published layer
 * @throws corrupt: a damaged input; internal: the result would not hold exactly the inputs' entries; nothing was published
 */
export async function mergeLayers(options: MergeOptions): Promise<LayerMeta> {
  const { disk, path, vaultId, cipher, id, inputs, signal, breathe, sample } = options;
  const { firstLsn, lastLsn } = lsnRangeOf(inputs);
  const writer = new LayerWriter({ disk, path, vaultId, cipher, id, kind: "delta", firstLsn, lastLsn });
  try {
    await mergeRuns(inputs, breathing(sample?.before(writer) ?? writer, breathe), signal);
    await checkResult(writer, inputs, id);
    return await writer.finish();
  } catch (error) {
    // The first error tells what happened; a leftover that cannot be removed now goes when the vault opens.
    await writer.abort().catch(() => undefined);
    throw error;
  }
}

/** The LSNs that deltas speak for together; they must follow one another without a gap. */
export function lsnRangeOf(inputs: readonly LayerReader[]): { firstLsn: number; lastLsn: number } {
  assert(inputs.length >= 1 && inputs.length <= MERGE_INPUTS_MAX, "a merge has 1 to 1,024 inputs");
  for (const [i, { meta }] of inputs.entries()) {
    assert(meta.kind === "delta", "only deltas are merged");
    assert(i === 0 || meta.firstLsn === inputs[i - 1]!.meta.lastLsn + 1, "the inputs' LSN ranges follow one another");
  }
  return { firstLsn: inputs[0]!.meta.firstLsn, lastLsn: inputs[inputs.length - 1]!.meta.lastLsn };
}

/** Takes runs of entries in layer order. A run is the caller's and may change after it was taken. */
export interface RunSink {
  /** Takes entries `[from, to)` of one strand and level. @returns undefined when done; else wait before the next call */
  appendRun(run: EntryRun, from: number, to: number): Promise<void> | undefined;
}

/** Streams all entries of deltas that follow one another, oldest first, into `sink`, in layer order. @throws corrupt: a damaged input */
export async function mergeRuns(inputs: readonly LayerReader[], sink: RunSink, signal?: AbortSignal): Promise<void> {
  const cursors = inputs.map((input): Cursor => ({ pages: input.pages(), page: undefined, at: 0 }));
  for (const cursor of cursors) await advance(cursor);
  for (;;) {
    const group = lowestGroup(cursors);
    if (group.length === 0) break;
    await mergeGroup(cursors, group, sink, signal);
  }
}

async function advance(cursor: Cursor): Promise<void> {
  const next = await cursor.pages.next();
  cursor.page = next.done === true ? undefined : next.value;
  cursor.at = 0;
}

/** Ranks of the cursors that stand at the lowest (strand, level). */
function lowestGroup(cursors: readonly Cursor[]): number[] {
  let lowest = Infinity;
  let ranks: number[] = [];
  for (const [rank, { page }] of cursors.entries()) {
    if (!page) continue;
    const group = page.strand * 4 + page.level;
    if (group < lowest) {
      lowest = group;
      ranks = [];
    }
    if (group === lowest) ranks.push(rank);
  }
  return ranks;
}

/**
 * Merges the entries of one (strand, level). A heap holds one key per cursor: place × 1,024 + rank. Ranks rise with LSNs, so equal
 * places come out oldest first, and a cursor's run may be copied whole until it passes the next lowest key.
 */
async function mergeGroup(
  cursors: readonly Cursor[],
  ranks: readonly number[],
  sink: RunSink,
  signal: AbortSignal | undefined,
): Promise<void> {
  const first = cursors[ranks[0]!]!.page!;
  const { strand, level } = first;
  const keyOf = (rank: number): number => {
    const cursor = cursors[rank]!;
    return cursor.page!.index[cursor.at]! * MERGE_INPUTS_MAX + rank;
  };
  const heap = new Float64Array(ranks.length);
  let size = 0;
  // Keys of one group at its start need no order among them yet: build the heap by sinking from the middle.
  for (const rank of ranks) heap[size++] = keyOf(rank);
  for (let i = (size >>> 1) - 1; i >= 0; i--) settle(heap, size, i);

  while (size > 0) {
    const rank = heap[0]! % MERGE_INPUTS_MAX;
    const cursor = cursors[rank]!;
    const page = cursor.page!;
    const limit = Math.min(size > 1 ? heap[1]! : Infinity, size > 2 ? heap[2]! : Infinity);
    const { index, length } = page;
    const from = cursor.at;
    let to = from + 1;
    while (to < length && index[to]! * MERGE_INPUTS_MAX + rank < limit) to++;
    const written = sink.appendRun(page, from, to);
    if (written) await written;
    cursor.at = to;
    if (to === length) {
      signal?.throwIfAborted();
      await advance(cursor);
    }
    if (cursor.page?.strand === strand && cursor.page.level === level) heap[0] = keyOf(rank);
    else heap[0] = heap[--size]!;
    settle(heap, size, 0);
  }
}

/** Restores the heap's order below `start`. */
function settle(heap: Float64Array, size: number, start: number): void {
  const key = heap[start]!;
  let at = start;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = key;
}

/** Law 2 across a merge: exactly the inputs' entries, no more, no fewer, none altered. */
async function checkResult(writer: LayerWriter, inputs: readonly LayerReader[], id: number): Promise<void> {
  const mix = new EntryMix();
  let entries = 0;
  for (const { meta } of inputs) {
    mix.addHex(meta.xor);
    entries += meta.entries;
  }
  const xor = await writer.sealedXor();
  if (writer.entries === entries && xor === mix.hex()) return;
  throw new SternwayError(
    "internal",
    `merge into layer ${id}: ${writer.entries} entries, xor ${xor}; the inputs have ${entries}, ${mix.hex()}`,
    {
      layer: id,
      entries: writer.entries,
      expected: entries,
    },
  );
}
