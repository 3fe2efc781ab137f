/**
 * What a device says, shaped for answers: a large read cut into data and holes, and block status descriptors.
 * Pure walks over {@link ReadableDevice.extents}, every one with a bound.
 */
import type { Extent, ReadableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";
import { BLOCK_STATUS_COUNT_MAX, NBD_STATE_HOLE, NBD_STATE_ZERO } from "./protocol.ts";

/** Calls of `extents` for one request: each may stop early, so a device that goes by single blocks is cut off here. */
const EXTENT_ASKS_MAX = 64;
/** A shorter hole is sent as zeroes: a chunk costs the client about as much as this many bytes. */
const HOLE_SIZE_MIN = 16 * 2 ** 10;
/** Pieces of one read: bounds the reads that one request can turn into. */
const PIECES_MAX = 256;

export interface ReadPiece {
  offset: number;
  length: number;
  hole: boolean;
}

/** Extents of `[offset, offset + length)`, in order, without gaps, cut to the range; may end early, never empty. */
async function walk(device: ReadableDevice, offset: number, length: number, countMax: number): Promise<Extent[]> {
  const end = offset + length;
  const found: Extent[] = [];
  let at = offset;
  for (let asks = 0; at < end && asks < EXTENT_ASKS_MAX && found.length < countMax; asks++) {
    const before = at;
    for (const extent of await device.extents(at, end - at)) {
      const extentEnd = Math.min(extent.offset + extent.length, end);
      if (extent.offset > at || extentEnd <= at) break;
      const last = found.at(-1);
      if (last !== undefined && last.kind === extent.kind) last.length += extentEnd - at;
      else if (found.length === countMax) return found;
      else found.push({ offset: at, length: extentEnd - at, kind: extent.kind });
      at = extentEnd;
    }
    if (at === before) break;
  }
  if (found.length === 0) {
    throw new SternwayError("internal", `the device tells no extents at offset ${offset}`, { offset, length });
  }
  return found;
}

/** How to answer a read: pieces in order that cover the range exactly. What is not known to be a hole is data. */
export async function planRead(device: ReadableDevice, offset: number, length: number): Promise<ReadPiece[]> {
  const end = offset + length;
  const pieces: ReadPiece[] = [];
  let at = offset;
  const add = (until: number, hole: boolean): void => {
    if (until === at) return;
    const last = pieces.at(-1);
    if (last !== undefined && last.hole === hole) last.length += until - at;
    else pieces.push({ offset: at, length: until - at, hole });
    at = until;
  };
  for (const extent of await walk(device, offset, length, BLOCK_STATUS_COUNT_MAX)) {
    if (extent.kind === "data" || extent.length < HOLE_SIZE_MIN || pieces.length >= PIECES_MAX) continue;
    add(extent.offset, false);
    add(extent.offset + extent.length, true);
  }
  add(end, false);
  return pieces;
}

/** Descriptors (length and state by turns) for BLOCK_STATUS. May end before the range does, never empty. */
export async function blockStatus(
  device: ReadableDevice,
  offset: number,
  length: number,
  onlyOne: boolean,
): Promise<number[]> {
  const descriptors: number[] = [];
  for (const extent of await walk(device, offset, length, onlyOne ? 1 : BLOCK_STATUS_COUNT_MAX)) {
    descriptors.push(extent.length, stateOf(extent.kind));
  }
  return descriptors;
}

function stateOf(kind: Extent["kind"]): number {
  switch (kind) {
    case "data":
      return 0;
    case "zero":
      return NBD_STATE_ZERO;
    case "hole":
      return NBD_STATE_HOLE | NBD_STATE_ZERO;
  }
}
