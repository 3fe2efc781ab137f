/**
 * The connections of a peer store. Each is proved before anything secret is written to it: its certificate is the one in the token, and the
 * peer answers a fresh nonce with a proof that only who made the token can give, for this place and this certificate.
 *
 * At most CONNECTIONS_MAX are in use; whoever needs one more waits, in order and not for ever. A few that are free are kept for a minute, so that a small
 * put costs one round trip; the one used last is used first.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { callPath, CLIENT_KEEP_MS, helloAnswerSchema } from "../../contract/peer-wire.ts";
import { isProof, NONCE_BYTES, type PeerToken } from "../../security/peer-token.ts";
import { failureOf, jsonRequest, shaped } from "./peer-answers.ts";
import { PeerConnection } from "./peer-connection.ts";
import { givenUp } from "../waiting.ts";

const CONNECTIONS_MAX = 16;
const FREE_MAX = 4;

export interface PeerPoolOptions {
  /** For errors. */
  url: string;
  host: string;
  port: number;
  place: string;
  token: PeerToken;
  clock: Clock;
  /** For nonces: cryptographic. */
  random: Random;
  idleMs: number;
}

export class PeerPool {
  private readonly url: string;
  private readonly place: string;
  private readonly address: { host: string; port: number };
  private readonly token: PeerToken;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly idleMs: number;
  /** Each with what ends its being kept; the one used last is the last. */
  private readonly free: { connection: PeerConnection; timer: Timer }[] = [];
  private readonly all = new Set<PeerConnection>();
  /** Connections in use, or being made. */
  private running = 0;
  private readonly waiting: (() => void)[] = [];
  private isClosed = false;

  constructor({ url, host, port, place, token, clock, random, idleMs }: PeerPoolOptions) {
    this.url = url;
    this.place = place;
    this.address = { host, port };
    this.token = token;
    this.clock = clock;
    this.random = random;
    this.idleMs = idleMs;
  }

  /** What is under way fails. Idempotent. */
  close(): void {
    this.isClosed = true;
    for (const connection of [...this.all]) connection.close();
    for (const go of this.waiting.splice(0)) go();
  }

  /** A free connection, or a new one. @throws unavailable: closed, none became free in time, or nobody answers; denied: it could not prove itself */
  async acquire(signal: AbortSignal | undefined): Promise<PeerConnection> {
    while (this.running >= CONNECTIONS_MAX && !this.isClosed) await this.turn(signal);
    if (this.isClosed) throw new SternwayError("unavailable", `${this.url} was closed`);
    this.running++;
    try {
      return this.kept() ?? (await this.proved(signal));
    } catch (error) {
      this.running--;
      this.waiting.shift()?.();
      throw error;
    }
  }

  private kept(): PeerConnection | undefined {
    for (let entry = this.free.pop(); entry; entry = this.free.pop()) {
      entry.timer.cancel();
      if (entry.connection.isUsable) return entry.connection;
      entry.connection.close();
    }
    return undefined;
  }

  /** Gives a connection back; one that cannot be used again is let go. */
  release(connection: PeerConnection): void {
    this.running--;
    if (connection.isUsable && this.free.length < FREE_MAX && !this.isClosed) {
      const timer = this.clock.timer(CLIENT_KEEP_MS, () => connection.close());
      this.free.push({ connection, timer });
    } else connection.close();
    this.waiting.shift()?.();
  }

  private async turn(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isLate = false;
    const timer = this.clock.timer(this.idleMs, () => {
      isLate = true;
      resolve();
    });
    const go = (): void => resolve();
    this.waiting.push(go);
    signal?.addEventListener("abort", go);
    await promise;
    timer.cancel();
    signal?.removeEventListener("abort", go);
    const at = this.waiting.indexOf(go);
    if (at >= 0) this.waiting.splice(at, 1);
    // A turn that came with the end of waiting goes to the next.
    else if (isLate || signal?.aborted === true) this.waiting.shift()?.();
    if (signal?.aborted === true) throw givenUp(`a request to ${this.url}`);
    if (isLate)
      throw new SternwayError(
        "unavailable",
        `${this.url}: ${CONNECTIONS_MAX} requests are under way, and none ended in ${this.idleMs / 1000} s`,
      );
  }

  /** A new connection whose other end has shown that it knows the token. */
  private async proved(signal: AbortSignal | undefined): Promise<PeerConnection> {
    const { token, place } = this;
    const { id, fingerprint } = token;
    const connection = await PeerConnection.open({ ...this.address, fingerprint }, this.clock, this.idleMs, signal);
    this.all.add(connection);
    connection.onEnd = () => {
      this.all.delete(connection);
      const at = this.free.findIndex((entry) => entry.connection === connection);
      if (at >= 0) this.free.splice(at, 1)[0]?.timer.cancel();
    };
    try {
      const nonce = this.random.bytes(NONCE_BYTES);
      const hello = { id, nonce: Buffer.from(nonce).toString("hex") };
      using exchange = await connection.start(jsonRequest(callPath(place, "hello"), hello), signal);
      if (exchange.head.status !== 200) throw await failureOf(this.url, exchange);
      const { proof } = await shaped(this.url, exchange.body, helloAnswerSchema);
      if (!isProof(token, nonce, { id, place, fingerprint }, Buffer.from(proof, "hex"))) {
        throw new SternwayError("denied", `${this.url} does not know the token: it is not the appliance that made it`);
      }
    } catch (error) {
      connection.close();
      throw error;
    }
    if (this.isClosed) connection.close();
    return connection;
  }
}
