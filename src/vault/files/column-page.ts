/**
 * Columns of integers as bytes: what the pages of layers and chronicles are made of.
 *
 * A column stores the differences between neighbours, cut into byte planes: first the lowest byte of every difference,
 * then the second of every difference, and so on, for as many planes as the largest one needs. A sequential run becomes
 * a stretch of one repeated byte, and a column with a single large jump pays for it with planes of zeroes; zstd removes both.
 * Planes instead of variable-length integers, because they decode without a branch per value: 4,096 entries of three columns
 * take about 15 µs.
 *
 *     ascending column (unsigned 32-bit, never falling)     signed column (integers in [0, 2^53), any order)
 *       0  4  first value                                     0  8  first value
 *       4  1  planes, 0 to 4                                  8  1  planes, 0 to 7
 *       5     planes × count bytes                            9     planes × count bytes
 *
 * A signed difference d is stored as (m << 1) | s with s = 1 and m = -d - 1 when d is negative, else s = 0 and m = d; m has up to
 * 53 bits, so the low 32 bits and the rest are handled apart: doubles hold 53 bits and not 54.
 *
 * A page is its columns, one after another, as one zstd frame (see compression.ts), or raw where that would not be smaller.
 */
/** Rows of a page: enough for zstd to find repetition, few enough that a read of one block decodes in 30 to 60 µs. */
export const PAGE_ROWS_MAX = 4096;
/** Columns of a page at most; with {@link PAGE_ROWS_MAX} it bounds what a page may unfold to. */
const PAGE_COLUMNS_MAX = 8;
const SIGNED_PLANES_MAX = 7;
/** The largest raw page: nothing larger is ever allocated or accepted. */
export const PAGE_RAW_MAX = PAGE_COLUMNS_MAX * (9 + SIGNED_PLANES_MAX * PAGE_ROWS_MAX);

const TWO_31 = 2 ** 31;
const TWO_32 = 2 ** 32;

// Scratch of this thread: filled and used up within one call.
const low = new Uint32Array(PAGE_ROWS_MAX);
const high = new Uint32Array(PAGE_ROWS_MAX);

/** Reads an unsigned 64-bit integer; what does not fit 53 bits comes out above 2^53, for the caller's range check. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
}

/** Writes an integer in [0, 2^53]. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

function writePlanes(words: Uint32Array, count: number, planes: number, into: Uint8Array, at: number): void {
  for (let plane = 0; plane < planes; plane++) {
    const shift = plane * 8;
    const start = at + plane * count;
    for (let i = 0; i < count; i++) into[start + i] = words[i]! >>> shift;
  }
}

/** Bytes that hold every bit of `bits`, an unsigned 32-bit value. */
const planesOf = (bits: number): number => (32 - Math.clz32(bits) + 7) >>> 3;

/** Writes the first `count` of `values`, which never fall. @returns the offset after the column */
export function encodeAscending(values: Uint32Array, count: number, into: Uint8Array, at: number): number {
  const first = count === 0 ? 0 : values[0]!;
  let previous = first;
  let bits = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    const delta = value - previous;
    low[i] = delta;
    bits |= delta;
    previous = value;
  }
  const planes = planesOf(bits);
  new DataView(into.buffer, into.byteOffset).setUint32(at, first, true);
  into[at + 4] = planes;
  writePlanes(low, count, planes, into, at + 5);
  return at + 5 + planes * count;
}

/**
 * Reads a column of {@link encodeAscending} into `into`.
 * @returns the offset after the column, or -1 if these bytes are not such a column
 */
export function decodeAscending(raw: Uint8Array, at: number, count: number, into: Uint32Array): number {
  if (at < 0 || at + 5 > raw.length) return -1;
  const planes = raw[at + 4]!;
  const body = at + 5;
  const end = body + planes * count;
  if (planes > 4 || end > raw.length) return -1;
  let value = new DataView(raw.buffer, raw.byteOffset).getUint32(at, true);
  if (planes === 0) {
    into.fill(value, 0, count);
  } else if (planes === 1) {
    for (let i = 0; i < count; i++) into[i] = value = (value + raw[body + i]!) >>> 0;
  } else if (planes === 2) {
    const second = body + count;
    for (let i = 0; i < count; i++) into[i] = value = (value + (raw[body + i]! | (raw[second + i]! << 8))) >>> 0;
  } else {
    for (let i = 0; i < count; i++) {
      let delta = 0;
      for (let plane = planes - 1; plane >= 0; plane--) delta = delta * 256 + raw[body + plane * count + i]!;
      into[i] = value = (value + delta) >>> 0;
    }
  }
  return end;
}

/** Writes the first `count` of `values`, integers in [0, 2^53). @returns the offset after the column */
export function encodeSigned(values: Float64Array, count: number, into: Uint8Array, at: number): number {
  const first = count === 0 ? 0 : values[0]!;
  let previous = first;
  let lowBits = 0;
  let highBits = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    const delta = value - previous;
    previous = value;
    const small = delta | 0;
    if (small === delta) {
      low[i] = (small << 1) ^ (small >> 31);
      high[i] = 0;
    } else {
      const sign = delta < 0 ? 1 : 0;
      const magnitude = sign === 1 ? -delta - 1 : delta;
      const rest = Math.floor(magnitude / TWO_31);
      low[i] = (magnitude - rest * TWO_31) * 2 + sign;
      high[i] = rest;
      highBits |= rest;
    }
    lowBits |= low[i]!;
  }
  const planes = highBits === 0 ? planesOf(lowBits) : 4 + planesOf(highBits);
  writeU64(new DataView(into.buffer, into.byteOffset), at, first);
  into[at + 8] = planes;
  const body = at + 9;
  writePlanes(low, count, Math.min(planes, 4), into, body);
  if (planes > 4) writePlanes(high, count, planes - 4, into, body + 4 * count);
  return body + planes * count;
}

/**
 * Reads a column of {@link encodeSigned} into `into`. Hostile bytes may give values outside [0, 2^53): the caller checks the range.
 * @returns the offset after the column, or -1 if these bytes are not such a column
 */
export function decodeSigned(raw: Uint8Array, at: number, count: number, into: Float64Array): number {
  if (at < 0 || at + 9 > raw.length) return -1;
  const planes = raw[at + 8]!;
  const p0 = at + 9;
  const end = p0 + planes * count;
  if (planes > SIGNED_PLANES_MAX || end > raw.length) return -1;
  const p1 = p0 + count;
  const p2 = p1 + count;
  const p3 = p2 + count;
  let value = readU64(new DataView(raw.buffer, raw.byteOffset), at);
  switch (planes) {
    case 0:
      into.fill(value, 0, count);
      break;
    case 1:
      for (let i = 0; i < count; i++) {
        const word = raw[p0 + i]!;
        into[i] = value += (word >>> 1) ^ -(word & 1);
      }
      break;
    case 2:
      for (let i = 0; i < count; i++) {
        const word = raw[p0 + i]! | (raw[p1 + i]! << 8);
        into[i] = value += (word >>> 1) ^ -(word & 1);
      }
      break;
    case 3:
      for (let i = 0; i < count; i++) {
        const word = raw[p0 + i]! | (raw[p1 + i]! << 8) | (raw[p2 + i]! << 16);
        into[i] = value += (word >>> 1) ^ -(word & 1);
      }
      break;
    default: {
      const p4 = p3 + count;
      for (let i = 0; i < count; i++) {
        const word = raw[p0 + i]! | (raw[p1 + i]! << 8) | (raw[p2 + i]! << 16) | (raw[p3 + i]! << 24);
        let rest = 0;
        for (let plane = planes - 5; plane >= 0; plane--) rest = rest * 256 + raw[p4 + plane * count + i]!;
        const magnitude = (word >>> 1) + rest * TWO_31;
        into[i] = value += (word & 1) === 1 ? -magnitude - 1 : magnitude;
      }
    }
  }
  return end;
}
