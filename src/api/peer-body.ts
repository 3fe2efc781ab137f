/**
 * The body of a request from a peer, taken in exact pieces as the disk can take them. At most a piece and what the socket gave beyond it is in memory. A sender that
 * falls silent, goes away or sends less than it said ends the read with an error, so that the store gives up its temporary file.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { CHECKSUM_BYTES, ObjectChecksum, PEER_PIECE_BYTES } from "../contract/peer-wire.ts";
import type { ObjectSource } from "../tiers/store.ts";

export class PeerBody {
  private readonly incoming: IncomingMessage;
  private readonly clock: Clock;
  private readonly idleMs: number;
  private parts: Uint8Array[] = [];
  private length = 0;
  /** Bytes that came, and that are to come. */
  private came = 0;
  private readonly expected: number;
  private isEnded = false;
  private failure: SternwayError | undefined;
  private wake: (() => void) | undefined;

  constructor(incoming: IncomingMessage, clock: Clock, idleMs: number) {
    this.incoming = incoming;
    this.clock = clock;
    this.idleMs = idleMs;
    const { "content-length": length, "transfer-encoding": coding } = incoming.headers;
    this.expected = coding === undefined ? Number(length ?? 0) : Number.POSITIVE_INFINITY;
    incoming.on("data", (part: Uint8Array) => {
      this.parts.push(part);
      this.length += part.length;
      this.came += part.length;
      if (this.length > PEER_PIECE_BYTES) incoming.pause();
      this.wake?.();
    });
    incoming.once("end", () => {
      this.isEnded = true;
      this.wake?.();
    });
    incoming.once("error", (cause) => this.fail("the sender broke off", cause));
    incoming.once("close", () => this.fail("the sender broke off"));
  }

  /** Exactly `length` bytes. @throws unavailable: they do not come */
  async take(length: number): Promise<Uint8Array> {
    while (this.length < length) await this.event();
    const whole = Buffer.concat(this.parts);
    this.parts = whole.length === length ? [] : [whole.subarray(length)];
    this.length -= length;
    if (this.length <= PEER_PIECE_BYTES && this.incoming.isPaused()) this.incoming.resume();
    return whole.subarray(0, length);
  }

  /** The same, within a time that single bytes now and then do not prolong: for what is taken before anybody has shown who he is. */
  async takeWithin(length: number, limitMs: number): Promise<Uint8Array> {
    const timer = this.clock.timer(limitMs, () => this.fail(`the body did not come within ${limitMs / 1000} s`));
    try {
      return await this.take(length);
    } finally {
      timer.cancel();
    }
  }

  /** Takes what still comes and drops it, until it ends or `limitMs` have passed: an answer that overtakes its request must not be lost by a reset. */
  async drop(limitMs: number): Promise<void> {
    const until = this.clock.monotonic() + limitMs * 1000;
    while (!this.isWhole && !this.failure && this.clock.monotonic() < until) {
      this.parts = [];
      this.length = 0;
      this.incoming.resume();
      await this.event().catch((error: unknown) => {
        if (!(error instanceof SternwayError)) throw error;
      });
    }
  }

  /** Nothing more is to come. */
  get isWhole(): boolean {
    return this.isEnded || this.came >= this.expected;
  }

  private async event(): Promise<void> {
    if (this.failure) throw this.failure;
    if (this.isEnded) throw new SternwayError("unavailable", "the sender sent less than it said");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.wake = resolve;
    const timer = this.clock.timer(this.idleMs, () => this.fail(`the sender was silent for ${this.idleMs / 1000} s`));
    await promise;
    timer.cancel();
    this.wake = undefined;
  }

  private fail(why: string, cause?: unknown): void {
    if (this.isEnded) return;
    this.failure ??= new SternwayError("unavailable", why, {}, { cause });
    this.wake?.();
  }
}

/** An object as it arrives. Its last piece is given only when the checksum that follows it was right. Can be read once. */
export class ArrivingObject implements ObjectSource {
  readonly sizeBytes: number;
  private readonly name: string;
  private readonly body: PeerBody;
  private readonly checksum: ObjectChecksum;
  private position = 0;

  /** @param bodyBytes - of the body: the object and its checksum */
  constructor(name: string, bodyBytes: number, body: PeerBody) {
    this.name = name;
    this.sizeBytes = bodyBytes - CHECKSUM_BYTES;
    this.body = body;
    this.checksum = new ObjectChecksum(name);
  }

  /** To be called first: what is empty is never read. @throws unavailable: its checksum is wrong */
  async begin(): Promise<void> {
    if (this.sizeBytes === 0) await this.compare();
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset !== this.position) throw new SternwayError("internal", `${this.name} arrives once, in order`);
    const piece = await this.body.take(length);
    this.checksum.update(piece);
    this.position += length;
    if (this.position === this.sizeBytes) await this.compare();
    return piece;
  }

  private async compare(): Promise<void> {
    const sent = await this.body.take(CHECKSUM_BYTES);
    if (Buffer.compare(sent, this.checksum.digest()) === 0) return;
    throw new SternwayError("unavailable", `${this.name} did not arrive as it was sent: nothing was stored`, {
      name: this.name,
    });
  }
}
