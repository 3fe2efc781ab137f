/** What a peer answers, read as this version expects it; anything else is an error that says whose it is. */
import type { z } from "@hono/zod-openapi";
import { SternwayError } from "../../base/errors.ts";
import { PEER_JSON_BYTES_MAX } from "../../contract/peer-wire.ts";
import { errorOfProblem, problemSchema } from "../../contract/problem.ts";
import type { AnswerBody } from "./answer-body.ts";
import type { Exchange, PeerRequest } from "./peer-connection.ts";

const LINE_LENGTH_MAX = 4_096;

export function jsonRequest(path: string, value: object): PeerRequest {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const body = { sizeBytes: bytes.length, pieces: [bytes] };
  return { method: "POST", path, headers: { "content-type": "application/json" }, body };
}

/** An answer's JSON. @param url - the peer's, for errors @throws unavailable: it is of another shape */
export async function shaped<Schema extends z.ZodType>(
  url: string,
  body: AnswerBody,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = new TextDecoder().decode(await body.all(PEER_JSON_BYTES_MAX));
  const parsed = schema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw unexpected(url, "its answer is not what this version expects");
}

/** The error of an answer that is not a success. */
export async function failureOf(url: string, { head, body }: Exchange): Promise<SternwayError> {
  const text = new TextDecoder().decode(await body.all(PEER_JSON_BYTES_MAX));
  return errorFrom(url, parseJson(text), `a request was answered with ${head.status}`);
}

/** The error of a problem document. @param otherwise - what to say if it is none */
export function errorFrom(url: string, problem: unknown, otherwise: string): SternwayError {
  const parsed = problemSchema.safeParse(problem);
  if (!parsed.success) return unexpected(url, otherwise);
  const error = errorOfProblem(parsed.data);
  // Its advice is for those who speak HTTP; its defects and its fences are not this appliance's.
  const { todo: _advice, ...facts } = error.facts;
  const kind = error.kind === "internal" || error.kind === "fenced" ? "unavailable" : error.kind;
  return new SternwayError(kind, `${url}: ${error.message}`, facts, { cause: error });
}

export function unexpected(url: string, what: string): SternwayError {
  return new SternwayError("unavailable", `${url}: ${what}`);
}

/** The lines of a body, as values; undefined for one that is no JSON. Ends early where a line is too long to be ours. */
export async function* linesOf(body: AnswerBody): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for (let part = await body.next(); part; part = await body.next()) {
    const lines = (rest + decoder.decode(part, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_LENGTH_MAX) return;
    for (const line of lines) yield parseJson(line);
  }
}

/** @returns undefined for what is no JSON, which no schema takes */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
