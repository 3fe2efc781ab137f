/** Bytes as a socket gave them, taken as a parser wants them. */

export class ByteQueue {
  private readonly parts: Uint8Array[] = [];
  /** Bytes in it. */
  length = 0;

  /** The array is the queue's from now on. */
  push(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  /** Removes the first `length` bytes, which must be there. Without a copy where they lie in one part. */
  take(length: number): Uint8Array {
    const first = this.parts[0];
    this.length -= length;
    if (first && first.length > length) {
      this.parts[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    if (first?.length === length) return this.parts.shift()!;
    const out = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const part = this.parts[0]!;
      const count = Math.min(part.length, length - at);
      out.set(count === part.length ? part : part.subarray(0, count), at);
      if (count === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(count);
      at += count;
    }
    return out;
  }

  /** Where a mark begins; -1: it is not there. For short queues: they become one part. */
  indexOf(mark: Uint8Array): number {
    if (this.parts.length > 1) {
      const whole = Buffer.concat(this.parts);
      this.parts.length = 0;
      this.parts.push(whole);
    }
    const [only] = this.parts;
    return only ? Buffer.from(only.buffer, only.byteOffset, only.length).indexOf(mark) : -1;
  }
}
