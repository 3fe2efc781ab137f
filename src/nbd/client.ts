/**
 * The door for clients: connects to any NBD server and speaks to one export with many requests in flight.
 *
 * Buffers: what is read goes straight from the socket into the caller's memory; a write above 16 KiB is sent from the
 * caller's memory, which must stay as it is until the write resolves.
 */
import { systemClock, type Clock, type Timer } from "../base/clock.ts";
import type { Extent, ReadableDevice } from "../base/device.ts";
import { go, greet, list, type NegotiatedExport } from "./client-handshake.ts";
import { ClientReplies, type PendingRequest } from "./client-replies.ts";
import { ClientWire, targetText, type NbdTarget } from "./client-wire.ts";
import {
  BASE_ALLOCATION,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_FLAG_READ_ONLY,
  NBD_REQUEST_MAGIC,
  putU16,
  putU32,
  putU64,
  REQUEST_HEADER_SIZE,
} from "./protocol.ts";

export type { NbdClientTls, NbdTarget } from "./client-wire.ts";

export interface NbdClientOptions {
  /** Metadata contexts to ask for. Default: `base:allocation`. */
  contexts?: readonly string[];
  /** Requests on the wire at once, 1 to 1024. Default 64; further ones wait their turn. */
  requestsInFlightMax?: number;
  /** Bytes of payload on the wire at once; passed by at most one request. Default 64 MiB. */
  bytesInFlightMax?: number;
  /** For connecting and negotiation. Default 30 s. */
  handshakeTimeoutMs?: number;
  /** The connection is given up when requests wait and nothing moves for so long. Default 120 s. */
  silenceTimeoutMs?: number;
  clock?: Clock;
}

/**
 * One export of one server. Every operation throws a SternwayError: of the kind that the server's errno says, with its
 * message; or unavailable when the connection is lost, after which all operations throw it.
 */
export interface NbdClient extends ReadableDevice {
  readonly readOnly: boolean;
  readonly description: string;
  readonly blockSize: { minimum: number; preferred: number; maximum: number };
  /** True when the server tells holes. Without it {@link ReadableDevice.extents} calls everything data. */
  readonly knowsExtents: boolean;
  /** Any length; split by the server's largest request. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `into`. After an error it may hold a part of the bytes. @param whole - forbids the server to tell holes (DF) */
  readInto(into: Uint8Array, offset: number, options?: { whole?: boolean }): Promise<void>;
  /** @param data - unchanged until it resolves @param fua - durable when it resolves */
  write(offset: number, data: Uint8Array, fua?: boolean): Promise<void>;
  trim(offset: number, length: number, fua?: boolean): Promise<void>;
  writeZeroes(offset: number, length: number, mayHole: boolean, fua?: boolean): Promise<void>;
  /** Resolves when every write that had resolved is durable. */
  flush(): Promise<void>;
  cache(offset: number, length: number): Promise<void>;
  /** Block status; may stop early after at least one extent. @param onlyOne - the first alone (REQ_ONE) */
  extents(offset: number, length: number, options?: { onlyOne?: boolean }): Promise<Extent[]>;
  /** Says goodbye and closes. What is in flight throws. Idempotent. */
  close(): Promise<void>;
}

/** Names and descriptions of what a server serves. @throws SternwayError unavailable, denied */
export async function listNbdExports(
  target: NbdTarget,
  options: Pick<NbdClientOptions, "handshakeTimeoutMs" | "clock"> = {},
): Promise<{ name: string; description: string }[]> {
  return await shakeHands(target, options, async (wire) => {
    const found = await list(wire);
    await wire.finish(options.clock ?? systemClock);
    return found;
  });
}

/** @throws SternwayError unavailable: nobody there; not_found, denied, … with the server's message */
export async function connectNbd(
  target: NbdTarget,
  exportName: string,
  options: NbdClientOptions = {},
): Promise<NbdClient> {
  const contexts = options.contexts ?? [BASE_ALLOCATION];
  return await shakeHands(target, options, async (wire) => {
    return new Client(wire, await go(wire, exportName, contexts), options);
  });
}

/** Connects, greets and does `then`, all within the time for handshakes. */
async function shakeHands<Result>(
  target: NbdTarget,
  options: Pick<NbdClientOptions, "handshakeTimeoutMs" | "clock">,
  then: (wire: ClientWire) => Promise<Result>,
): Promise<Result> {
  const wire = new ClientWire(target);
  const timeoutMs = options.handshakeTimeoutMs ?? 30_000;
  const timer = (options.clock ?? systemClock).timer(timeoutMs, () => wire.fail(`no handshake within ${timeoutMs} ms`));
  try {
    await wire.connect();
    await greet(wire, target);
    return await then(wire);
  } catch (error) {
    wire.fail(`the handshake with ${targetText(target)} failed`);
    throw error;
  } finally {
    timer.cancel();
  }
}

/** BLOCK_STATUS, TRIM and WRITE_ZEROES carry 32-bit lengths; 1 GiB keeps pieces on every grid. */
const RANGE_SIZE_MAX = 2 ** 30;

class Client implements NbdClient {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly description: string;
  readonly blockSize: { minimum: number; preferred: number; maximum: number };
  readonly knowsExtents: boolean;
  readonly #wire: ClientWire;
  readonly #replies: ClientReplies;
  readonly #requestsMax: number;
  readonly #bytesMax: number;
  #bytesInFlight = 0;
  #placesTaken = 0;
  /** Requests that wait for a place, in order. */
  #waiting: { bytes: number; resolve: () => void }[] = [];
  #closing: Promise<void> | undefined;
  readonly #clock: Clock;
  readonly #silenceMs: number;
  #watch: Timer | undefined;
  #movedBytes = -1;

  constructor(wire: ClientWire, exported: NegotiatedExport, options: NbdClientOptions) {
    this.#wire = wire;
    this.sizeBytes = exported.sizeBytes;
    this.readOnly = (exported.flags & NBD_FLAG_READ_ONLY) !== 0;
    this.description = exported.description;
    this.blockSize = exported.blockSize;
    this.knowsExtents = exported.allocationId !== undefined;
    this.#requestsMax = Math.min(Math.max(options.requestsInFlightMax ?? 64, 1), 1024);
    this.#bytesMax = options.bytesInFlightMax ?? 64 * 2 ** 20;
    this.#clock = options.clock ?? systemClock;
    this.#silenceMs = options.silenceTimeoutMs ?? 120_000;
    this.#replies = new ClientReplies(exported.allocationId, (reason) => wire.fail(reason));
    wire.stream(
      (chunk) => this.#replies.receive(chunk),
      (error) => {
        this.#watch?.cancel();
        this.#replies.failAll(error);
        for (const waiting of this.#waiting.splice(0)) waiting.resolve();
      },
    );
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const into = new Uint8Array(length);
    await this.readInto(into, offset);
    return into;
  }

  async readInto(into: Uint8Array, offset: number, options: { whole?: boolean } = {}): Promise<void> {
    const flags = options.whole === true ? NBD_CMD_FLAG_DF : 0;
    const step = this.blockSize.maximum;
    if (into.length <= step) return await this.#request(NBD_CMD_READ, flags, offset, into.length, { into });
    await this.#pieces(into.length, step, (at, length) =>
      this.#request(NBD_CMD_READ, flags, offset + at, length, { into: into.subarray(at, at + length) }),
    );
  }

  async write(offset: number, data: Uint8Array, fua = false): Promise<void> {
    const flags = fua ? NBD_CMD_FLAG_FUA : 0;
    const step = this.blockSize.maximum;
    if (data.length <= step) return await this.#request(NBD_CMD_WRITE, flags, offset, data.length, { data });
    await this.#pieces(data.length, step, (at, length) =>
      this.#request(NBD_CMD_WRITE, flags, offset + at, length, { data: data.subarray(at, at + length) }),
    );
  }

  async trim(offset: number, length: number, fua = false): Promise<void> {
    await this.#pieces(length, RANGE_SIZE_MAX, (at, size) =>
      this.#request(NBD_CMD_TRIM, fua ? NBD_CMD_FLAG_FUA : 0, offset + at, size, {}),
    );
  }

  async writeZeroes(offset: number, length: number, mayHole: boolean, fua = false): Promise<void> {
    const flags = (mayHole ? 0 : NBD_CMD_FLAG_NO_HOLE) | (fua ? NBD_CMD_FLAG_FUA : 0);
    await this.#pieces(length, RANGE_SIZE_MAX, (at, size) =>
      this.#request(NBD_CMD_WRITE_ZEROES, flags, offset + at, size, {}),
    );
  }

  async flush(): Promise<void> {
    await this.#request(NBD_CMD_FLUSH, 0, 0, 0, {});
  }

  async cache(offset: number, length: number): Promise<void> {
    await this.#pieces(length, RANGE_SIZE_MAX, (at, size) => this.#request(NBD_CMD_CACHE, 0, offset + at, size, {}));
  }

  async extents(offset: number, length: number, options: { onlyOne?: boolean } = {}): Promise<Extent[]> {
    const asked = Math.min(length, RANGE_SIZE_MAX);
    if (!this.knowsExtents) return [{ offset, length: asked, kind: "data" }];
    const extents: Extent[] = [];
    const flags = options.onlyOne === true ? NBD_CMD_FLAG_REQ_ONE : 0;
    await this.#request(NBD_CMD_BLOCK_STATUS, flags, offset, asked, { extents });
    return extents;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#wire.closedBy !== undefined) return;
    this.#header(NBD_CMD_DISC, 0, 0, 0, 0, 0);
    await this.#wire.finish(this.#clock);
  }

  /** Runs `piece` over a length in steps, all at once; the places on the wire bound what is really in flight. */
  async #pieces(length: number, step: number, piece: (at: number, length: number) => Promise<void>): Promise<void> {
    if (length <= step) return await piece(0, length);
    const running: Promise<void>[] = [];
    for (let at = 0; at < length; at += step) running.push(piece(at, Math.min(step, length - at)));
    // Wait for all of them: a buffer must not be in use any more when its owner hears of an error.
    const results = await Promise.allSettled(running);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #request(
    type: number,
    flags: number,
    offset: number,
    length: number,
    buffers: { into?: Uint8Array; data?: Uint8Array; extents?: Extent[] },
  ): Promise<void> {
    const bytes = type === NBD_CMD_READ || type === NBD_CMD_WRITE ? length : 0;
    if (this.#full || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => this.#waiting.push({ bytes, resolve }));
    } else {
      this.#reserve(bytes);
    }
    try {
      if (this.#wire.closedBy !== undefined) throw this.#wire.closedBy;
      await new Promise<void>((resolve, reject) => {
        const pending: PendingRequest = {
          type,
          offset,
          length,
          into: buffers.into,
          extents: buffers.extents,
          coveredBytes: 0,
          error: undefined,
          resolve,
          reject,
        };
        const slot = this.#replies.add(pending);
        this.#header(type, flags, this.#replies.serialOf(slot), slot, offset, length);
        if (buffers.data !== undefined) this.#wire.out.append(buffers.data);
        this.#wire.sendSoon();
        this.#watch ??= this.#clock.timer(this.#silenceMs, () => this.#checkSilence());
      });
    } finally {
      this.#bytesInFlight -= bytes;
      this.#placesTaken--;
      this.#letNextIn();
    }
  }

  get #full(): boolean {
    return this.#placesTaken >= this.#requestsMax || this.#bytesInFlight >= this.#bytesMax;
  }

  #reserve(bytes: number): void {
    this.#placesTaken++;
    this.#bytesInFlight += bytes;
  }

  #letNextIn(): void {
    while (this.#waiting.length > 0 && !this.#full) {
      const next = this.#waiting.shift()!;
      this.#reserve(next.bytes);
      next.resolve();
    }
  }

  #header(type: number, flags: number, serial: number, slot: number, offset: number, length: number): void {
    const at = this.#wire.out.reserve(REQUEST_HEADER_SIZE);
    const bytes = this.#wire.out.bytes;
    putU32(bytes, at, NBD_REQUEST_MAGIC);
    putU16(bytes, at + 4, flags);
    putU16(bytes, at + 6, type);
    putU32(bytes, at + 8, serial);
    putU32(bytes, at + 12, slot);
    putU64(bytes, at + 16, offset);
    putU32(bytes, at + 24, length);
  }

  #checkSilence(): void {
    this.#watch = undefined;
    if (this.#replies.pendingCount === 0 || this.#wire.closedBy !== undefined) return;
    const moved = this.#wire.receivedBytes + this.#wire.out.sentBytes;
    if (moved === this.#movedBytes) {
      this.#wire.fail(`it has not answered for ${this.#silenceMs} ms`);
      return;
    }
    this.#movedBytes = moved;
    this.#watch = this.#clock.timer(this.#silenceMs, () => this.#checkSilence());
  }
}
