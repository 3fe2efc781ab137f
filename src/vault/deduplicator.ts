/**
 * Proposes and proves duplicates. The index proposes; when it samples, a hit loads the directory of the pack it points into,
 * and that answers the hit's neighbours, before and after it: duplicates come in runs. Nothing counts before its bytes were compared (law 4).
 *
 * All of it is a hint and lives in memory: a pack that cannot be read is passed over, and its blocks are stored anew.
 * Memory: {@link DeduplicatorOptions.localityPacks} × 192 KiB at most.
 */
import { assert } from "../base/assert.ts";
import { isSternwayError } from "../base/errors.ts";
import { BLOCK_SIZE } from "../base/units.ts";
import { ByteLru } from "./byte-lru.ts";
import type { FingerprintIndex } from "./fingerprint-index.ts";
import { blockAddress, packOf } from "./map.ts";
import type { PackStore } from "./pack-reader.ts";
import { Quarantine } from "./quarantine.ts";

/** Blocks compared at once: 1 MiB, so that frames are compared while they are cached. */
const COMPARE_BLOCKS = 256;

export interface DeduplicatorOptions {
  index: FingerprintIndex;
  packs: PackStore;
  /** Directories kept for locality; default 32, which spans 2 GiB of blocks. */
  localityPacks?: number;
  /** Slots that are never proposed, even if they read well; may change between calls ({@link Deduplicator.forget}). */
  quarantine?: Quarantine;
}

export class Deduplicator {
  readonly #index: FingerprintIndex;
  readonly #packs: PackStore;
  readonly #localityPacks: number;
  readonly #quarantine: Quarantine;
  /** By pack; each weighs 1. A pack that cannot be read is remembered too, so that it is not tried again for every batch. */
  readonly #locality: ByteLru<SlotTable | "unreadable">;

  constructor({ index, packs, localityPacks = 32, quarantine = new Quarantine() }: DeduplicatorOptions) {
    assert(localityPacks >= 1, "locality needs at least one pack");
    this.#index = index;
    this.#packs = packs;
    this.#localityPacks = localityPacks;
    this.#quarantine = quarantine;
    this.#locality = new ByteLru(localityPacks);
  }

  /**
   * Proposes an address for each fingerprint; 0 where none is known. A proposal is no match: see {@link confirm}.
   * @param fingerprints - in the order of their blocks on the volume, so that neighbours find each other
   * @param out - as long
   */
  async lookupBatch(fingerprints: BigUint64Array, out: Float64Array): Promise<void> {
    assert(out.length === fingerprints.length, "there is a place for every answer");
    const halves = new Uint32Array(fingerprints.buffer, fingerprints.byteOffset, fingerprints.length * 2);
    for (let i = 0; i < out.length; i++) out[i] = this.#index.lookupWords(halves[2 * i]!, halves[2 * i + 1]!);
    if (!this.#quarantine.isEmpty) {
      for (let i = 0; i < out.length; i++) if (out[i] !== 0 && this.#quarantine.holds(out[i]!)) out[i] = 0;
    }
    if (this.#index.samplingBits === 0) return;
    // Sections that hit no more packs than can be kept at once; each also answers the one before it, whose last run may start there.
    let previous = 0;
    for (let start = 0; start < out.length;) {
      const { end, packs } = this.#section(out, start);
      for (const pack of packs) await this.#loadLocality(pack);
      this.#answer(halves, out, previous, end);
      previous = start;
      start = end;
    }
  }

  /**
   * Law 4: sets every candidate to 0 whose stored bytes are not those of the block. A candidate that is damaged or cannot be read is no match.
   * @param candidates - block addresses, 0 for none; changed in place
   * @param blockOf - the block to compare candidate i with, 4,096 bytes
   * @returns how many candidates remain
   */
  async confirm(candidates: Float64Array, blockOf: (index: number) => Uint8Array): Promise<number> {
    const wanted: number[] = [];
    candidates.forEach((candidate, i) => {
      if (candidate !== 0) wanted.push(i);
    });
    let matches = 0;
    for (let start = 0; start < wanted.length; start += COMPARE_BLOCKS) {
      const some = wanted.slice(start, start + COMPARE_BLOCKS);
      const targets = Float64Array.from(some, (i) => candidates[i]!);
      await this.#packs.visit(targets, {
        block: (place, bytes, offset) => {
          const index = some[place]!;
          if (Buffer.compare(bytes.subarray(offset, offset + BLOCK_SIZE), blockOf(index)) === 0) matches++;
          else candidates[index] = 0;
        },
        failed: (place) => {
          candidates[some[place]!] = 0;
        },
      });
    }
    return matches;
  }

  /** Whether the block at `address` can be read and has exactly these bytes. */
  async matches(address: number, block: Uint8Array): Promise<boolean> {
    return (await this.confirm(Float64Array.of(address), () => block)) === 1;
  }

  /** To be called when a pack was deleted or repacked, or slots of it are quarantined. */
  forget(pack: number): void {
    this.#locality.delete(pack);
  }

  /** The longest stretch from `start` whose proposals lie in at most `localityPacks` packs. */
  #section(out: Float64Array, start: number): { end: number; packs: Set<number> } {
    const packs = new Set<number>();
    let end = start;
    for (; end < out.length; end++) {
      const address = out[end]!;
      if (address === 0 || packs.has(packOf(address))) continue;
      if (packs.size === this.#localityPacks) break;
      packs.add(packOf(address));
    }
    return { end, packs };
  }

  async #loadLocality(pack: number): Promise<void> {
    // Asking makes it the newest: what this section needs is not what its other packs push out.
    if (this.#locality.get(pack)) return;
    try {
      const { fingerprints } = await this.#packs.directory(pack);
      this.#locality.set(pack, new SlotTable(pack, fingerprints, this.#quarantine), 1);
    } catch (error) {
      // An old pack that cannot be read must not stop new data from being sealed.
      if (!isSternwayError(error) || error.kind === "internal") throw error;
      this.#locality.set(pack, "unreadable", 1);
    }
  }

  /** Answers from the directories at hand what the index left open in `[start, end)`. */
  #answer(halves: Uint32Array, out: Float64Array, start: number, end: number): void {
    const tables: SlotTable[] = [];
    for (const pack of this.#locality.keys()) {
      const table = this.#locality.peek(pack);
      if (table instanceof SlotTable) tables.push(table);
    }
    let recent = 0;
    for (let i = start; i < end; i++) {
      if (out[i] !== 0) continue;
      const low = halves[2 * i]!;
      const high = halves[2 * i + 1]!;
      // The table of the last hit first: in a run it has the next one too.
      for (let j = 0; j < tables.length; j++) {
        const which = (recent + j) % tables.length;
        const address = tables[which]!.lookup(low, high);
        if (address === 0) continue;
        out[i] = address;
        recent = which;
        break;
      }
    }
  }
}

/** A pack's directory turned round: fingerprint → slot. Open addressing; 0 is free, else slot + 1. */
class SlotTable {
  readonly #pack: number;
  readonly #halves: Uint32Array;
  readonly #slots: Uint16Array;

  constructor(pack: number, fingerprints: BigUint64Array, quarantine: Quarantine) {
    this.#pack = pack;
    this.#halves = new Uint32Array(fingerprints.buffer, fingerprints.byteOffset, fingerprints.length * 2);
    this.#slots = new Uint16Array(2 ** Math.ceil(Math.log2(fingerprints.length * 2)));
    for (let slot = 0; slot < fingerprints.length; slot++) {
      const low = this.#halves[2 * slot]!;
      const high = this.#halves[2 * slot + 1]!;
      // 0 marks a freed slot, which nothing may refer to any more.
      if (low === 0 && high === 0) continue;
      if (!quarantine.isEmpty && quarantine.holds(blockAddress(pack, slot))) continue;
      let at = this.#home(high);
      while (this.#slots[at] !== 0) at = (at + 1) & (this.#slots.length - 1);
      this.#slots[at] = slot + 1;
    }
  }

  /** @returns the block's address, 0 when the pack does not have it */
  lookup(low: number, high: number): number {
    let at = this.#home(high);
    for (;;) {
      const slot = this.#slots[at]! - 1;
      if (slot < 0) return 0;
      if (this.#halves[2 * slot] === low && this.#halves[2 * slot + 1] === high) return blockAddress(this.#pack, slot);
      at = (at + 1) & (this.#slots.length - 1);
    }
  }

  /** The high half is evenly spread whatever the sampling of the low one. */
  #home(high: number): number {
    return high & (this.#slots.length - 1);
  }
}
