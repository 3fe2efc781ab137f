/**
 * The door of the room for what volumes' writes are like: has the sealer learn what areas of strands hold, in steps between its own. It changes nothing, and
 * only what is sealed counts.
 */
import { strandId, type Lsn } from "../../base/units.ts";
import type { Vault } from "../vault.ts";
import { AREAS_PER_SHARD, type StrandAreas } from "./content-map.ts";

export type { StrandAreas } from "./content-map.ts";
export type { StrandWrites, WriteSlice } from "./write-measure.ts";

/** 1 GiB of a volume: some 100 ms of the sealer's time. */
const AREAS_PER_STEP = 16;

/**
 * Learns areas of strands, so that the sealer can tell what later writes to them overwrite. Those that are known already cost nothing.
 * @returns false: there is no room for more
 * @throws unavailable: the vault is read-only or stops; corrupt: a damaged layer
 */
export async function learnAreas(vault: Vault, wanted: readonly StrandAreas[]): Promise<boolean> {
  for (const { strand, areas } of wanted) {
    for (let start = 0; start < areas.length; start += AREAS_PER_STEP) {
      if (!(await learnSome(vault, strand, areas.slice(start, start + AREAS_PER_STEP)))) return false;
    }
  }
  return true;
}

async function learnSome({ sealing, registry }: Vault, strand: number, areas: number[]): Promise<boolean> {
  let hasRoom = true;
  await sealing.perform(async () => {
    const { manifest, runner } = sealing;
    const chain = registry.chain(strandId(strand), manifest.sealed.lsn as Lsn);
    // What they weigh shard by shard is for merging, and there may be much of it.
    const layers = manifest.layers.map((layer) => ({ ...layer, weights: [] }));
    const wanted = [{ strand, chain, areas }];
    hasRoom = (await runner.run({ kind: "content", layers, pack: manifest.next.pack, wanted })) !== undefined;
    return undefined;
  });
  return hasRoom;
}

/** All areas in which a strand, or an ancestor of it, holds anything. */
export function areasOf(vault: Vault, strand: number): StrandAreas {
  const areas: number[] = [];
  for (const shard of vault.shardsOf(strand, vault.lastLsn)) {
    for (let i = 0; i < AREAS_PER_SHARD; i++) areas.push(shard * AREAS_PER_SHARD + i);
  }
  return { strand, areas };
}

/** Bytes that were written after an LSN and are not sealed yet. @param enough - counts no further: it runs where clients are answered */
export function unsealedAfter({ parts }: Vault, after: Lsn, enough: number): number {
  const { rows } = parts.live;
  let bytes = 0;
  for (let i = rows.length - 1; i >= 0 && bytes < enough && rows[i]!.firstLsn > after; i--)
    bytes += rows[i]!.writtenBytes;
  return bytes;
}
