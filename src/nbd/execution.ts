/**
 * Runs checked requests of one session on its device and queues the answers.
 *
 * A device that is done at once is answered in the same turn, without a promise or an object of ours. Everything else
 * is counted until the device has ended it, so that the session knows when the device may be closed; an answer that
 * comes after the session's end is dropped.
 */
import { SternwayError } from "../base/errors.ts";
import { blockStatus, planRead } from "./device-answers.ts";
import type { NbdLimits } from "./limits.ts";
import type { MemoryBudget, SlabPool } from "./memory.ts";
import type { Outgoing } from "./outgoing.ts";
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_REPLY_TYPE_NONE,
} from "./protocol.ts";
import { blockStatusChunk, chunk, dataChunk, errorChunk, holeChunk, simpleReply } from "./replies.ts";
import { errnoOf, messageOf } from "./reply-errors.ts";
import { RequestError, type Request } from "./request.ts";
import type { NbdExport } from "./server.ts";

/** The id of the one metadata context that we know. */
export const ALLOCATION_CONTEXT_ID = 1;

/** CACHE reads what it was told to, in steps of this size and no further than the bound: it is a hint, not a scan. */
const CACHE_STEP_SIZE = 2 ** 20;
const CACHE_SIZE_MAX = 64 * 2 ** 20;

/** What a block status question counts for in memory while it is in flight: its descriptors and the extents behind them. */
const BLOCK_STATUS_BYTES = 64 * 2 ** 10;

/** What a session lends to the stages of its work. */
export interface SessionServices {
  readonly out: Outgoing;
  readonly slabs: SlabPool;
  readonly budget: MemoryBudget;
  readonly limits: NbdLimits;
  /** A request has ended outside of the parser: its answer is to be sent, and input that waits may go on. */
  answered(): void;
  /** Ends the session: the client broke the protocol. */
  fail(reason: string): void;
  /** Ends the session as the client asked. */
  disconnect(): void;
  /** A request failed for a reason that is not the client's. */
  requestFailed(error: unknown): void;
}

/** What was agreed on in negotiation. */
export interface Negotiated {
  structured: boolean;
  /** `base:allocation` was selected for this export. */
  allocation: boolean;
}

export class Execution {
  /** Requests that the device has not ended. */
  inFlight = 0;
  /** Their payloads, and the payload that is arriving. */
  inFlightBytes = 0;
  #abandoned = false;
  #whenIdle: (() => void) | undefined;
  readonly #services: SessionServices;
  readonly #out: Outgoing;
  readonly #export: NbdExport;
  readonly #negotiated: Negotiated;

  constructor(services: SessionServices, exported: NbdExport, negotiated: Negotiated) {
    this.#services = services;
    this.#out = services.out;
    this.#export = exported;
    this.#negotiated = negotiated;
  }

  /** The session is over: answers still to come are dropped. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Resolves when nothing is in flight. The caller begins nothing more. */
  async idle(): Promise<void> {
    if (this.inFlight > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
  }

  /** Runs anything but WRITE and DISC. @throws what the device throws */
  command(request: Request): void {
    const { type, offset, length, high, low } = request;
    const exported = this.#export;
    const fua = request.has(NBD_CMD_FLAG_FUA);
    if (type === NBD_CMD_READ && length > 0) {
      this.#read(request);
    } else if (type === NBD_CMD_FLUSH && !exported.readOnly) {
      this.#answerAfter(exported.device.flush(), high, low, 0, undefined);
    } else if (type === NBD_CMD_BLOCK_STATUS) {
      if (!this.#negotiated.allocation) throw new RequestError(NBD_EINVAL, "no metadata context was negotiated");
      if (length === 0) throw new RequestError(NBD_EINVAL, "block status of no bytes");
      this.#run(
        high,
        low,
        BLOCK_STATUS_BYTES,
        this.#blockStatus(high, low, offset, length, request.has(NBD_CMD_FLAG_REQ_ONE)),
      );
    } else if (length === 0 || exported.readOnly) {
      // proto.md leaves empty requests open; a flush of what cannot change has nothing to do.
      if (type === NBD_CMD_CACHE && length > 0) this.#run(high, low, 0, this.#cache(high, low, offset, length));
      else if (type === NBD_CMD_READ) this.#succeedRead(high, low);
      else simpleReply(this.#out, high, low, 0);
    } else if (type === NBD_CMD_TRIM) {
      this.#answerAfter(exported.device.trim(offset, length, fua), high, low, 0, undefined);
    } else if (type === NBD_CMD_WRITE_ZEROES) {
      // FAST_ZERO asks to fail rather than to write zeroes out; a device that notes them in its map is always fast.
      const mayHole = !request.has(NBD_CMD_FLAG_NO_HOLE);
      this.#answerAfter(exported.device.writeZeroes(offset, length, mayHole, fua), high, low, 0, undefined);
    } else {
      this.#run(high, low, 0, this.#cache(high, low, offset, length));
    }
  }

  /** @param slab - what `data` lies in, given back when the device is done with it; undefined for a view of the input */
  write(request: Request, data: Uint8Array, slab: Uint8Array | undefined): void {
    const exported = this.#export;
    const { high, low } = request;
    try {
      if (exported.readOnly) throw new SternwayError("internal", "a write passed the check of a read-only export");
      const pending = exported.device.write(request.offset, data, request.has(NBD_CMD_FLAG_FUA));
      if (pending !== undefined) {
        this.#answerAfter(pending, high, low, data.length, slab);
        return;
      }
      simpleReply(this.#out, high, low, 0);
    } catch (error) {
      this.refuse(high, low, error);
    }
    if (slab !== undefined) this.#services.slabs.give(slab);
  }

  refuse(high: number, low: number, error: unknown): void {
    if (!(error instanceof RequestError)) this.#services.requestFailed(error);
    const errno = error instanceof RequestError ? error.errno : errnoOf(error);
    if (this.#negotiated.structured) errorChunk(this.#out, high, low, errno, messageOf(error));
    else simpleReply(this.#out, high, low, errno);
  }

  hold(bytes: number): void {
    this.inFlightBytes += bytes;
    this.#services.budget.take(bytes);
  }

  release(bytes: number): void {
    this.inFlightBytes -= bytes;
    this.#services.budget.give(bytes);
  }

  #succeedRead(high: number, low: number): void {
    if (this.#negotiated.structured) chunk(this.#out, high, low, NBD_REPLY_TYPE_NONE, true, 0, 0);
    else simpleReply(this.#out, high, low, 0);
  }

  #answerAfter(
    pending: Promise<unknown> | undefined,
    high: number,
    low: number,
    bytes: number,
    slab: Uint8Array | undefined,
  ): void {
    if (pending === undefined) {
      simpleReply(this.#out, high, low, 0);
      return;
    }
    this.#begin(bytes);
    pending.then(
      () => {
        if (slab !== undefined) this.#services.slabs.give(slab);
        if (this.#finish(bytes)) simpleReply(this.#out, high, low, 0);
      },
      (error: unknown) => {
        if (slab !== undefined) this.#services.slabs.give(slab);
        if (this.#finish(bytes)) this.refuse(high, low, error);
      },
    );
  }

  /** Runs `work`, which gives what queues its answer. */
  #run(high: number, low: number, bytes: number, work: Promise<() => void>): void {
    this.#begin(bytes);
    work.then(
      (answer) => {
        if (this.#finish(bytes)) answer();
      },
      (error: unknown) => {
        if (this.#finish(bytes)) this.refuse(high, low, error);
      },
    );
  }

  #read(request: Request): void {
    const { high, low, offset, length } = request;
    const { structured } = this.#negotiated;
    const whole = request.has(NBD_CMD_FLAG_DF) || length < this.#services.limits.sparseReadSizeMin;
    if (structured && !whole) {
      this.#run(high, low, length, this.#readSparse(high, low, offset, length));
      return;
    }
    const slab = this.#services.slabs.take(length);
    const pending = this.#export.device.read(offset, length, slab);
    this.#begin(length);
    pending.then(
      (data) => {
        const lent = this.#lent(slab, data);
        if (!this.#finish(length)) {
          if (lent !== undefined) this.#services.slabs.give(lent);
        } else if (data.length !== length) {
          this.refuse(high, low, wrongLength(offset, length, data.length));
        } else if (structured) {
          dataChunk(this.#out, high, low, true, offset, data, lent);
        } else {
          simpleReply(this.#out, high, low, 0);
          this.#out.append(data, lent);
        }
      },
      (error: unknown) => {
        this.#services.slabs.give(slab);
        if (this.#finish(length)) this.refuse(high, low, error);
      },
    );
  }

  /** Holes go without their bytes. All data is read before the first chunk is queued, so that an error stands alone. */
  async #readSparse(high: number, low: number, offset: number, length: number): Promise<() => void> {
    const { device } = this.#export;
    const pieces = await planRead(device, offset, length);
    const data: (Uint8Array | undefined)[] = [];
    const slabs: (Uint8Array | undefined)[] = [];
    for (const piece of pieces) {
      const slab = piece.hole ? undefined : this.#services.slabs.take(piece.length);
      const bytes = slab && (await device.read(piece.offset, piece.length, slab));
      if (bytes !== undefined && bytes.length !== piece.length) {
        throw wrongLength(piece.offset, piece.length, bytes.length);
      }
      data.push(bytes);
      slabs.push(slab && bytes && this.#lent(slab, bytes));
    }
    return () => {
      for (let i = 0; i < pieces.length; i++) {
        const piece = pieces[i]!;
        const bytes = data[i];
        const done = i === pieces.length - 1;
        if (bytes === undefined) holeChunk(this.#out, high, low, done, piece.offset, piece.length);
        else dataChunk(this.#out, high, low, done, piece.offset, bytes, slabs[i]);
      }
    };
  }

  /** The slab, if the device put the bytes there; else it is free again at once. */
  #lent(slab: Uint8Array, data: Uint8Array): Uint8Array | undefined {
    if (data.buffer === slab.buffer) return slab;
    this.#services.slabs.give(slab);
    return undefined;
  }

  async #blockStatus(high: number, low: number, offset: number, length: number, onlyOne: boolean): Promise<() => void> {
    const descriptors = await blockStatus(this.#export.device, offset, length, onlyOne);
    return () => blockStatusChunk(this.#out, high, low, ALLOCATION_CONTEXT_ID, descriptors);
  }

  /** Reads, so that whatever caches the device has hold the range. */
  async #cache(high: number, low: number, offset: number, length: number): Promise<() => void> {
    const end = offset + Math.min(length, CACHE_SIZE_MAX);
    for (let at = offset; at < end && !this.#abandoned; at += CACHE_STEP_SIZE) {
      await this.#export.device.read(at, Math.min(CACHE_STEP_SIZE, end - at));
    }
    return () => simpleReply(this.#out, high, low, 0);
  }

  #begin(bytes: number): void {
    this.inFlight++;
    this.hold(bytes);
  }

  /** @returns false: the session is over and nothing may be answered */
  #finish(bytes: number): boolean {
    this.inFlight--;
    this.release(bytes);
    if (this.inFlight === 0) this.#whenIdle?.();
    if (this.#abandoned) return false;
    this.#services.answered();
    return true;
  }
}

function wrongLength(offset: number, expected: number, actual: number): SternwayError {
  return new SternwayError("internal", `the device gave ${actual} of ${expected} bytes at offset ${offset}`, {
    offset,
    expected,
    actual,
  });
}
