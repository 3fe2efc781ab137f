/**
 * What to thin when: pure decisions over a manifest's layers and what must stay readable.
 *
 * An entry can be dropped only when a merge sees what superseded it. So what lies below the horizon, the *cold* deltas, is merged together:
 * neighbours whenever the younger ones have gathered a quarter of the older one's entries. Then the cold past
 * holds at most some 1.25 entries where one is needed, an entry is rewritten a few times per power of four of growth, and a read
 * of it meets few deltas. A single layer is looked at again only when what is needed of it has changed, and a dry count decides.
 *
 * Images only make reads quick. One goes when no needed moment starts from it, or when the horizon has passed it and much was
 * written over what it holds: it would keep that from being freed.
 */
import type { LayerRecord } from "../manifest.ts";
import { isNeeded } from "../needs.ts";
import type { Needs } from "./thin.ts";

/** Cold deltas are merged when the younger ones hold this share of the older one's entries. */
const COLD_MERGE_SHARE = 0.25;
/** A layer is rewritten for this share of its entries. */
export const THIN_SHARE_MIN = 0.1;
/** An image below the horizon is given up when so many entries, as a share of its own, came after it. */
const STALE_IMAGE_SHARE = 0.25;
/** Cold deltas merged at once. */
const COLD_MERGE_MAX = 64;
/** What is read besides, for its LSNs: so many entries, or as many as the inputs have. */
const TELLING_ENTRIES = 65_536;
/** How finely a horizon's way through a layer is told apart: each part is one dry count. */
const HORIZON_PARTS = 8;

/** Whether most of what a delta holds lies below the horizons of its strands. */
function isCold(layer: LayerRecord, needs: Needs): boolean {
  let cold = 0;
  let all = 0;
  for (const { strand, entries } of layer.weights) {
    all += entries;
    if ((needs.get(strand)?.from ?? Infinity) > layer.lastLsn) cold += entries;
  }
  return cold * 2 >= all;
}

/** Neighbouring cold deltas to merge, oldest first. @param deltas - oldest first */
export function dueColdMerge(deltas: readonly LayerRecord[], needs: Needs): LayerRecord[] | undefined {
  let end = 0;
  while (end < deltas.length && isCold(deltas[end]!, needs)) end++;
  if (end < 2) return undefined;
  let start = end - 1;
  let gathered = deltas[start]!.entries;
  let due = end;
  // From the youngest back: as far as what has gathered is worth rewriting the next older one.
  while (start > 0 && end - start < COLD_MERGE_MAX) {
    start--;
    if (gathered >= deltas[start]!.entries * COLD_MERGE_SHARE) due = start;
    gathered += deltas[start]!.entries;
  }
  return due < end - 1 ? deltas.slice(due, end) : undefined;
}

/**
 * Deltas behind some neighbours that are worth reading for what they superseded there.
 * @param deltas - oldest first
 */
export function tellingAfter(deltas: readonly LayerRecord[], inputs: readonly LayerRecord[]): LayerRecord[] {
  const start = deltas.indexOf(inputs[inputs.length - 1]!) + 1;
  let left = Math.max(
    TELLING_ENTRIES,
    inputs.reduce((sum, input) => sum + input.entries, 0),
  );
  let end = start;
  while (end < deltas.length && deltas[end]!.entries <= left && end - start < COLD_MERGE_MAX) {
    left -= deltas[end]!.entries;
    end++;
  }
  return deltas.slice(start, end);
}

/**
 * What is needed of a layer, as a text that changes when thinning may find more to drop.
 * @param after - what tells of its successors
 * @returns undefined when nothing in it can be dropped
 */
export function thinKey(layer: LayerRecord, after: readonly LayerRecord[], needs: Needs): string | undefined {
  const { firstLsn, lastLsn } = layer;
  const parts: string[] = [];
  for (const { strand } of layer.shards) {
    const needed = needs.get(strand);
    if (!needed) {
      parts.push(`${strand}:gone`);
      continue;
    }
    if (needed.from <= firstLsn) continue;
    const passed = Math.min(1, (needed.from - firstLsn) / (lastLsn + 1 - firstLsn));
    const points = needed.points.filter((point) => point >= firstLsn && point <= lastLsn);
    const isOpen = needed.from < Infinity || needed.points.some((point) => point > lastLsn);
    parts.push(`${strand}:${Math.floor(passed * HORIZON_PARTS)}:${points.join(",")}:${isOpen ? "open" : "closed"}`);
  }
  // A horizon that has hardly entered the layer is not worth a look.
  if (!parts.some((part) => !/^\d+:0:/.test(part))) return undefined;
  // Each doubling of what was written behind it is worth a look, as long as that can matter.
  const behind = after.reduce((sum, delta) => sum + delta.entries, 0);
  const told = behind < layer.entries * THIN_SHARE_MIN ? 0 : Math.ceil(Math.log2(behind));
  return `${parts.join(" ")} ${told}`;
}

/** Images that no needed read is better off with. */
export function uselessImages(layers: readonly LayerRecord[], needs: Needs): LayerRecord[] {
  const images = layers.filter((layer) => layer.kind === "image");
  const deltas = layers.filter((layer) => layer.kind === "delta");
  return images.filter((image) => {
    const covered = (image.coverage ?? []).flatMap(({ strand, shards }) => shards.map((shard) => ({ strand, shard })));
    const useful = covered.filter(({ strand, shard }) => {
      const next = images.find((other) => other.lastLsn > image.lastLsn && covers(other, strand, shard));
      return isNeeded(needs.get(strand), image.lastLsn, next?.lastLsn ?? Infinity);
    });
    return useful.length === 0 || isStale(image, useful, deltas, needs);
  });
}

function covers(image: LayerRecord, strand: number, shard: number): boolean {
  return image.coverage?.find((list) => list.strand === strand)?.shards.includes(shard) ?? false;
}

function isStale(
  image: LayerRecord,
  useful: readonly { strand: number; shard: number }[],
  deltas: readonly LayerRecord[],
  needs: Needs,
): boolean {
  if (useful.some(({ strand }) => (needs.get(strand)?.from ?? Infinity) <= image.lastLsn)) return false;
  let since = 0;
  for (const delta of deltas) {
    // A merged delta that reaches back beyond the image counts whole: giving an image up too early costs one made anew.
    if (delta.lastLsn <= image.lastLsn) continue;
    for (const { strand, shard, entries } of delta.weights) if (covers(image, strand, shard)) since += entries;
  }
  return since >= image.entries * STALE_IMAGE_SHARE;
}
