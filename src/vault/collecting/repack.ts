/**
 * Writes a pack anew without the blocks that nothing names any more: the same pack number and slot numbers, one generation on, so that
 * no map changes. Live blocks go through the same checks as any read, and their fingerprints are compared besides; a pack in which
 * one fails is left as it is, for the scrub to repair: what is damaged is never dropped (law 6) and never passed on as sound (law 3).
 *
 * A repair writes packs anew by the same way, and says what to store in the place of what cannot be read (repair-pack.ts).
 *
 * Memory: the new pack and 4 MiB. Nothing counts before a manifest names the new file.
 */
import { publish, type Disk } from "../../base/disk.ts";
import { errorText, isSternwayError } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { PackRecord } from "../manifest.ts";
import { blockAddress } from "../map.ts";
import type { PackBuilder } from "../packs/pack-builder.ts";
import { FINGERPRINT_FREED } from "../packs/pack-format.ts";
import type { PackStore } from "../packs/pack-reader.ts";

/** Live blocks read at once. */
const COPY_BLOCKS = 1024;

export interface RepackOptions {
  disk: Disk;
  /** Reads the pack as it is. */
  packs: PackStore;
  /** The vault's fingerprint seed. */
  seed: bigint;
  record: PackRecord;
  isLive: (slot: number) => boolean;
  /** For a repair: of a live slot that cannot be read, the block that it held, or that this is lost; undefined: it is read. */
  instead?: (slot: number) => Uint8Array | "lost" | undefined;
  /** A builder of the pack's next generation. */
  builder: PackBuilder;
}

export type Repacked =
  | { kind: "repacked"; record: PackRecord; liveSlots: number }
  /** Some live block cannot be read as it was written: the pack stays. */
  | { kind: "damaged"; why: string };

/** @throws unavailable: the disk failed; nothing was published */
export async function repack(options: RepackOptions): Promise<Repacked> {
  const { disk, packs, record, builder } = options;
  try {
    const { fingerprints } = await packs.directory(record.pack);
    const liveSlots = await copy(options, fingerprints);
    if (typeof liveSlots === "string") return { kind: "damaged", why: liveSlots };
    await publish(disk, packs.fileName(record.pack, builder.generation), builder.finish());
    return {
      kind: "repacked",
      liveSlots,
      record: {
        pack: record.pack,
        generation: builder.generation,
        sizeBytes: builder.sizeBytes,
        slots: record.slots,
        checksum: builder.checksum.toString(16).padStart(16, "0"),
        freed: record.slots - liveSlots,
      },
    };
  } catch (error) {
    // Damage is a state of the pack; anything else is the disk's present trouble and is tried again.
    if (!isSternwayError(error, "corrupt") && !isSternwayError(error, "not_found")) throw error;
    return { kind: "damaged", why: errorText(error) };
  }
}

/** @returns how many live slots there are, or why it cannot be done */
async function copy(options: RepackOptions, fingerprints: BigUint64Array): Promise<number | string> {
  const { packs, seed, record, isLive, instead, builder } = options;
  if (fingerprints.length !== record.slots)
    return `it has ${fingerprints.length} slots, the manifest says ${record.slots}`;
  const bytes = new Uint8Array(COPY_BLOCKS * BLOCK_SIZE);
  let live = 0;
  for (let start = 0; start < record.slots;) {
    const slots: number[] = [];
    let end = start;
    for (; end < record.slots && slots.length < COPY_BLOCKS; end++) {
      if (isLive(end) && instead?.(end) === undefined) slots.push(end);
    }
    await packs.readMany(
      slots.map((slot) => blockAddress(record.pack, slot)),
      bytes,
    );
    let place = 0;
    for (let slot = start; slot < end; slot++) {
      if (!isLive(slot)) {
        builder.addFreed();
        continue;
      }
      live++;
      const print = fingerprints[slot]!;
      const other = instead?.(slot);
      if (other === "lost") {
        builder.addLost(print);
        continue;
      }
      const block = other ?? bytes.subarray(place * BLOCK_SIZE, (place + 1) * BLOCK_SIZE);
      if (!other) place++;
      if (print === FINGERPRINT_FREED || xxh64(block, seed) !== print)
        return `slot ${slot} does not match its fingerprint`;
      builder.add(block, print);
    }
    start = end;
  }
  return live;
}
