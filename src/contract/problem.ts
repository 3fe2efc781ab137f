/**
 * Errors on the wire: RFC 9457 problem documents that carry the error's kind, its facts and what to do next.
 * Both directions live here, so that an error thrown in the appliance is thrown again, alike, in its client.
 */
import { z } from "@hono/zod-openapi";
import { SternwayError, type ErrorKind } from "../base/errors.ts";

export const PROBLEM_TYPE = "application/problem+json";
const TYPE_PREFIX = "urn:sternway:problem:";

const KINDS = [
  "invalid",
  "not_found",
  "conflict",
  "unavailable",
  "corrupt",
  "fenced",
  "denied",
  "internal",
] as const satisfies readonly ErrorKind[];

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: `${TYPE_PREFIX}not_found` }),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().openapi({ description: "what happened, with the facts" }),
    kind: z.enum(KINDS),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    todo: z.string().openapi({ description: "what to do next" }),
    issues: z
      .array(z.object({ in: z.string(), path: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: "for a request that failed validation: what is wrong, field by field" }),
  })
  .openapi("Problem");
export type Problem = z.output<typeof problemSchema>;

const TITLES: Record<ErrorKind, string> = {
  invalid: "The request is wrong",
  not_found: "There is no such thing",
  conflict: "Its state forbids this now",
  unavailable: "Not possible at this time",
  corrupt: "Stored bytes are damaged",
  fenced: "Another writer has taken over",
  denied: "Not allowed",
  internal: "A defect of the appliance",
};

const TODO: Record<ErrorKind, string> = {
  invalid: "Change the request as the detail says; /openapi.json lists what is allowed.",
  not_found: "Check what the path and the body name; the detail says what is not there.",
  conflict: "Change that state first, or repeat with force where the operation offers it.",
  unavailable: "Try again later; the detail says what is missing.",
  corrupt: "Run `sternway check` to see what is damaged; other moments may still be whole.",
  fenced: "Find out which installation is meant to write there; taking the vault over moves it here.",
  denied: "Do what the detail says; rights are given by an administrator of this appliance.",
  internal: "Look into the appliance's log and report the entry found there.",
};

const STATUS: Record<ErrorKind, number> = {
  invalid: 400,
  not_found: 404,
  conflict: 409,
  unavailable: 503,
  corrupt: 500,
  fenced: 503,
  denied: 403,
  internal: 500,
};

const WAIT = "Wait as long as the detail says, then try again.";
const SIGN_IN = "Sign in by POST /v1/session, or send an API token as `Authorization: Bearer TOKEN`.";
const FOR_ALL: ReadonlySet<string> = new Set([...Object.values(TODO), WAIT, SIGN_IN]);

/** Whether a problem's next step is the one for all errors of a kind, which speaks to programs: what people use has words of its own. */
export function isForPrograms(todo: string): boolean {
  return FOR_ALL.has(todo);
}

/** The HTTP status of an error: by kind, but 507 when the disk is full, and of `denied` 401 to whoever may sign in and 429 to whoever has to wait. */
export function statusOf(kind: ErrorKind, facts: SternwayError["facts"]): number {
  const asked = facts["status"];
  if (kind === "denied" && (asked === 401 || asked === 429)) return asked;
  return kind === "unavailable" && facts["code"] === "ENOSPC" ? 507 : STATUS[kind];
}

/** The problem document of a typed error. @param overrides - a more exact status, next step, or the list of issues */
export function problemOf(
  error: SternwayError,
  overrides: { status?: number; todo?: string; issues?: Problem["issues"] } = {},
): Problem {
  const status = overrides.status ?? statusOf(error.kind, error.facts);
  return {
    type: `${TYPE_PREFIX}${error.kind}`,
    title: TITLES[error.kind],
    status,
    detail: error.message,
    kind: error.kind,
    facts: { ...error.facts },
    todo: overrides.todo ?? (status === 401 ? SIGN_IN : status === 429 ? WAIT : TODO[error.kind]),
    ...(overrides.issues === undefined ? {} : { issues: overrides.issues }),
  };
}

/** The typed error of a problem document: same kind, message and facts; the issues join the message. */
export function errorOfProblem(problem: Problem): SternwayError {
  const issues = (problem.issues ?? []).map((issue) => `${issue.path || issue.in}: ${issue.message}`);
  const message = issues.length === 0 ? problem.detail : `${problem.detail}: ${issues.join("; ")}`;
  return new SternwayError(problem.kind, message, { ...problem.facts, todo: problem.todo });
}
