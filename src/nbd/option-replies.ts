/** Encoders and decoders of option haggling: the pure half of {@link Negotiation}. */
import type { Outgoing } from "./outgoing.ts";
import {
  BLOCK_SIZE_MIN,
  BLOCK_SIZE_PREFERRED,
  decodeString,
  encodeString,
  getU16,
  getU32,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_EXPORT,
  NBD_INFO_NAME,
  NBD_OPTION_REPLY_MAGIC_HIGH,
  NBD_OPTION_REPLY_MAGIC_LOW,
  NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
  OPTION_REPLY_HEADER_SIZE,
  PAYLOAD_SIZE_MAX,
  putU16,
  putU32,
  putU64,
} from "./protocol.ts";

/** The header of an option reply and room for its data. @returns the position of the data in `out.bytes` */
export function optionReply(out: Outgoing, option: number, type: number, dataSize: number): number {
  const at = out.reserve(OPTION_REPLY_HEADER_SIZE + dataSize);
  const bytes = out.bytes;
  putU32(bytes, at, NBD_OPTION_REPLY_MAGIC_HIGH);
  putU32(bytes, at + 4, NBD_OPTION_REPLY_MAGIC_LOW);
  putU32(bytes, at + 8, option);
  putU32(bytes, at + 12, type);
  putU32(bytes, at + 16, dataSize);
  return at + OPTION_REPLY_HEADER_SIZE;
}

/** An option error with its message for people. */
export function optionError(out: Outgoing, option: number, type: number, message: string): void {
  const text = encodeString(message);
  const at = optionReply(out, option, type, text.length);
  out.bytes.set(text, at);
}

export function serverReply(out: Outgoing, option: number, name: string, description: string): void {
  const nameBytes = encodeString(name);
  const descriptionBytes = encodeString(description);
  const at = optionReply(out, option, NBD_REP_SERVER, 4 + nameBytes.length + descriptionBytes.length);
  putU32(out.bytes, at, nameBytes.length);
  out.bytes.set(nameBytes, at + 4);
  out.bytes.set(descriptionBytes, at + 4 + nameBytes.length);
}

export function metaContextReply(out: Outgoing, option: number, id: number, name: string): void {
  const nameBytes = encodeString(name);
  const at = optionReply(out, option, NBD_REP_META_CONTEXT, 4 + nameBytes.length);
  putU32(out.bytes, at, id);
  out.bytes.set(nameBytes, at + 4);
}

export interface ExportFacts {
  sizeBytes: number;
  readOnly: boolean;
  description: string;
}

/** The information of INFO and GO: always the export itself and its block sizes, name and description where asked for. */
export function infoReplies(
  out: Outgoing,
  option: number,
  name: string,
  facts: ExportFacts,
  structured: boolean,
  wanted: readonly number[],
): void {
  let at = optionReply(out, option, NBD_REP_INFO, 12);
  putU16(out.bytes, at, NBD_INFO_EXPORT);
  putU64(out.bytes, at + 2, facts.sizeBytes);
  putU16(out.bytes, at + 10, transmissionFlags(facts.readOnly, structured));
  at = optionReply(out, option, NBD_REP_INFO, 14);
  putU16(out.bytes, at, NBD_INFO_BLOCK_SIZE);
  putU32(out.bytes, at + 2, BLOCK_SIZE_MIN);
  putU32(out.bytes, at + 6, BLOCK_SIZE_PREFERRED);
  putU32(out.bytes, at + 10, PAYLOAD_SIZE_MAX);
  if (wanted.includes(NBD_INFO_NAME)) infoString(out, option, NBD_INFO_NAME, name);
  if (wanted.includes(NBD_INFO_DESCRIPTION)) infoString(out, option, NBD_INFO_DESCRIPTION, facts.description);
}

function infoString(out: Outgoing, option: number, type: number, text: string): void {
  const bytes = encodeString(text);
  const at = optionReply(out, option, NBD_REP_INFO, 2 + bytes.length);
  putU16(out.bytes, at, type);
  out.bytes.set(bytes, at + 2);
}

/** What an export can do. Multi-conn holds for every device: its flush covers what was answered on any connection. */
export function transmissionFlags(readOnly: boolean, structured: boolean): number {
  let flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_CACHE | NBD_FLAG_CAN_MULTI_CONN;
  if (structured) flags |= NBD_FLAG_SEND_DF;
  if (readOnly) return flags | NBD_FLAG_READ_ONLY;
  return flags | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
}

/** The data of INFO and GO. Undefined if it is malformed. */
export function decodeInfoRequest(data: Uint8Array): { name: string; wanted: number[] } | undefined {
  if (data.length < 6) return undefined;
  const nameSize = getU32(data, 0);
  if (nameSize > data.length - 6) return undefined;
  const name = decodeString(data.subarray(4, 4 + nameSize));
  const count = getU16(data, 4 + nameSize);
  if (name === undefined || data.length !== 6 + nameSize + 2 * count) return undefined;
  const wanted: number[] = [];
  for (let i = 0; i < count; i++) wanted.push(getU16(data, 6 + nameSize + 2 * i));
  return { name, wanted };
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. Undefined if it is malformed. */
export function decodeMetaRequest(data: Uint8Array): { name: string; queries: string[] } | undefined {
  if (data.length < 8) return undefined;
  const nameSize = getU32(data, 0);
  if (nameSize > data.length - 8) return undefined;
  const name = decodeString(data.subarray(4, 4 + nameSize));
  if (name === undefined) return undefined;
  let at = 4 + nameSize;
  const count = getU32(data, at);
  at += 4;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    if (data.length - at < 4) return undefined;
    const size = getU32(data, at);
    at += 4;
    if (size > data.length - at) return undefined;
    const query = decodeString(data.subarray(at, at + size));
    if (query === undefined) return undefined;
    queries.push(query);
    at += size;
  }
  return at === data.length ? { name, queries } : undefined;
}
