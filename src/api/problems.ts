/** Errors into answers: typed errors, failed validation, unknown routes, and what Hono itself throws. */
import type { Hook } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { PROBLEM_TYPE, problemOf, type Problem } from "../contract/contract.ts";
import type { ApiEnv } from "./appliance.ts";

const ISSUES_MAX = 20;

export function respond(problem: Problem, headers: Record<string, string> = {}): Response {
  const wait = problem.facts["retryAfterSeconds"];
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      ...(wait === undefined ? {} : { "retry-after": String(wait) }),
      ...headers,
      "content-type": PROBLEM_TYPE,
    },
  });
}

/** The answer to anything thrown. What is not ours is internal, and its text stays in the log. */
export function problemResponse(error: unknown): Response {
  return respond(problemFrom(error));
}

export function problemFrom(error: unknown): Problem {
  if (isSternwayError(error)) return problemOf(error);
  if (error instanceof HTTPException && error.status < 500) {
    const text = error.status === 415 ? "the body must be JSON (content-type: application/json)" : error.message;
    return problemOf(new SternwayError("invalid", text), { status: error.status });
  }
  return problemOf(new SternwayError("internal", "the appliance failed on this request"));
}

/** The answer to a request that its schema refuses, field by field. */
export const failedValidation: Hook<unknown, ApiEnv, string, Response | undefined> = (result) => {
  if (result.success) return undefined;
  const where = { query: "query", param: "path", json: "body" }[result.target as string] ?? result.target;
  const issues = result.error.issues.slice(0, ISSUES_MAX).map((issue) => ({
    in: where,
    path: issue.path.join("."),
    message: issue.message,
  }));
  const first = issues[0];
  const named = first?.path ? `${where} field ${first.path}` : where;
  const error = new SternwayError("invalid", `the ${named} is not acceptable: ${first?.message ?? "unknown reason"}`);
  return respond(problemOf(error, { issues }));
};

/** 404, or 405 with Allow when the path exists for other methods. */
export function unknownRoute(request: Request, allowed: string[]): Response {
  const path = new URL(request.url).pathname;
  if (allowed.length === 0) {
    const error = new SternwayError("not_found", `there is nothing at ${path}`, { path });
    return respond(problemOf(error, { todo: "See /openapi.json for what there is." }));
  }
  const allow = allowed.join(", ");
  const error = new SternwayError("invalid", `${request.method} is not possible at ${path}; ${allow} is`, {
    path,
    allow,
  });
  return respond(problemOf(error, { status: 405 }), { allow });
}

/** Methods that some route takes at a path. */
export function allowedMethods(routes: readonly { method: string; path: string }[], path: string): string[] {
  const methods = new Set<string>();
  // Once: a path of thousands of parts, compared with hundreds of routes, would otherwise take as long as a disk's answers may not wait.
  const given = path.split("/");
  for (const route of routes) {
    if (route.method === "ALL" || !matches(route.path, given)) continue;
    methods.add(route.method.toUpperCase());
    if (route.method.toUpperCase() === "GET") methods.add("HEAD");
  }
  return [...methods].sort();
}

function matches(pattern: string, given: readonly string[]): boolean {
  const wanted = pattern.split("/");
  return (
    wanted.length === given.length &&
    wanted.every((part, i) => (part.startsWith(":") ? given[i] !== "" : part === given[i]))
  );
}
