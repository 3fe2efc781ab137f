/** What route definitions share: JSON, line-stream and problem bodies, written once. */
import type { z } from "@hono/zod-openapi";
import { PROBLEM_TYPE, problemSchema } from "./problem.ts";

/** Media type of a stream of JSON objects, one per line. Typed as text, or the router's types take it for one JSON value. */
export const LINES_TYPE: string = "application/x-ndjson";

export function json<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

export function lines<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { [LINES_TYPE]: { schema } } };
}

/** A request body that must be there. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { required: true as const, content: { "application/json": { schema } } };
}

/** Every route may answer with a problem document; this is its `default` response. */
export const problem = { description: "any error", content: { [PROBLEM_TYPE]: { schema: problemSchema } } };
