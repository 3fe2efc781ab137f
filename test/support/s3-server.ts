/**
 * An S3 server in memory that behaves as the real ones do, checks signatures with code of its own, and misbehaves as it is told to. Tests set the switches
 * (lasting) or name faults for the next requests.
 */
import { createHash } from "node:crypto";
import { WireServer, type WireAnswer, type WireFault, type WireRequest } from "./http-wire.ts";
import { signatureFault, type KnownKey } from "./s3-signature.ts";

/** What the next requests meet: something on the wire, or a refusal of that code. */
export type S3Fault = WireFault | { status: number; code?: string; headers?: Record<string, string>; body?: string };

interface Stored {
  bytes: Uint8Array;
  /** What a get gives back: metadata, lock, class. */
  headers: Record<string, string>;
}

interface Upload {
  key: string;
  begun: number;
  headers: Record<string, string>;
  parts: Map<number, Uint8Array>;
}

interface Planned {
  fault: S3Fault;
  times: number;
  fits: (request: WireRequest) => boolean;
}

const BUCKET = "vaults";
const KEPT = /^x-amz-(meta-|storage-class$|object-lock-(mode|retain-until-date)$)/;
/** Between looking whether there is an object and storing it, where that is not one step. */
const EARLY_MS = 30;
const LOCK = "x-amz-object-lock-mode";

export class S3Server {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Upload>();
  readonly bucket = BUCKET;
  readonly region = "eu-test-1";
  readonly key: KnownKey = { accessKeyId: "TESTKEY0000000000001", secretAccessKey: "a+secret/of=the test" };
  /** Every request, in order. */
  readonly requests: WireRequest[] = [];
  hasBucket = true;
  locksObjects = true;
  /** Takes a lock's headers and does nothing about them. */
  forgetsLocks = false;
  ignoresConditions = false;
  /** Conditions hold for puts, but not where an upload is completed. */
  ignoresCompletionConditions = false;
  /** Of two puts at the same time, both pass. */
  checksConditionsEarly = false;
  ignoresRanges = false;
  refusesChecksumHeader = false;
  /** Takes bodies whatever their CRC-32, as services from before 2022 do. */
  ignoresChecksumHeader = false;
  /** Flips a bit of each body that is sent, or that comes in. */
  damagesAnswers = false;
  damagesUploads = false;
  packsAnswers = false;
  pageSize = 1000;
  private readonly planned: Planned[] = [];
  private readonly wire: WireServer;
  private port = 0;
  private readonly isTls: boolean;
  private nextUpload = 1;

  private constructor(tls?: { key: string; cert: string }) {
    this.isTls = tls !== undefined;
    this.wire = new WireServer(
      { faultOf: (request) => this.faultOf(request), answer: (request) => this.answer(request) },
      tls,
    );
  }

  /** On a free loopback port. Its certificate, where one is given, must be for `localhost`. */
  static async start(tls?: { key: string; cert: string }): Promise<S3Server> {
    const server = new S3Server(tls);
    server.port = await server.wire.listen();
    return server;
  }

  get endpoint(): string {
    return this.isTls ? `https://localhost:${this.port}` : `http://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.wire.connections;
  }

  /** The next requests (those that fit) meet this. */
  fail(fault: S3Fault, times = 1, fits: (request: WireRequest) => boolean = () => true): void {
    this.planned.push({ fault, times, fits });
  }

  /** Forgets what was planned and has not happened. */
  pardon(): void {
    this.planned.length = 0;
  }

  async stop(): Promise<void> {
    await this.wire.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private faultOf(request: WireRequest): WireFault | undefined {
    this.requests.push(request);
    const planned = this.planned.find(({ fault, fits }) => typeof fault === "string" && fits(request));
    if (!planned) return undefined;
    this.use(planned);
    return planned.fault as WireFault;
  }

  private use(planned: Planned): void {
    planned.times--;
    if (planned.times <= 0) this.planned.splice(this.planned.indexOf(planned), 1);
  }

  private answer(request: WireRequest): WireAnswer | Promise<WireAnswer> {
    const code = signatureFault(request, this.key, this.region);
    const region = code === "AuthorizationHeaderMalformed" ? `<Region>${this.region}</Region>` : "";
    if (code !== undefined) return refusal(code === "AuthorizationHeaderMalformed" ? 400 : 403, code, region);
    const planned = this.planned.find(({ fault, fits }) => typeof fault === "object" && fits(request));
    if (planned && typeof planned.fault === "object") {
      this.use(planned);
      const { status, code: told, headers = {}, body } = planned.fault;
      if (body !== undefined) return { status, headers, body: Buffer.from(body) };
      return told === undefined ? { status, headers } : { ...refusal(status, told), headers };
    }
    const bucket = decodeURIComponent(request.target.split(/[/?]/)[1] ?? "");
    if (!this.hasBucket || bucket !== this.bucket) return refusal(404, "NoSuchBucket");
    const key = keyOf(request.target);
    if (this.checksConditionsEarly && request.method === "PUT" && !this.isRefusedByCondition(request, key)) {
      return Bun.sleep(EARLY_MS).then(() => this.put({ ...request, headers: unconditional(request) }, key));
    }
    const answer = this.act(request, key, new URLSearchParams(request.target.split("?")[1] ?? ""));
    if (!this.packsAnswers || !answer.body?.length) return answer;
    return {
      ...answer,
      body: Bun.gzipSync(Buffer.from(answer.body)),
      headers: { ...answer.headers, "content-encoding": "gzip" },
    };
  }

  private act(request: WireRequest, key: string, query: URLSearchParams): WireAnswer {
    const uploadId = query.get("uploadId");
    switch (request.method) {
      case "PUT":
        return uploadId === null
          ? this.put(request, key)
          : this.putPart(request, uploadId, Number(query.get("partNumber")));
      case "POST":
        return uploadId === null ? this.begin(request, key) : this.complete(request, key, uploadId);
      case "DELETE":
        if (uploadId === null) this.objects.delete(key);
        else if (!this.uploads.delete(uploadId)) return refusal(404, "NoSuchUpload");
        return { status: 204 };
      case "GET":
        if (key === "") return query.has("uploads") ? this.listUploads(query) : this.list(query);
        return this.get(request, key);
      case "HEAD":
        return this.head(key);
      default:
        return refusal(405, "MethodNotAllowed");
    }
  }

  private put(request: WireRequest, key: string): WireAnswer {
    const bytes = this.arrived(request.body);
    const refused = this.checkBody(request, bytes);
    if (refused) return refused;
    if (this.isRefusedByCondition(request, key)) return refusal(412, "PreconditionFailed");
    if (request.headers.has(LOCK) && !this.locksObjects)
      return refusal(400, "InvalidRequest", "<Message>no lock here</Message>");
    this.objects.set(key, { bytes, headers: this.kept(request) });
    const crc = this.ignoresChecksumHeader ? undefined : request.headers.get("x-amz-checksum-crc32");
    const checked: Record<string, string> = crc === undefined ? {} : { "x-amz-checksum-crc32": crc };
    return { status: 200, headers: { etag: etagOf(bytes), ...checked } };
  }

  private kept(request: WireRequest): Record<string, string> {
    const isKept = (name: string): boolean => KEPT.test(name) && !(this.forgetsLocks && name.includes("-lock-"));
    return Object.fromEntries([...request.headers].filter(([name]) => isKept(name)));
  }

  private isRefusedByCondition(request: WireRequest, key: string): boolean {
    return request.headers.get("if-none-match") === "*" && this.objects.has(key) && !this.ignoresConditions;
  }

  private arrived(body: Uint8Array): Uint8Array {
    return this.damagesUploads ? flipped(body) : body;
  }

  private checkBody(request: WireRequest, bytes: Uint8Array): WireAnswer | undefined {
    const crc = request.headers.get("x-amz-checksum-crc32");
    const md5 = request.headers.get("content-md5");
    if (crc !== undefined && this.refusesChecksumHeader) return refusal(501, "NotImplemented");
    const own = Buffer.alloc(4);
    own.writeUInt32BE(Bun.hash.crc32(bytes));
    if (crc !== undefined && !this.ignoresChecksumHeader && crc !== own.toString("base64"))
      return refusal(400, "BadDigest");
    if (md5 !== undefined && md5 !== createHash("md5").update(bytes).digest("base64")) return refusal(400, "BadDigest");
    const isLocked = request.headers.has(LOCK);
    if (isLocked && crc === undefined && md5 === undefined) return refusal(400, "InvalidRequest");
    return undefined;
  }

  private begin(request: WireRequest, key: string): WireAnswer {
    const id = `upload-${this.nextUpload++}`;
    this.uploads.set(id, { key, begun: Date.now(), headers: this.kept(request), parts: new Map() });
    return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  }

  private putPart(request: WireRequest, uploadId: string, partNumber: number): WireAnswer {
    const upload = this.uploads.get(uploadId);
    if (!upload) return refusal(404, "NoSuchUpload");
    const bytes = this.arrived(request.body);
    const refused = this.checkBody(request, bytes);
    if (refused) return refused;
    upload.parts.set(partNumber, bytes);
    return { status: 200, headers: { etag: etagOf(bytes) } };
  }

  private complete(request: WireRequest, key: string, uploadId: string): WireAnswer {
    const upload = this.uploads.get(uploadId);
    if (upload?.key !== key) return refusal(404, "NoSuchUpload");
    if (!this.ignoresCompletionConditions && this.isRefusedByCondition(request, key))
      return refusal(412, "PreconditionFailed");
    const named = [
      ...Buffer.from(request.body)
        .toString()
        .matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>(.*?)<\/ETag>/g),
    ];
    const parts = named.map(([, number, etag]) => {
      const part = upload.parts.get(Number(number));
      return part && etagOf(part) === etag?.replaceAll("&#34;", '"') ? part : undefined;
    });
    if (parts.includes(undefined) || parts.length === 0) return refusal(400, "InvalidPart");
    const bytes = new Uint8Array(Buffer.concat(parts.filter((part) => part !== undefined)));
    this.objects.set(key, { bytes, headers: upload.headers });
    this.uploads.delete(uploadId);
    return xml(`<CompleteMultipartUploadResult><ETag>${etagOf(bytes)}</ETag></CompleteMultipartUploadResult>`);
  }

  private get(request: WireRequest, key: string): WireAnswer {
    const stored = this.objects.get(key);
    if (!stored) return refusal(404, "NoSuchKey");
    const bytes = this.damagesAnswers ? flipped(stored.bytes) : stored.bytes;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
    if (first === undefined || this.ignoresRanges) return { status: 200, headers: stored.headers, body: bytes };
    if (Number(first) >= bytes.length)
      return { ...refusal(416, "InvalidRange"), headers: { "content-range": `bytes */${bytes.length}` } };
    const end = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    const range = `bytes ${first}-${end - 1}/${bytes.length}`;
    return {
      status: 206,
      headers: { ...stored.headers, "content-range": range },
      body: bytes.subarray(Number(first), end),
    };
  }

  private head(key: string): WireAnswer {
    const stored = this.objects.get(key);
    return stored
      ? { status: 200, headers: { ...stored.headers, "content-length": String(stored.bytes.length) } }
      : { status: 404 };
  }

  private list(query: URLSearchParams): WireAnswer {
    const prefix = query.get("prefix") ?? "";
    const after = query.get("continuation-token") ?? "";
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.pageSize);
    const entries = page.map(
      (key) => `<Contents><Key>${escaped(key)}</Key><Size>${this.objects.get(key)?.bytes.length}</Size></Contents>`,
    );
    const isCut = page.length < keys.length;
    const token = isCut ? `<NextContinuationToken>${escaped(page.at(-1) ?? "")}</NextContinuationToken>` : "";
    return xml(
      `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${isCut}</IsTruncated>${entries.join("")}${token}</ListBucketResult>`,
    );
  }

  private listUploads(query: URLSearchParams): WireAnswer {
    const prefix = query.get("prefix") ?? "";
    const entries = [...this.uploads]
      .filter(([, { key }]) => key.startsWith(prefix))
      .map(
        ([id, { key, begun }]) =>
          `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId><Initiated>${new Date(begun).toISOString()}</Initiated></Upload>`,
      );
    return xml(`<ListMultipartUploadsResult>${entries.join("")}</ListMultipartUploadsResult>`);
  }
}

const keyOf = (target: string): string =>
  (target.split("?", 1)[0] ?? "").split("/").slice(2).map(decodeURIComponent).join("/");

const unconditional = (request: WireRequest): Map<string, string> =>
  new Map([...request.headers].filter(([name]) => name !== "if-none-match"));

const etagOf = (bytes: Uint8Array): string => `"${createHash("md5").update(bytes).digest("hex")}"`;

const escaped = (text: string): string => text.replace(/[&<>]/g, (each) => `&#${each.charCodeAt(0)};`);

function flipped(bytes: Uint8Array): Uint8Array {
  const damaged = bytes.slice();
  const middle = damaged.length >> 1;
  damaged[middle] = (damaged[middle] ?? 0) ^ 1;
  return damaged;
}

const xml = (body: string): WireAnswer => ({
  status: 200,
  body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`),
});

const refusal = (status: number, code: string, more = ""): WireAnswer => ({
  ...xml(`<Error><Code>${code}</Code>${more}</Error>`),
  status,
});
