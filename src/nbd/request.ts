/**
 * One request of the transmission phase: its header, and the checks that proto.md lays on the server. They are made
 * once, here; behind them every offset, length and flag is valid for the device.
 */
import { SternwayError } from "../base/errors.ts";
import {
  BLOCK_SIZE_MIN,
  getU16,
  getU32,
  getU64,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_EPERM,
  PAYLOAD_SIZE_MAX,
} from "./protocol.ts";

/** The client's mistake: answered with this errno, not worth a log line. */
export class RequestError extends SternwayError {
  readonly errno: number;

  constructor(errno: number, message: string) {
    super("invalid", message, { errno });
    this.errno = errno;
  }
}

/** Reused for one request after another, because small requests are too many to allocate for. */
export class Request {
  flags = 0;
  type = 0;
  /** The cookie, in halves. */
  high = 0;
  low = 0;
  /** Exact below 2^53; beyond it is past the end of anything. */
  offset = 0;
  length = 0;

  /** Reads the 28 bytes at `at`; the caller has compared the magic. */
  decode(bytes: Uint8Array, at: number): void {
    this.flags = getU16(bytes, at + 4);
    this.type = getU16(bytes, at + 6);
    this.high = getU32(bytes, at + 8);
    this.low = getU32(bytes, at + 12);
    this.offset = getU64(bytes, at + 16);
    this.length = getU32(bytes, at + 24);
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
}

/** FUA is allowed on every command and ignored where it means nothing. */
const FLAGS_ALLOWED: Record<number, number> = {
  [NBD_CMD_READ]: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF,
  [NBD_CMD_WRITE]: NBD_CMD_FLAG_FUA,
  [NBD_CMD_FLUSH]: NBD_CMD_FLAG_FUA,
  [NBD_CMD_TRIM]: NBD_CMD_FLAG_FUA,
  [NBD_CMD_CACHE]: NBD_CMD_FLAG_FUA,
  [NBD_CMD_WRITE_ZEROES]: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
  [NBD_CMD_BLOCK_STATUS]: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE,
};

/** @throws RequestError */
export function checkRequest(request: Request, sizeBytes: number, readOnly: boolean, structured: boolean): void {
  const { type, flags, offset, length } = request;
  const allowed = FLAGS_ALLOWED[type];
  if (allowed === undefined) throw new RequestError(NBD_EINVAL, `unknown command ${type}`);
  const changes = type === NBD_CMD_WRITE || type === NBD_CMD_TRIM || type === NBD_CMD_WRITE_ZEROES;
  if (changes && readOnly) throw new RequestError(NBD_EPERM, "this export is read-only");
  if ((flags & ~allowed) !== 0) {
    throw new RequestError(NBD_EINVAL, `flags 0x${flags.toString(16)} are not valid for command ${type}`);
  }
  if ((flags & NBD_CMD_FLAG_DF) !== 0 && !structured) {
    throw new RequestError(NBD_EINVAL, "the DF flag needs structured replies");
  }
  // proto.md gives FLUSH no range; old clients leave anything in those fields.
  if (type === NBD_CMD_FLUSH) return;
  // The limit is one of payloads: a trim may clear a whole device in one request.
  if ((type === NBD_CMD_READ || type === NBD_CMD_WRITE) && length > PAYLOAD_SIZE_MAX) {
    throw new RequestError(NBD_EINVAL, `${length} bytes are more than the ${PAYLOAD_SIZE_MAX} of one request`);
  }
  if (offset % BLOCK_SIZE_MIN !== 0 || length % BLOCK_SIZE_MIN !== 0) {
    throw new RequestError(
      NBD_EINVAL,
      `offset ${offset} and length ${length} are not both multiples of the sector size ${BLOCK_SIZE_MIN}`,
    );
  }
  if (offset + length > sizeBytes) {
    throw new RequestError(
      type === NBD_CMD_WRITE || type === NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL,
      `${length} bytes at offset ${offset} reach past the end of the device at ${sizeBytes}`,
    );
  }
}
