/**
 * Takes a server's answers apart and settles the requests they belong to. Data goes from the socket's chunk straight
 * into the reader's buffer. A server that answers what was not asked, twice, or out of range, ends the connection:
 * its bytes can no longer be told apart (law 3: never wrong bytes).
 */
import type { Extent } from "../base/device.ts";
import type { SternwayError } from "../base/errors.ts";
import {
  BLOCK_STATUS_COUNT_MAX,
  decodeMessage,
  getU16,
  getU32,
  getU64,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_READ,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  NBD_STRUCTURED_REPLY_MAGIC,
  SIMPLE_REPLY_SIZE,
  STRING_SIZE_MAX,
  STRUCTURED_HEADER_SIZE,
} from "./protocol.ts";
import { errorOfErrno } from "./reply-errors.ts";

export interface PendingRequest {
  type: number;
  offset: number;
  length: number;
  into: Uint8Array | undefined;
  extents: Extent[] | undefined;
  /** Bytes of `into` that data or hole chunks have filled. */
  coveredBytes: number;
  error: SternwayError | undefined;
  resolve: () => void;
  reject: (error: SternwayError) => void;
}

/** Chunks that are not data: block status is the longest (other servers may send more descriptors than we do). */
const SMALL_PAYLOAD_MAX = Math.max(4 + 8 * 16 * BLOCK_STATUS_COUNT_MAX, 16 + STRING_SIZE_MAX);
const COMMAND_NAMES = ["a read", "a write", "a goodbye", "a flush", "a trim", "caching", "zeroing", "block status"];

export class ClientReplies {
  pendingCount = 0;
  #slots: (PendingRequest | undefined)[] = [];
  #serials: number[] = [];
  #free: number[] = [];
  #failed = false;

  readonly #header = new Uint8Array(STRUCTURED_HEADER_SIZE);
  #headerFill = 0;
  #headerSize = 4;
  /** The chunk at hand. */
  #pending: PendingRequest | undefined;
  #slot = 0;
  #type = 0;
  #done = false;
  /** Data of it still to come, and where it goes. */
  #dataLeft = 0;
  #dataAt = 0;
  /** Its payload, where that is small: collected whole. */
  #small: Uint8Array | undefined;
  #smallFill = 0;

  readonly #allocationId: number | undefined;
  readonly #fail: (reason: string) => void;

  /** @param fail - ends the connection, which calls {@link failAll} */
  constructor(allocationId: number | undefined, fail: (reason: string) => void) {
    this.#allocationId = allocationId;
    this.#fail = fail;
  }

  /** @returns its slot: the low half of the cookie */
  add(pending: PendingRequest): number {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[slot] = pending;
    this.#serials[slot] = ((this.#serials[slot] ?? 0) + 1) >>> 0;
    this.pendingCount++;
    return slot;
  }

  /** The high half: it grows with every use of the slot, so that a second answer to an old request is recognised. */
  serialOf(slot: number): number {
    return this.#serials[slot]!;
  }

  failAll(error: SternwayError): void {
    this.#failed = true;
    const slots = this.#slots;
    this.#slots = [];
    this.pendingCount = 0;
    for (const pending of slots) pending?.reject(error);
  }

  receive(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#failed) {
      if (this.#dataLeft > 0) {
        const taken = Math.min(this.#dataLeft, chunk.length - at);
        const whole = at === 0 && taken === chunk.length;
        this.#pending!.into!.set(whole ? chunk : chunk.subarray(at, at + taken), this.#dataAt);
        at += taken;
        this.#dataAt += taken;
        this.#dataLeft -= taken;
        if (this.#dataLeft === 0) this.#chunkDone();
      } else if (this.#small !== undefined) {
        const taken = Math.min(this.#small.length - this.#smallFill, chunk.length - at);
        this.#small.set(chunk.subarray(at, at + taken), this.#smallFill);
        this.#smallFill += taken;
        at += taken;
        if (this.#smallFill === this.#small.length) this.#takeSmall(this.#small);
      } else {
        const taken = Math.min(this.#headerSize - this.#headerFill, chunk.length - at);
        for (let i = 0; i < taken; i++) this.#header[this.#headerFill + i] = chunk[at + i]!;
        this.#headerFill += taken;
        at += taken;
        if (this.#headerFill === this.#headerSize) this.#takeHeader();
      }
    }
  }

  #takeHeader(): void {
    const header = this.#header;
    const magic = getU32(header, 0);
    if (this.#headerSize === 4) {
      // The magic number tells how long the rest is.
      if (magic === NBD_SIMPLE_REPLY_MAGIC) this.#headerSize = SIMPLE_REPLY_SIZE;
      else if (magic === NBD_STRUCTURED_REPLY_MAGIC) this.#headerSize = STRUCTURED_HEADER_SIZE;
      else this.#fail(`an answer began with 0x${magic.toString(16)}`);
      return;
    }
    this.#headerFill = 0;
    this.#headerSize = 4;
    this.#slot = getU32(header, 12);
    this.#pending = this.#slots[this.#slot];
    if (this.#pending === undefined || this.#serials[this.#slot] !== getU32(header, 8)) {
      this.#fail("it answered what was not asked");
    } else if (magic === NBD_SIMPLE_REPLY_MAGIC) {
      this.#simple(this.#pending, getU32(header, 4));
    } else {
      this.#structured(this.#pending, getU16(header, 4), getU16(header, 6), getU32(header, 16));
    }
  }

  #simple(pending: PendingRequest, errno: number): void {
    this.#done = true;
    if (errno !== 0) {
      pending.error = errorOfErrno(errno, "", describe(pending));
    } else if (pending.type === NBD_CMD_READ && pending.length > 0) {
      this.#expectData(pending, 0, pending.length);
      return;
    } else if (pending.type === NBD_CMD_BLOCK_STATUS) {
      this.#fail("it answered block status without any");
      return;
    }
    this.#chunkDone();
  }

  #structured(pending: PendingRequest, flags: number, type: number, size: number): void {
    this.#done = (flags & NBD_REPLY_FLAG_DONE) !== 0;
    this.#type = type;
    if (type === NBD_REPLY_TYPE_NONE && size === 0 && this.#done) {
      this.#chunkDone();
    } else if (type === NBD_REPLY_TYPE_OFFSET_DATA) {
      // Its first 8 bytes say where the data goes.
      if (size <= 8 || size - 8 > pending.length || pending.into === undefined) this.#fail("a data chunk does not fit");
      else this.#expectSmall(8, size - 8);
    } else if (size === 0 || size > SMALL_PAYLOAD_MAX) {
      this.#fail(`a chunk of type ${type} has ${size} bytes`);
    } else {
      this.#expectSmall(size, 0);
    }
  }

  #expectSmall(size: number, dataSize: number): void {
    this.#small = new Uint8Array(size);
    this.#smallFill = 0;
    this.#dataAt = dataSize;
  }

  #expectData(pending: PendingRequest, at: number, size: number): void {
    if (!this.#cover(pending, size)) return;
    this.#dataAt = at;
    this.#dataLeft = size;
  }

  /** Counts what the chunks of a read fill. @returns false: more than was asked for, and the connection is over */
  #cover(pending: PendingRequest, size: number): boolean {
    pending.coveredBytes += size;
    if (pending.coveredBytes <= pending.length) return true;
    this.#fail("it gave more bytes than were asked for");
    return false;
  }

  #takeSmall(payload: Uint8Array): void {
    const pending = this.#pending!;
    this.#small = undefined;
    if (this.#type === NBD_REPLY_TYPE_OFFSET_DATA) {
      const at = getU64(payload, 0) - pending.offset;
      const size = this.#dataAt;
      if (at < 0 || at + size > pending.length) this.#fail("a data chunk lies outside of what was asked for");
      else this.#expectData(pending, at, size);
      return;
    }
    if (this.#type === NBD_REPLY_TYPE_OFFSET_HOLE) {
      const at = payload.length === 12 ? getU64(payload, 0) - pending.offset : -1;
      const size = at < 0 ? 0 : getU32(payload, 8);
      if (at < 0 || size === 0 || at + size > pending.length || pending.into === undefined) {
        this.#fail("a hole lies outside of what was asked for");
        return;
      }
      if (!this.#cover(pending, size)) return;
      pending.into.fill(0, at, at + size);
    } else if (this.#type === NBD_REPLY_TYPE_BLOCK_STATUS) {
      if (!this.#takeBlockStatus(pending, payload)) return;
    } else if (this.#type >= 2 ** 15 && payload.length >= 6) {
      const messageSize = Math.min(getU16(payload, 4), payload.length - 6);
      const message = decodeMessage(payload.subarray(6, 6 + messageSize));
      pending.error ??= errorOfErrno(getU32(payload, 0), message, describe(pending));
    } else {
      this.#fail(`a chunk of unknown type ${this.#type}`);
      return;
    }
    this.#chunkDone();
  }

  #takeBlockStatus(pending: PendingRequest, payload: Uint8Array): boolean {
    const { extents } = pending;
    if (extents === undefined || payload.length < 12 || (payload.length - 4) % 8 !== 0) {
      this.#fail("a block status chunk is malformed");
      return false;
    }
    if (getU32(payload, 0) !== this.#allocationId || extents.length > 0) {
      this.#fail("it told block status for a context that was not selected, or twice");
      return false;
    }
    const end = pending.offset + pending.length;
    let at = pending.offset;
    for (let i = 4; i < payload.length && at < end; i += 8) {
      // The last extent may reach past what was asked for.
      const length = Math.min(getU32(payload, i), end - at);
      const kind = kindOf(getU32(payload, i + 4));
      if (length === 0) {
        this.#fail("it told an extent of no bytes");
        return false;
      }
      const last = extents.at(-1);
      if (last?.kind === kind) last.length += length;
      else extents.push({ offset: at, length, kind });
      at += length;
    }
    return true;
  }

  #chunkDone(): void {
    const pending = this.#pending!;
    this.#pending = undefined;
    if (!this.#done) return;
    if (pending.error === undefined) {
      if (pending.into !== undefined && pending.coveredBytes !== pending.length) {
        this.#fail(`it gave ${pending.coveredBytes} of ${pending.length} bytes at offset ${pending.offset}`);
        return;
      }
      if (pending.extents?.length === 0) {
        this.#fail("it answered block status without any");
        return;
      }
    }
    this.#slots[this.#slot] = undefined;
    this.#free.push(this.#slot);
    this.pendingCount--;
    if (pending.error === undefined) pending.resolve();
    else pending.reject(pending.error);
  }
}

/** A hole that does not read as zeroes is not ours to skip: it is data. */
function kindOf(state: number): Extent["kind"] {
  if ((state & NBD_STATE_ZERO) === 0) return "data";
  return (state & NBD_STATE_HOLE) !== 0 ? "hole" : "zero";
}

function describe(pending: PendingRequest): string {
  const name = COMMAND_NAMES[pending.type] ?? `command ${pending.type}`;
  return pending.length === 0 ? name : `${name} of ${pending.length} bytes at offset ${pending.offset}`;
}
