/**
 * The sealer's part of learning what blocks held before: resolves areas in sealed history and looks at how their frames are stored. An area takes some
 * milliseconds; a request holds few enough that a stretch need not wait for long.
 */
import { isSternwayError } from "../../base/errors.ts";
import { LayerIndex, resolveLayers } from "../layers/resolve.ts";
import type { LayerRecord } from "../manifest.ts";
import { emptyResolution, packOf, slotOf, TARGET_ADDRESS_MIN } from "../map.ts";
import type { LayerSet } from "../open-set.ts";
import type { FrameTable } from "../packs/pack-format.ts";
import type { PackStore } from "../packs/pack-reader.ts";
import {
  AREA_BLOCKS,
  CONTENT_DENSE,
  CONTENT_NONE,
  CONTENT_PLAIN,
  CONTENT_UNKNOWN,
  type Content,
  type ContentMap,
} from "./content-map.ts";

/** A frame that is stored with more than this share of its bytes holds mostly dense blocks. */
const DENSE_FRAME = 0.9;
/** Frame tables that one area looks at before it gives up on the rest: blocks strewn over more packs stay unknown. */
const TABLES_MAX = 256;

/** Learns what areas held. Areas that are known are passed over. */
export interface ContentRequest {
  kind: "content";
  /** All of the manifest; their files stay while the step lasts. */
  layers: LayerRecord[];
  /** The number of the next new pack. */
  pack: number;
  wanted: {
    strand: number;
    /** Where to look for what it held, in order (registry). */
    chain: { strand: number; lsn: number }[];
    areas: number[];
  }[];
}

/** How many areas were learned; undefined: there is no room for more, which is no error. */
export type ContentResult = number | undefined;

export interface ContentWorkParts {
  map: ContentMap;
  packs: PackStore;
  /** Opens layers past the sealer's other work. */
  newSet: () => LayerSet;
}

/** @throws corrupt: a damaged layer; unavailable */
export async function learnContent(
  request: ContentRequest,
  { map, packs, newSet }: ContentWorkParts,
): Promise<ContentResult> {
  const index = new LayerIndex(request.layers);
  const set = newSet();
  let learned = 0;
  try {
    for (const { strand, chain, areas } of request.wanted) {
      for (const area of areas) {
        if (map.knows(strand, area)) continue;
        const found = emptyResolution(area * AREA_BLOCKS, AREA_BLOCKS);
        for (const link of chain) await resolveLayers(index, set, link.strand, link.lsn, found);
        const held = await contentOf(found.target, packs);
        map.learn(strand, area, (block) => held[block - area * AREA_BLOCKS] as Content);
        learned++;
      }
    }
  } finally {
    await set.close();
  }
  return map.isFull ? undefined : learned;
}

async function contentOf(targets: Float64Array, packs: PackStore): Promise<Uint8Array> {
  const tables = new Map<number, FrameTable | undefined>();
  const held = new Uint8Array(targets.length);
  for (let i = 0; i < targets.length; i++) {
    const target = targets[i]!;
    if (target < TARGET_ADDRESS_MIN) {
      held[i] = CONTENT_NONE;
      continue;
    }
    const pack = packOf(target);
    if (!tables.has(pack)) tables.set(pack, tables.size < TABLES_MAX ? await tableOf(packs, pack) : undefined);
    const table = tables.get(pack);
    const frame = table?.frameOf(slotOf(target)) ?? -1;
    if (!table || frame < 0) held[i] = CONTENT_UNKNOWN;
    else held[i] = table.storedBytes(frame) > table.rawBytes(frame) * DENSE_FRAME ? CONTENT_DENSE : CONTENT_PLAIN;
  }
  return held;
}

/** @returns undefined: it is damaged, which must not keep the sealer from anything */
async function tableOf(packs: PackStore, pack: number): Promise<FrameTable | undefined> {
  try {
    return await packs.frameTable(pack);
  } catch (error) {
    if (!isSternwayError(error) || error.kind === "internal") throw error;
    return undefined;
  }
}
