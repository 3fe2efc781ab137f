/**
 * The console's files: the page for every path that is not the API's, and what the page loads. They say nothing about the appliance, so they are given to
 * whoever asks, before anything looks at who that is: somebody whose session has ended must still get the page on which to sign in.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ConsoleFile } from "../contract/console-files.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";

/** Scripts and styles of this origin only, and none inline; nobody else may frame the page or be sent its forms. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "form-action 'self'",
  "base-uri 'none'",
].join("; ");

/** A year, the most that caches take seriously. */
const IMMUTABLE = "public, max-age=31536000, immutable";

/** What is not the console's, whatever a browser says that it accepts. */
const NOT_CONSOLE = /^\/(?:v1|docs|assets|healthz|metrics|openapi\.json)(?:[/.]|$)/;

export function registerConsoleRoutes(app: OpenAPIHono<ApiEnv>, { console }: Pick<ApiContext, "console">): void {
  app.get("/assets/:file", async (c, next) => {
    const file = await console.asset(c.req.path);
    return file ? fileAnswer(c, file) : await next();
  });

  app.get("*", async (c, next) => {
    if (NOT_CONSOLE.test(c.req.path) || !acceptsPages(c.req.header("accept"))) return await next();
    return fileAnswer(c, await console.shell());
  });
}

/** A browser that goes to an address names `text/html`; programs, scripts and pictures do not. */
function acceptsPages(accept: string | undefined): boolean {
  return accept !== undefined && /(?:^|[,\s])text\/html(?:[;,\s]|$)/i.test(accept);
}

function fileAnswer(c: Context<ApiEnv>, file: ConsoleFile): Response {
  const gzip = acceptsGzip(c.req.header("accept-encoding")) ? file.gzip : undefined;
  // The two forms of a file are two representations: a strong tag must tell them apart.
  const etag = gzip ? file.etag.replace(/"$/, '-gzip"') : file.etag;
  const headers: Record<string, string> = {
    "cache-control": file.immutable ? IMMUTABLE : "no-cache",
    etag,
    vary: "accept-encoding",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  };
  if (tagsOf(c.req.header("if-none-match")).includes(etag)) return c.body(null, 304, headers);
  const body = gzip ?? file.bytes;
  return c.body(body, 200, {
    ...headers,
    "content-type": file.type,
    "content-length": String(body.length),
    ...(gzip ? { "content-encoding": "gzip" } : {}),
  });
}

function acceptsGzip(accepted: string | undefined): boolean {
  return /(?:^|[,\s])gzip(?!\s*;\s*q=0(?:\.0*)?(?:[,\s]|$))(?:[;,\s]|$)/i.test(accepted ?? "");
}

function tagsOf(header: string | undefined): string[] {
  return (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
}
