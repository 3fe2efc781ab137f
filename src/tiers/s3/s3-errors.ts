/**
 * What an S3 endpoint's refusal means. The code in its answer counts before the status; an answer without a code that we know goes by the status. Messages
 * quote the endpoint, bounded and with anything of the credentials blanked, for what it says is not ours.
 */
import type { Clock } from "../../base/clock.ts";
import { errorText, isSternwayError, SternwayError, type ErrorKind } from "../../base/errors.ts";
import type { S3Credentials } from "./s3-options.ts";
import { xmlText } from "./s3-xml.ts";

const KINDS: Record<string, ErrorKind> = {
  NoSuchKey: "not_found",
  NoSuchBucket: "invalid",
  // Whoever goes on with an upload meets this; a new one can work.
  NoSuchUpload: "unavailable",
  PreconditionFailed: "conflict",
  ConditionalRequestConflict: "unavailable",
  OperationAborted: "unavailable",
  // The bytes were damaged on their way there.
  BadDigest: "unavailable",
  InvalidDigest: "unavailable",
  XAmzContentChecksumMismatch: "unavailable",
  XAmzContentSHA256Mismatch: "unavailable",
  IncompleteBody: "unavailable",
  RequestTimeout: "unavailable",
  InternalError: "unavailable",
  SlowDown: "unavailable",
  ServiceUnavailable: "unavailable",
  // Sent with 403, but it is a full place and no question of credentials.
  QuotaExceeded: "unavailable",
  AccessDenied: "denied",
  ExpiredToken: "denied",
  InvalidAccessKeyId: "denied",
  InvalidToken: "denied",
  RequestTimeTooSkewed: "denied",
  SignatureDoesNotMatch: "denied",
  // Sent with 403 for an object that lies in an archive class.
  InvalidObjectState: "invalid",
  NotImplemented: "invalid",
};
const QUOTE_LENGTH_MAX = 200;

export interface Refusal {
  status: number;
  headers: Headers;
  /** As far as it was read; "" for an answer without one. */
  body: string;
}

/** @param what - begins the message: the operation and the place */
export function refusalError(what: string, refusal: Refusal, clock: Clock, credentials: S3Credentials): SternwayError {
  const code = xmlText(refusal.body, "Code")?.slice(0, 64);
  const said = xmlText(refusal.body, "Message");
  const answered = `answered ${[refusal.status, code].filter(Boolean).join(" ")}`;
  const quoted = blank(said === undefined || said === "" ? answered : `${answered}: ${said}`, credentials);
  const facts = { status: refusal.status, ...(code === undefined ? {} : { code: blank(code, credentials) }) };
  const advice = adviceOn(code, refusal, clock);
  return new SternwayError(
    kindOf(code, refusal.status),
    `${what}: the endpoint ${quoted}${advice === undefined ? "" : `; ${blank(advice, credentials)}`}`,
    facts,
  );
}

/** What failed below HTTP: no connection, a reset, a certificate. What is typed already is left as it is. */
export function transportError(what: string, error: unknown): SternwayError {
  if (isSternwayError(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  const facts = code === undefined ? {} : { code };
  if (code !== undefined && /CERT|VERIFY|SELF_SIGNED|TLS_/.test(code)) {
    const why = `${what}: the endpoint's certificate is not trusted (${code}): name the one that signed it`;
    return new SternwayError("invalid", why, facts, { cause: error });
  }
  return new SternwayError("unavailable", `${what}: ${errorText(error).slice(0, QUOTE_LENGTH_MAX)}`, facts, {
    cause: error,
  });
}

function kindOf(code: string | undefined, status: number): ErrorKind {
  const known = code === undefined ? undefined : KINDS[code];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return "denied";
  if (status === 412) return "conflict";
  // A bucket that has just been made is answered for elsewhere with 307, for a while.
  if (status === 307 || status === 408 || status === 409 || status === 429) return "unavailable";
  if (status === 501 || status === 505) return "invalid";
  // Among them a 404 without a code: a web server that knows nothing of S3 answers so, and is no empty place.
  return status >= 500 ? "unavailable" : "invalid";
}

function adviceOn(code: string | undefined, { status, headers, body }: Refusal, clock: Clock): string | undefined {
  const region = headers.get("x-amz-bucket-region") ?? xmlText(body, "Region");
  const isElsewhere = status >= 300 && status < 400;
  if ((isElsewhere || code === "AuthorizationHeaderMalformed") && region) {
    return `the bucket is in region ${region.slice(0, 64)}: use region=${region.slice(0, 64)}`;
  }
  if (isElsewhere) {
    const place = xmlText(body, "Endpoint") ?? headers.get("location")?.split("?", 1)[0];
    return `it sends requests on${place ? ` to ${place.slice(0, QUOTE_LENGTH_MAX)}` : ""}, which is not followed: name the right endpoint`;
  }
  if (code === "RequestTimeTooSkewed") return skewAdvice(headers, clock);
  if (code === "InvalidObjectState") return "it lies in an archive class and must be restored there first";
  if (status === 404 && code === undefined) return "it does not answer as an S3 service does";
  return undefined;
}

function skewAdvice(headers: Headers, clock: Clock): string {
  const there = Date.parse(headers.get("date") ?? "");
  if (Number.isNaN(there)) return "this machine's clock is wrong: set it";
  const minutes = Math.round((clock.wall() / 1000 - there) / 60_000);
  return `this machine's clock is ${Math.abs(minutes)} min ${minutes < 0 ? "behind" : "ahead of"} the endpoint's: set it`;
}

function blank(text: string, { accessKeyId, secretAccessKey, sessionToken }: S3Credentials): string {
  let clean = text;
  for (const secret of [accessKeyId, secretAccessKey, sessionToken]) {
    if (secret !== undefined && secret !== "") clean = clean.replaceAll(secret, "***");
  }
  return clean.slice(0, QUOTE_LENGTH_MAX);
}
