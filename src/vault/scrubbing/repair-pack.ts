/**
 * Repair, the sealer's side: what proves a copy, and what becomes of a damaged pack (repack.ts writes it anew, under its next generation).
 *
 * What proves a block here is the fingerprint that the pack's directory keeps of it: XXH64 with the vault's secret seed. It tells damage
 * from the right bytes with a miss in 2^64, and it does not resist someone who knows the seed; that is weaker than law 4's comparison
 * of bytes, which needs the very bytes that are lost. So a fingerprint counts as a proof in a repair alone, never for sharing a slot.
 *
 * In the new file a slot is what it was (copied, and checked on the way), restored, freed (nothing refers to it any more), or lost: its
 * place holds zeroes in a frame marked as one with freed slots, so reading it is an error, and its fingerprint stays, so that a copy
 * that turns up later can still be told. After a crash the new file is one that no manifest names, and the old one still counts.
 */
import { xxh64Wasm } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { PackStore } from "../packs/pack-reader.ts";

/** A slot of a damaged pack, and what its block's fingerprint is. */
export interface WantedSlot {
  slot: number;
  print: bigint;
}

/** A block that was found for a slot: 4,096 bytes that match the fingerprint asked for. */
export interface FoundBlock {
  slot: number;
  bytes: Uint8Array;
}

/**
 * Blocks at proposed addresses that turn out to have the wanted fingerprints.
 * @param proposals - by ordinal of `wanted`: an address, 0 for none
 */
export async function proveCopies(
  packs: PackStore,
  seed: bigint,
  wanted: readonly WantedSlot[],
  proposals: Float64Array,
): Promise<FoundBlock[]> {
  const asked: number[] = [];
  proposals.forEach((address, i) => {
    if (address !== 0) asked.push(i);
  });
  const found: FoundBlock[] = [];
  await packs.visit(
    asked.map((i) => proposals[i]!),
    {
      block: (n, bytes, offset) => {
        const { slot, print } = wanted[asked[n]!]!;
        const block = bytes.slice(offset, offset + BLOCK_SIZE);
        if (xxh64Wasm(block, seed) === print) found.push({ slot, bytes: block });
      },
      // A copy that is damaged as well is no copy.
      failed: () => undefined,
    },
  );
  return found;
}
