/**
 * The client's half of fixed newstyle negotiation, over a {@link ClientWire}. Whatever the server sends is bounded and
 * checked; what it refuses becomes a SternwayError with its own message.
 */
import { SternwayError } from "../base/errors.ts";
import type { ClientWire, NbdTarget } from "./client-wire.ts";
import { targetText } from "./client-wire.ts";
import {
  BASE_ALLOCATION,
  BLOCK_SIZE_MIN,
  BLOCK_SIZE_PREFERRED,
  decodeMessage,
  encodeString,
  getU16,
  getU32,
  getU64,
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_EXPORT,
  NBD_OPT_ABORT,
  NBD_OPT_GO,
  NBD_OPT_LIST,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_OPTION_REPLY_MAGIC_HIGH,
  NBD_OPTION_REPLY_MAGIC_LOW,
  NBD_REP_ACK,
  NBD_REP_ERR_UNSUP,
  NBD_REP_FLAG_ERROR,
  NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
  NBDMAGIC_HIGH,
  NBDMAGIC_LOW,
  OPTION_HEADER_SIZE,
  OPTION_REPLY_HEADER_SIZE,
  OPTION_SIZE_MAX,
  PAYLOAD_SIZE_MAX,
  putU16,
  putU32,
} from "./protocol.ts";
import { errorOfOption } from "./reply-errors.ts";

/** Replies to one option: libnbd's limit for a list of exports, with room for the closing one. */
const REPLIES_MAX = 10_001;

/** What the server told of the export in GO. */
export interface NegotiatedExport {
  sizeBytes: number;
  flags: number;
  description: string;
  blockSize: { minimum: number; preferred: number; maximum: number };
  structured: boolean;
  /** The server's id of `base:allocation`, if it was selected. */
  allocationId: number | undefined;
}

interface OptionReply {
  type: number;
  data: Uint8Array;
}

const malformed = (what: string): SternwayError => new SternwayError("unavailable", `not an NBD server: ${what}`);

/** Greeting, flags, and TLS where the target asks for it. */
export async function greet(wire: ClientWire, target: NbdTarget): Promise<void> {
  const hello = await wire.take(18);
  if (getU32(hello, 0) !== NBDMAGIC_HIGH || getU32(hello, 4) !== NBDMAGIC_LOW) throw malformed("wrong magic number");
  if (getU32(hello, 8) !== IHAVEOPT_HIGH || getU32(hello, 12) !== IHAVEOPT_LOW) throw malformed("oldstyle handshake");
  const offered = getU16(hello, 16);
  if ((offered & NBD_FLAG_FIXED_NEWSTYLE) === 0) throw malformed("it does not speak fixed newstyle");
  const at = wire.out.reserve(4);
  putU32(wire.out.bytes, at, NBD_FLAG_FIXED_NEWSTYLE | (offered & NBD_FLAG_NO_ZEROES));
  if (target.tls === undefined) return;
  const doing = `STARTTLS with ${targetText(target)}`;
  const [reply] = await option(wire, NBD_OPT_STARTTLS, new Uint8Array(0), doing);
  if (reply!.type !== NBD_REP_ACK) throw errorOfOption(reply!.type, decodeMessage(reply!.data), doing);
  await wire.upgrade(target.tls);
}

export async function list(wire: ClientWire): Promise<{ name: string; description: string }[]> {
  const found: { name: string; description: string }[] = [];
  for (const { type, data } of await option(wire, NBD_OPT_LIST, new Uint8Array(0), "listing the exports")) {
    if (type === NBD_REP_ACK) break;
    if (type !== NBD_REP_SERVER) throw errorOfOption(type, decodeMessage(data), "listing the exports");
    const size = data.length < 4 ? data.length : getU32(data, 0);
    if (size > data.length - 4) throw malformed("a list entry is too short");
    found.push({
      name: decodeMessage(data.subarray(4, 4 + size)),
      description: decodeMessage(data.subarray(4 + size)),
    });
  }
  wire.out.append(encodeOption(NBD_OPT_ABORT, new Uint8Array(0)));
  return found;
}

/** Structured replies and contexts as far as the server has them, then GO. */
export async function go(wire: ClientWire, exportName: string, contexts: readonly string[]): Promise<NegotiatedExport> {
  const doing = `opening NBD export "${exportName}"`;
  const name = encodeString(exportName);
  const [structuredReply] = await option(wire, NBD_OPT_STRUCTURED_REPLY, new Uint8Array(0), doing);
  const structured = structuredReply!.type === NBD_REP_ACK;
  if (!structured && structuredReply!.type !== NBD_REP_ERR_UNSUP) {
    throw errorOfOption(structuredReply!.type, decodeMessage(structuredReply!.data), doing);
  }
  let allocationId: number | undefined;
  if (structured && contexts.length > 0) {
    for (const { type, data } of await option(wire, NBD_OPT_SET_META_CONTEXT, metaQuery(name, contexts), doing)) {
      if (type !== NBD_REP_META_CONTEXT || data.length < 4) continue;
      if (decodeMessage(data.subarray(4)) === BASE_ALLOCATION) allocationId = getU32(data, 0);
    }
  }
  const exported: NegotiatedExport = {
    sizeBytes: -1,
    flags: 0,
    description: "",
    blockSize: { minimum: BLOCK_SIZE_MIN, preferred: BLOCK_SIZE_PREFERRED, maximum: PAYLOAD_SIZE_MAX },
    structured,
    allocationId,
  };
  const wanted = [NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE];
  const request = new Uint8Array(4 + name.length + 2 + 2 * wanted.length);
  putU32(request, 0, name.length);
  request.set(name, 4);
  putU16(request, 4 + name.length, wanted.length);
  wanted.forEach((info, i) => putU16(request, 6 + name.length + 2 * i, info));
  for (const { type, data } of await option(wire, NBD_OPT_GO, request, doing)) {
    if (type >= NBD_REP_FLAG_ERROR) throw errorOfOption(type, decodeMessage(data), doing);
    if (type === NBD_REP_INFO) takeInfo(exported, data);
  }
  if (!Number.isSafeInteger(exported.sizeBytes) || exported.sizeBytes < 0) throw malformed("it told no usable size");
  return exported;
}

function takeInfo(exported: NegotiatedExport, data: Uint8Array): void {
  if (data.length < 2) throw malformed("an information reply is too short");
  const info = getU16(data, 0);
  if (info === NBD_INFO_EXPORT && data.length === 12) {
    exported.sizeBytes = getU64(data, 2);
    exported.flags = getU16(data, 10);
  } else if (info === NBD_INFO_DESCRIPTION) {
    exported.description = decodeMessage(data.subarray(2));
  } else if (info === NBD_INFO_BLOCK_SIZE && data.length === 14) {
    const [minimum, preferred, maximum] = [getU32(data, 2), getU32(data, 6), getU32(data, 10)];
    if (minimum < 1 || minimum > 65_536 || maximum < minimum) throw malformed("its block sizes make no sense");
    // Larger requests than ours gain nothing, and our pieces must stay multiples of the smallest.
    exported.blockSize = { minimum, preferred, maximum: Math.min(maximum - (maximum % minimum), PAYLOAD_SIZE_MAX) };
  }
}

function metaQuery(name: Uint8Array, contexts: readonly string[]): Uint8Array {
  const queries = contexts.map(encodeString);
  const bytes = new Uint8Array(8 + name.length + queries.reduce((sum, query) => sum + 4 + query.length, 0));
  putU32(bytes, 0, name.length);
  bytes.set(name, 4);
  let at = 4 + name.length;
  putU32(bytes, at, queries.length);
  at += 4;
  for (const query of queries) {
    putU32(bytes, at, query.length);
    bytes.set(query, at + 4);
    at += 4 + query.length;
  }
  return bytes;
}

function encodeOption(option: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(OPTION_HEADER_SIZE + data.length);
  putU32(bytes, 0, IHAVEOPT_HIGH);
  putU32(bytes, 4, IHAVEOPT_LOW);
  putU32(bytes, 8, option);
  putU32(bytes, 12, data.length);
  bytes.set(data, OPTION_HEADER_SIZE);
  return bytes;
}

/** Sends one option. @returns its replies up to the ACK or the error that ends them, which comes last */
async function option(wire: ClientWire, number: number, data: Uint8Array, doing: string): Promise<OptionReply[]> {
  wire.out.append(encodeOption(number, data));
  wire.sendSoon();
  const replies: OptionReply[] = [];
  for (;;) {
    const header = await wire.take(OPTION_REPLY_HEADER_SIZE);
    if (getU32(header, 0) !== NBD_OPTION_REPLY_MAGIC_HIGH || getU32(header, 4) !== NBD_OPTION_REPLY_MAGIC_LOW) {
      throw malformed("an option reply has a wrong magic number");
    }
    const type = getU32(header, 12);
    const size = getU32(header, 16);
    if (getU32(header, 8) !== number || size > OPTION_SIZE_MAX || replies.length >= REPLIES_MAX) {
      throw malformed(`it answered ${doing} with nonsense`);
    }
    replies.push({ type, data: await wire.take(size) });
    if (type === NBD_REP_ACK || type >= NBD_REP_FLAG_ERROR) return replies;
  }
}
