/**
 * What a share's process and its parent say to each other over the process's standard input and output: frames of a header and a payload.
 *
 *     0  u32  length of the payload, little-endian, at most PAYLOAD_BYTES_MAX
 *     4  u32  the call that it belongs to
 *     8  u8   kind, an index of FRAME_KINDS
 *     9  3 bytes of zero
 *
 * The parent sends a `call` (JSON) and each ends with one `done` (JSON) or `failure` (JSON). Bytes go in pieces, each against one `more` of
 * whoever takes them, so that neither side ever holds more than a few pieces of a call: for a put the parent sends pieces; for a get the process
 * sends `begin` (JSON) with the size, then pieces; for a list it sends `entries` (JSON). `cancel` asks for a `failure` soon.
 *
 * Both ends are the same build, so there are no versions here; a frame that makes no sense is a defect.
 */
import { SternwayError, type ErrorKind } from "../../base/errors.ts";
import type { ObjectInfo } from "../store.ts";

const FRAME_KINDS = ["call", "piece", "more", "cancel", "begin", "entries", "done", "failure"] as const;
type FrameKind = (typeof FRAME_KINDS)[number];

const HEADER_BYTES = 12;
/** A piece of a store. The longest JSON is a page of a list: 500 names of 200 characters. */
const PAYLOAD_BYTES_MAX = 2 ** 20;
/** Pieces of a put or get that may be on their way, so that the next is there when one is done with. */
export const WINDOW = 3;
export const PAGE_ENTRIES_MAX = 500;

export type ShareCall =
  | { method: "put"; name: string; sizeBytes: number; ifAbsent: boolean }
  | { method: "get"; name: string; offset: number; length: number | undefined }
  | { method: "list"; prefix: string }
  | { method: "stat" | "remove"; name: string }
  | { method: "connect" | "attach"; identity: string }
  | { method: "identify" };

export interface ShareBegin {
  sizeBytes: number;
}

export type ShareEntries = ObjectInfo[];

export interface ShareDone {
  result?: ObjectInfo | string | undefined;
}

export interface ShareFailure {
  kind: ErrorKind;
  message: string;
  facts: Record<string, string | number | boolean>;
}

export interface Frame {
  kind: FrameKind;
  id: number;
  /** Valid until the handler returns. */
  payload: Uint8Array;
}

/** Puts a stream of bytes together to frames again. Holds one frame. */
export class FrameReader {
  private readonly header = new Uint8Array(HEADER_BYTES);
  private readonly view = new DataView(this.header.buffer);
  private readonly payload = new Uint8Array(PAYLOAD_BYTES_MAX);
  /** Bytes of the frame that are here, header included. */
  private filled = 0;
  private readonly onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.onFrame = onFrame;
  }

  /** @throws internal: no frame */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.filled < HEADER_BYTES) at += this.fill(this.header, this.filled, chunk, at, HEADER_BYTES);
      if (this.filled < HEADER_BYTES) return;
      const length = this.view.getUint32(0, true);
      if (length > PAYLOAD_BYTES_MAX)
        throw new SternwayError("internal", `a frame of ${length} bytes on a share's pipe`);
      const end = HEADER_BYTES + length;
      if (this.filled < end) at += this.fill(this.payload, this.filled - HEADER_BYTES, chunk, at, end);
      if (this.filled < end) return;
      this.filled = 0;
      const kind = FRAME_KINDS[this.view.getUint8(8)];
      if (kind === undefined) throw new SternwayError("internal", "a frame of no known kind on a share's pipe");
      this.onFrame({ kind, id: this.view.getUint32(4, true), payload: this.payload.subarray(0, length) });
    }
  }

  private fill(into: Uint8Array, offset: number, chunk: Uint8Array, at: number, end: number): number {
    const count = Math.min(end - this.filled, chunk.length - at);
    into.set(chunk.subarray(at, at + count), offset);
    this.filled += count;
    return count;
  }
}

/** What Bun gives to write into a pipe: it copies what does not fit. */
interface ByteSink {
  write(bytes: Uint8Array): unknown;
  flush(): number | Promise<number>;
}

/** Writes frames into a pipe. How much waits in it is bounded by what the windows of calls let through. */
export class FrameWriter {
  private readonly sink: ByteSink;
  private readonly onBroken: (error: unknown) => void;
  private isDirty = false;
  private draining: Promise<void> | undefined;

  /** @param onBroken - told when the other end is gone; what is sent then goes nowhere */
  constructor(sink: ByteSink, onBroken: (error: unknown) => void) {
    this.sink = sink;
    this.onBroken = onBroken;
  }

  /** @returns when the pipe has taken it; until then its bytes must not change. Never rejects. */
  send(kind: FrameKind, id: number, payload: Uint8Array = NOTHING): Promise<void> {
    const header = new Uint8Array(HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, payload.length, true);
    view.setUint32(4, id, true);
    view.setUint8(8, FRAME_KINDS.indexOf(kind));
    this.sink.write(header);
    if (payload.length > 0) this.sink.write(payload);
    this.isDirty = true;
    this.draining ??= this.drain();
    return this.draining;
  }

  private async drain(): Promise<void> {
    try {
      while (this.isDirty) {
        this.isDirty = false;
        await this.sink.flush();
      }
    } catch (error) {
      this.onBroken(error);
    } finally {
      this.draining = undefined;
    }
  }
}

const NOTHING = new Uint8Array(0);

export const toJson = (value: ShareCall | ShareBegin | ShareEntries | ShareDone | ShareFailure): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(value));

export const fromJson = <Value extends ShareCall | ShareBegin | ShareEntries | ShareDone | ShareFailure>(
  payload: Uint8Array,
): Value => JSON.parse(new TextDecoder().decode(payload)) as Value;

/** Leave to send pieces, one for each `more` that came. */
export class Credits {
  private count: number;
  private waiting: (() => void) | undefined;
  private isOver = false;

  constructor(count = 0) {
    this.count = count;
  }

  add(): void {
    this.count++;
    this.waiting?.();
  }

  /** Nobody takes more. */
  end(): void {
    this.isOver = true;
    this.waiting?.();
  }

  /** For one waiter at a time. @returns false: nobody takes more */
  async take(): Promise<boolean> {
    while (this.count === 0 && !this.isOver) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
    this.waiting = undefined;
    if (this.isOver) return false;
    this.count--;
    return true;
  }
}
