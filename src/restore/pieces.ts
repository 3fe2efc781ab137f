/**
 * Cuts a device into pieces of 4 MiB, each with the ranges in it that hold data. A piece is the unit of reading ahead,
 * of resuming and of verifying.
 */
import type { Extent, ReadableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";

/** What restore needs of a source: a volume's device here, or an NBD connection to one. */
export type RestoreDevice = Pick<ReadableDevice, "sizeBytes" | "read" | "extents">;

/** 4 MiB: large enough that a round trip and a disk seek do not count, small enough for eight of them in memory. */
export const PIECE_BYTES = 4 * 2 ** 20;

/** How far one question about extents reaches: 1 GiB keeps the questions few and each answer small. */
const EXTENT_WINDOW_BYTES = 2 ** 30;

export interface DataRange {
  offset: number;
  length: number;
}

export interface Piece {
  index: number;
  offset: number;
  length: number;
  /** In order, merged, within the piece, in the device's offsets. Everything between reads as zeroes. */
  data: DataRange[];
}

export const pieceCount = (sizeBytes: number): number => Math.ceil(sizeBytes / PIECE_BYTES);

/** All pieces of a device in order. @throws corrupt: the source's answer about its extents makes no sense */
export async function* pieces(device: RestoreDevice): AsyncGenerator<Piece, void, undefined> {
  let piece = emptyPiece(0, device.sizeBytes);
  for await (const extent of allExtents(device)) {
    let offset = extent.offset;
    const end = extent.offset + extent.length;
    while (offset < end) {
      const pieceEnd = piece.offset + piece.length;
      const stop = Math.min(end, pieceEnd);
      if (extent.kind === "data") addRange(piece.data, offset, stop - offset);
      offset = stop;
      if (stop === pieceEnd) {
        yield piece;
        piece = emptyPiece(piece.index + 1, device.sizeBytes);
      }
    }
  }
}

/** Bytes of data on a device: what a restore transfers. */
export async function dataBytesOf(device: RestoreDevice): Promise<number> {
  let bytes = 0;
  for await (const extent of allExtents(device)) if (extent.kind === "data") bytes += extent.length;
  return bytes;
}

async function* allExtents(device: RestoreDevice): AsyncGenerator<Extent, void, undefined> {
  let offset = 0;
  while (offset < device.sizeBytes) {
    const length = Math.min(EXTENT_WINDOW_BYTES, device.sizeBytes - offset);
    const end = offset + length;
    const extents = await device.extents(offset, length);
    if (extents.length === 0) throw misplaced(offset, "no extent at all");
    for (const extent of extents) {
      // Answers from a network peer: a gap would silently become zeroes in the restored disk.
      if (extent.offset !== offset || extent.length <= 0) {
        throw misplaced(offset, `an extent of ${extent.length} bytes at ${extent.offset}`);
      }
      const inside = Math.min(extent.length, end - offset);
      yield { ...extent, length: inside };
      offset += inside;
      if (offset === end) break;
    }
  }
}

function misplaced(offset: number, got: string): SternwayError {
  return new SternwayError("corrupt", `the source was asked what lies at ${offset} and answered with ${got}`, {
    offset,
  });
}

function emptyPiece(index: number, sizeBytes: number): Piece {
  const offset = index * PIECE_BYTES;
  return { index, offset, length: Math.max(0, Math.min(PIECE_BYTES, sizeBytes - offset)), data: [] };
}

function addRange(ranges: DataRange[], offset: number, length: number): void {
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.offset + last.length === offset) last.length += length;
  else ranges.push({ offset, length });
}

/** More ranges than this in a piece, and one request for all of it is cheaper than one each. */
const RANGES_READ_APART_MAX = 8;

/** Reads a piece whole, with zeroes between its data. @returns a buffer that the caller owns */
export async function readPiece(device: RestoreDevice, piece: Piece): Promise<Uint8Array> {
  const first = piece.data[0];
  const whole = first?.length === piece.length;
  if (whole || piece.data.length > RANGES_READ_APART_MAX) return readExactly(device, piece.offset, piece.length);
  const bytes = new Uint8Array(piece.length);
  const copyRange = async (range: DataRange): Promise<void> => {
    bytes.set(await readExactly(device, range.offset, range.length), range.offset - piece.offset);
  };
  await Promise.all(piece.data.map(copyRange));
  return bytes;
}

async function readExactly(device: RestoreDevice, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await device.read(offset, length);
  if (bytes.length === length) return bytes;
  throw new SternwayError("corrupt", `the source gave ${bytes.length} bytes at ${offset} instead of ${length}`, {
    offset,
  });
}
