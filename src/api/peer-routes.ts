/**
 * What peers may ask (contract/peer-wire.ts), each of its own place alone. Nothing but `hello` is answered without the place's credential, and what is wrong with
 * credentials is not told: an unknown token, another place's and a wrong secret get one answer, and get it late.
 */
import { Hono, type Context, type Next } from "hono";
import type { z } from "@hono/zod-openapi";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import {
  CHECKSUM_BYTES,
  helloSchema,
  identifySchema,
  identitySchema,
  OBJECT_BYTES_MAX,
  objectsPath,
  parseAuthorization,
  PEER_JSON_BYTES_MAX,
  PEER_PIECE_BYTES,
  statSchema,
} from "../contract/peer-wire.ts";
import { LINES_TYPE } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import { isCredential, proofBy } from "../security/peer-token.ts";
import { checkObjectName } from "../tiers/object-name.ts";
import type { ObjectStore } from "../tiers/store.ts";
import { lineStream } from "./line-stream.ts";
import { ArrivingObject, type PeerBody } from "./peer-body.ts";
import { PeerBrake } from "./peer-brake.ts";
import type { OpenObject, PeerPlaces, ReceivedPlace } from "./peer-places.ts";
import { problemResponse, unknownRoute } from "./problems.ts";
import { parseRange } from "./range.ts";

/** Bodies of JSON fit into a few packets. */
const JSON_MS = 10_000;

/** How a request came. */
export interface PeerEnv {
  Bindings: {
    body: PeerBody;
    /** Of the client. */
    address: string;
    /** Aborted when the client goes away. */
    gone: AbortSignal;
  };
  Variables: { place: ReceivedPlace };
}

export interface PeerApiContext {
  places: PeerPlaces;
  /** SHA-256 of the certificate that the listener shows. */
  fingerprint: Uint8Array;
  clock: Clock;
  log: Log;
  /** Default: a brake of its own. */
  brake?: Pick<PeerBrake, "failed">;
}

/** Answers one request. Never rejects; undefined: break the connection off. */
export type PeerAnswer = (request: Request, env: PeerEnv["Bindings"]) => Promise<Response | undefined>;

type PeerContext = Context<PeerEnv>;

export function createPeerApi(context: PeerApiContext): PeerAnswer {
  const { places, fingerprint, clock, log, brake = new PeerBrake(clock) } = context;
  const app = new Hono<PeerEnv>();

  app.post("/v1/peer/:place/hello", async (c) => {
    const { id, nonce } = await jsonOf(c, helloSchema);
    const place = places.placeOf(id);
    if (place?.name !== c.req.param("place")) throw unknown();
    const facts = { id, place: place.name, fingerprint };
    const proof = proofBy(place.token, new Uint8Array(Buffer.from(nonce, "hex")), facts);
    return c.json({ proof: Buffer.from(proof).toString("hex") });
  });

  const guarded = async (c: PeerContext, next: Next): Promise<void> => {
    const given = parseAuthorization(c.req.header("authorization"));
    const place = given && places.placeOf(given.id);
    if (!given || !place || !isCredential(place.token, given.credential) || place.name !== c.req.param("place"))
      throw unknown();
    c.set("place", place);
    await next();
  };
  app.use("/v1/peer/:place/*", guarded);

  app.post("/v1/peer/:place/connect", async (c) => {
    const { identity } = await jsonOf(c, identitySchema);
    await c.var.place.store.connect(identity, c.env.gone);
    return c.body(null, 204);
  });

  app.post("/v1/peer/:place/attach", async (c) => {
    const { identity } = await jsonOf(c, identitySchema);
    await c.var.place.store.attach(identity, c.env.gone);
    return c.body(null, 204);
  });

  app.post("/v1/peer/:place/identify", async (c) => {
    await jsonOf(c, identifySchema);
    const identity = await c.var.place.store.identify(c.env.gone);
    return c.json(identity === undefined ? {} : { identity });
  });

  app.post("/v1/peer/:place/stat", async (c) => {
    const { name } = await jsonOf(c, statSchema);
    checkObjectName(name);
    const info = await c.var.place.store.stat(name, c.env.gone);
    return c.json(info ? { sizeBytes: info.sizeBytes } : {});
  });

  app.get("/v1/peer/:place/objects", async (c) => {
    const prefix = c.req.query("prefix") ?? "";
    if (prefix !== "") checkObjectName(prefix);
    const body = await lineStream(objectLines(c.var.place.store, prefix, c.env.gone), log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });

  app.put("/v1/peer/:place/objects/*", async (c) => {
    const name = objectOf(c);
    const length = lengthOf(c);
    if (length < CHECKSUM_BYTES || length > OBJECT_BYTES_MAX) {
      throw new SternwayError("invalid", `an object's body has ${CHECKSUM_BYTES} bytes to 1 TiB, not ${length}`);
    }
    const condition = c.req.header("if-none-match");
    if (condition !== undefined && condition !== "*") throw new SternwayError("invalid", "If-None-Match can only be *");
    const object = new ArrivingObject(name, length, c.env.body);
    await object.begin();
    await c.var.place.store.put(name, object, { ifAbsent: condition === "*", signal: c.env.gone });
    return c.body(null, 204);
  });

  app.get("/v1/peer/:place/objects/*", async (c) => await objectResponse(c, objectOf(c)));

  app.delete("/v1/peer/:place/objects/*", async (c) => {
    await c.var.place.store.remove(objectOf(c), c.env.gone);
    return c.body(null, 204);
  });

  app.notFound((c) => unknownRoute(c.req.raw, []));
  app.onError((error, c) => {
    const response = problemResponse(error);
    const facts = { err: error, method: c.req.method, path: c.req.path, address: c.env.address };
    if (response.status >= 500 && !c.env.gone.aborted) log.warn(facts, "a peer's request failed");
    return response;
  });

  return async (request, env) => {
    const response = await app.fetch(request, env);
    if (response.status !== 403) return response;
    // What is broken off is not logged either: nobody fills the log from outside.
    if (!(await brake.failed(env.address, env.gone))) return undefined;
    const facts = { address: env.address, path: new URL(request.url).pathname };
    log.warn(facts, "a peer showed no credentials that are known");
    return response;
  };
}

function unknown(): SternwayError {
  return new SternwayError("denied", "the token is not one for this place: it may have been removed here");
}

/** The name behind `objects/`. @throws invalid: it is no object's */
function objectOf(c: PeerContext): string {
  const name = c.req.path.slice(objectsPath(c.req.param("place") ?? "").length + 1);
  checkObjectName(name);
  return name;
}

/** @throws invalid: a body needs its length */
function lengthOf(c: PeerContext): number {
  const length = Number(c.req.header("content-length") ?? Number.NaN);
  if (Number.isSafeInteger(length) && length >= 0) return length;
  throw new SternwayError("invalid", "a body needs its Content-Length");
}

async function jsonOf<Schema extends z.ZodType>(c: PeerContext, schema: Schema): Promise<z.output<Schema>> {
  const length = lengthOf(c);
  if (length > PEER_JSON_BYTES_MAX)
    throw new SternwayError("invalid", `the body is larger than ${PEER_JSON_BYTES_MAX} bytes`);
  const text = new TextDecoder().decode(await c.env.body.takeWithin(length, JSON_MS));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SternwayError("invalid", "the body is not JSON", {}, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SternwayError(
    "invalid",
    `the body is not acceptable: ${parsed.error.issues[0]?.message ?? "unknown reason"}`,
  );
}

async function objectResponse(c: PeerContext, name: string): Promise<Response> {
  const object = await c.var.place.open(name);
  try {
    const { sizeBytes } = object;
    const range = parseRange(c.req.header("range"), sizeBytes);
    if (range.kind === "unsatisfiable") {
      await object.close();
      return c.body(null, 416, { "content-range": `bytes */${sizeBytes}` });
    }
    const [start, end] = range.kind === "whole" ? [0, sizeBytes] : [range.start, range.end];
    const headers = { "content-length": String(end - start), "content-type": "application/octet-stream" };
    const body = await objectStream(object, start, end);
    if (range.kind === "whole") return c.body(body, 200, headers);
    return c.body(body, 206, { ...headers, "content-range": `bytes ${start}-${end - 1}/${sizeBytes}` });
  } catch (error) {
    await object.close();
    throw error;
  }
}

/**
 * Bytes `[start, end)`; closes the object when it ends. The first piece is read before the answer begins, so that what cannot be read gets its error; a later
 * failure breaks the answer off.
 */
async function objectStream(object: OpenObject, start: number, end: number): Promise<ReadableStream<Uint8Array>> {
  let at = start;
  const read = async (): Promise<Uint8Array> => {
    const piece = await object.read(at, Math.min(PEER_PIECE_BYTES, end - at));
    at += piece.length;
    return piece;
  };
  let next: Uint8Array | undefined = start < end ? await read() : undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (next) controller.enqueue(next);
        try {
          next = at < end ? await read() : undefined;
        } catch (error) {
          // A stream that failed is not cancelled any more.
          await object.close();
          throw error;
        }
        if (next) return;
        await object.close();
        controller.close();
      },
      cancel: () => object.close(),
    },
    // Nothing is read before the connection takes it.
    { highWaterMark: 0 },
  );
}

async function* objectLines(store: ObjectStore, prefix: string, signal: AbortSignal): AsyncGenerator<object> {
  for await (const { name, sizeBytes } of store.list(prefix, signal)) yield { line: "object", name, sizeBytes };
  yield { line: "end" };
}
