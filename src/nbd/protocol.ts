/**
 * The NBD protocol's constants, named as in the specification (NetworkBlockDevice/nbd, doc/proto.md), the limits that
 * we set where it leaves them to the server, and the big-endian codecs that every message is made of.
 *
 * Layouts (bytes):
 *   option request   IHAVEOPT(8) option(4) length(4) data
 *   option reply     magic(8) option(4) type(4) length(4) data
 *   request          magic(4) flags(2) type(2) cookie(8) offset(8) length(4) [payload]          = 28
 *   simple reply     magic(4) error(4) cookie(8) [data]                                         = 16
 *   structured chunk magic(4) flags(2) type(2) cookie(8) length(4) payload                      = 20
 */

/** "NBDMAGIC" and "IHAVEOPT" as halves: 64-bit magics don't fit a number exactly, so they are compared in two parts. */
export const NBDMAGIC_HIGH = 0x4e42444d;
export const NBDMAGIC_LOW = 0x41474943;
export const IHAVEOPT_HIGH = 0x49484156;
export const IHAVEOPT_LOW = 0x454f5054;
export const NBD_OPTION_REPLY_MAGIC_HIGH = 0x0003e889;
export const NBD_OPTION_REPLY_MAGIC_LOW = 0x045565a9;
export const NBD_REQUEST_MAGIC = 0x25609513;
export const NBD_SIMPLE_REPLY_MAGIC = 0x67446698;
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef;

export const OPTION_HEADER_SIZE = 16;
export const OPTION_REPLY_HEADER_SIZE = 20;
export const REQUEST_HEADER_SIZE = 28;
export const SIMPLE_REPLY_SIZE = 16;
export const STRUCTURED_HEADER_SIZE = 20;

/** Handshake flags; the client's flags have the same bits. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1;
export const NBD_FLAG_NO_ZEROES = 2;

/** Transmission flags. */
export const NBD_FLAG_HAS_FLAGS = 1 << 0;
export const NBD_FLAG_READ_ONLY = 1 << 1;
export const NBD_FLAG_SEND_FLUSH = 1 << 2;
export const NBD_FLAG_SEND_FUA = 1 << 3;
export const NBD_FLAG_SEND_TRIM = 1 << 5;
export const NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6;
export const NBD_FLAG_SEND_DF = 1 << 7;
export const NBD_FLAG_CAN_MULTI_CONN = 1 << 8;
export const NBD_FLAG_SEND_CACHE = 1 << 10;
export const NBD_FLAG_SEND_FAST_ZERO = 1 << 11;

export const NBD_OPT_EXPORT_NAME = 1;
export const NBD_OPT_ABORT = 2;
export const NBD_OPT_LIST = 3;
export const NBD_OPT_STARTTLS = 5;
export const NBD_OPT_INFO = 6;
export const NBD_OPT_GO = 7;
export const NBD_OPT_STRUCTURED_REPLY = 8;
export const NBD_OPT_LIST_META_CONTEXT = 9;
export const NBD_OPT_SET_META_CONTEXT = 10;

export const NBD_REP_ACK = 1;
export const NBD_REP_SERVER = 2;
export const NBD_REP_INFO = 3;
export const NBD_REP_META_CONTEXT = 4;
/** Option replies from here on are errors; their data is a message for people. */
export const NBD_REP_FLAG_ERROR = 2 ** 31;
export const NBD_REP_ERR_UNSUP = 2 ** 31 + 1;
export const NBD_REP_ERR_POLICY = 2 ** 31 + 2;
export const NBD_REP_ERR_INVALID = 2 ** 31 + 3;
export const NBD_REP_ERR_TLS_REQD = 2 ** 31 + 5;
export const NBD_REP_ERR_UNKNOWN = 2 ** 31 + 6;
export const NBD_REP_ERR_SHUTDOWN = 2 ** 31 + 7;
export const NBD_REP_ERR_TOO_BIG = 2 ** 31 + 9;

export const NBD_INFO_EXPORT = 0;
export const NBD_INFO_NAME = 1;
export const NBD_INFO_DESCRIPTION = 2;
export const NBD_INFO_BLOCK_SIZE = 3;

export const NBD_CMD_READ = 0;
export const NBD_CMD_WRITE = 1;
export const NBD_CMD_DISC = 2;
export const NBD_CMD_FLUSH = 3;
export const NBD_CMD_TRIM = 4;
export const NBD_CMD_CACHE = 5;
export const NBD_CMD_WRITE_ZEROES = 6;
export const NBD_CMD_BLOCK_STATUS = 7;

export const NBD_CMD_FLAG_FUA = 1 << 0;
export const NBD_CMD_FLAG_NO_HOLE = 1 << 1;
export const NBD_CMD_FLAG_DF = 1 << 2;
export const NBD_CMD_FLAG_REQ_ONE = 1 << 3;
export const NBD_CMD_FLAG_FAST_ZERO = 1 << 4;

export const NBD_REPLY_FLAG_DONE = 1;
export const NBD_REPLY_TYPE_NONE = 0;
export const NBD_REPLY_TYPE_OFFSET_DATA = 1;
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2;
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5;
export const NBD_REPLY_TYPE_ERROR = 2 ** 15 + 1;

export const NBD_STATE_HOLE = 1;
export const NBD_STATE_ZERO = 2;
export const BASE_ALLOCATION = "base:allocation";

export const NBD_EPERM = 1;
export const NBD_EIO = 5;
export const NBD_EINVAL = 22;
export const NBD_ENOSPC = 28;
export const NBD_ESHUTDOWN = 108;

/** Block sizes that we advertise: our sector, our grid, and the payload that proto.md tells every server to accept. */
export const BLOCK_SIZE_MIN = 512;
export const BLOCK_SIZE_PREFERRED = 4096;
export const PAYLOAD_SIZE_MAX = 32 * 2 ** 20;
/** proto.md: no string is longer than this. */
export const STRING_SIZE_MAX = 4096;
/** The longest useful option: one export name and a dozen metadata queries of the greatest length. */
export const OPTION_SIZE_MAX = 64 * 2 ** 10;
/** Descriptors in one answer to BLOCK_STATUS: 32 KiB; the client asks again from where they end. */
export const BLOCK_STATUS_COUNT_MAX = 4096;

export function getU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function getU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Exact below 2^53. Above it is rounded, which still compares right against any size that we can serve. */
export function getU64(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at) * 2 ** 32 + getU32(bytes, at + 4);
}

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** @param value - an integer in [0, 2^53) */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, Math.floor(value / 2 ** 32));
  putU32(bytes, at + 4, value % 2 ** 32);
}

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 of at most {@link STRING_SIZE_MAX} bytes; what is longer is cut between characters. */
export function encodeString(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length <= STRING_SIZE_MAX) return bytes;
  let end = STRING_SIZE_MAX;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** A string as proto.md defines it. Undefined if it is too long, holds NUL, or is not UTF-8. */
export function decodeString(bytes: Uint8Array): string | undefined {
  if (bytes.length > STRING_SIZE_MAX || bytes.includes(0)) return undefined;
  try {
    return strictDecoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** A message from the other side, for people: whatever it holds. */
export function decodeMessage(bytes: Uint8Array): string {
  return lenientDecoder.decode(bytes.subarray(0, STRING_SIZE_MAX));
}
