/**
 * Repair, the sealer's side: finds blocks by their fingerprints, and writes a damaged pack anew under its next generation.
 *
 * What proves a block here is the fingerprint that the pack's directory keeps of it: XXH64 with the vault's secret seed. It tells damage
 * from the right bytes with a miss in 2^64, and it does not resist someone who knows the seed; that is weaker than law 4's comparison
 * of bytes, which needs the very bytes that are lost. So a fingerprint counts as a proof in a repair alone, never for sharing a slot.
 *
 * In the new file a slot is what it was (copied, and checked on the way), restored, freed (nothing refers to it any more), or lost: its
 * place holds zeroes in a frame marked as one with freed slots, so reading it is an error, and its fingerprint stays, so that a copy
 * that turns up later can still be told. After a crash the new file is one that no manifest names, and the old one still counts.
 */
import { assert } from "../base/assert.ts";
import { SternwayError } from "../base/errors.ts";
import { xxh64Wasm } from "../base/hash.ts";
import { BLOCK_SIZE } from "../base/units.ts";
import type { PackRecord } from "./manifest.ts";
import { blockAddress } from "./map.ts";
import type { PackBuilder } from "./pack-builder.ts";
import { FINGERPRINT_FREED } from "./pack-format.ts";
import type { PackStore } from "./pack-reader.ts";

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

/** Blocks copied at once. */
const BATCH_SLOTS = 256;

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

export interface Rewrite {
  packs: PackStore;
  seed: bigint;
  record: PackRecord;
  /** Slots that cannot be read from the old file. */
  damaged: ReadonlySet<number>;
  /** Of the damaged ones, those that nothing refers to. */
  freed: ReadonlySet<number>;
  replace: ReadonlyMap<number, Uint8Array>;
  builder: PackBuilder;
}

/**
 * Fills a builder with a pack's slots as they are to be from now on.
 * @returns the slots that are lost
 * @throws corrupt: a slot turned out damaged that was not said to be, or the pack's directory cannot be read
 */
export async function rewriteSlots(rewrite: Rewrite): Promise<number[]> {
  const { packs, seed, record, damaged, freed, replace, builder } = rewrite;
  const { fingerprints } = await packs.directory(record.pack);
  const lost: number[] = [];
  const buffer = new Uint8Array(BATCH_SLOTS * BLOCK_SIZE);
  for (let start = 0; start < record.slots; start += BATCH_SLOTS) {
    const end = Math.min(record.slots, start + BATCH_SLOTS);
    await readSlots(rewrite, fingerprints, start, end, buffer);
    for (let slot = start; slot < end; slot++) {
      const print = fingerprints[slot]!;
      const copy = replace.get(slot);
      if (print === FINGERPRINT_FREED || (damaged.has(slot) && freed.has(slot))) builder.addFreed();
      else if (damaged.has(slot) && !copy) {
        builder.addLost(print);
        lost.push(slot);
      } else {
        const at = (slot - start) * BLOCK_SIZE;
        const block = damaged.has(slot) ? copy! : buffer.subarray(at, at + BLOCK_SIZE);
        if (xxh64Wasm(block, seed) !== print) throw wrong(record, slot);
        builder.add(block, print);
      }
    }
  }
  assert(builder.slotCount === record.slots, "a rewritten pack keeps its slots");
  return lost;
}

/** Reads the sound slots of `[start, end)`. */
async function readSlots(
  { packs, record, damaged }: Rewrite,
  fingerprints: BigUint64Array,
  start: number,
  end: number,
  into: Uint8Array,
): Promise<void> {
  const slots: number[] = [];
  for (let slot = start; slot < end; slot++) {
    if (!damaged.has(slot) && fingerprints[slot] !== FINGERPRINT_FREED) slots.push(slot);
  }
  let failure: SternwayError | undefined;
  await packs.visit(
    slots.map((slot) => blockAddress(record.pack, slot)),
    {
      block: (n, bytes, offset) =>
        into.set(bytes.subarray(offset, offset + BLOCK_SIZE), (slots[n]! - start) * BLOCK_SIZE),
      failed: (_, error) => {
        failure ??= error;
      },
    },
  );
  if (failure) throw failure;
}

function wrong({ pack, generation }: PackRecord, slot: number): SternwayError {
  const message = `pack ${pack} generation ${generation}, slot ${slot}: its block does not match its fingerprint`;
  return new SternwayError("corrupt", message, { pack, generation, slot });
}
