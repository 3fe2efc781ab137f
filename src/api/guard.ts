/**
 * Who may ask over TCP. Loopback keeps other machines out, but a web page in a browser on this machine can still reach it:
 * by a name that its owner points at 127.0.0.1 (DNS rebinding), or by a request that needs no permission to be sent. So
 * the Host must be a name of this machine, and what changes anything must not come from another origin.
 * Over the control socket no browser comes.
 */
import type { Context, Next } from "hono";
import { SternwayError } from "../base/errors.ts";
import { isLoopback } from "../config/config.ts";
import type { ApiEnv } from "./appliance.ts";
import { problemResponse } from "./problems.ts";

const READING = new Set(["GET", "HEAD", "OPTIONS"]);

export async function guard(c: Context<ApiEnv>, next: Next): Promise<Response | undefined> {
  if (c.env.via === "tcp") {
    const refusal = refuse(c.req.method, c.req.raw.headers);
    if (refusal) return problemResponse(refusal);
  }
  await next();
  c.res.headers.set("x-content-type-options", "nosniff");
  if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  return undefined;
}

/** The reason to refuse a request that came over TCP, if there is one. */
export function refuse(method: string, headers: Headers): SternwayError | undefined {
  const host = headers.get("host") ?? "";
  if (!isLoopbackHost(host)) {
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
  if (origin !== null && origin !== `http://${host}`) {
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

/** @throws denied over TCP: any program of this machine can come that way, and listen on it */
export function controlOnly(env: ApiEnv["Bindings"], what: string): void {
  if (env.via === "control") return;
  throw new SternwayError("denied", `${what} is for the control socket alone: use the command \`sternway\``);
}
