/**
 * An S3 bucket, or a part of one below a prefix, as a store: each object is one at `prefix/name`. Any endpoint that keeps the conditions of conditional puts.
 *
 * Up to 64 MiB an object is one request to put, get or remove; larger ones go in parts. A put is there whole or not at all, for a single request and
 * the completion of several are atomic with S3; what a crash leaves is an unfinished upload, aborted at a later connection. Where a put is to create, the
 * endpoint keeps the condition (`If-None-Match: *`); {@link S3Store.attach} proves that it does.
 *
 * Bodies are checked on their way up by the endpoint (CRC-32, or MD5 where it does not know that), and whole objects on their way down against the CRC-32 that was stored
 * with them. Bodies above 8 MiB are read twice for that, first for the checksum, then to be sent: never more than that is in memory.
 */
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import { checkObjectName } from "../object-name.ts";
import { S3Client, type S3Answer, type S3RequestKind } from "./s3-client.ts";
import { readBody, rangeHeader } from "./s3-download.ts";
import { abortLeftovers, putInParts } from "./s3-multipart.ts";
import { S3Location, type S3StoreOptions } from "./s3-options.ts";
import { checksumsOf, crcHeader, readPart } from "./s3-upload.ts";
import { xmlInner, xmlText } from "./s3-xml.ts";
import {
  bytesSource,
  IDENTITY_OBJECT,
  type ObjectInfo,
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type ReadOptions,
} from "../store.ts";
import { PROBE_FOLDER, probeStore } from "../store-probe.ts";

/** Above it, an object goes in parts. S3 takes up to 5 GiB in one request. */
const SINGLE_PUT_BYTES_MAX = 64 * 2 ** 20;
const UNDIVIDED_BYTES_MAX = 5 * 2 ** 30;
const IN_MEMORY_BYTES_MAX = 8 * 2 ** 20;
const IDENTITY_BYTES_MAX = 256;
/** A page of 1,000 keys of 1,024 bytes, all of them escaped, and what else is said of each. */
const PAGE_BYTES_MAX = 16 * 2 ** 20;
const SMALL_ANSWER_BYTES_MAX = 65_536;
const DAY_MICROS = 86_400_000_000;
const COMPLETION_PROBE = `${PROBE_FOLDER}/completion`;
/** How endpoints refuse a header that they do not know, and want one that they do. */
const HEADER_REFUSALS = new Set(["NotImplemented", "InvalidRequest", "InvalidArgument", "MissingContentMD5"]);

export class S3Store implements ObjectStore {
  readonly url: string;
  private readonly options: S3StoreOptions;
  private readonly location: S3Location;
  private readonly client: S3Client;
  private usesMd5 = false;
  /** Ranges that were answered with the whole object. */
  private rangesIgnored = 0;
  private isCleared = false;
  /** Whether completing an upload keeps a condition; undefined: not tried yet. */
  private completesIfAbsent: boolean | undefined;

  /** @throws invalid: an option cannot be */
  constructor(options: S3StoreOptions) {
    this.options = options;
    this.location = new S3Location(options);
    this.url = this.location.url;
    this.client = new S3Client(options, this.url);
  }

  /** Requests sent so far, by kind: what providers charge for. */
  get requests(): Readonly<Record<S3RequestKind, number>> {
    return this.client.requests;
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    const isLarge = source.sizeBytes > SINGLE_PUT_BYTES_MAX;
    if (isLarge && (!ifAbsent || (await this.canCompleteIfAbsent(signal)))) {
      const headers = this.keepingHeaders(name);
      await putInParts(this.client, this.location, { name, source, ifAbsent, headers, signal });
      return;
    }
    if (source.sizeBytes > UNDIVIDED_BYTES_MAX) {
      throw new SternwayError("invalid", `put ${name}: ${this.url} creates no object above 5 GiB only if it is absent`);
    }
    const isSmall = source.sizeBytes <= IN_MEMORY_BYTES_MAX;
    const body = isSmall ? bytesSource(await readPart(source, 0, source.sizeBytes, signal)) : source;
    try {
      await this.putWhole(name, body, ifAbsent, this.usesMd5, signal);
    } catch (error) {
      if (this.usesMd5 || !isHeaderRefusal(error)) throw error;
      // The refusal is certain, so nothing was stored and the condition still holds.
      await this.putWhole(name, body, ifAbsent, true, signal);
    }
  }

  async get(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    const range = rangeHeader(offset, length);
    const what = `get ${name}`;
    // No range says "nothing", and whether there is an object counts all the same.
    if (length === 0) {
      if (await this.stat(name, signal)) return new Uint8Array(0);
      throw new SternwayError("not_found", `${what} at ${this.url}: there is none`, { name });
    }
    const request = {
      kind: "get" as const,
      method: "GET" as const,
      address: this.location.object(name),
      what,
      headers: range === undefined ? {} : { range },
      expected: range === undefined ? [200] : [200, 206, 416],
      signal,
    };
    return await this.client.send(request, async (answer) => {
      if (range !== undefined && answer.status === 200) this.rangesIgnored++;
      return await readBody(`${what} at ${this.url}`, answer, offset, length);
    });
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const address = this.location.object(name);
    const what = `stat ${name}`;
    const head = { kind: "head" as const, method: "HEAD" as const, address, what, expected: [200, 404], signal };
    const found = await this.client.send(head, (answer) => Promise.resolve(sizeOf(what, answer)));
    if (found !== undefined) return { name, sizeBytes: found };
    // An answer to HEAD has no body, so it cannot say what is missing: the object, or the bucket.
    const headers = { range: "bytes=0-0" };
    const get = { ...head, kind: "get" as const, method: "GET" as const, headers, expected: [200, 206, 416] };
    try {
      const total = await this.client.send(get, (answer) => Promise.resolve(sizeOf(what, answer)));
      return total === undefined ? undefined : { name, sizeBytes: total };
    } catch (error) {
      if (isSternwayError(error, "not_found")) return undefined;
      throw error;
    }
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    checkObjectName(name);
    const request = {
      kind: "delete" as const,
      method: "DELETE" as const,
      address: this.location.object(name),
      what: `remove ${name}`,
      expected: [200, 204],
      signal,
    };
    try {
      await this.client.send(request, drained);
    } catch (error) {
      if (!isSternwayError(error, "not_found")) throw error;
    }
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    if (prefix !== "") checkObjectName(prefix);
    let token: string | undefined;
    do {
      const page = await this.listPage(this.location.keysBelow(prefix), token, signal);
      for (const entry of xmlInner(page, "Contents")) {
        const name = this.location.nameOf(xmlText(entry, "Key") ?? "");
        const sizeBytes = Number(xmlText(entry, "Size") ?? Number.NaN);
        if (name !== undefined && Number.isSafeInteger(sizeBytes)) yield { name, sizeBytes };
      }
      const isLast = xmlText(page, "IsTruncated") !== "true";
      const next = isLast ? undefined : xmlText(page, "NextContinuationToken");
      // Without this a broken endpoint's list has no end, or ends early and looks complete.
      if (!isLast && (next === undefined || next === "" || next === token)) {
        throw new SternwayError(
          "unavailable",
          `list ${prefix} at ${this.url}: the list does not go on where it stopped`,
        );
      }
      token = next;
    } while (token !== undefined);
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found !== identity) {
      const what =
        found === undefined ? "holds no tier" : `holds another vault's tier (${JSON.stringify(found.slice(0, 64))})`;
      throw new SternwayError("invalid", `${this.url} ${what}`);
    }
    if (this.isCleared) return;
    try {
      await abortLeftovers(this.client, this.location, signal);
    } catch (error) {
      // Whose key may only read has nothing to clear; and an endpoint without such a list has nothing to clear it by.
      if (!isSternwayError(error, "denied") && !isSternwayError(error, "invalid")) throw error;
    }
    this.isCleared = true;
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found === identity) return;
    if (found !== undefined) {
      throw new SternwayError(
        "conflict",
        `${this.url} belongs to another vault (${found}): use another prefix or bucket`,
      );
    }
    for await (const { name } of this.list("", signal)) {
      // Left by an attempt that was cut short.
      if (name.startsWith(`${PROBE_FOLDER}/`)) continue;
      throw new SternwayError("conflict", `${this.url} holds other things (${name}): use another prefix or bucket`);
    }
    await probeStore(this, signal);
    if (this.rangesIgnored > 0) {
      throw new SternwayError(
        "invalid",
        `${this.url} cannot be a tier: it sends whole objects where ranges were asked for`,
      );
    }
    const source = bytesSource(new TextEncoder().encode(identity));
    await this.put(IDENTITY_OBJECT, source, { ifAbsent: true, signal }).catch((error: unknown) => {
      throw this.lockExplained(error);
    });
    if (this.options.objectLockDays !== undefined) await this.proveLock(signal);
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    try {
      const bytes = await this.get(IDENTITY_OBJECT, { offset: 0, length: IDENTITY_BYTES_MAX, signal });
      return new TextDecoder().decode(bytes);
    } catch (error) {
      if (isSternwayError(error, "not_found")) return undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    this.client.close();
    return Promise.resolve();
  }

  /** Afterwards it is known whether the endpoint checks a CRC-32: then it repeats it in its answer. One that does not is given an MD5, which all check. */
  private async putWhole(
    name: string,
    body: ObjectSource,
    ifAbsent: boolean,
    withMd5: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { crc32, md5 } = await checksumsOf(body, withMd5, this.options.clock, signal);
    const request = {
      kind: "put" as const,
      method: "PUT" as const,
      address: this.location.object(name),
      what: `put ${name}`,
      headers: {
        ...this.keepingHeaders(name),
        ...(ifAbsent ? { "if-none-match": "*" } : {}),
        ...(md5 === undefined ? { "x-amz-checksum-crc32": crcHeader(crc32) } : { "content-md5": md5 }),
        "x-amz-meta-crc32": crcHeader(crc32),
      },
      body,
      expected: [200],
      signal,
    };
    await this.client.send(request, async (answer) => {
      await drained(answer);
      this.usesMd5 ||= withMd5 || !answer.headers.has("x-amz-checksum-crc32");
    });
  }

  private keepingHeaders(name: string): Record<string, string> {
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    const { storageClass, objectLockDays, objectLockMode = "GOVERNANCE", clock } = this.options;
    const isProbe = name.startsWith(`${PROBE_FOLDER}/`);
    if (storageClass !== undefined && !isProbe && name !== IDENTITY_OBJECT)
      headers["x-amz-storage-class"] = storageClass;
    if (objectLockDays !== undefined && !isProbe) {
      const until = Math.floor((clock.wall() + objectLockDays * DAY_MICROS) / 1000);
      headers["x-amz-object-lock-mode"] = objectLockMode;
      headers["x-amz-object-lock-retain-until-date"] = Temporal.Instant.fromEpochMilliseconds(until).toString();
    }
    return headers;
  }

  private async listPage(prefix: string, token: string | undefined, signal: AbortSignal | undefined): Promise<string> {
    const query = {
      "list-type": "2",
      ...(prefix === "" ? {} : { prefix }),
      ...(token === undefined ? {} : { "continuation-token": token }),
    };
    const address = this.location.bucket(query);
    const request = { kind: "list" as const, method: "GET" as const, address, what: "list", expected: [200], signal };
    const page = await this.client.send(request, (answer) => answer.text(PAGE_BYTES_MAX));
    if (page.includes("<ListBucketResult")) return page;
    throw new SternwayError("invalid", `list at ${this.url}: the endpoint does not answer as an S3 service does`);
  }

  /** Tried once per store, and only for the sake of objects that must be created and are too large for one ordinary request. */
  private async canCompleteIfAbsent(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.completesIfAbsent !== undefined) return this.completesIfAbsent;
    const source = bytesSource(new TextEncoder().encode("0123456789"));
    await this.put(COMPLETION_PROBE, source, { signal });
    const put = { name: COMPLETION_PROBE, source, ifAbsent: true, headers: {}, signal };
    try {
      await putInParts(this.client, this.location, put);
      this.completesIfAbsent = false;
    } catch (error) {
      if (isSternwayError(error, "conflict")) this.completesIfAbsent = true;
      else if (isSternwayError(error, "invalid")) this.completesIfAbsent = false;
      else throw error;
    }
    await this.remove(COMPLETION_PROBE, signal);
    return this.completesIfAbsent;
  }

  /** The probes before, which ask for no lock, were taken. */
  private lockExplained(error: unknown): unknown {
    if (this.options.objectLockDays === undefined || !isSternwayError(error, "invalid")) return error;
    const why = `the endpoint refuses locked objects there: use a bucket that was made with object lock`;
    return new SternwayError("invalid", `${error.message}; ${why}`, error.facts, { cause: error });
  }

  /** @throws invalid: the endpoint took the lock's headers and did nothing about them */
  private async proveLock(signal: AbortSignal | undefined): Promise<void> {
    const address = this.location.object(IDENTITY_OBJECT);
    const request = {
      kind: "head" as const,
      method: "HEAD" as const,
      address,
      what: "stat identity",
      expected: [200],
      signal,
    };
    const mode = await this.client.send(request, (answer) =>
      Promise.resolve(answer.headers.get("x-amz-object-lock-mode")),
    );
    if (mode !== null) return;
    await this.remove(IDENTITY_OBJECT, signal);
    throw new SternwayError("invalid", `${this.url} cannot be a tier with object lock: it does not lock objects`);
  }
}

async function drained(answer: S3Answer): Promise<void> {
  await answer.text(SMALL_ANSWER_BYTES_MAX);
}

const isHeaderRefusal = (error: unknown): boolean =>
  isSternwayError(error, "invalid") && HEADER_REFUSALS.has(String(error.facts["code"]));

/** Of an object, as an answer to HEAD or to a range tells it; undefined for 404. */
function sizeOf(what: string, { status, headers }: S3Answer): number | undefined {
  if (status === 404) return undefined;
  const told =
    status === 200 ? headers.get("content-length") : /\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
  // An empty object has no byte 0.
  if (status === 416 && told === undefined) return 0;
  const size = Number(told ?? Number.NaN);
  if (Number.isSafeInteger(size)) return size;
  throw new SternwayError("unavailable", `${what}: the endpoint does not tell the object's size`);
}
