/**
 * One connection to a peer: TLS whose certificate must be the one that the token names, and HTTP/1.1 on it, one request after the other.
 *
 * It is spoken here and not by the runtime's fetch, because nothing may be written before the certificate was compared, on each connection anew, because time limits must
 * come from a Clock, and because an answer that comes while a body is still being sent ("it exists already") must be seen at once.
 *
 * Nothing waits without a limit: from one byte in either direction to the next at most idleMs pass. Whatever goes wrong ends the connection: it is not known then
 * what the peer has done, and the request fails as `unavailable`. Memory: what the socket gave since it was last asked, at most READ_AHEAD_BYTES and a chunk.
 */
import { connect, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { fingerprintOf } from "../../security/certificate.ts";
import { AnswerBody, type AnswerHead } from "./answer-body.ts";
import { ByteQueue } from "./byte-queue.ts";
import { givenUp } from "../waiting.ts";

const READ_AHEAD_BYTES = 2 ** 20;
const HEAD_BYTES_MAX = 16_384;
const CHUNK_LINE_BYTES_MAX = 64;
const BREAK = Buffer.from("\r\n");
const HEAD_END = Buffer.from("\r\n\r\n");

export interface PeerAddress {
  host: string;
  port: number;
  /** SHA-256 that its certificate must have. */
  fingerprint: Uint8Array;
}

export interface PeerRequest {
  method: "GET" | "PUT" | "POST" | "DELETE";
  path: string;
  headers: Record<string, string>;
  body?: { sizeBytes: number; pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array> };
}

/** One request's answer; disposed of before all of its body was read, it ends the connection. */
export interface Exchange extends Disposable {
  head: AnswerHead;
  body: AnswerBody;
}

export class PeerConnection {
  private readonly socket: TLSSocket;
  private readonly where: string;
  private readonly clock: Clock;
  private readonly idleMs: number;
  private readonly received = new ByteQueue();
  private failure: SternwayError | undefined;
  private wake: (() => void) | undefined;
  /** The peer will take no further request here. */
  private isLast = false;
  private isBusy = false;
  /** Told once when it can be used no more. */
  onEnd: () => void = () => undefined;

  private constructor(socket: TLSSocket, where: string, clock: Clock, idleMs: number) {
    this.socket = socket;
    this.where = where;
    this.clock = clock;
    this.idleMs = idleMs;
    socket.on("data", (bytes: Uint8Array) => {
      this.received.push(bytes);
      if (this.received.length > READ_AHEAD_BYTES) socket.pause();
      this.wake?.();
    });
    socket.on("drain", () => this.wake?.());
    socket.on("end", () => this.fail(this.broken("the peer closed the connection")));
    socket.on("close", () => this.fail(this.broken("the connection is closed")));
    socket.on("error", (cause: NodeJS.ErrnoException) => this.fail(this.broken(cause.message, cause)));
  }

  /**
   * Connects and compares the certificate.
   * @throws unavailable: nobody answers; denied: it is another certificate, and nothing was sent
   */
  static async open(
    { host, port, fingerprint }: PeerAddress,
    clock: Clock,
    idleMs: number,
    signal: AbortSignal | undefined,
  ): Promise<PeerConnection> {
    if (signal?.aborted === true) throw givenUp(`connecting to ${host}:${port}`);
    // No authority is asked: the certificate itself is compared, below.
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: "TLSv1.3", servername: "sternway" });
    const connection = new PeerConnection(socket, `${host}:${port}`, clock, idleMs);
    let isSecure = false;
    socket.on("secureConnect", () => {
      isSecure = true;
      connection.wake?.();
    });
    const release = connection.occupy(signal);
    try {
      while (!isSecure) await connection.event();
      const der = (socket.getPeerCertificate(true) as { raw?: Uint8Array } | undefined)?.raw;
      if (der === undefined || Buffer.compare(fingerprintOf(der), fingerprint) !== 0) {
        throw new SternwayError(
          "denied",
          `${host}:${port} shows another certificate than the one in the token: it is not the appliance that made the token, or somebody is in between`,
          { address: `${host}:${port}` },
        );
      }
      socket.setNoDelay(true);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      release();
    }
  }

  get isUsable(): boolean {
    return this.failure === undefined && !this.isLast && !this.isBusy && this.received.length === 0;
  }

  /**
   * Sends one request and gives its answer once its head is there. The connection is the exchange's until that is disposed of.
   * @throws unavailable, with facts.aborted when the signal ended it; what the body's pieces throw
   */
  async start(request: PeerRequest, signal: AbortSignal | undefined): Promise<Exchange> {
    const release = this.occupy(signal);
    try {
      const isSent = await this.send(request);
      const head = await this.readHead();
      if (!isSent || head.headers.get("connection")?.toLowerCase() === "close") this.isLast = true;
      const body = new AnswerBody(this, head);
      const dispose = (): void => {
        release();
        if (!body.isDone || this.isLast) this.fail(this.broken("the connection was used up"));
      };
      return { head, body, [Symbol.dispose]: dispose };
    } catch (error) {
      release();
      this.fail(this.broken("a request failed", error));
      throw error;
    }
  }

  close(): void {
    this.fail(this.broken("the connection was let go"));
  }

  /** Until it is released an abort ends the connection. */
  private occupy(signal: AbortSignal | undefined): () => void {
    if (signal?.aborted === true) throw givenUp(`a request to ${this.where}`);
    const onAbort = (): void => this.fail(givenUp(`a request to ${this.where}`));
    signal?.addEventListener("abort", onAbort);
    this.isBusy = true;
    return () => {
      this.isBusy = false;
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** @returns false: the peer answered before it had all, and wants no more */
  private async send({ method, path, headers, body }: PeerRequest): Promise<boolean> {
    const all = { host: this.where, ...headers, ...(body ? { "content-length": String(body.sizeBytes) } : {}) };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    let pending = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
    let left = body?.sizeBytes ?? 0;
    for await (const piece of body?.pieces ?? []) {
      // The head goes with the first piece: a small put is one packet.
      await this.write(pending.length > 0 ? Buffer.concat([pending, piece]) : piece);
      pending = Buffer.alloc(0);
      left -= piece.length;
      if (left > 0 && this.received.length > 0) return false;
    }
    if (pending.length > 0) await this.write(pending);
    return left === 0;
  }

  /** Resolves when the bytes have been taken, so that their array is free, or when an answer is there: then the connection is used no more. */
  private async write(bytes: Uint8Array): Promise<void> {
    this.check();
    let isTaken = false;
    this.socket.write(bytes, () => {
      isTaken = true;
      this.wake?.();
    });
    while (!isTaken && this.received.length === 0) await this.event();
    if (!isTaken) this.isLast = true;
  }

  private async readHead(): Promise<AnswerHead> {
    for (;;) {
      const text = Buffer.from(await this.readThrough(HEAD_END, HEAD_BYTES_MAX)).toString("latin1");
      const [first = "", ...lines] = text.split("\r\n");
      const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? Number.NaN);
      if (Number.isNaN(status)) throw this.broken("what answers does not speak HTTP/1.1");
      const pairs = lines.map((line) => [
        line.slice(0, line.indexOf(":")).toLowerCase(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]);
      // 1xx: the real answer is still to come.
      if (status >= 200) return { status, headers: new Map(pairs as [string, string][]) };
    }
  }

  /** What comes next, at least a byte and at most `max`. The array is the caller's. */
  async readSome(max: number): Promise<Uint8Array> {
    await this.until(() => this.received.length > 0);
    return this.taken(this.received.take(Math.min(max, this.received.length)));
  }

  /** A line of a chunk's head, without its end. */
  async readLine(): Promise<string> {
    return Buffer.from(await this.readThrough(BREAK, CHUNK_LINE_BYTES_MAX)).toString("latin1");
  }

  /** Everything up to a mark, without it. */
  private async readThrough(mark: Uint8Array, max: number): Promise<Uint8Array> {
    let at = this.received.indexOf(mark);
    while (at < 0) {
      const before = this.received.length;
      if (before > max) throw this.broken("what answers does not speak HTTP/1.1");
      await this.until(() => this.received.length > before);
      at = this.received.indexOf(mark);
    }
    return this.taken(this.received.take(at + mark.length)).subarray(0, at);
  }

  private taken(bytes: Uint8Array): Uint8Array {
    if (this.received.length <= READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
    return bytes;
  }

  /** What came before the connection ended counts: an answer, and then its end, are an answer. */
  private async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) await this.event();
  }

  /** Resolves when the socket has told anything. @throws unavailable: it is broken, or was silent for too long */
  private async event(): Promise<void> {
    this.check();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.wake = resolve;
    const timer: Timer = this.clock.timer(this.idleMs, () => {
      this.fail(this.broken(`nothing came or went for ${this.idleMs / 1000} s`));
    });
    await promise;
    timer.cancel();
    this.wake = undefined;
  }

  private check(): void {
    if (this.failure) throw this.failure;
  }

  private fail(error: SternwayError): void {
    if (this.failure) return;
    this.failure = error;
    this.socket.destroy();
    this.wake?.();
    this.onEnd();
  }

  broken(why: string, cause?: unknown): SternwayError {
    const code = (cause as NodeJS.ErrnoException | undefined)?.code;
    const facts = { address: this.where, ...(typeof code === "string" ? { code } : {}) };
    return new SternwayError("unavailable", `${this.where}: ${why}`, facts, { cause });
  }
}
