/**
 * Memory of a server: a budget that all its sessions share, and reused buffers for payloads that arrive in pieces.
 *
 * The budget is soft by design: a session with nothing in flight may always start one request, whatever the others hold.
 * So a client that hoards cannot starve another, and the bound is the budget plus one request for each session.
 */
import { assert } from "../base/assert.ts";

export class MemoryBudget {
  usedBytes = 0;
  readonly limitBytes: number;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
    assert(this.usedBytes >= 0, "no more memory is given back than was taken");
  }

  get exhausted(): boolean {
    return this.usedBytes >= this.limitBytes;
  }
}

const SLAB_SIZE_MIN = 4096;

/** Buffers of powers of two. Reuse matters: fresh ones of 1 MiB cost three times as much (page faults and collection). */
export class SlabPool {
  #free: Uint8Array[][] = [];
  #freeBytes = 0;
  readonly #keptBytesMax: number;

  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** A buffer of at least `length` bytes with any content. */
  take(length: number): Uint8Array {
    const sizeClass = classOf(length);
    const slab = this.#free[sizeClass]?.pop();
    if (slab === undefined) return new Uint8Array(SLAB_SIZE_MIN * 2 ** sizeClass);
    this.#freeBytes -= slab.length;
    return slab;
  }

  /** Takes back a buffer that {@link take} gave and nobody refers to any more. */
  give(slab: Uint8Array): void {
    if (this.#freeBytes + slab.length > this.#keptBytesMax) return;
    this.#freeBytes += slab.length;
    (this.#free[classOf(slab.length)] ??= []).push(slab);
  }
}

function classOf(length: number): number {
  return length <= SLAB_SIZE_MIN ? 0 : 32 - Math.clz32((length - 1) / SLAB_SIZE_MIN);
}
