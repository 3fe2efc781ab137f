/**
 * The table from fingerprint to block address. A hint, never the truth: it lives in memory alone, is rebuilt from
 * pack directories, may be stale, and what it proposes is compared byte for byte before it counts (law 4).
 *
 * Open addressing with linear probing on one Uint32Array, 12 bytes an entry:
 *
 *     word 0   bits 0–31 of the fingerprint
 *     word 1   bits 32–47 of the fingerprint, above bits 32–47 of the address
 *     word 2   bits 0–31 of the address
 *
 * Words 1 and 2 hold address 0 where an entry is free. 48 bits of a fingerprint suffice for a hint: with 22 million entries
 * one look-up in millions meets a stranger, which costs a comparison.
 *
 * It grows by doubling until the budget is reached (while it grows, old and new table exist together: at most 1.5 times the
 * budget for a moment). The budget is given per TiB of unique blocks and counts once for each TiB that has come together, at least
 * once. At the budget it halves its sampling in place instead: from then on it keeps only fingerprints whose
 * lowest `samplingBits` bits are 0; the rest is found through their neighbours (deduplicator.ts).
 */
import { assert } from "../../base/assert.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { blockAddress, packOf } from "../map.ts";
import { FINGERPRINT_FREED } from "./pack-format.ts";

const ENTRY_BYTES = 12;
/** Beyond this load, probes grow long: at 0.7 a miss looks at 6 entries on average, at 0.9 at 50. */
const LOAD_MAX = 0.7;
const CAPACITY_MIN = 1024;
/** One ArrayBuffer ends at 4 GiB. */
const BYTES_MAX = 3 * 2 ** 30;
const TIB = 2 ** 40;
const SAMPLING_BITS_MAX = 16;

/** The index's memory: see the file's opening for the entries. */
export interface IndexTable {
  words: Uint32Array;
  /** Entries in use. */
  count: number;
  samplingBits: number;
}

export class FingerprintIndex {
  readonly #budgetBytes: number;
  readonly #perBytes: number;
  #words: Uint32Array;
  #capacity: number;
  #count = 0;
  #samplingBits = 0;
  readonly #scratch = new BigUint64Array(1);
  readonly #halves = new Uint32Array(this.#scratch.buffer);

  /**
   * @param options.budgetBytes - for each `perBytes` of unique blocks, 12 KiB to 3 GiB; 3 GiB are the most in all
   * @param options.perBytes - default 1 TiB
   */
  constructor({ budgetBytes, perBytes = TIB }: { budgetBytes: number; perBytes?: number }) {
    assert(
      budgetBytes >= CAPACITY_MIN * ENTRY_BYTES && budgetBytes <= BYTES_MAX,
      `an index budget of ${budgetBytes} bytes is 12 KiB to 3 GiB`,
    );
    this.#budgetBytes = budgetBytes;
    this.#perBytes = perBytes;
    this.#capacity = CAPACITY_MIN;
    this.#words = new Uint32Array(this.#capacity * 3);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#capacity * ENTRY_BYTES;
  }

  /** A fingerprint is kept when this many of its lowest bits are 0: one in 2^samplingBits. */
  get samplingBits(): number {
    return this.#samplingBits;
  }

  /** The table itself, for a snapshot: not to be changed, and stale with the next change of the index. */
  get table(): IndexTable {
    return { words: this.#words, count: this.#count, samplingBits: this.#samplingBits };
  }

  /** Takes over a snapshot's table, in place of what it knows; it is the index's own from then on. One beyond the budget is put in entry by entry. */
  adopt({ words, count, samplingBits }: IndexTable): void {
    const capacity = words.length / 3;
    if (
      capacity <= this.#capacityFor(count, samplingBits) &&
      capacity >= CAPACITY_MIN &&
      count <= capacity * LOAD_MAX
    ) {
      this.#words = words;
      this.#capacity = capacity;
      this.#count = count;
      this.#samplingBits = samplingBits;
      return;
    }
    this.#words = new Uint32Array(this.#capacity * 3);
    this.#count = 0;
    this.#samplingBits = samplingBits;
    for (let at = 0; at < words.length; at += 3) {
      const second = words[at + 1]!;
      const address = (second & 0xffff) * 2 ** 32 + words[at + 2]!;
      if (address !== 0) this.insertWords(words[at]!, second >>> 16, address);
    }
  }

  /** Forgets the slots of all other packs. */
  keepOnly(isKept: (pack: number) => boolean): void {
    this.#rehash((_low, address) => isKept(packOf(address)));
  }

  /** Remembers where a block is kept; a newer address replaces an older one. Ignored when the sampling leaves it out.
   *  @param address - 1 to 2^48 - 1 */
  insert(fingerprint: bigint, address: number): void {
    if (fingerprint === FINGERPRINT_FREED) return;
    this.#scratch[0] = fingerprint;
    this.insertWords(this.#halves[0]!, this.#halves[1]!, address);
  }

  /** @returns the address, 0 when it knows none */
  lookup(fingerprint: bigint): number {
    this.#scratch[0] = fingerprint;
    return this.lookupWords(this.#halves[0]!, this.#halves[1]!);
  }

  /** Remembers all slots of a pack: after it was built, and when the index is rebuilt from directories. */
  insertPack(pack: number, fingerprints: BigUint64Array): void {
    const halves = new Uint32Array(fingerprints.buffer, fingerprints.byteOffset, fingerprints.length * 2);
    for (let slot = 0; slot < fingerprints.length; slot++) {
      const low = halves[2 * slot]!;
      const high = halves[2 * slot + 1]!;
      if (low !== 0 || high !== 0) this.insertWords(low, high, blockAddress(pack, slot));
    }
  }

  /** {@link insert} for a fingerprint in two halves: batches spare themselves the BigInts. */
  insertWords(low: number, high: number, address: number): void {
    // The message is a constant on purpose: a formatted one would halve the rate.
    assert(address >= 1 && address < 2 ** 48, "an address is 1 to 2^48 - 1");
    if (!this.samples(low)) return;
    if (this.#count + 1 > this.#capacity * LOAD_MAX) {
      this.#makeRoom();
      if (!this.samples(low)) return;
    }
    const tag = ((high & 0xffff) << 16) | Math.floor(address / 2 ** 32);
    if (this.#put(low, tag >>> 0, address >>> 0)) this.#count++;
  }

  /** {@link lookup} for a fingerprint in two halves. */
  lookupWords(low: number, high: number): number {
    // Spares a cache miss for all that the sampling leaves out.
    if (!this.samples(low)) return 0;
    const words = this.#words;
    const end = words.length;
    const tag = high & 0xffff;
    for (let at = home(low, tag, this.#capacity) * 3; ;) {
      const second = words[at + 1]!;
      const third = words[at + 2]!;
      const address = (second & 0xffff) * 2 ** 32 + third;
      if (address === 0) return 0;
      if (words[at] === low && second >>> 16 === tag) return address;
      at += 3;
      if (at === end) at = 0;
    }
  }

  /** Whether the sampling keeps a fingerprint with this low half. */
  samples(low: number): boolean {
    return (low & ((1 << this.#samplingBits) - 1)) === 0;
  }

  /** @returns false when it replaced an entry of the same fingerprint */
  #put(low: number, second: number, third: number): boolean {
    const words = this.#words;
    const end = words.length;
    const tag = second >>> 16;
    for (let at = home(low, tag, this.#capacity) * 3; ;) {
      const known = words[at + 1]!;
      const free = (known & 0xffff) === 0 && words[at + 2] === 0;
      if (free || (words[at] === low && known >>> 16 === tag)) {
        words[at] = low;
        words[at + 1] = second;
        words[at + 2] = third;
        return free;
      }
      at += 3;
      if (at === end) at = 0;
    }
  }

  /** Entries that the budget allows for so many, of which each stands for 2^samplingBits unique blocks. */
  #capacityFor(count: number, samplingBits: number): number {
    const uniqueBytes = count * 2 ** samplingBits * BLOCK_SIZE;
    const times = Math.max(1, Math.floor(uniqueBytes / this.#perBytes));
    return Math.floor(Math.min(this.#budgetBytes * times, BYTES_MAX) / ENTRY_BYTES);
  }

  #makeRoom(): void {
    const capacityMax = this.#capacityFor(this.#count, this.#samplingBits);
    if (this.#capacity < capacityMax) {
      this.#grow(capacityMax);
      return;
    }
    // Only fingerprints chosen with knowledge of the secret seed survive sixteen halvings; the table is a hint, so dropping it
    // keeps the bound at no cost but duplicates.
    while (this.#count + 1 > this.#capacity * LOAD_MAX) {
      if (this.#samplingBits < SAMPLING_BITS_MAX) {
        this.#samplingBits++;
        this.#rehash((low) => this.samples(low));
      } else {
        this.#words.fill(0);
        this.#count = 0;
      }
    }
  }

  #grow(capacityMax: number): void {
    const old = this.#words;
    this.#capacity = Math.min(this.#capacity * 2, capacityMax);
    this.#words = new Uint32Array(this.#capacity * 3);
    for (let at = 0; at < old.length; at += 3) {
      const second = old[at + 1]!;
      if ((second & 0xffff) !== 0 || old[at + 2] !== 0) this.#put(old[at]!, second, old[at + 2]!);
    }
  }

  /**
   * Takes out, in place, what is no longer kept, and moves the rest together. Started behind a free entry, an entry
   * never moves past its own place: so each one is taken out and put back once, and what was put back stays reachable.
   */
  #rehash(isKept: (low: number, address: number) => boolean): void {
    const words = this.#words;
    let start = 0;
    while ((words[start + 1]! & 0xffff) !== 0 || words[start + 2] !== 0) start += 3;
    let kept = 0;
    for (let step = 3; step < words.length; step += 3) {
      const at = (start + step) % words.length;
      const low = words[at]!;
      const second = words[at + 1]!;
      const third = words[at + 2]!;
      if ((second & 0xffff) === 0 && third === 0) continue;
      words[at + 1] = 0;
      words[at + 2] = 0;
      if (!isKept(low, (second & 0xffff) * 2 ** 32 + third)) continue;
      this.#put(low, second, third);
      kept++;
    }
    this.#count = kept;
  }
}

/** Where an entry belongs. Mixes, because with sampling the lowest bits are all 0. */
function home(low: number, tag: number, capacity: number): number {
  let mixed = Math.imul(low ^ Math.imul(tag, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
  return Math.floor(((mixed >>> 0) * capacity) / 2 ** 32);
}
