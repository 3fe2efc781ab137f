/**
 * Quarantine: slots whose stored bytes were found damaged. The manifest lists them durably ({@link QuarantineRecord}); this is the
 * quick form for the two who ask: the sealer, which must not let a new block share such a slot even when it reads well the next
 * time (a flaky disk or memory may give both), and the scrub, which tells known damage from new.
 *
 * A record belongs to one generation of a pack: when a repair or the garbage collector has written the pack anew, it says nothing any more.
 * Reading is not concerned: what reads well and matches its checksum is given out, whatever was found before.
 *
 * Memory: 2 KiB a pack that has damage.
 */
import type { QuarantineRecord } from "../manifest.ts";
import { packOf, SLOTS_PER_PACK, slotOf } from "../map.ts";

interface Held {
  generation: number;
  /** One bit a slot. */
  bits: Uint8Array;
}

export class Quarantine {
  readonly #packs = new Map<number, Held>();

  constructor(records: readonly QuarantineRecord[] = []) {
    for (const record of records) this.add(record);
  }

  get isEmpty(): boolean {
    return this.#packs.size === 0;
  }

  /** Whether nothing new may refer to the block at `address`. */
  holds(address: number): boolean {
    const held = this.#packs.get(packOf(address));
    return held !== undefined && has(held.bits, slotOf(address));
  }

  /** Whether a slot of that very generation is held. */
  knows(pack: number, generation: number, slot: number): boolean {
    const held = this.#packs.get(pack);
    return held?.generation === generation && has(held.bits, slot);
  }

  /** Adds slots of a pack; those held of an older generation of it are let go. */
  add({ pack, generation, slots }: QuarantineRecord): void {
    let held = this.#packs.get(pack);
    if (held?.generation !== generation) {
      held = { generation, bits: new Uint8Array(SLOTS_PER_PACK / 8) };
      this.#packs.set(pack, held);
    }
    for (const { first, count } of slots) {
      for (let slot = first; slot < Math.min(first + count, SLOTS_PER_PACK); slot++) {
        held.bits[slot >>> 3]! |= 1 << (slot & 7);
      }
    }
  }

  /** Lets go of all slots of a pack. */
  release(pack: number): void {
    this.#packs.delete(pack);
  }

  /** Held slots of a pack, ascending. */
  slotsOf(pack: number): number[] {
    const held = this.#packs.get(pack);
    const slots: number[] = [];
    for (let slot = 0; held && slot < SLOTS_PER_PACK; slot++) if (has(held.bits, slot)) slots.push(slot);
    return slots;
  }

  /** For the manifest: by pack number, packs without a held slot left out. */
  records(): QuarantineRecord[] {
    return [...this.#packs]
      .sort(([a], [b]) => a - b)
      .map(([pack, { generation }]) => ({ pack, generation, slots: slotRanges(this.slotsOf(pack)) }))
      .filter(({ slots }) => slots.length > 0);
  }
}

/** Ascending slots as ranges. */
export function slotRanges(slots: Iterable<number>): QuarantineRecord["slots"] {
  const ranges: QuarantineRecord["slots"] = [];
  for (const slot of slots) {
    const last = ranges.at(-1);
    if (last && slot === last.first + last.count) last.count++;
    else ranges.push({ first: slot, count: 1 });
  }
  return ranges;
}

function has(bits: Uint8Array, slot: number): boolean {
  return (bits[slot >>> 3]! & (1 << (slot & 7))) !== 0;
}
