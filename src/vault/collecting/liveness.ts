/**
 * Which slots of packs are live: named by an entry of some layer. One bit a slot, 2 KiB a pack, filled by streaming the pages of all layers,
 * so memory is bounded by how many packs are looked at at once ({@link SURVEY_PACKS_MAX}), not by the history.
 *
 * A bit that is set too much keeps a block longer; one that is missing would lose it (law 6). So everything that can name a slot
 * is marked: every entry of every layer, needed or not (thinning is what makes entries go), and while a survey is under way also
 * every address that the sealer gives out ({@link SlotBitmaps.mark}).
 */
import type { LayerReader } from "../layers/layer-reader.ts";
import type { LayerRecord } from "../manifest.ts";
import { SLOTS_PER_PACK, TARGET_ADDRESS_MIN } from "../map.ts";

const BYTES_PER_PACK = SLOTS_PER_PACK / 8;
/** Packs of one survey: 64 MiB of bits, for 2 TiB of blocks. */
export const SURVEY_PACKS_MAX = 2 ** 15;

const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/** Bitmaps of some packs; marks of others are ignored. */
export class SlotBitmaps {
  /** Ascending. */
  readonly #packs: Float64Array;
  readonly #bits: Uint8Array;
  // Neighbouring entries mostly lie in one pack.
  #lastPack = -1;
  #lastPlace = -1;

  constructor(packs: readonly number[]) {
    this.#packs = Float64Array.from(packs).sort();
    this.#bits = new Uint8Array(packs.length * BYTES_PER_PACK);
  }

  /** Marks the slot of a target; one that is no block address is ignored. */
  mark(target: number): void {
    if (target < TARGET_ADDRESS_MIN) return;
    const pack = Math.floor(target / SLOTS_PER_PACK);
    if (pack !== this.#lastPack) {
      this.#lastPack = pack;
      this.#lastPlace = this.#placeOf(pack);
    }
    if (this.#lastPlace < 0) return;
    const slot = target - pack * SLOTS_PER_PACK;
    this.#bits[this.#lastPlace * BYTES_PER_PACK + (slot >>> 3)]! |= 1 << (slot & 7);
  }

  /** Marks `length` targets. */
  markAll(targets: Float64Array, length: number): void {
    for (let i = 0; i < length; i++) this.mark(targets[i]!);
  }

  has(pack: number, slot: number): boolean {
    return (this.of(pack)[slot >>> 3]! & (1 << (slot & 7))) !== 0;
  }

  /** The bits of one pack, lowest slot first: a view, 2 KiB; empty for a pack that is not looked at. */
  of(pack: number): Uint8Array {
    const place = this.#placeOf(pack);
    return place < 0 ? new Uint8Array(0) : this.#bits.subarray(place * BYTES_PER_PACK, (place + 1) * BYTES_PER_PACK);
  }

  /** Live slots of a pack. */
  count(pack: number): number {
    let count = 0;
    for (const byte of this.of(pack)) count += BITS_SET[byte]!;
    return count;
  }

  /** The same bits for fewer packs. */
  narrowed(packs: readonly number[]): SlotBitmaps {
    const narrow = new SlotBitmaps(packs);
    for (const pack of packs) narrow.of(pack).set(this.of(pack));
    return narrow;
  }

  #placeOf(pack: number): number {
    let low = 0;
    let high = this.#packs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#packs[middle]! < pack) low = middle + 1;
      else high = middle;
    }
    return this.#packs[low] === pack ? low : -1;
  }
}

export interface Marked {
  entries: number;
  bytes: number;
}

/**
 * Marks what layers name, page by page: goes on with each `next()`, which tells how many entries were passed, and the stored bytes that they stand for.
 * @param open - a reader that is closed when its layer is done
 * @throws corrupt: a damaged layer; nothing can then be said of any slot
 */
export async function* markLayers(
  layers: readonly LayerRecord[],
  open: (record: LayerRecord) => Promise<LayerReader>,
  into: SlotBitmaps,
): AsyncGenerator<Marked, void, undefined> {
  for (const record of layers) {
    const reader = await open(record);
    try {
      const bytesPerEntry = record.sizeBytes / Math.max(1, record.entries);
      for await (const page of reader.pages({ levelMax: 0 })) {
        into.markAll(page.target, page.length);
        yield { entries: page.length, bytes: page.length * bytesPerEntry };
      }
    } finally {
      await reader.close();
    }
  }
}
