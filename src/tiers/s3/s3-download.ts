/** What an endpoint answers to a read, checked: the right range, all of it, and, of a whole object that we put, the right bytes. */
import { SternwayError } from "../../base/errors.ts";
import type { S3Answer } from "./s3-client.ts";
import { crcHeader } from "./s3-upload.ts";

/** An answer is in memory whole; what is larger is read by ranges. */
const BODY_BYTES_MAX = 2 ** 30;

/** Of a request for that part; undefined: the whole object. */
export function rangeHeader(offset: number, length: number | undefined): string | undefined {
  if (offset === 0 && length === undefined) return undefined;
  return `bytes=${offset}-${length === undefined ? "" : offset + length - 1}`;
}

/**
 * Reads the body of an answer to a get.
 * @param offset - asked for @param length - asked for; undefined: to the end
 * @throws unavailable: short, or another range; corrupt: the bytes are not those that were stored; invalid: larger than can be read at once
 */
export async function readBody(
  what: string,
  answer: S3Answer,
  offset: number,
  length: number | undefined,
): Promise<Uint8Array> {
  if (answer.status === 416) return new Uint8Array(0);
  if (answer.status === 206) return await readRange(what, answer, offset, length);
  const whole = numberOf(answer.headers.get("content-length"));
  const isWhole = offset === 0 && length === undefined;
  // An endpoint that ignores ranges sends the whole object: what comes before is passed over, what comes after is not waited for.
  const wanted = whole === undefined ? length : Math.max(0, Math.min(length ?? whole, whole - offset));
  const bytes = await collect(what, answer, offset, wanted);
  if (isWhole) checkCrc(what, answer.headers.get("x-amz-meta-crc32"), bytes);
  return bytes;
}

async function readRange(
  what: string,
  answer: S3Answer,
  offset: number,
  length: number | undefined,
): Promise<Uint8Array> {
  const range = answer.headers.get("content-range") ?? "";
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range) ?? [];
  const size = Number(last) - Number(first) + 1;
  const isToEnd = Number(last) + 1 === Number(total);
  const isFitting = Number(first) === offset && size > 0 && (length === undefined ? isToEnd : size <= length);
  if (!isFitting || (size !== length && !isToEnd)) {
    const asked = `${length ?? "all"} bytes from ${offset}`;
    throw new SternwayError("unavailable", `${what}: asked for ${asked}, answered "${range.slice(0, 80)}"`);
  }
  const bytes = await collect(what, answer, 0, size);
  if (bytes.length === size) return bytes;
  throw new SternwayError("unavailable", `${what}: the answer broke off after ${bytes.length} of ${size} bytes`);
}

/** @param skip - bytes passed over @param wanted - bytes then; undefined: to the end */
async function collect(what: string, answer: S3Answer, skip: number, wanted: number | undefined): Promise<Uint8Array> {
  if ((wanted ?? 0) > BODY_BYTES_MAX) throw tooLarge(what);
  if (wanted === 0) return new Uint8Array(0);
  const out = wanted === undefined ? undefined : new Uint8Array(wanted);
  const parts: Uint8Array[] = [];
  let passed = 0;
  let size = 0;
  for await (const piece of answer.pieces()) {
    const part = piece.subarray(Math.min(piece.length, Math.max(0, skip - passed)));
    passed += piece.length - part.length;
    const kept = wanted === undefined ? part : part.subarray(0, wanted - size);
    if (out) out.set(kept, size);
    else parts.push(kept);
    size += kept.length;
    if (size > BODY_BYTES_MAX) throw tooLarge(what);
    // All that is needed, unless this is the end anyway: then reading on to it keeps the connection.
    if (size === wanted && kept.length < part.length) break;
  }
  return out ? out.subarray(0, size) : Buffer.concat(parts);
}

function checkCrc(what: string, stored: string | null, bytes: Uint8Array): void {
  if (stored === null || stored === crcHeader(Bun.hash.crc32(bytes))) return;
  throw new SternwayError(
    "corrupt",
    `${what}: ${bytes.length} bytes came, and their checksum is not the one stored with them`,
  );
}

function numberOf(text: string | null): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

const tooLarge = (what: string): SternwayError =>
  new SternwayError("invalid", `${what}: more than ${BODY_BYTES_MAX} bytes: read it by ranges`);
