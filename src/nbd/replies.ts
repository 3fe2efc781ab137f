/**
 * Encoders of the answers in transmission, straight into the outgoing bytes. A cookie is two 32-bit halves: the client
 * may use all 64 bits, and a bigint for each request would cost more than the rest of a small answer.
 */
import type { Outgoing } from "./outgoing.ts";
import {
  encodeString,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  putU16,
  putU32,
  putU64,
  SIMPLE_REPLY_SIZE,
  STRUCTURED_HEADER_SIZE,
} from "./protocol.ts";

/** Also valid with structured replies, for every command but READ and BLOCK_STATUS, and four bytes shorter. */
export function simpleReply(out: Outgoing, cookieHigh: number, cookieLow: number, errno: number): void {
  const at = out.reserve(SIMPLE_REPLY_SIZE);
  const bytes = out.bytes;
  putU32(bytes, at, NBD_SIMPLE_REPLY_MAGIC);
  putU32(bytes, at + 4, errno);
  putU32(bytes, at + 8, cookieHigh);
  putU32(bytes, at + 12, cookieLow);
}

/** A chunk's header and `extra` bytes of payload to be filled in. @returns the position of the payload in `out.bytes` */
export function chunk(
  out: Outgoing,
  cookieHigh: number,
  cookieLow: number,
  type: number,
  done: boolean,
  payloadSize: number,
  extra: number,
): number {
  const at = out.reserve(STRUCTURED_HEADER_SIZE + extra);
  const bytes = out.bytes;
  putU32(bytes, at, NBD_STRUCTURED_REPLY_MAGIC);
  putU16(bytes, at + 4, done ? NBD_REPLY_FLAG_DONE : 0);
  putU16(bytes, at + 6, type);
  putU32(bytes, at + 8, cookieHigh);
  putU32(bytes, at + 12, cookieLow);
  putU32(bytes, at + 16, payloadSize);
  return at + STRUCTURED_HEADER_SIZE;
}

/** @param data - not changed until it is sent @param slab - what it lies in, given back then */
export function dataChunk(
  out: Outgoing,
  cookieHigh: number,
  cookieLow: number,
  done: boolean,
  offset: number,
  data: Uint8Array,
  slab: Uint8Array | undefined,
): void {
  const at = chunk(out, cookieHigh, cookieLow, NBD_REPLY_TYPE_OFFSET_DATA, done, 8 + data.length, 8);
  putU64(out.bytes, at, offset);
  out.append(data, slab);
}

export function holeChunk(
  out: Outgoing,
  cookieHigh: number,
  cookieLow: number,
  done: boolean,
  offset: number,
  length: number,
): void {
  const at = chunk(out, cookieHigh, cookieLow, NBD_REPLY_TYPE_OFFSET_HOLE, done, 12, 12);
  putU64(out.bytes, at, offset);
  putU32(out.bytes, at + 8, length);
}

export function errorChunk(out: Outgoing, cookieHigh: number, cookieLow: number, errno: number, message: string): void {
  const text = encodeString(message);
  const at = chunk(out, cookieHigh, cookieLow, NBD_REPLY_TYPE_ERROR, true, 6 + text.length, 6 + text.length);
  putU32(out.bytes, at, errno);
  putU16(out.bytes, at + 4, text.length);
  out.bytes.set(text, at + 6);
}

/** @param descriptors - length and flags by turns, in order from the request's offset */
export function blockStatusChunk(
  out: Outgoing,
  cookieHigh: number,
  cookieLow: number,
  contextId: number,
  descriptors: readonly number[],
): void {
  const size = 4 + 4 * descriptors.length;
  const at = chunk(out, cookieHigh, cookieLow, NBD_REPLY_TYPE_BLOCK_STATUS, true, size, size);
  putU32(out.bytes, at, contextId);
  for (let i = 0; i < descriptors.length; i++) putU32(out.bytes, at + 4 + 4 * i, descriptors[i]!);
}
