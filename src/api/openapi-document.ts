/**
 * The OpenAPI document: what the routes say of themselves, and what holds for all of them: how to sign in, the headers of keys and preconditions, the errors, and
 * the right that each operation needs.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { checkLineSchema } from "../contract/appliance.ts";
import { PROBLEM_TYPE, type OperationId } from "../contract/contract.ts";
import { gcLineSchema } from "../contract/retention.ts";
import { NEEDS } from "../contract/rights.ts";
import { scrubLineSchema } from "../contract/scrub.ts";
import { syncLineSchema, verifyLineSchema } from "../contract/tiers.ts";
import type { ApiEnv } from "./appliance.ts";

/** As much of a JSON schema as we write and show. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  example?: unknown;
  examples?: unknown[];
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema: Schema;
}

type Content = Record<string, { schema: Schema }>;
export interface ResponseObject {
  description: string;
  content?: Content;
  headers?: Record<string, { description?: string; schema: Schema }>;
}

export interface Operation {
  operationId: OperationId;
  summary: string;
  description?: string;
  tags: string[];
  parameters?: (Parameter | { $ref: string })[];
  requestBody?: { required?: boolean; content: Content };
  responses: Record<string, ResponseObject | { $ref: string }>;
  security?: Record<string, string[]>[];
  "x-right"?: string;
  "x-scope"?: string;
}

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string; description: string };
  security: Record<string, string[]>[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    parameters: Record<string, Parameter>;
    responses: Record<string, ResponseObject>;
    securitySchemes: Record<string, object>;
  };
}

const DESCRIPTION =
  "Volumes whose every write is kept, and which can be read as of any past moment. Sizes are bytes, times RFC 3339 in UTC, moments text. Requests are strict: an unknown field is refused. Answers are open: ignore fields that you do not know. Errors are problem documents (RFC 9457) with a `kind`, `facts` and what to do next.";

const SIGNED_IN = [{ token: [] }, { session: [] }];
const CHANGING = new Set(["put", "patch", "delete"]);

const SECURITY_SCHEMES = {
  token: { type: "http", scheme: "bearer", description: "An API token, made by `POST /v1/tokens`." },
  session: {
    type: "apiKey",
    in: "cookie",
    name: "__Host-sternway",
    description:
      "The cookie that `POST /v1/session` sets, for the console; what changes anything then carries the session's token in `X-Sternway-Csrf` as well. Over the control socket nobody needs any of this.",
  },
};

const text = (schema: Schema): Schema => ({ type: "string", ...schema });
const PARAMETERS: Record<string, Parameter> = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "A word of your choice for this request. Sent again with the same key and body, it is answered as the first time and done once. Kept for 24 hours, until the appliance restarts. With another body: 422; while the first still runs: 409; an answer that told a secret is not kept: 409.",
    schema: text({ minLength: 1, maxLength: 128, pattern: "^[!-~]+$", example: "7f3c9a52" }),
  },
  IfMatch: {
    name: "If-Match",
    in: "header",
    description: "The ETag that was read: the change is made only if nobody changed the resource since, else 412.",
    schema: text({ example: '"xQ3f….9aVd…"' }),
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description: "The ETag that you have: 304 without a body if it is still so.",
    schema: text({ example: '"xQ3f….9aVd…"' }),
  },
};

const problem = (description: string, headers: ResponseObject["headers"] = {}): ResponseObject => ({
  description,
  headers,
  content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
});
const RETRY_AFTER = { "Retry-After": { description: "seconds", schema: { type: "integer", minimum: 1 } } };
const RESPONSES: Record<string, ResponseObject> = {
  Invalid: problem("the request is wrong; `issues` says where"),
  NobodySignedIn: problem("nobody has signed in", { "WWW-Authenticate": { schema: { type: "string" } } }),
  Denied: problem("this account may not do it"),
  NotFound: problem("there is no such thing"),
  Conflict: problem("its state forbids this now"),
  Changed: problem("it was changed since; the header ETag tells how it is now", {
    ETag: { schema: { type: "string" } },
  }),
  OtherBody: problem("the Idempotency-Key came before with another body"),
  TooMany: problem("too many requests", RETRY_AFTER),
  Unavailable: problem("not possible at this time"),
};

/** The status with which each of the usual errors comes. */
export const ERRORS: Readonly<Record<string, number>> = {
  Invalid: 400,
  NobodySignedIn: 401,
  Denied: 403,
  NotFound: 404,
  Conflict: 409,
  Changed: 412,
  OtherBody: 422,
  TooMany: 429,
  Unavailable: 503,
};

const response = (name: string): { $ref: string } => ({ $ref: `#/components/responses/${name}` });
const parameter = (name: string): { $ref: string } => ({ $ref: `#/components/parameters/${name}` });

/** Of all routes that are registered by now. */
export function openApiDocument(app: OpenAPIHono<ApiEnv>, version: string): OpenApiDocument {
  // Told of jobs as events, so no route names them.
  for (const [name, schema] of Object.entries({
    CheckLine: checkLineSchema,
    ScrubLine: scrubLineSchema,
    GcLine: gcLineSchema,
    SyncLine: syncLineSchema,
    VerifyLine: verifyLineSchema,
  })) {
    app.openAPIRegistry.register(name, schema);
  }
  const info = { title: "Sternway", version, description: DESCRIPTION };
  const made = app.getOpenAPI31Document({ openapi: "3.1.0", info }) as unknown as OpenApiDocument;
  const document: OpenApiDocument = {
    ...made,
    security: SIGNED_IN,
    components: { ...made.components, parameters: PARAMETERS, responses: RESPONSES, securitySchemes: SECURITY_SCHEMES },
  };
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) complete(operation, method, path);
  }
  return document;
}

/** Adds what holds for every operation of its kind. */
function complete(operation: Operation, method: string, path: string): void {
  const { right, scope } = NEEDS[operation.operationId];
  operation["x-right"] = right;
  operation["x-scope"] = scope;
  if (right === "anyone") operation.security = [];
  const changes = CHANGING.has(method) || path.endsWith("/rollback");
  const isTagged = method === "get" && Object.hasOwn(contentOf(operation.responses["200"]), "application/json");
  const parameters = [
    ...(method === "post" ? [parameter("IdempotencyKey")] : []),
    ...(changes ? [parameter("IfMatch")] : []),
    ...(isTagged && path.startsWith("/v1/") ? [parameter("IfNoneMatch")] : []),
  ];
  if (parameters.length > 0) operation.parameters = [...(operation.parameters ?? []), ...parameters];
  operation.responses = {
    ...(isTagged && path.startsWith("/v1/") ? { 304: { description: "it is as If-None-Match says" } } : {}),
    ...usual("Invalid", true),
    ...usual("NobodySignedIn", right !== "anyone"),
    ...usual("Denied", right !== "anyone"),
    ...usual("NotFound", path.includes("{")),
    ...usual("Conflict", method !== "get" && method !== "head"),
    ...usual("Changed", changes),
    ...usual("OtherBody", method === "post"),
    ...usual("TooMany", true),
    ...usual("Unavailable", true),
    // What a route says of its own counts more.
    ...operation.responses,
  };
}

function usual(name: string, isPossible: boolean): Record<string, { $ref: string }> {
  return isPossible ? { [String(ERRORS[name])]: response(name) } : {};
}

function contentOf(found: ResponseObject | { $ref: string } | undefined): Content {
  return found && "content" in found && found.content ? found.content : {};
}
