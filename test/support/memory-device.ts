/**
 * A device in memory: the plainest thing that keeps the contract of {@link WritableDevice}. The protocol's tests serve
 * it, and they compare what it holds with what a client says it wrote.
 */
import { SternwayError } from "../../src/base/errors.ts";
import type { Extent, WritableDevice } from "../../src/base/device.ts";
import { lsn, type Lsn } from "../../src/base/units.ts";

/** What a block of 4 KiB is: 0 hole, 1 zero, 2 data. */
const KINDS = ["hole", "zero", "data"] as const;
const GRAIN = 4096;

export interface MemoryDeviceOptions {
  /** Waits before each write, trim and zeroing ends, instead of ending at once. */
  delay?: () => Promise<void>;
  /** Thrown by the operation that it is given for. */
  failure?: (
    operation: "read" | "write" | "trim" | "zeroes" | "flush" | "extents",
    offset: number,
  ) => Error | undefined;
  /** `extents` tells at most this many at once. */
  extentsAtOnce?: number;
}

export class MemoryDevice implements WritableDevice {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly kinds: Uint8Array;
  /** Counted by whoever opens it more than once; it is closed when it was closed as often. */
  openCount = 1;
  closeCount = 0;
  flushCount = 0;
  fuaCount = 0;
  writeCount = 0;
  readCount = 0;
  /** Operations that have begun and not ended. */
  pending = 0;
  readonly options: MemoryDeviceOptions;

  constructor(sizeBytes: number, options: MemoryDeviceOptions = {}) {
    this.bytes = new Uint8Array(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.kinds = new Uint8Array(Math.ceil(sizeBytes / GRAIN));
    this.options = options;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#enter("read", offset, length);
    this.readCount++;
    if (this.options.delay === undefined) return this.bytes.slice(offset, offset + length);
    this.pending++;
    await this.options.delay();
    this.pending--;
    return this.bytes.slice(offset, offset + length);
  }

  async extents(offset: number, length: number): Promise<Extent[]> {
    this.#enter("extents", offset, length);
    const end = offset + length;
    const found: Extent[] = [];
    for (let at = offset; at < end;) {
      const kind = KINDS[this.kinds[Math.floor(at / GRAIN)]!]!;
      const next = Math.min(end, (Math.floor(at / GRAIN) + 1) * GRAIN);
      const last = found.at(-1);
      if (last?.kind === kind) last.length += next - at;
      else if (found.length === this.options.extentsAtOnce) break;
      else found.push({ offset: at, length: next - at, kind });
      at = next;
    }
    return found;
  }

  write(offset: number, data: Uint8Array, fua: boolean): Promise<void> | undefined {
    this.#enter("write", offset, data.length);
    this.writeCount++;
    if (fua) this.fuaCount++;
    if (this.options.delay === undefined) {
      this.bytes.set(data, offset);
      this.kinds.fill(2, Math.floor(offset / GRAIN), Math.ceil((offset + data.length) / GRAIN));
      return undefined;
    }
    // Copies only at the end: whoever changes `data` before is found out by its content.
    return this.#later(() => {
      this.bytes.set(data, offset);
      this.kinds.fill(2, Math.floor(offset / GRAIN), Math.ceil((offset + data.length) / GRAIN));
    });
  }

  trim(offset: number, length: number, fua: boolean): Promise<void> | undefined {
    this.#enter("trim", offset, length);
    if (fua) this.fuaCount++;
    return this.#later(() => this.#clear(offset, length, 0));
  }

  writeZeroes(offset: number, length: number, mayHole: boolean, fua: boolean): Promise<void> | undefined {
    this.#enter("zeroes", offset, length);
    if (fua) this.fuaCount++;
    return this.#later(() => this.#clear(offset, length, mayHole ? 0 : 1));
  }

  async flush(): Promise<Lsn> {
    this.#enter("flush", 0, 0);
    await this.options.delay?.();
    this.flushCount++;
    return lsn(this.flushCount);
  }

  async close(): Promise<void> {
    this.closeCount++;
  }

  #clear(offset: number, length: number, kind: number): void {
    this.bytes.fill(0, offset, offset + length);
    this.kinds.fill(kind, Math.ceil(offset / GRAIN), Math.floor((offset + length) / GRAIN));
  }

  #later(change: () => void): Promise<void> | undefined {
    const { delay } = this.options;
    if (delay === undefined) {
      change();
      return undefined;
    }
    this.pending++;
    return delay().then(() => {
      this.pending--;
      change();
    });
  }

  #enter(operation: "read" | "write" | "trim" | "zeroes" | "flush" | "extents", offset: number, length: number): void {
    const failure = this.options.failure?.(operation, offset);
    if (failure !== undefined) throw failure;
    if (this.closeCount >= this.openCount) throw new Error(`${operation} after close`);
    if (offset % 512 !== 0 || length % 512 !== 0 || offset + length > this.sizeBytes) {
      throw new SternwayError("internal", `${operation} of ${length} bytes at ${offset} breaks the device's contract`);
    }
  }
}
