/** Reads a restored target back and compares every piece with the hash of what the source gave. */
import * as fs from "node:fs";
import { closeDescriptor, errnoOf, nextData, openDescriptor, readDescriptor } from "../base/descriptor.ts";
import { xxh64 } from "../base/hash.ts";
import { forEachInFlight } from "../base/in-flight.ts";
import { PIECE_BYTES, pieceCount } from "./pieces.ts";

export interface VerifyResult {
  /** `direct`: from the disk itself; `buffered`: the target knows no direct reading, memory may have answered. */
  how: "direct" | "buffered";
  /** Pieces that differ, ascending. */
  wrong: number[];
}

/** The hash of a piece: seeded with its place, so that misdirected pieces differ though their bytes are the same. */
export const pieceHash = (bytes: Uint8Array, index: number): bigint => xxh64(bytes, BigInt(index));

/**
 * @param expected - hash by piece
 * @param holes - true for a file: a piece that is a hole is known to be zero without reading it
 * @param onBytes - called with the length of each verified piece
 */
export async function verifyTarget(
  path: string,
  sizeBytes: number,
  expected: BigUint64Array,
  options: { inFlight: number; holes: boolean; onBytes: (bytes: number) => void; signal?: AbortSignal | undefined },
): Promise<VerifyResult> {
  const { fd, how } = openForVerify(path);
  const wrong: number[] = [];
  const spare: Uint8Array[] = [];
  const zeroes = new Uint8Array(PIECE_BYTES);
  try {
    await forEachInFlight(indexes(sizeBytes), options.inFlight, async (index) => {
      options.signal?.throwIfAborted();
      const offset = index * PIECE_BYTES;
      const length = Math.min(PIECE_BYTES, sizeBytes - offset);
      if (options.holes && nextData(fd, offset, offset + length) === undefined) {
        if (pieceHash(zeroes.subarray(0, length), index) !== expected[index]) wrong.push(index);
      } else {
        // Whole buffers even for the last, shorter piece: direct reading wants full blocks.
        const buffer = spare.pop() ?? new Uint8Array(PIECE_BYTES);
        const got = await readDescriptor(fd, alignedPart(buffer, length), offset, path, length);
        const whole = got >= length && pieceHash(buffer.subarray(0, length), index) === expected[index];
        spare.push(buffer);
        if (!whole) wrong.push(index);
      }
      options.onBytes(length);
    });
  } finally {
    closeDescriptor(fd);
  }
  return { how, wrong: wrong.sort((a, b) => a - b) };
}

const alignedPart = (buffer: Uint8Array, length: number): Uint8Array =>
  buffer.subarray(0, Math.ceil(length / 4096) * 4096);

async function* indexes(sizeBytes: number): AsyncGenerator<number, void, undefined> {
  for (let index = 0; index < pieceCount(sizeBytes); index++) yield index;
}

/** Past the page cache where the target allows it: what matters is what the disk kept, not what memory holds. */
function openForVerify(path: string): { fd: number; how: "direct" | "buffered" } {
  try {
    const fd = openDescriptor(path, fs.constants.O_RDONLY | fs.constants.O_DIRECT);
    try {
      // Some file systems accept the flag and refuse the first read.
      fs.readSync(fd, new Uint8Array(PIECE_BYTES), 0, 4096, 0);
      return { fd, how: "direct" };
    } catch (error) {
      closeDescriptor(fd);
      if (errnoOf(error) !== "EINVAL") throw error;
    }
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
  }
  return { fd: openDescriptor(path, fs.constants.O_RDONLY), how: "buffered" };
}
