/**
 * Signed requests to an S3 endpoint, one at a time per call. Bun's own S3 client drops conditions and overwrites, so requests are made with fetch and signed (Signature
 * Version 4) by aws4fetch. Payloads are sent as UNSIGNED-PAYLOAD: hashing them with SHA-256 would take the main thread, TLS and checksums
 * protect them. Redirects are never followed and answers never unpacked, since both would hide what the endpoint did.
 */
import { AwsV4Signer } from "aws4fetch";
import type { Clock } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { refusalError, transportError } from "./s3-errors.ts";
import type { S3Credentials, S3StoreOptions } from "./s3-options.ts";
import { Transfer } from "./s3-transfer.ts";
import { UploadBody } from "./s3-upload.ts";
import type { ObjectSource } from "../store.ts";

/** What providers charge for by kind; `multipart` is making, completing and listing uploads of several parts, whose parts are `put`. */
export type S3RequestKind = "get" | "head" | "put" | "delete" | "list" | "multipart";

export interface S3Request {
  kind: S3RequestKind;
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  address: URL;
  /** For messages: the operation and its object. */
  what: string;
  headers?: Record<string, string>;
  body?: ObjectSource;
  /** Statuses that are answers; any other is thrown as an error. */
  expected: readonly number[];
  signal?: AbortSignal | undefined;
  /** Default: the store's. */
  idleLimitMs?: number;
}

/** An answer whose body is read while it is in use. */
export interface S3Answer {
  status: number;
  headers: Headers;
  /** Pieces as they come; stopping early gives the connection up. @throws unavailable: it broke off, or is packed */
  pieces(): AsyncIterable<Uint8Array>;
  /** All of it, as text. @throws unavailable: it is longer than the limit */
  text(sizeMax: number): Promise<string>;
}

const IDLE_LIMIT_MS = 30_000;
/** Of a refusal, enough for a code and a message. */
const REFUSAL_BYTES_MAX = 65_536;
/** Keys for signing are made per day. */
const SIGNING_KEYS_MAX = 4;

export class S3Client {
  /** Requests sent, by kind. */
  readonly requests: Record<S3RequestKind, number> = { get: 0, head: 0, put: 0, delete: 0, list: 0, multipart: 0 };
  readonly clock: Clock;
  private readonly credentials: S3Credentials;
  private readonly region: string;
  private readonly idleLimitMs: number;
  private readonly ca: string | undefined;
  private readonly place: string;
  private readonly closed = new AbortController();
  private readonly signingKeys = new Map<string, ArrayBuffer>();

  /** @param place - the store's URL, for messages */
  constructor(options: S3StoreOptions, place: string) {
    this.clock = options.clock;
    this.credentials = options.credentials;
    this.region = options.region;
    this.idleLimitMs = options.idleLimitMs ?? IDLE_LIMIT_MS;
    this.ca = options.ca;
    this.place = place;
  }

  /** Sends a request once and hands its answer to `use`. @throws SternwayError, whatever the endpoint does, within its time limit */
  async send<Result>(request: S3Request, use: (answer: S3Answer) => Promise<Result>): Promise<Result> {
    const what = `${request.what} at ${this.place}`;
    const signals = request.signal ? [this.closed.signal, request.signal] : [this.closed.signal];
    using transfer = new Transfer(this.clock, what, request.idleLimitMs ?? this.idleLimitMs, signals);
    const body = request.body && new UploadBody(request.body, transfer);
    try {
      const response = await transfer.run(this.fetch(request, body, transfer));
      transfer.moved(0);
      const answer = answerOf(what, response, transfer);
      if (request.expected.includes(response.status)) return await use(answer);
      throw this.refusal(request.what, answer, await refusalText(answer));
    } catch (error) {
      if (body?.failure) throw body.failure.error;
      throw transportError(what, error);
    } finally {
      await body?.stop();
    }
  }

  /** What an answer that is a refusal means. @param what - as in the request */
  refusal(what: string, { status, headers }: S3Answer, body: string): SternwayError {
    return refusalError(`${what} at ${this.place}`, { status, headers, body }, this.clock, this.credentials);
  }

  /** Ends what is under way. */
  close(): void {
    this.closed.abort();
  }

  private async fetch(request: S3Request, body: UploadBody | undefined, transfer: Transfer): Promise<Response> {
    const headers = await this.sign(request);
    transfer.signal.throwIfAborted();
    this.requests[request.kind]++;
    return await fetch(request.address, {
      method: request.method,
      headers,
      redirect: "manual",
      decompress: false,
      verbose: false,
      // Bun's own limit counts from the start; ours counts from the last progress.
      timeout: false,
      signal: transfer.signal,
      ...(body && { body: body.stream }),
      ...(this.ca !== undefined && { tls: { ca: this.ca } }),
    } as BunFetchRequestInit);
  }

  private async sign(request: S3Request): Promise<Headers> {
    if (this.signingKeys.size > SIGNING_KEYS_MAX) this.signingKeys.clear();
    const seconds = Temporal.Instant.fromEpochMilliseconds(Math.floor(this.clock.wall() / 1000)).toString({
      smallestUnit: "second",
    });
    const signer = new AwsV4Signer({
      ...this.credentials,
      method: request.method,
      url: request.address.href,
      headers: request.headers ?? {},
      service: "s3",
      region: this.region,
      datetime: seconds.replace(/[:-]/g, ""),
      cache: this.signingKeys,
    });
    const { headers } = await signer.sign();
    if (request.body) headers.set("content-length", String(request.body.sizeBytes));
    // Not signed, for proxies rewrite it.
    headers.set("accept-encoding", "identity");
    return headers;
  }
}

function answerOf(what: string, response: Response, transfer: Transfer): S3Answer {
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const packing = response.headers.get("content-encoding") ?? "identity";
    if (packing !== "identity") {
      throw new SternwayError(
        "unavailable",
        `${what}: the answer is packed (${packing.slice(0, 40)}), which was not asked for`,
      );
    }
    const reader = response.body?.getReader();
    if (!reader) return;
    const declared = response.headers.get("content-length");
    let received = 0;
    for (;;) {
      const { done, value } = await transfer.run(reader.read());
      if (done) break;
      transfer.moved(value.length);
      received += value.length;
      yield value;
    }
    if (declared === null || Number(declared) === received) return;
    throw new SternwayError("unavailable", `${what}: the answer broke off after ${received} of ${declared} bytes`);
  }
  return {
    status: response.status,
    headers: response.headers,
    pieces,
    async text(sizeMax) {
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const piece of pieces()) {
        size += piece.length;
        if (size > sizeMax)
          throw new SternwayError("unavailable", `${what}: the answer is longer than ${sizeMax} bytes`);
        parts.push(piece);
      }
      return Buffer.concat(parts).toString("utf8");
    },
  };
}

/** What an endpoint says of its refusal; the status counts, even if the rest does not come or is too long. */
async function refusalText(answer: S3Answer): Promise<string> {
  const parts: Uint8Array[] = [];
  const text = (): string => Buffer.concat(parts).toString("utf8", 0, REFUSAL_BYTES_MAX);
  let size = 0;
  try {
    for await (const piece of answer.pieces()) {
      parts.push(piece);
      size += piece.length;
      if (size >= REFUSAL_BYTES_MAX) break;
    }
    return text();
  } catch {
    return text();
  }
}
