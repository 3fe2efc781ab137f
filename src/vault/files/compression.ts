/**
 * One zstd frame in, one out. No state but a compression and a decompression context per thread, which are reused:
 * making one costs more than compressing a frame.
 *
 * zstd-napi's binding is used beneath its classes, because it reads and writes buffers of ours: no allocation per frame,
 * and a hostile frame can never produce more than the buffer we gave. Measured here on 64 KiB frames of an executable,
 * level 1: compress 0.60 GB/s (its Compressor class and Bun.zstdCompressSync 0.46); decompress into our buffer 1.49 GB/s
 * (its Decompressor class 1.03, Bun.zstdDecompressSync 1.11, and Bun's gives no bound on its output).
 */
import { CCtx, compressBound, DCtx } from "zstd-napi/binding.js";
import { errorText, SternwayError } from "../../base/errors.ts";

/** Measured on 64 KiB frames of an executable: level 3 takes 1.4 times as long as level 1 for 3% less. */
const LEVEL = 1;

const compressor = new CCtx();
const decompressor = new DCtx();
let scratch = new Uint8Array(compressBound(64 * 1024));

/**
 * Compresses one frame at level 1.
 * @returns a view of this thread's scratch memory, valid until the next call; undefined when the result would not be
 *   at least 3% smaller than `raw`: store that frame raw, so that reading it costs nothing
 */
export function compressFrame(raw: Uint8Array): Uint8Array | undefined {
  const bound = compressBound(raw.length);
  // A scratch below the bound would be legal too, but takes zstd off its fast path.
  if (scratch.length < bound) scratch = new Uint8Array(bound);
  const length = compressor.compress(scratch, raw, LEVEL);
  return length <= raw.length * 0.97 ? scratch.subarray(0, length) : undefined;
}

/**
 * Decompresses one frame so that it fills `into` exactly; never writes beyond it, whatever the frame claims.
 * @throws corrupt: not a zstd frame, damaged, or of another size; `into` then holds anything
 */
export function decompressFrameInto(stored: Uint8Array, into: Uint8Array): void {
  let length: number;
  try {
    length = decompressor.decompress(into, stored);
  } catch (cause) {
    throw new SternwayError(
      "corrupt",
      `a compressed frame of ${stored.length} bytes does not decompress: ${errorText(cause)}`,
      { storedBytes: stored.length, rawBytes: into.length },
      { cause },
    );
  }
  if (length !== into.length) {
    throw new SternwayError("corrupt", `a compressed frame gave ${length} bytes, expected ${into.length}`, {
      storedBytes: stored.length,
      rawBytes: into.length,
      actualBytes: length,
    });
  }
}

/** Like {@link decompressFrameInto}, into new memory of `rawBytes` bytes. @throws corrupt */
export function decompressFrame(stored: Uint8Array, rawBytes: number): Uint8Array {
  const raw = new Uint8Array(rawBytes);
  decompressFrameInto(stored, raw);
  return raw;
}
