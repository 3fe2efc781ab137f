/**
 * Which requests are looked at at all when they come over TCP. A web page in a browser can reach the appliance by a name that its owner points there (DNS
 * rebinding), or by a request that needs no permission to be sent. So without TLS, which is on loopback, the Host must be a name of this machine; over TLS
 * the certificate does that. And what changes anything must not come from another origin. Over the control socket no browser comes.
 */
import type { Context, Next } from "hono";
import { SternwayError } from "../base/errors.ts";
import { isLoopback } from "../config/config.ts";
import type { ApiEnv } from "./appliance.ts";
import { problemResponse } from "./problems.ts";

const READING = new Set(["GET", "HEAD", "OPTIONS"]);

export async function guard(c: Context<ApiEnv>, next: Next): Promise<Response | undefined> {
  if (c.env.via === "tcp") {
    const refusal = refuse(c.req.method, c.req.raw.headers, c.env.secure);
    if (refusal) return problemResponse(refusal);
  }
  await next();
  c.res.headers.set("x-content-type-options", "nosniff");
  c.res.headers.set("referrer-policy", "no-referrer");
  if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  return undefined;
}

/** The reason to refuse a request that came over TCP, if there is one. */
export function refuse(method: string, headers: Headers, isSecure = false): SternwayError | undefined {
  const host = headers.get("host") ?? "";
  if (!isSecure && !isLoopbackHost(host)) {
    return new SternwayError(
      "denied",
      `the host ${JSON.stringify(host)} is not this machine's: use 127.0.0.1 or localhost`,
      {
        host,
      },
    );
  }
  if (READING.has(method)) return undefined;
  const origin = headers.get("origin");
  if (origin !== null && origin !== `${isSecure ? "https" : "http"}://${host}`) {
    return new SternwayError("denied", `a page of ${origin} may not change anything here`, { origin });
  }
  if (headers.get("sec-fetch-site") === "cross-site") {
    return new SternwayError("denied", "a page of another site may not change anything here");
  }
  return undefined;
}

function isLoopbackHost(host: string): boolean {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(host);
  return match !== null && isLoopback((match[1] ?? match[2] ?? "").toLowerCase());
}
