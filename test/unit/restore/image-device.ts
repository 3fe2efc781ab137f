/** A device in memory for restore's and import's tests: sparse pattern, short extent answers, and faults on request. */
import type { Extent, WritableDevice } from "../../../src/base/device.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { lsn } from "../../../src/base/units.ts";

export class ImageDevice implements WritableDevice {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  /** Ranges of data; everything else is a hole. */
  readonly written: { offset: number; length: number }[] = [];
  reads = 0;
  readBytes = 0;
  writes = 0;
  cleared = 0;
  flushes = 0;
  /** Called before each read and write; may throw. */
  fault: (kind: "read" | "write", offset: number) => void = () => {};
  /** Most that one answer about extents covers. */
  extentsMax = Number.MAX_SAFE_INTEGER;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.bytes = new Uint8Array(sizeBytes);
  }

  /** Fills ranges with seeded bytes. */
  fill(seed: number, ranges: readonly { offset: number; length: number }[]): this {
    const random = seededRandom(seed);
    for (const range of ranges) {
      this.bytes.set(random.bytes(range.length), range.offset);
      this.written.push(range);
    }
    this.written.sort((a, b) => a.offset - b.offset);
    return this;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.reads++;
    this.readBytes += length;
    await Promise.resolve();
    this.fault("read", offset);
    return this.bytes.slice(offset, offset + length);
  }

  async extents(offset: number, length: number): Promise<Extent[]> {
    const end = offset + Math.min(length, this.extentsMax);
    const out: Extent[] = [];
    let at = offset;
    for (const range of this.written) {
      const start = Math.max(range.offset, at);
      const stop = Math.min(range.offset + range.length, end);
      if (start >= stop) continue;
      if (start > at) out.push({ offset: at, length: start - at, kind: "hole" });
      out.push({ offset: start, length: stop - start, kind: "data" });
      at = stop;
    }
    if (at < end) out.push({ offset: at, length: end - at, kind: "zero" });
    return out;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.writes++;
    const copy = data.slice();
    await Promise.resolve();
    this.fault("write", offset);
    this.bytes.set(copy, offset);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.cleared += length;
    this.bytes.fill(0, offset, offset + length);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.writeZeroes(offset, length);
  }

  async flush() {
    this.flushes++;
    return lsn(1);
  }

  async close(): Promise<void> {}
}
