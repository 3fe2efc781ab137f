/**
 * Another appliance as a store, over HTTPS (contract/peer-wire.ts), on connections that were proved (peer-pool.ts).
 *
 * A request on a connection that the peer closed meanwhile fails as `unavailable`, as any that breaks: what the peer did is unknown, and trying again is
 * for {@link Tier}. What a peer says is checked before it is believed: names, lengths, ranges.
 */
import type { z } from "@hono/zod-openapi";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { systemRandom, type Random } from "../../base/random.ts";
import {
  authorizationOf,
  callPath,
  CHECKSUM_BYTES,
  identifyAnswerSchema,
  ObjectChecksum,
  objectLineSchema,
  objectPath,
  objectsPath,
  PEER_IDLE_MS,
  PEER_JSON_BYTES_MAX,
  PEER_PIECE_BYTES,
  statAnswerSchema,
  type PeerCall,
} from "../../contract/peer-wire.ts";
import { credentialOf, parsePeerToken } from "../../security/peer-token.ts";
import type { AnswerBody, AnswerHead } from "./answer-body.ts";
import { checkObjectName, isObjectName } from "../object-name.ts";
import { errorFrom, failureOf, jsonRequest, linesOf, shaped, unexpected } from "./peer-answers.ts";
import type { Exchange, PeerRequest } from "./peer-connection.ts";
import { PeerPool } from "./peer-pool.ts";
import type { ObjectInfo, ObjectSource, ObjectStore, PutOptions, ReadOptions } from "../store.ts";
import { parseTierUrl } from "../tier-url.ts";

/** Of one read: what a caller could mean to hold in memory. */
const GET_BYTES_MAX = 2 ** 31;

export interface PeerStoreOptions {
  /** `https://HOST:PORT/NAME` */
  url: string;
  /** As `sternway receive add` printed it. */
  token: string;
  clock: Clock;
  /** Nothing waits longer for the peer's next byte, or for a free connection. Default 30 s. */
  idleLimitMs?: number;
  /** Cryptographic, for nonces. Default: the system's. */
  random?: Random;
}

export class PeerStore implements ObjectStore {
  readonly url: string;
  private readonly place: string;
  private readonly authorization: string;
  private readonly pool: PeerPool;

  /** @throws invalid: the URL or the token is none */
  constructor({ url, token: text, clock, idleLimitMs = PEER_IDLE_MS, random = systemRandom }: PeerStoreOptions) {
    const where = parseTierUrl(url);
    if (where.kind !== "peer")
      throw new SternwayError("invalid", `${url} is no peer's place: https://HOST:PORT/NAME is one`);
    const { hostname, port } = new URL(where.origin);
    const address = { host: hostname.replaceAll(/[[\]]/g, ""), port: Number(port || 443) };
    const token = parsePeerToken(text);
    this.url = `${where.origin}/${where.name}`;
    this.place = where.name;
    this.authorization = authorizationOf(token.id, credentialOf(token));
    this.pool = new PeerPool({
      ...address,
      place: where.name,
      url: this.url,
      token,
      clock,
      random,
      idleMs: idleLimitMs,
    });
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    const headers = { "content-type": "application/octet-stream", ...(ifAbsent ? { "if-none-match": "*" } : {}) };
    const body = { sizeBytes: source.sizeBytes + CHECKSUM_BYTES, pieces: piecesOf(name, source) };
    await this.asked({ method: "PUT", path: objectPath(this.place, name), headers, body }, signal, nothing);
  }

  async get(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    if (length === 0) return await this.emptyOf(name, signal);
    const last = length === undefined ? "" : String(offset + length - 1);
    const range: Record<string, string> =
      offset === 0 && length === undefined ? {} : { range: `bytes=${offset}-${last}` };
    return await this.asked(
      { method: "GET", path: objectPath(this.place, name), headers: range },
      signal,
      async ({ status }, body) => {
        // The object ends before the range begins.
        if (status === 416) {
          await body.all(PEER_JSON_BYTES_MAX);
          return new Uint8Array(0);
        }
        if (body.sizeBytes === undefined || status !== (range["range"] === undefined ? 200 : 206)) {
          throw unexpected(this.url, `a read of ${name} was answered with ${status}`);
        }
        return await body.all(length ?? GET_BYTES_MAX);
      },
    );
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const { sizeBytes } = await this.call("stat", { name }, statAnswerSchema, signal);
    return sizeBytes === undefined ? undefined : { name, sizeBytes };
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    checkObjectName(name);
    await this.asked({ method: "DELETE", path: objectPath(this.place, name), headers: {} }, signal, nothing);
  }

  /** As one answer, which is read as fast as the caller takes it; leaving it early ends the connection. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    if (prefix !== "") checkObjectName(prefix);
    const path = `${objectsPath(this.place)}${prefix === "" ? "" : `?prefix=${prefix}`}`;
    const connection = await this.pool.acquire(signal);
    try {
      using exchange = await connection.start(this.withCredential({ method: "GET", path, headers: {} }), signal);
      if (exchange.head.status !== 200) throw await failureOf(this.url, exchange);
      yield* this.objectsOf(exchange, prefix);
    } finally {
      this.pool.release(connection);
    }
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    await this.callForNothing("connect", { identity }, signal);
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    await this.callForNothing("attach", { identity }, signal);
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    return (await this.call("identify", {}, identifyAnswerSchema, signal)).identity;
  }

  /** Requests under way fail. Idempotent. */
  close(): Promise<void> {
    this.pool.close();
    return Promise.resolve();
  }

  private async *objectsOf({ body }: Exchange, prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    for await (const value of linesOf(body)) {
      const parsed = objectLineSchema.safeParse(value);
      if (!parsed.success) throw unexpected(this.url, "a line of its list is not one of ours");
      const line = parsed.data;
      if (line.line === "failed") throw errorFrom(this.url, line.problem, "a list failed");
      if (line.line === "end") {
        // What ends the body, so that the connection can be used again.
        await body.all(PEER_JSON_BYTES_MAX);
        return;
      }
      const isBelow = prefix === "" || line.name.startsWith(`${prefix}/`);
      if (!isObjectName(line.name) || !isBelow)
        throw unexpected(this.url, "its list holds what is not an object's name");
      yield { name: line.name, sizeBytes: line.sizeBytes };
    }
    throw unexpected(this.url, "its list stopped in the middle");
  }

  /** An empty read still tells whether there is an object. */
  private async emptyOf(name: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (await this.stat(name, signal)) return new Uint8Array(0);
    throw new SternwayError("not_found", `there is no object ${name} at ${this.url}`, { name });
  }

  private async call<Schema extends z.ZodType>(
    call: PeerCall,
    value: object,
    schema: Schema,
    signal: AbortSignal | undefined,
  ): Promise<z.output<Schema>> {
    const request = jsonRequest(callPath(this.place, call), value);
    return await this.asked(request, signal, async (_head, body) => await shaped(this.url, body, schema));
  }

  private async callForNothing(call: PeerCall, value: object, signal: AbortSignal | undefined): Promise<void> {
    await this.asked(jsonRequest(callPath(this.place, call), value), signal, nothing);
  }

  /** One request with the credential. `take` gets answers of success, and 416. */
  private async asked<Result>(
    request: PeerRequest,
    signal: AbortSignal | undefined,
    take: (head: AnswerHead, body: AnswerBody) => Promise<Result>,
  ): Promise<Result> {
    const connection = await this.pool.acquire(signal);
    try {
      using exchange = await connection.start(this.withCredential(request), signal);
      const { head, body } = exchange;
      if (head.status >= 300 && head.status !== 416) throw await failureOf(this.url, exchange);
      return await take(head, body);
    } finally {
      this.pool.release(connection);
    }
  }

  private withCredential(request: PeerRequest): PeerRequest {
    return { ...request, headers: { ...request.headers, authorization: this.authorization } };
  }
}

/** The object in pieces, and its checksum at the end. */
async function* piecesOf(name: string, source: ObjectSource): AsyncGenerator<Uint8Array, void, undefined> {
  const checksum = new ObjectChecksum(name);
  const { sizeBytes } = source;
  for (let offset = 0; offset < sizeBytes; offset += PEER_PIECE_BYTES) {
    const length = Math.min(PEER_PIECE_BYTES, sizeBytes - offset);
    const piece = await source.read(offset, length);
    assert(piece.length === length, "a source gives all of what it is asked for");
    checksum.update(piece);
    // The end goes with the last piece.
    yield offset + piece.length < sizeBytes ? piece : Buffer.concat([piece, checksum.digest()]);
  }
  if (sizeBytes === 0) yield checksum.digest();
}

async function nothing(_head: AnswerHead, body: AnswerBody): Promise<void> {
  await body.all(PEER_JSON_BYTES_MAX);
}
