/**
 * Finds what blocks hold at an LSN in sealed history: which layers can know, newest first, then the image that ends the search.
 * A read touches the deltas newer than the newest image at or before its LSN, and merging bounds their number; the length
 * of history does not matter.
 */
import type { LayerRecord } from "../manifest.ts";
import type { LayerSet } from "../open-set.ts";
import { SHARD_BLOCKS, type Resolution } from "../map.ts";

/** The layers that touch one shard. */
interface ShardPlan {
  /** Newest first. */
  deltas: LayerRecord[];
  images: LayerRecord[];
}

/** The live layers of one version of the vault; immutable. */
export class LayerIndex {
  /** Oldest first. */
  readonly deltas: readonly LayerRecord[];
  readonly images: readonly LayerRecord[];
  private readonly plans = new Map<number, Map<number, ShardPlan>>();

  constructor(layers: readonly LayerRecord[]) {
    const byLsn = (a: LayerRecord, b: LayerRecord): number => a.lastLsn - b.lastLsn;
    this.deltas = layers.filter((layer) => layer.kind === "delta").sort(byLsn);
    this.images = layers.filter((layer) => layer.kind === "image").sort(byLsn);
  }

  /** Computed when first asked for, then kept. */
  plan(strand: number, shard: number): ShardPlan {
    let shards = this.plans.get(strand);
    if (!shards) this.plans.set(strand, (shards = new Map()));
    let plan = shards.get(shard);
    if (!plan) {
      plan = {
        deltas: this.deltas.filter((layer) => lists(layer.shards, strand, shard)).reverse(),
        images: this.images.filter((layer) => lists(layer.coverage ?? [], strand, shard)).reverse(),
      };
      shards.set(shard, plan);
    }
    return plan;
  }

  /** Adds the shards in which a strand has anything by `maxLsn`. */
  shardsOf(strand: number, maxLsn: number, into: Set<number>): void {
    for (const layers of [this.deltas, this.images]) {
      for (const layer of layers) {
        if (layer.kind === "delta" ? layer.firstLsn > maxLsn : layer.lastLsn > maxLsn) continue;
        for (const list of layer.shards) if (list.strand === strand) for (const shard of list.shards) into.add(shard);
      }
    }
  }

  /** Adds the shards that a strand touched in `(after, through]`, as finely as layers are divided. */
  changedShards(strand: number, after: number, through: number, into: Set<number>): void {
    for (const layer of this.deltas) {
      if (layer.firstLsn > through || layer.lastLsn <= after) continue;
      for (const list of layer.shards) if (list.strand === strand) for (const shard of list.shards) into.add(shard);
    }
  }
}

function lists(all: readonly { strand: number; shards: number[] }[], strand: number, shard: number): boolean {
  return all.find((list) => list.strand === strand)?.shards.includes(shard) ?? false;
}

/**
 * Offers what the layers know of a window of one strand up to `maxLsn`.
 * @param into - a window within one shard
 * @returns undefined when done without waiting (everything needed was open and cached)
 * @throws corrupt
 */
export function resolveLayers(
  index: LayerIndex,
  set: LayerSet,
  strand: number,
  maxLsn: number,
  into: Resolution,
): Promise<void> | undefined {
  if (into.missing === 0) return undefined;
  const plan = index.plan(strand, Math.floor(into.firstBlock / SHARD_BLOCKS));
  const image = plan.images.find((layer) => layer.lastLsn <= maxLsn);
  const floor = image?.lastLsn ?? -1;
  const order = plan.deltas.filter((layer) => layer.firstLsn <= maxLsn && layer.lastLsn > floor);
  if (image) order.push(image);
  return collectFrom(order, 0, set, strand, maxLsn, into);
}

function collectFrom(
  order: readonly LayerRecord[],
  from: number,
  set: LayerSet,
  strand: number,
  maxLsn: number,
  into: Resolution,
): Promise<void> | undefined {
  for (let i = from; i < order.length; i++) {
    // Newest first: once every place is known, older layers can only know older entries.
    if (into.missing === 0) return undefined;
    const record = order[i]!;
    const reader = set.peek(record.id);
    if (!reader) return set.open(record).then(() => collectFrom(order, i, set, strand, maxLsn, into));
    const pending = reader.collect(strand, into, maxLsn);
    if (pending) return pending.then(() => collectFrom(order, i + 1, set, strand, maxLsn, into));
  }
  return undefined;
}
