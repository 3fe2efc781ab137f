/**
 * Writes a pack anew without the blocks that nothing names any more: the same pack number and slot numbers, one generation on, so that
 * no map changes. Frames keep their borders; those without anything live melt into runs of freed slots.
 *
 * - A frame of which nothing goes is copied as it is stored, still compressed: unpacking and packing it again would cost five times as much as all the
 *   rest. What proves it is its checksum, which is bound to its place in this very file (in an encrypted vault, its tag as well). That its
 *   blocks match their fingerprints was so when it was written, and the scrub looks again and again.
 * - Of a frame that loses something, each block that stays is compared with its fingerprint and packed anew.
 *
 * A pack in which a frame that is needed fails is left as it is, for the scrub to repair: what is damaged is never dropped (law 6) and never passed on as
 * sound (law 3). What the scrub has given up as lost already stays lost, slot and fingerprint, and keeps no other slot from being freed.
 *
 * A repair writes packs anew by the same way, and says what to store in the place of what cannot be read (repair-pack.ts).
 *
 * Memory: the new pack and 2 MiB. Nothing counts before a manifest names the new file.
 */
import { publish, type Disk } from "../../base/disk.ts";
import { errorText, isSternwayError } from "../../base/errors.ts";
import { hashText, xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { PackRecord } from "../manifest.ts";
import type { PackBuilder } from "../packs/pack-builder.ts";
import { POOLED_READ_BYTES_MAX } from "../packs/pack-files.ts";
import { FINGERPRINT_FREED, FRAME_HAS_FREED, FRAME_RAW_BYTES_MAX, type FrameTable } from "../packs/pack-format.ts";
import { checkedFrame, unpackInto } from "../packs/pack-loader.ts";
import type { PackDirectory, PackStore } from "../packs/pack-reader.ts";

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
  let liveSlots: number | string;
  try {
    const directory = await packs.directory(record.pack);
    liveSlots = await new Copying(options, directory).run();
  } catch (error) {
    // Damage is a state of the pack, and a sector that cannot be read is no less; anything else is the disk's present trouble and is tried again.
    if (!isSternwayError(error)) throw error;
    if (error.kind !== "corrupt" && error.kind !== "not_found" && error.facts["code"] !== "EIO") throw error;
    return { kind: "damaged", why: errorText(error) };
  }
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
      checksum: hashText(builder.checksum),
      freed: record.slots - liveSlots,
    },
  };
}

/** What becomes of a frame: freed, made of what is given instead of it, copied as it is stored, or packed anew. */
type Fate = "free" | "replace" | "copy" | "pack";

class Copying {
  readonly #options: RepackOptions;
  readonly #table: FrameTable;
  readonly #fingerprints: BigUint64Array;
  readonly #raw = new Uint8Array(FRAME_RAW_BYTES_MAX);
  #live = 0;

  constructor(options: RepackOptions, { frames, fingerprints }: PackDirectory) {
    this.#options = options;
    this.#table = frames;
    this.#fingerprints = fingerprints;
  }

  /** @returns how many live slots there are, or why it cannot be done @throws corrupt, not_found, unavailable */
  async run(): Promise<number | string> {
    const { packs, record } = this.#options;
    const { offset, frameCount, slotCount } = this.#table;
    if (slotCount !== record.slots) return `it has ${slotCount} slots, the manifest says ${record.slots}`;
    const fates = Array.from({ length: frameCount }, (_, frame) => this.#fateOf(frame));
    for (let first = 0; first < frameCount;) {
      let end = first;
      const isRead = (frame: number): boolean => fates[frame] === "copy" || fates[frame] === "pack";
      const fits = (): boolean => end === first || offset[end + 1]! - offset[first]! <= POOLED_READ_BYTES_MAX;
      while (end < frameCount && isRead(end) && fits()) end++;
      if (end === first) {
        // Nothing of it is needed, so it need not be readable.
        const failure = this.#add(first, fates[first]!, undefined);
        if (failure !== undefined) return failure;
        first++;
        continue;
      }
      const start = first;
      const failure = await packs.readStored(this.#table, first, end, (stored) => {
        for (let frame = start; frame < end; frame++) {
          const bytes = stored.subarray(offset[frame]! - offset[start]!, offset[frame + 1]! - offset[start]!);
          const why = this.#add(frame, fates[frame]!, bytes);
          if (why !== undefined) return why;
        }
        return undefined;
      });
      if (failure !== undefined) return failure;
      first = end;
    }
    return this.#live;
  }

  #fateOf(frame: number): Fate {
    const { isLive, instead } = this.#options;
    const { firstSlot } = this.#table;
    let isWhole = true;
    let isRead = false;
    let hasLive = false;
    for (let slot = firstSlot[frame]!; slot < firstSlot[frame + 1]!; slot++) {
      if (isLive(slot)) {
        const isGiven = instead?.(slot) !== undefined;
        hasLive = true;
        isRead ||= !isGiven;
        isWhole &&= !isGiven && this.#fingerprints[slot] !== FINGERPRINT_FREED;
      } else {
        // What was freed before is no change.
        isWhole &&= this.#fingerprints[slot] === FINGERPRINT_FREED;
      }
    }
    if (!hasLive) return "free";
    if (!isRead) return "replace";
    return isWhole ? "copy" : "pack";
  }

  /** @returns why it cannot be done */
  #add(frame: number, fate: Fate, stored: Uint8Array | undefined): string | undefined {
    const { builder, isLive } = this.#options;
    const table = this.#table;
    const start = table.firstSlot[frame]!;
    const end = table.firstSlot[frame + 1]!;
    if (fate === "free") {
      for (let slot = start; slot < end; slot++) builder.addFreed();
      return undefined;
    }
    const held = stored && checkedFrame(table, frame, stored);
    if (held && !(held instanceof Uint8Array)) return held.message;
    if (held && fate === "copy") {
      builder.addFrame(held, table.flags[frame]!, this.#fingerprints.subarray(start, end));
      for (let slot = start; slot < end; slot++) if (isLive(slot)) this.#live++;
      return undefined;
    }
    const raw = this.#raw.subarray(0, table.rawBytes(frame));
    const failure = held && unpackInto(table, frame, held, raw);
    if (failure) return failure.message;
    // Otherwise borders would wander with each generation.
    builder.endFrame();
    for (let slot = start; slot < end; slot++) {
      const why = this.#addSlot(
        frame,
        slot,
        raw.subarray((slot - start) * BLOCK_SIZE, (slot - start + 1) * BLOCK_SIZE),
      );
      if (why !== undefined) return why;
    }
    return undefined;
  }

  #addSlot(frame: number, slot: number, block: Uint8Array): string | undefined {
    const { builder, isLive, instead, seed } = this.#options;
    if (!isLive(slot)) {
      builder.addFreed();
      return undefined;
    }
    this.#live++;
    const print = this.#fingerprints[slot]!;
    const other = instead?.(slot);
    const mayBeLost = (this.#table.flags[frame]! & FRAME_HAS_FREED) !== 0 && print !== FINGERPRINT_FREED;
    if (other === "lost" || (!other && mayBeLost && Buffer.compare(block, ZEROES) === 0)) {
      builder.addLost(print);
      return undefined;
    }
    const bytes = other ?? block;
    if (print === FINGERPRINT_FREED || xxh64(bytes, seed) !== print)
      return `slot ${slot} does not match its fingerprint`;
    builder.add(bytes, print);
    return undefined;
  }
}

const ZEROES = new Uint8Array(BLOCK_SIZE);
