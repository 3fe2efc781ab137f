/**
 * Bytes on their way out of one socket, in order. Small messages are laid side by side in a tail buffer, so that the
 * answers of one turn leave in one system call; large payloads are queued by reference and never copied.
 * `socket.write()` takes what fits and buffers nothing, so the rest waits here for `drain`.
 *
 * The queue itself has no bound: whoever appends looks at {@link Outgoing.unsentBytes} first and stops taking requests.
 */
import { assert } from "../base/assert.ts";
import type { MemoryBudget, SlabPool } from "./memory.ts";

/** What we need of a socket; `write` returns the bytes taken, 0 when full, negative when closed. */
export interface ByteSink {
  write(data: Uint8Array, byteOffset?: number, byteLength?: number): number;
}

/** Holds two thousand simple replies; measured: larger gains nothing. */
const TAIL_SIZE = 64 * 2 ** 10;
/** Payloads up to this are copied into the tail: a copy of 16 KiB (under 1 µs) costs less than a system call of its own. */
const COPY_SIZE_MAX = 16 * 2 ** 10;

export class Outgoing {
  /** Changes with the upgrade to TLS. */
  sink: ByteSink | undefined;
  unsentBytes = 0;
  /** Grows with every byte that the socket took: shows whether the peer reads. */
  sentBytes = 0;
  #sealed: Uint8Array[] = [];
  /** What each sealed segment lies in, when it comes from the pool. */
  #slabs: (Uint8Array | undefined)[] = [];
  #sealedSent = 0;
  #tail = new Uint8Array(TAIL_SIZE);
  #tailStart = 0;
  #tailEnd = 0;
  readonly #budget: MemoryBudget;
  readonly #pool: SlabPool | undefined;

  /** @param pool - where the slabs of {@link append} go back to */
  constructor(budget: MemoryBudget, pool?: SlabPool) {
    this.#budget = budget;
    this.#pool = pool;
  }

  /** Makes room for `size` bytes (at most {@link TAIL_SIZE}); the caller fills them at once: {@link bytes} from the returned position. */
  reserve(size: number): number {
    assert(size <= TAIL_SIZE, "what is reserved fits the tail buffer");
    if (this.#tailEnd + size > TAIL_SIZE) {
      this.#seal();
      this.#tail = new Uint8Array(TAIL_SIZE);
      this.#tailStart = 0;
      this.#tailEnd = 0;
    }
    const at = this.#tailEnd;
    this.#tailEnd += size;
    this.#grow(size);
    return at;
  }

  /** The buffer that the last {@link reserve} returned a position in. */
  get bytes(): Uint8Array {
    return this.#tail;
  }

  /** @param data - not changed until it is sent; small ones are copied @param slab - what it lies in; back to the pool when it is sent */
  append(data: Uint8Array, slab?: Uint8Array): void {
    if (data.length <= COPY_SIZE_MAX) {
      const at = this.reserve(data.length);
      this.#tail.set(data, at);
      if (slab !== undefined) this.#pool?.give(slab);
      return;
    }
    this.#seal();
    this.#sealed.push(data);
    this.#slabs.push(slab);
    this.#grow(data.length);
  }

  /** Hands to the socket what it takes. @returns false: the socket is closed */
  send(): boolean {
    const sink = this.sink;
    if (sink === undefined) return true;
    let sealedIndex = 0;
    try {
      while (sealedIndex < this.#sealed.length) {
        const segment = this.#sealed[sealedIndex]!;
        const length = segment.length - this.#sealedSent;
        const taken = sink.write(segment, this.#sealedSent, length);
        if (taken < 0) return false;
        this.#shrink(taken);
        if (taken < length) {
          this.#sealedSent += taken;
          return true;
        }
        this.#sealedSent = 0;
        sealedIndex++;
      }
    } finally {
      if (sealedIndex > 0) {
        this.#sealed.splice(0, sealedIndex);
        for (const slab of this.#slabs.splice(0, sealedIndex)) if (slab !== undefined) this.#pool?.give(slab);
      }
    }
    const length = this.#tailEnd - this.#tailStart;
    if (length > 0) {
      const taken = sink.write(this.#tail, this.#tailStart, length);
      if (taken < 0) return false;
      this.#shrink(taken);
      if (taken < length) {
        this.#tailStart += taken;
        return true;
      }
    }
    this.#tailStart = 0;
    this.#tailEnd = 0;
    return true;
  }

  /** Forgets what was not sent and gives its memory back. */
  discard(): void {
    this.#budget.give(this.unsentBytes);
    this.unsentBytes = 0;
    // The socket may still refer to what it did not take whole: these slabs are left to the collector.
    this.#sealed = [];
    this.#slabs = [];
    this.#sealedSent = 0;
    this.#tailStart = 0;
    this.#tailEnd = 0;
    this.sink = undefined;
  }

  #seal(): void {
    if (this.#tailEnd === this.#tailStart) return;
    this.#sealed.push(this.#tail.subarray(this.#tailStart, this.#tailEnd));
    this.#slabs.push(undefined);
    this.#tailStart = this.#tailEnd;
  }

  #grow(size: number): void {
    this.unsentBytes += size;
    this.#budget.take(size);
  }

  #shrink(size: number): void {
    this.unsentBytes -= size;
    this.sentBytes += size;
    this.#budget.give(size);
  }
}
