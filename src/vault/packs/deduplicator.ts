/**
 * Proposes and proves duplicates. The index proposes; when it samples, a hit loads the directory of the pack it points into,
 * and that answers the hit's neighbours, before and after it: duplicates come in runs. Nothing counts before its bytes were compared (law 4).
 *
 * All of it is a hint and lives in memory: a pack that cannot be read is passed over, and its blocks are stored anew.
 * Memory: that of pack-locality.ts.
 */
import { assert } from "../../base/assert.ts";
import { isSternwayError } from "../../base/errors.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { FingerprintIndex } from "./fingerprint-index.ts";
import { packOf } from "../map.ts";
import { PackLocality } from "./pack-locality.ts";
import type { PackStore } from "./pack-reader.ts";
import { Quarantine } from "./quarantine.ts";

/** Blocks compared at once: 1 MiB, so that frames are compared while they are cached. */
const COMPARE_BLOCKS = 256;

export interface DeduplicatorOptions {
  index: FingerprintIndex;
  packs: Pick<PackStore, "directory" | "visit">;
  /** Directories kept for locality; default 128, which spans 8 GiB of blocks and takes 32 MiB. */
  localityPacks?: number;
  /** Slots that are never proposed, even if they read well; may change between calls ({@link Deduplicator.forget}). */
  quarantine?: Quarantine;
}

export class Deduplicator {
  readonly #index: FingerprintIndex;
  readonly #packs: Pick<PackStore, "directory" | "visit">;
  readonly #quarantine: Quarantine;
  readonly #locality: PackLocality;

  constructor({ index, packs, localityPacks = 128, quarantine = new Quarantine() }: DeduplicatorOptions) {
    this.#index = index;
    this.#packs = packs;
    this.#quarantine = quarantine;
    this.#locality = new PackLocality(localityPacks, quarantine);
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
      if (packs.size === this.#locality.capacity) break;
      packs.add(packOf(address));
    }
    return { end, packs };
  }

  async #loadLocality(pack: number): Promise<void> {
    // Asking makes it the newest: what this section needs is not what its other packs push out.
    if (this.#locality.touch(pack)) return;
    try {
      const { fingerprints } = await this.#packs.directory(pack);
      this.#locality.add(pack, fingerprints);
    } catch (error) {
      // An old pack that cannot be read must not stop new data from being sealed.
      if (!isSternwayError(error) || error.kind === "internal") throw error;
      this.#locality.add(pack, "unreadable");
    }
  }

  /** Answers from the directories at hand what the index left open in `[start, end)`. */
  #answer(halves: Uint32Array, out: Float64Array, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      if (out[i] === 0) out[i] = this.#locality.lookup(halves[2 * i]!, halves[2 * i + 1]!);
    }
  }
}
