/**
 * How the client talks: HTTP over the control socket or TCP, JSON and lines in and out, everything validated, every
 * failure a SternwayError with the kind that the appliance gave it.
 */
import type { z } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { errorOfProblem, problemSchema, PROBLEM_TYPE, type Problem } from "./problem.ts";

/** Where the appliance listens: its control socket, or `http://127.0.0.1:PORT`. */
export type ClientTarget = { socketPath: string } | WebTarget;

export interface WebTarget {
  baseUrl: string;
  /** Sent with each request, such as what proves that it comes from the console's own page. */
  headers?: () => Record<string, string>;
  /** Told of each answer that asks to sign in (401), before the call throws. */
  onSignInNeeded?: () => void;
}

export type QueryValue = string | number | boolean | undefined;

export interface Call {
  method: string;
  path: string;
  query?: Record<string, QueryValue>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** A line of 64 KiB is far above the longest we send; more means that this is not our server. */
const LINE_LENGTH_MAX = 65_536;

/** One request. @returns a successful response @throws SternwayError: what the appliance said, or unavailable when nobody answers */
export async function send(target: ClientTarget, call: Call): Promise<Response> {
  const base = "socketPath" in target ? "http://localhost" : target.baseUrl.replace(/\/+$/, "");
  const url = new URL(base + call.path);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = { ...("baseUrl" in target ? target.headers?.() : {}), ...call.headers };
  if (call.body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(url, {
      method: call.method,
      headers,
      // Streams last as long as they last; the server ends connections that make no progress.
      timeout: false,
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
      ...("socketPath" in target ? { unix: target.socketPath } : {}),
    } as RequestInit);
  } catch (cause) {
    if (call.signal?.aborted) throw cause;
    throw nobodyAnswers(target, cause);
  }
  if (response.status === 401 && "baseUrl" in target) target.onSignInNeeded?.();
  if (!response.ok && response.status !== 304) throw await failureOf(response, call);
  return response;
}

function nobodyAnswers(target: ClientTarget, cause: unknown): SternwayError {
  const where = "socketPath" in target ? target.socketPath : target.baseUrl;
  return new SternwayError(
    "unavailable",
    `no appliance answers at ${where}; start it with \`sternway serve\``,
    { address: where },
    { cause },
  );
}

async function failureOf(response: Response, call: Call): Promise<SternwayError> {
  const problem = await problemIn(response);
  if (problem) return errorOfProblem(problem);
  const kind = response.status === 404 ? "not_found" : response.status < 500 ? "invalid" : "unavailable";
  return new SternwayError(kind, `${call.method} ${call.path} was answered with ${response.status}`, {
    status: response.status,
  });
}

async function problemIn(response: Response): Promise<Problem | undefined> {
  if (!(response.headers.get("content-type") ?? "").startsWith(PROBLEM_TYPE)) return undefined;
  const parsed = problemSchema.safeParse(await response.json().catch(() => undefined));
  return parsed.success ? parsed.data : undefined;
}

/** One request whose answer is JSON of the given shape. */
export async function sendForJson<Schema extends z.ZodType>(
  target: ClientTarget,
  call: Call,
  schema: Schema,
): Promise<z.output<Schema>> {
  return (await sendForTagged(target, call, schema)).value;
}

/** The same with the answer's ETag, by which what was read is changed only as it was. @property etag - undefined where the answer has none */
export async function sendForTagged<Schema extends z.ZodType>(
  target: ClientTarget,
  call: Call,
  schema: Schema,
): Promise<{ value: z.output<Schema>; etag: string | undefined }> {
  const response = await send(target, call);
  const text = await response.text().catch((cause: unknown) => cutOff(call, cause));
  return { value: shaped(schema, parseJson(text), call), etag: response.headers.get("etag") ?? undefined };
}

/** The connection broke in the middle of an answer: the appliance was stopped or killed, and what it did meanwhile is not known. */
function cutOff(call: Call, cause: unknown): never {
  if (call.signal?.aborted) throw cause;
  throw new SternwayError(
    "unavailable",
    `${call.method} ${call.path}: the answer stopped in the middle`,
    { broken: true },
    { cause },
  );
}

/**
 * One request whose answer is a stream of lines that ends in a line `end` or `failed`.
 * Leaving the loop early closes the connection, which stops the reading behind it.
 * @throws SternwayError: what a line `failed` tells; unavailable when the stream stops without an end
 */
export async function* sendForLines<Schema extends z.ZodType<{ line: string }>>(
  target: ClientTarget,
  call: Call,
  schema: Schema,
): AsyncGenerator<z.output<Schema>> {
  const response = await send(target, call);
  for await (const text of splitLines(response.body, call)) {
    const line = shaped(schema, parseJson(text), call) as { line: string; problem?: Problem };
    if (line.line === "failed" && line.problem) throw errorOfProblem(line.problem);
    yield line as z.output<Schema>;
    if (line.line === "end") return;
  }
  cutOff(call, undefined);
}

/** The lines of an answer that are not empty, each once it is whole. @throws unavailable with `facts.broken`: the connection broke */
export async function* splitLines(body: ReadableStream<Uint8Array> | null, call: Call): AsyncGenerator<string> {
  if (!body) return;
  const decoder = new TextDecoder();
  let rest = "";
  // Not by `for await`: Safari cannot go through a stream that way.
  const chunks = body.getReader();
  try {
    for (;;) {
      const next = await chunks.read().catch((cause: unknown) => cutOff(call, cause));
      if (next.done === true) return;
      const parts = (rest + decoder.decode(next.value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > LINE_LENGTH_MAX) notOurs();
      for (const part of parts) if (part !== "") yield part;
    }
  } finally {
    // Leaving early closes the connection; a broken one has nothing left to close.
    await chunks.cancel().catch(() => undefined);
  }
}

/** @throws internal: it is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    return notOurs(cause);
  }
}

/** @throws internal: it is not of the shape */
export function shaped<Schema extends z.ZodType>(schema: Schema, value: unknown, call: Call): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SternwayError(
    "internal",
    `${call.method} ${call.path}: the answer is not what this version expects at ${issue?.path.join(".") ?? "?"}: ${issue?.message ?? "?"}`,
  );
}

function notOurs(cause?: unknown): never {
  throw new SternwayError("internal", "the answer is not JSON: is this a Sternway appliance?", {}, { cause });
}
