/**
 * Memory fit for O_DIRECT: it starts at a multiple of 4,096.
 *
 * The runtime happens to align every allocation of 4 KiB and more (measured: 2,000 of 2,000) but promises nothing, so the
 * address is looked at once per allocation and the view shifted where it must be. Views of 4 KiB and more never move.
 */
import { ptr } from "bun:ffi";
import { assert } from "./assert.ts";

/** Alignment of offset, length and memory of write-through writes: the largest logical block size disks have. */
export const WRITE_THROUGH_ALIGNMENT = 4096;

/** True if the memory of `bytes` starts at a multiple of 4,096. Costs about 15 ns. */
export function isAligned(bytes: Uint8Array): boolean {
  return bytes.length === 0 || ptr(bytes) % WRITE_THROUGH_ALIGNMENT === 0;
}

/** Zeroed memory that starts at a multiple of 4,096. Any size from 0; it need not be a multiple. */
export function allocateAligned(sizeBytes: number): Uint8Array {
  // Small views live inside the garbage collector's heap and move: give those a backing store of their own.
  if (sizeBytes >= WRITE_THROUGH_ALIGNMENT) {
    const bytes = new Uint8Array(sizeBytes);
    if (isAligned(bytes)) return bytes;
  }
  const roomy = new Uint8Array(sizeBytes + 2 * WRITE_THROUGH_ALIGNMENT);
  const shift = (WRITE_THROUGH_ALIGNMENT - (ptr(roomy) % WRITE_THROUGH_ALIGNMENT)) % WRITE_THROUGH_ALIGNMENT;
  const shifted = roomy.subarray(shift, shift + sizeBytes);
  assert(isAligned(shifted), "a shifted allocation is aligned");
  return shifted;
}

/** Wrong use of a write-through file is a programmer's mistake on every disk, also where the kernel would let it pass. */
export function assertWriteThrough(data: Uint8Array, offset: number): void {
  assert(offset % WRITE_THROUGH_ALIGNMENT === 0, `write-through offset ${offset} is a multiple of 4096`);
  assert(data.length % WRITE_THROUGH_ALIGNMENT === 0, `write-through length ${data.length} is a multiple of 4096`);
  assert(isAligned(data), "write-through memory is 4096-aligned");
}
