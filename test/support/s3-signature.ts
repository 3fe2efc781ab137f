/**
 * Checks the signature of a request to an S3 server: Signature Version 4 as its specification words it, from the bytes that came over the wire, and with none of the code that
 * signed them.
 * @see AWS, "Create a signed AWS API request"
 */
import { createHash, createHmac } from "node:crypto";
import type { WireRequest } from "./http-wire.ts";

const SKEW_MINUTES_MAX = 15;

export interface KnownKey {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** @returns the error's code; undefined: it is signed by that key, now */
export function signatureFault(request: WireRequest, key: KnownKey, region: string): string | undefined {
  const authorization = request.headers.get("authorization") ?? "";
  const [, credential = "", signed = "", signature] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(authorization) ??
    [];
  const [accessKeyId, day = "", signedRegion = "", ...scope] = credential.split("/");
  if (signature === undefined) return "AccessDenied";
  if (accessKeyId !== key.accessKeyId) return "InvalidAccessKeyId";
  if (signedRegion !== region || scope.join("/") !== "s3/aws4_request") return "AuthorizationHeaderMalformed";
  if (key.sessionToken !== undefined && request.headers.get("x-amz-security-token") !== key.sessionToken) {
    return "InvalidToken";
  }
  const time = request.headers.get("x-amz-date") ?? "";
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  const stamp = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s));
  if (!(Math.abs(stamp - Date.now()) < SKEW_MINUTES_MAX * 60_000)) return "RequestTimeTooSkewed";
  const names = signed.split(";");
  // Whatever changes what the request does must be signed.
  const needed = [...request.headers.keys()].filter((name) => /^x-amz-|^if-none-match$|^content-md5$/.test(name));
  if (!["host", ...needed].every((name) => names.includes(name))) return "AccessDenied";

  const [path = "", query = ""] = request.target.split("?", 2);
  const canonical = [
    request.method,
    path
      .split("/")
      .map((part) => encode(decodeURIComponent(part)))
      .join("/"),
    canonicalQuery(query),
    ...names.map((name) => `${name}:${(request.headers.get(name) ?? "").replace(/ +/g, " ")}`),
    "",
    signed,
    request.headers.get("x-amz-content-sha256") ?? "",
  ].join("\n");
  const hash = createHash("sha256").update(canonical).digest("hex");
  const text = ["AWS4-HMAC-SHA256", time, `${day}/${region}/s3/aws4_request`, hash].join("\n");
  const hmac = (secret: string | Buffer, data: string): Buffer => createHmac("sha256", secret).update(data).digest();
  const signing = [day, region, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${key.secretAccessKey}`);
  return hmac(signing, text).toString("hex") === signature ? undefined : "SignatureDoesNotMatch";
}

function canonicalQuery(query: string): string {
  const pairs = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", value = ""] = pair.split("=", 2).map((part) => decodeURIComponent(part.replaceAll("+", " ")));
      return `${encode(name)}=${encode(value)}`;
    });
  return pairs.sort().join("&");
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
