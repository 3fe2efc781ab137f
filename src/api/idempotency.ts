/**
 * Idempotency keys (the IETF draft "The Idempotency-Key HTTP Header Field"): a POST that is sent again because its answer was lost gets the first answer again and
 * does nothing twice. A key counts for one principal and one path. What is remembered lies in memory: a restart forgets it.
 *
 * Remembered for 24 hours: what was done, and what was refused for good. Not what may go well the next time: a failure of the appliance, too many requests, a
 * body with a mistake, an answer to somebody who may not ask. Of an answer that holds a secret only its having been given is remembered.
 *
 * Bounds: ENTRIES_MAX keys and LENGTH_MAX of text in all; beyond them the oldest are forgotten. Those that run are bounded by the requests that do.
 */
import type { MiddlewareHandler } from "hono";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { problemOf, type OperationId } from "../contract/contract.ts";
import type { ApiEnv } from "./appliance.ts";
import { respond } from "./problems.ts";

export const IDEMPOTENCY_HEADER = "idempotency-key";
export const REPLAYED_HEADER = "idempotency-replayed";

const KEY = /^[\x21-\x7e]{1,128}$/;
const KEPT_MICROS = 24 * 3600 * 1e6;
const ENTRIES_MAX = 10_000;
/** In UTF-16 units: some 16 MiB of memory. */
const LENGTH_MAX = 2 ** 23;
const ANSWER_LENGTH_MAX = 2 ** 16;
/** Nothing was done, and the request may go well the next time: as it is, or mended by whoever made a mistake in it. */
const PASSING = new Set([400, 401, 403, 408, 412, 413, 415, 422, 428, 429]);

/** Operations whose answer holds what is told once. */
export const TELLS_SECRETS: ReadonlySet<string> = new Set<OperationId>([
  "addReceived",
  "addToken",
  "beginTotp",
  "changePassword",
  "confirmTotp",
  "createChannel",
  "createCredential",
  "renewReceived",
  "setUp",
  "signIn",
]);

interface Answer {
  status: number;
  headers: [name: string, value: string][];
  body: string;
}

interface Entry {
  bodyHash: string;
  at: number;
  /** `running`: its first request is under way; `used`: its answer is not kept. */
  answer: Answer | "running" | "used";
  length: number;
}

/** Answers again what was answered before under the same key. Comes after who asks, and whether they may, is known. */
export function idempotency(clock: Clock): MiddlewareHandler<ApiEnv> {
  const entries = new Entries(clock);
  // Bodies may hold passwords: their hashes must be of no use outside of this process.
  const seed = crypto.getRandomValues(new Uint8Array(32));

  return async (c, next) => {
    const key = c.req.header(IDEMPOTENCY_HEADER);
    const principal = c.get("principal");
    if (key === undefined || c.req.method !== "POST" || !principal) return await next();
    if (!KEY.test(key)) {
      const text = "an Idempotency-Key has 1 to 128 visible ASCII characters";
      return respond(problemOf(new SternwayError("invalid", text)));
    }
    const { pathname, search } = new URL(c.req.url);
    const place = [principal.by, principal.name, pathname + search, key].join("\n");
    const bodyHash = hashOf(seed, new Uint8Array(await c.req.arrayBuffer()));
    const known = entries.get(place);
    if (known) return repeated(known, bodyHash, key);
    const entry: Entry = { bodyHash, at: clock.monotonic(), answer: "running", length: place.length };
    entries.set(place, entry);
    try {
      await next();
    } catch (error) {
      entries.delete(place);
      throw error;
    }
    if (!isFinal(c.res)) entries.delete(place);
    else if ((c.res.ok && TELLS_SECRETS.has(c.get("operation"))) || !isText(c.res)) entries.keep(place, entry, "used");
    else entries.keep(place, entry, await answerOf(c.res));
    return undefined;
  };
}

/** Whether an answer stands for what its request did, or found. */
function isFinal({ status }: Response): boolean {
  return status < 500 && !PASSING.has(status);
}

function isText({ headers, body }: Response): boolean {
  return body === null || /^application\/(?:problem\+)?json\b/.test(headers.get("content-type") ?? "");
}

async function answerOf(response: Response): Promise<Answer | "used"> {
  const body = await new Response(response.clone().body).text();
  if (body.length > ANSWER_LENGTH_MAX) return "used";
  const headers = ["content-type", "location", "etag"].flatMap((name): [string, string][] => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  return { status: response.status, headers, body };
}

function repeated({ bodyHash, answer }: Entry, hash: string, key: string): Response {
  if (bodyHash !== hash) {
    const error = new SternwayError("invalid", `the Idempotency-Key ${key} came before with another body`, { key });
    return respond(problemOf(error, { status: 422, todo: "Take a new key for another request." }));
  }
  if (answer === "running") {
    const error = new SternwayError("conflict", `the first request with the Idempotency-Key ${key} still runs`, {
      key,
    });
    return respond(problemOf(error, { todo: "Wait, then send it again with the same key." }), { "retry-after": "1" });
  }
  if (answer === "used") {
    const text = `a request with the Idempotency-Key ${key} was answered already; its answer is not kept`;
    const todo = "Look whether what it asked for is there. To ask for it once more, take a new key.";
    return respond(problemOf(new SternwayError("conflict", text, { key }), { todo }));
  }
  const { status, headers, body } = answer;
  const isEmpty = status === 204;
  return new Response(isEmpty ? null : body, { status, headers: [...headers, [REPLAYED_HEADER, "true"]] });
}

function hashOf(seed: Uint8Array, body: Uint8Array): string {
  return new Bun.CryptoHasher("sha256", seed).update(body).digest("base64");
}

/** In the order in which they came, so that the first is the oldest. */
class Entries {
  private readonly clock: Clock;
  private readonly map = new Map<string, Entry>();
  private length = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get(place: string): Entry | undefined {
    this.forgetOld();
    return this.map.get(place);
  }

  set(place: string, entry: Entry): void {
    this.map.set(place, entry);
    this.length += entry.length;
    this.forgetOld();
  }

  delete(place: string): void {
    const entry = this.map.get(place);
    if (!entry) return;
    this.map.delete(place);
    this.length -= entry.length;
  }

  keep(place: string, entry: Entry, answer: Answer | "used"): void {
    this.delete(place);
    const length = place.length + (answer === "used" ? 0 : answer.body.length);
    this.set(place, { ...entry, answer, length });
  }

  private forgetOld(): void {
    const oldest = this.clock.monotonic() - KEPT_MICROS;
    for (const [place, { at, answer }] of this.map) {
      if (at >= oldest && this.map.size <= ENTRIES_MAX && this.length <= LENGTH_MAX) return;
      // One that runs would be done twice.
      if (answer !== "running") this.delete(place);
    }
  }
}
