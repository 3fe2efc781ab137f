/**
 * Thinning: writes deltas anew without the entries that no needed moment can see (needs.ts). It is a merge that drops, so every merge of
 * what is not needed in full thins as well, and one layer can be thinned alone.
 *
 * The rule: an entry made at L, whose place is taken over at N, is what moments `[L, N)` see there. When none of them is needed, it goes. What
 * a needed moment sees is by that never dropped, and nothing dropped was hiding an older entry from a needed moment: so every needed
 * moment reads as before, whatever was dropped beside it, in whatever order layers are thinned. Images end a read early and are
 * never relied on: a delta's entry is kept for its own sake.
 *
 * Proof before publishing: the xor of what was kept and of what was dropped is the xor of the inputs, and their counts add up.
 */
import type { Disk } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { Breathe } from "./breathe.ts";
import { EntryMix, SHARD_SHIFT, type LayerMeta, type LayerPage } from "./layer-format.ts";
import { lsnRangeOf } from "./layer-merge.ts";
import type { LayerReader } from "./layer-reader.ts";
import type { PlaceSample } from "./layer-proof.ts";
import { walkStood, type StoodRun } from "./layer-thin.ts";
import { LayerWriter, type EntryRun } from "./layer-writer.ts";
import type { ShardWeight } from "../manifest.ts";
import { TARGET_ADDRESS_MIN } from "../map.ts";
import { isNeeded, type StrandNeeds } from "../needs.ts";

/** By strand; one that is not in it needs nothing. */
export type Needs = ReadonlyMap<number, StrandNeeds>;

export interface ThinOptions {
  disk: Disk;
  /** Where the result is published. */
  path: string;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Of the result; never used before. */
  id: number;
  /** As for mergeLayers. */
  inputs: readonly LayerReader[];
  /** Deltas that follow the inputs and stay as they are: they tell what superseded them. */
  after: readonly LayerReader[];
  needs: Needs;
  /** Lets others have their turn. */
  breathe?: Breathe | undefined;
  /** Takes a sample of the inputs' entries, for checkReads. */
  sample?: PlaceSample | undefined;
}

export interface Thinned {
  meta: LayerMeta;
  weights: ShardWeight[];
  /** Entries that went, and those of them that held a block's address. */
  dropped: number;
  droppedBlocks: number;
}

/** What thinning would drop. */
export interface ThinCount {
  entries: number;
  dropped: number;
  droppedBlocks: number;
}

/** Counts without writing. @throws corrupt: a damaged input */
export async function countThinning(
  inputs: readonly LayerReader[],
  after: readonly LayerReader[],
  needs: Needs,
  breathe?: Breathe,
): Promise<ThinCount> {
  const count: ThinCount = { entries: 0, dropped: 0, droppedBlocks: 0 };
  const countRun = (run: StoodRun): undefined => {
    const strandNeeds = needs.get(run.strand);
    count.entries += run.length;
    for (let i = 0; i < run.length; i++) {
      if (isNeeded(strandNeeds, run.lsn[i]!, run.next[i]!)) continue;
      count.dropped++;
      if (run.target[i]! >= TARGET_ADDRESS_MIN) count.droppedBlocks++;
    }
    return undefined;
  };
  await walkStood(inputs, after, countRun, breathe);
  return count;
}

/**
 * Merges deltas without what is not needed. The result speaks for the inputs' whole LSN range, even when it holds nothing.
 * @throws corrupt: a damaged input; internal: entries went astray; nothing was published
 */
export async function thinLayers(options: ThinOptions): Promise<Thinned> {
  const { disk, path, vaultId, cipher, id, inputs, after, needs, breathe, sample } = options;
  const { firstLsn, lastLsn } = lsnRangeOf(inputs);
  const writer = new LayerWriter({ disk, path, vaultId, cipher, id, kind: "delta", firstLsn, lastLsn });
  const thinner = new Thinner(writer, needs);
  try {
    const take = (run: StoodRun): Promise<void> | undefined => {
      sample?.note(run, 0, run.length);
      return thinner.take(run);
    };
    await walkStood(inputs, after, take, breathe);
    await thinner.check(inputs, id);
    const meta = await writer.finish();
    return { meta, weights: thinner.weights, dropped: thinner.dropped, droppedBlocks: thinner.droppedBlocks };
  } catch (error) {
    // The first error tells what happened; a leftover that cannot be removed now goes when the vault opens.
    await writer.abort().catch(() => undefined);
    throw error;
  }
}

/** Whether nothing can be dropped from deltas: every moment from their first on is needed, of every strand in them. */
export function keepsAll(deltas: readonly LayerMeta[], needs: Needs): boolean {
  return deltas.every(({ firstLsn, shards }) =>
    shards.every(({ strand }) => (needs.get(strand)?.from ?? Infinity) <= firstLsn),
  );
}

class Thinner {
  dropped = 0;
  droppedBlocks = 0;
  readonly weights: ShardWeight[] = [];
  readonly #writer: LayerWriter;
  readonly #needs: Needs;
  readonly #mix = new EntryMix();
  readonly #byShard = new Map<string, ShardWeight>();
  #weight: ShardWeight | undefined;
  /** Dropped entries of a batch, for the xor. */
  readonly #gone = { index: new Uint32Array(4096), lsn: new Float64Array(4096), target: new Float64Array(4096) };

  constructor(writer: LayerWriter, needs: Needs) {
    this.#writer = writer;
    this.#needs = needs;
  }

  /** Moves what is kept together at the batch's start, what is not into `gone`. */
  take(run: StoodRun): Promise<void> | undefined {
    const { strand, level, length, index, lsn, target, next } = run;
    const needs = this.#needs.get(strand);
    const gone = this.#gone;
    let kept = 0;
    let lost = 0;
    for (let i = 0; i < length; i++) {
      if (isNeeded(needs, lsn[i]!, next[i]!)) {
        if (kept < i) {
          index[kept] = index[i]!;
          lsn[kept] = lsn[i]!;
          target[kept] = target[i]!;
        }
        kept++;
      } else {
        gone.index[lost] = index[i]!;
        gone.lsn[lost] = lsn[i]!;
        gone.target[lost] = target[i]!;
        if (target[i]! >= TARGET_ADDRESS_MIN) this.droppedBlocks++;
        lost++;
      }
    }
    if (lost > 0) {
      const page: LayerPage = { strand, level, length: lost, ...gone, sizeBytes: 0 };
      this.#mix.add(page);
      this.dropped += lost;
    }
    this.#weigh(run, 0, kept);
    return this.#writer.appendRun(run, 0, kept);
  }

  /** Law 2 across thinning: kept and dropped together are exactly the inputs' entries. */
  async check(inputs: readonly LayerReader[], id: number): Promise<void> {
    const mix = new EntryMix();
    let entries = 0;
    for (const { meta } of inputs) {
      mix.addHex(meta.xor);
      entries += meta.entries;
    }
    mix.addHex(this.#mix.hex());
    const { dropped } = this;
    const kept = this.#writer.entries;
    const xor = await this.#writer.sealedXor();
    if (kept + dropped === entries && xor === mix.hex()) return;
    const message = `thinning into layer ${id}: kept ${kept}, dropped ${dropped} of ${entries} entries; xor ${xor}, expected ${mix.hex()}`;
    throw new SternwayError("internal", message, { layer: id, kept, dropped, entries });
  }

  #weigh(run: EntryRun, from: number, to: number): void {
    const shift = SHARD_SHIFT[run.level];
    for (let at = from; at < to;) {
      const shard = run.index[at]! >>> shift;
      let end = at + 1;
      while (end < to && run.index[end]! >>> shift === shard) end++;
      this.#weightOf(run.strand, shard).entries += end - at;
      at = end;
    }
  }

  #weightOf(strand: number, shard: number): ShardWeight {
    if (this.#weight?.strand === strand && this.#weight.shard === shard) return this.#weight;
    const key = `${strand}/${shard}`;
    let weight = this.#byShard.get(key);
    if (!weight) {
      this.#byShard.set(key, (weight = { strand, shard, entries: 0 }));
      this.weights.push(weight);
    }
    this.#weight = weight;
    return weight;
  }
}
