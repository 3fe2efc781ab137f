/**
 * Entity tags on what is read, and preconditions on what changes it (RFC 9110, 8.8.3 and 13), for every JSON resource under /v1 alike: the tag of a resource is found
 * by asking the API's own GET, so that no route has to know of it. Images have tags of their own (`image-routes.ts`).
 *
 * A tag has two parts, SETTLED-WHOLE. WHOLE changes with every byte of the answer; If-None-Match compares both. SETTLED leaves out what changes by itself, as the
 * newest LSN of a volume that is written to: If-Match compares that part alone, or nobody could change anything about a busy volume.
 *
 * Who changes a resource has it for himself from the comparison to the answer, so of two with the same tag one wins.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { SternwayError } from "../base/errors.ts";
import { problemOf, routes } from "../contract/contract.ts";
import type { ApiEnv } from "./appliance.ts";
import { respond } from "./problems.ts";

const CONDITIONS = ["if-match", "if-none-match"];
const CHANGING = new Set(["PUT", "PATCH", "DELETE"]);
/** Waiting for one resource; more means that something hangs. */
const WAITING_MAX = 32;
/** A larger answer is compared as a whole: taking it apart costs more than what it is worth. */
const SETTLED_SIZE_MAX = 2 ** 16;

/** Fields that change without anybody changing the resource. */
const PASSING = new Set([
  "attached",
  "attempts",
  "bookmarkCount",
  "bytesPut",
  "clockAheadSeconds",
  "everyWriteFrom",
  "failures",
  "lagBytes",
  "lagSeconds",
  "last",
  "lastError",
  "lastFlushLsn",
  "lastLsn",
  "lastSeenAt",
  "lastUsedAt",
  "lastWriteAt",
  "lockedFrom",
  "next",
  "nextAt",
  "now",
  "objectsPut",
  "points",
  "progress",
  "reachedLsn",
  "status",
  "usedBytes",
]);

/** Requests that the API asks itself: they were counted and judged as what they serve. */
const own = new WeakSet<Request>();

export function isOwnRequest(request: Request): boolean {
  return own.has(request);
}

/** Comes last before the handlers: who may not ask learns nothing of tags. */
export function preconditions(app: OpenAPIHono<ApiEnv>): MiddlewareHandler<ApiEnv> {
  const queues = new Map<string, { last: Promise<void>; count: number }>();

  async function alone<Result>(place: string, work: () => Promise<Result>): Promise<Result> {
    const queue = queues.get(place) ?? { last: Promise.resolve(), count: 0 };
    if (queue.count >= WAITING_MAX) {
      throw new SternwayError("unavailable", `${WAITING_MAX} requests wait to change ${place} already`, {
        path: place,
      });
    }
    queues.set(place, queue);
    queue.count++;
    const before = queue.last;
    const done = Promise.withResolvers<void>();
    queue.last = done.promise;
    try {
      await before;
      return await work();
    } finally {
      done.resolve();
      if (--queue.count === 0) queues.delete(place);
    }
  }

  return async (c, next) => {
    const { method } = c.req;
    if (method === "GET" || method === "HEAD") {
      await next();
      await tag(c);
      return undefined;
    }
    const place = changes(method, c.req.path) ? readablePlace(c.req.path) : undefined;
    const isConditional = CONDITIONS.some((name) => c.req.header(name) !== undefined);
    if (place === undefined) return isConditional ? untagged(c.req.path) : await next();
    return await alone(place, async () => {
      if (c.req.raw.signal.aborted) throw new SternwayError("unavailable", "the client went away before its turn");
      const refusal = isConditional ? await failedCondition(app, c, place) : undefined;
      if (refusal) return refusal;
      await next();
      return undefined;
    });
  };
}

function changes(method: string, path: string): boolean {
  return CHANGING.has(method) || (method === "POST" && path.endsWith("/rollback"));
}

/** The path at which what a request changes can be read: its own, or that of what holds it. */
function readablePlace(path: string): string | undefined {
  const parent = path.slice(0, path.lastIndexOf("/"));
  return [path, parent].find((each) => READABLE.some((pattern) => pattern.test(each)));
}

const READABLE = Object.values(routes)
  .filter((route) => route.method === "get" && route.path.startsWith("/v1/"))
  .map((route) => new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`));

/** Gives the answer its tag; one that the client has already is not sent again. */
async function tag(c: Context<ApiEnv>): Promise<void> {
  const { res } = c;
  if (res.status !== 200 || !c.req.path.startsWith("/v1/")) return;
  if (!(res.headers.get("content-type") ?? "").startsWith("application/json")) return;
  // As bytes, and sent as such: measured, a text of 180 KB takes ten times as long to send.
  const body = new Uint8Array(await res.arrayBuffer());
  const isLarge = body.length > SETTLED_SIZE_MAX;
  const etag = isLarge ? await etagOfLarge(body) : etagOf(new TextDecoder().decode(body));
  const headers = new Headers(res.headers);
  headers.set("etag", etag);
  const ifMatch = c.req.header("if-match");
  const ifNoneMatch = c.req.header("if-none-match");
  if (ifMatch !== undefined && !matches(ifMatch, etag)) c.res = mismatch(c.req.path, etag);
  else if (ifNoneMatch !== undefined && namesWeakly(ifNoneMatch, etag)) {
    headers.delete("content-type");
    c.res = new Response(null, { status: 304, headers });
  } else c.res = new Response(body, { status: 200, headers });
}

/** @returns the answer, when the resource is not what If-Match names, or is what If-None-Match does */
async function failedCondition(
  app: OpenAPIHono<ApiEnv>,
  c: Context<ApiEnv>,
  place: string,
): Promise<Response | undefined> {
  const headers = new Headers(c.req.raw.headers);
  for (const name of [...CONDITIONS, "content-type", "content-length", "range", "idempotency-key"])
    headers.delete(name);
  const question = new Request(`http://localhost${place}`, { headers, signal: c.req.raw.signal });
  own.add(question);
  const answer = await app.fetch(question, c.env);
  const ifMatch = c.req.header("if-match");
  const ifNoneMatch = c.req.header("if-none-match");
  // What is not there is answered as without conditions (13.2.1), unless the request would make it.
  if (answer.status === 404) return ifMatch !== undefined && c.req.method === "PUT" ? absent(c.req.path) : undefined;
  // A condition that could not be looked at is not fulfilled.
  if (answer.status !== 200) return answer;
  await answer.body?.cancel();
  const etag = answer.headers.get("etag");
  if (etag === null) return untagged(c.req.path);
  if (ifMatch !== undefined && !matches(ifMatch, etag)) return mismatch(place, etag);
  return ifNoneMatch !== undefined && namesWeakly(ifNoneMatch, etag) ? present(place, etag) : undefined;
}

function absent(path: string): Response {
  const error = new SternwayError("conflict", `${path} is not what If-Match names: it is not there`, { path });
  return respond(problemOf(error, { status: 412, todo: "Leave If-Match out to make it." }));
}

function present(path: string, etag: string): Response {
  const error = new SternwayError("conflict", `${path} is what If-None-Match names`, { path });
  return respond(problemOf(error, { status: 412, todo: "Leave If-None-Match out to change it." }), { etag });
}

function mismatch(path: string, etag: string): Response {
  const error = new SternwayError("conflict", `${path} is not what If-Match names: it was changed since`, { path });
  const todo = "Read it again, decide again, and send the ETag that you then got.";
  return respond(problemOf(error, { status: 412, todo }), { etag });
}

function untagged(path: string): Response {
  const error = new SternwayError(
    "invalid",
    `If-Match and If-None-Match cannot be heeded: nothing at ${path} has an ETag`,
    { path },
  );
  return respond(problemOf(error, { status: 412, todo: "Leave them out." }));
}

function etagOf(text: string): string {
  return `"${hashOf(JSON.stringify(JSON.parse(text, withoutPassing)))}.${hashOf(text)}"`;
}

/** Hashed on another thread: here it would hold up every disk for 0.1 ms per 180 KB. */
async function etagOfLarge(body: Uint8Array<ArrayBuffer>): Promise<string> {
  const whole = Buffer.from(await crypto.subtle.digest("SHA-256", body))
    .toString("base64url")
    .slice(0, 22);
  return `"${whole}.${whole}"`;
}

function withoutPassing(name: string, value: unknown): unknown {
  return PASSING.has(name) ? undefined : value;
}

function hashOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("base64url").slice(0, 22);
}

/** If-Match: strong tags alone, by what is settled. */
function matches(list: string, etag: string): boolean {
  const settled = etag.slice(0, etag.indexOf(".") + 1);
  return tagsOf(list).some((each) => each === "*" || (settled.length > 2 && each.startsWith(settled)));
}

/** If-None-Match: weak tags as well, as proxies make them of strong ones. */
function namesWeakly(list: string, etag: string): boolean {
  return tagsOf(list).some((each) => each === "*" || each.replace(/^W\//, "") === etag);
}

function tagsOf(list: string): string[] {
  return list.split(",").map((each) => each.trim());
}
