/**
 * The transmission phase of one session: cuts the incoming bytes into requests.
 *
 * The parser takes chunks as the socket gives them. A write that lies whole in a chunk is handed on as a view of it; a
 * payload in pieces is put together in a reused slab. What a client may hold of our memory is bounded:
 * {@link Transmission.feed} stops at a request boundary while too much is in flight or unsent.
 */
import { Execution, type Negotiated, type SessionServices } from "./execution.ts";
import {
  getU32,
  NBD_CMD_DISC,
  NBD_CMD_WRITE,
  NBD_REQUEST_MAGIC,
  PAYLOAD_SIZE_MAX,
  REQUEST_HEADER_SIZE,
} from "./protocol.ts";
import { checkRequest, Request } from "./request.ts";
import type { NbdExport } from "./server.ts";

/** A refused payload up to this is read and thrown away, so that the session can go on; a larger one ends it. */
const DRAIN_SIZE_MAX = 2 * PAYLOAD_SIZE_MAX;

export class Transmission {
  readonly execution: Execution;
  requestCount = 0;
  #ended = false;
  readonly #request = new Request();
  readonly #header = new Uint8Array(REQUEST_HEADER_SIZE);
  #headerFill = 0;
  /** The write whose payload is arriving in pieces. */
  #payloadLeft = 0;
  #payloadFill = 0;
  /** Where its payload is put together; undefined when it is refused and only drained. */
  #slab: Uint8Array | undefined;
  #refusal: unknown;
  readonly #services: SessionServices;
  readonly #export: NbdExport;
  readonly #structured: boolean;

  constructor(services: SessionServices, exported: NbdExport, negotiated: Negotiated) {
    this.#services = services;
    this.#export = exported;
    this.#structured = negotiated.structured;
    this.execution = new Execution(services, exported, negotiated);
  }

  /** True while a request has arrived in part, so that the session can time it. */
  get midRequest(): boolean {
    return this.#headerFill > 0 || this.#payloadLeft > 0;
  }

  /** Bytes of payload of the request that is arriving. */
  get payloadSize(): number {
    return this.#payloadLeft + this.#payloadFill;
  }

  /** No further request is begun; those in flight go on. */
  end(): void {
    this.#ended = true;
    if (this.#slab === undefined) return;
    this.#services.slabs.give(this.#slab);
    this.#slab = undefined;
    this.execution.release(this.#request.length);
  }

  /** Takes bytes from `start`. @returns the position reached: short of the end when the rest must be fed again later */
  feed(input: Uint8Array, start: number): number {
    const end = input.length;
    let at = start;
    while (at < end) {
      if (this.#ended) return end;
      if (this.#payloadLeft > 0) {
        at = this.#takePayload(input, at);
        continue;
      }
      if (this.#headerFill === 0 && !this.#mayBegin()) return at;
      if (this.#headerFill === 0 && end - at >= REQUEST_HEADER_SIZE) {
        at = this.#take(input, at, input, at + REQUEST_HEADER_SIZE);
        continue;
      }
      const taken = Math.min(REQUEST_HEADER_SIZE - this.#headerFill, end - at);
      this.#header.set(input.subarray(at, at + taken), this.#headerFill);
      this.#headerFill += taken;
      at += taken;
      if (this.#headerFill < REQUEST_HEADER_SIZE) return at;
      this.#headerFill = 0;
      at = this.#take(this.#header, 0, input, at);
    }
    return at;
  }

  #mayBegin(): boolean {
    const { limits, out, budget } = this.#services;
    if (this.execution.inFlight >= limits.requestsInFlightMax) return false;
    const held = this.execution.inFlightBytes + out.unsentBytes;
    // Who holds nothing may always begin, so that one client's hoard is no other's stall.
    return held === 0 || (held < limits.sessionBytesMax && !budget.exhausted);
  }

  /** Handles the request whose header is at `at`. @returns the position in `input` behind what was taken; `next` is behind the header */
  #take(header: Uint8Array, at: number, input: Uint8Array, next: number): number {
    const magic = getU32(header, at);
    if (magic !== NBD_REQUEST_MAGIC) {
      this.#services.fail(`a request began with 0x${magic.toString(16).padStart(8, "0")}, not the magic number`);
      return next;
    }
    const request = this.#request;
    request.decode(header, at);
    this.requestCount++;
    if (request.type === NBD_CMD_DISC) {
      this.#services.disconnect();
      return next;
    }
    try {
      checkRequest(request, this.#export.device.sizeBytes, this.#export.readOnly, this.#structured);
      if (request.type !== NBD_CMD_WRITE || request.length === 0) {
        this.execution.command(request);
        return next;
      }
    } catch (error) {
      this.#refuse(error);
      return next;
    }
    const { length } = request;
    if (input.length - next >= length) {
      this.execution.write(request, input.subarray(next, next + length), undefined);
      return next + length;
    }
    this.#slab = this.#services.slabs.take(length);
    this.execution.hold(length);
    this.#payloadLeft = length;
    return next;
  }

  #refuse(error: unknown): void {
    const { type, length, high, low } = this.#request;
    if (type !== NBD_CMD_WRITE || length === 0) {
      this.execution.refuse(high, low, error);
    } else if (length > DRAIN_SIZE_MAX) {
      this.#services.fail(`a write announced ${length} bytes`);
    } else {
      this.#refusal = error;
      this.#payloadLeft = length;
    }
  }

  #takePayload(input: Uint8Array, at: number): number {
    const taken = Math.min(this.#payloadLeft, input.length - at);
    if (this.#slab !== undefined) {
      const whole = at === 0 && taken === input.length;
      this.#slab.set(whole ? input : input.subarray(at, at + taken), this.#payloadFill);
    }
    this.#payloadFill += taken;
    this.#payloadLeft -= taken;
    if (this.#payloadLeft === 0) this.#payloadComplete();
    return at + taken;
  }

  #payloadComplete(): void {
    const request = this.#request;
    const slab = this.#slab;
    this.#payloadFill = 0;
    if (slab === undefined) {
      this.execution.refuse(request.high, request.low, this.#refusal);
      this.#refusal = undefined;
    } else {
      this.#slab = undefined;
      this.execution.release(request.length);
      this.execution.write(request, slab.subarray(0, request.length), slab);
    }
  }
}
