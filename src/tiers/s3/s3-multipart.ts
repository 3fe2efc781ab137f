/**
 * Objects sent in several parts: none of it can be seen before the upload is completed, which is one atomic step and may carry the condition. An upload that failed is
 * aborted; one that could not even be aborted, or whose process died, is paid for until {@link abortLeftovers} finds it.
 */
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import type { S3Client } from "./s3-client.ts";
import type { S3Location } from "./s3-options.ts";
import { checksumsOf, readPart } from "./s3-upload.ts";
import { escapeXml, xmlInner, xmlText } from "./s3-xml.ts";
import { bytesSource, type ObjectSource } from "../store.ts";

/** One part is in memory at a time: its checksum comes before it. S3 takes 5 MiB to 5 GiB. */
const PART_BYTES = 16 * 2 ** 20;
const PARTS_MAX = 10_000;
const ANSWER_BYTES_MAX = 4 * 2 ** 20;
/**
 * Younger uploads may be somebody's at work: another appliance reads from the same place and connects to it too. No upload of ours takes a day,
 * and the age is told by the endpoint's clock alone.
 */
const LEFTOVER_HOURS_MIN = 24;
/** Aborted at one connection; those beyond are found at the next. */
const LEFTOVERS_MAX = 1000;
/** Of an abort after a failure: the endpoint may be away, and a put must end. */
const ABORT_IDLE_MS = 5000;

export interface MultipartPut {
  name: string;
  source: ObjectSource;
  ifAbsent: boolean;
  /** For the object: storage class, lock. */
  headers: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** @throws conflict: there is an object of that name, and it was to be absent */
export async function putInParts(client: S3Client, location: S3Location, put: MultipartPut): Promise<void> {
  const uploadId = await beginUpload(client, location, put);
  try {
    const tags = await sendParts(client, location, put, uploadId);
    await complete(client, location, put, uploadId, tags);
  } catch (error) {
    await abortAfterFailure(client, location, put.name, uploadId);
    throw error;
  }
}

/** Aborts uploads below the store's prefix that were begun more than a day ago. */
export async function abortLeftovers(client: S3Client, location: S3Location, signal?: AbortSignal): Promise<void> {
  const prefix = location.keysBelow("");
  const request = {
    kind: "multipart" as const,
    method: "GET" as const,
    address: location.bucket({
      uploads: "",
      ...(prefix === "" ? {} : { prefix }),
      "max-uploads": String(LEFTOVERS_MAX),
    }),
    what: "listing unfinished uploads",
    expected: [200],
    signal,
  };
  const found = await client.send(request, async (answer) => ({
    now: Date.parse(answer.headers.get("date") ?? ""),
    xml: await answer.text(ANSWER_BYTES_MAX),
  }));
  for (const upload of xmlInner(found.xml, "Upload")) {
    const name = location.nameOf(xmlText(upload, "Key") ?? "");
    const uploadId = xmlText(upload, "UploadId");
    const begun = Date.parse(xmlText(upload, "Initiated") ?? "");
    const isOld = found.now - begun >= LEFTOVER_HOURS_MIN * 3_600_000;
    if (name !== undefined && uploadId && isOld) await abort(client, location, name, uploadId, { signal });
  }
}

async function beginUpload(client: S3Client, location: S3Location, put: MultipartPut): Promise<string> {
  const request = {
    kind: "multipart" as const,
    method: "POST" as const,
    address: location.object(put.name, { uploads: "" }),
    what: `put ${put.name}`,
    headers: put.headers,
    body: bytesSource(new Uint8Array(0)),
    expected: [200],
    signal: put.signal,
  };
  const uploadId = xmlText(await client.send(request, (answer) => answer.text(ANSWER_BYTES_MAX)), "UploadId");
  if (uploadId) return uploadId;
  throw new SternwayError("unavailable", `put ${put.name}: the endpoint began an upload without naming it`);
}

async function sendParts(
  client: S3Client,
  location: S3Location,
  put: MultipartPut,
  uploadId: string,
): Promise<string[]> {
  const { source, name, signal } = put;
  // Whole MiB, so that even the largest objects need no more parts than there may be.
  const partBytes = Math.max(PART_BYTES, Math.ceil(source.sizeBytes / PARTS_MAX / 2 ** 20) * 2 ** 20);
  const tags: string[] = [];
  for (let at = 0; at < source.sizeBytes; at += partBytes) {
    const body = bytesSource(await readPart(source, at, Math.min(partBytes, source.sizeBytes - at), signal));
    const { md5 } = await checksumsOf(body, true, client.clock, signal);
    const partNumber = String(tags.length + 1);
    const request = {
      kind: "put" as const,
      method: "PUT" as const,
      address: location.object(name, { partNumber, uploadId }),
      what: `put ${name}, part ${partNumber}`,
      headers: { "content-md5": md5 ?? "" },
      body,
      expected: [200],
      signal,
    };
    const tag = await client.send(request, async (answer) => {
      await answer.text(ANSWER_BYTES_MAX);
      return answer.headers.get("etag");
    });
    if (!tag) throw new SternwayError("unavailable", `put ${name}: the endpoint took part ${partNumber} without a tag`);
    tags.push(tag);
  }
  return tags;
}

async function complete(
  client: S3Client,
  location: S3Location,
  { name, ifAbsent, signal }: MultipartPut,
  uploadId: string,
  tags: readonly string[],
): Promise<void> {
  const parts = tags.map(
    (tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(tag)}</ETag></Part>`,
  );
  const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`;
  const request = {
    kind: "multipart" as const,
    method: "POST" as const,
    address: location.object(name, { uploadId }),
    what: `put ${name}`,
    headers: ifAbsent ? { "if-none-match": "*" } : {},
    body: bytesSource(new TextEncoder().encode(xml)),
    expected: [200],
    signal,
  };
  await client.send(request, async (answer) => {
    const said = await answer.text(ANSWER_BYTES_MAX);
    // Completing can take minutes: the status goes out at once, and what came of it stands in the body.
    if (xmlText(said, "ETag") === undefined) throw client.refusal(request.what, answer, said);
  });
}

async function abort(
  client: S3Client,
  location: S3Location,
  name: string,
  uploadId: string,
  limits: { signal?: AbortSignal | undefined; idleLimitMs?: number },
): Promise<void> {
  const request = {
    kind: "delete" as const,
    method: "DELETE" as const,
    address: location.object(name, { uploadId }),
    what: `aborting the upload of ${name}`,
    expected: [200, 204, 404],
    ...limits,
  };
  await client.send(request, async (answer) => {
    await answer.text(ANSWER_BYTES_MAX);
  });
}

/** Not under the caller's signal: it may be what failed. What cannot be aborted now is a leftover. */
async function abortAfterFailure(
  client: S3Client,
  location: S3Location,
  name: string,
  uploadId: string,
): Promise<void> {
  try {
    await abort(client, location, name, uploadId, { idleLimitMs: ABORT_IDLE_MS });
  } catch (error) {
    if (!isSternwayError(error)) throw error;
  }
}
