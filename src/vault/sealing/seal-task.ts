/**
 * A stretch that waits to be sealed, and what it changes in a manifest's lists.
 */
import { hashText } from "../../base/hash.ts";
import type { ClosedFile } from "../../journal/journal.ts";
import type { StrandAreas } from "../content/content-map.ts";
import type { StrandWrites } from "../content/write-measure.ts";
import type { LayerRecord, Manifest } from "../manifest.ts";
import type { RegistryState } from "../registry.ts";
import type { SealEffort, SealRequest, SealResult } from "./sealer-requests.ts";

export interface SealTask extends ClosedFile {
  lastLsn: number;
  /** Wall time of its last group. */
  wall: number;
}

/** What became of a stretch: blocks by what was done with them. */
export interface SealProgress {
  blocks: number;
  zeroBlocks: number;
  duplicateBlocks: number;
  storedBytes: number;
  micros: number;
  /** What the writes of each strand were like. */
  writes: StrandWrites[];
  /** Areas that were written to and of which the sealer does not know what they held before; a bounded number of them. */
  strange: StrandAreas[];
}

/** Numbers that the new files take. */
export interface NewNumbers {
  layer: number;
  chronicle: number;
}

/** How the sealer is asked for a stretch: what comes of it goes on where the last of its kind ended. */
export function sealRequest(
  { layers, chronicles, next }: Manifest,
  { slot, fileSequence, groupCount, lastLsn }: SealTask,
  { layer, chronicle }: NewNumbers,
  effort: SealEffort,
): SealRequest {
  return {
    kind: "seal",
    slot,
    fileSequence,
    groupCount,
    layerFirstLsn: (layers.findLast((known) => known.kind === "delta")?.lastLsn ?? 0) + 1,
    chronicleFirstLsn: (chronicles.at(-1)?.lastLsn ?? 0) + 1,
    lastLsn,
    pack: next.pack,
    layer,
    chronicle,
    effort,
  };
}

/** What a sealed stretch changes. @param registry - as of its last LSN */
export function sealedChanges(
  { packs, layers, chronicles, next }: Manifest,
  task: SealTask,
  { layer, chronicle }: NewNumbers,
  result: SealResult,
  registry: RegistryState,
): Partial<Manifest> {
  return {
    sealed: sealedOf(task),
    next: { pack: next.pack + result.packs.length, layer: layer + 1, chronicle: chronicle + 1 },
    packs: [...packs, ...result.packs],
    layers: result.layer ? addDelta(layers, result.layer) : layers,
    chronicles: result.chronicle ? [...chronicles, result.chronicle] : chronicles,
    registry,
  };
}

function sealedOf(task: SealTask): Manifest["sealed"] {
  return {
    lsn: task.lastLsn,
    fileSequence: task.fileSequence,
    groupSequence: task.lastGroupSequence,
    groupChecksum: hashText(task.lastGroupChecksum),
    wall: task.wall,
  };
}

/** What the planted bug publishes: a manifest that says what the stretch will become, before any of it is written. */
export function unwritten(manifest: Manifest, task: SealTask): Partial<Manifest> {
  const { pack, layer } = manifest.next;
  const checksum = "0".repeat(16);
  const firstLsn = (manifest.layers.findLast((known) => known.kind === "delta")?.lastLsn ?? 0) + 1;
  const size = { sizeBytes: 4096, checksum };
  const { lastLsn } = task;
  return {
    sealed: sealedOf(task),
    packs: [...manifest.packs, { pack, generation: 0, slots: 1, ...size }],
    layers: addDelta(manifest.layers, {
      id: layer,
      kind: "delta",
      firstLsn,
      lastLsn,
      entries: 1,
      xor: checksum,
      shards: [],
      rank: 0,
      weights: [],
      ...size,
    }),
  };
}

/** Deltas stay in front of images, oldest first. */
function addDelta(layers: readonly LayerRecord[], delta: LayerRecord): LayerRecord[] {
  const images = layers.filter((layer) => layer.kind === "image");
  return [...layers.filter((layer) => layer.kind === "delta"), delta, ...images];
}
