/**
 * Coming in: the first set-up, signing in and out, one's own password and second factor, and OpenID Connect. Passwords and codes come in bodies alone, never in
 * a path or query, which logs keep.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { accountNameSchema, machinesSchema, PASSWORD_LENGTH_MAX, passwordSchema, roleSchema } from "./accounts.ts";
import { timeSchema } from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

/** As somebody types it: whatever it is, it is only compared. */
const typedSchema = z.string().max(PASSWORD_LENGTH_MAX).openapi({ format: "password" });
const codeSchema = z
  .string()
  .max(64)
  .openapi({ description: "six digits that the authenticator shows, or a recovery code", example: "123456" });
const none = { query: z.strictObject({}) };
export const setupSchema = z
  .object({
    isSetUp: z.boolean().openapi({ description: "there is an account: sign in" }),
    oidc: z.boolean().openapi({ description: "GET /v1/oidc/start signs in through a provider" }),
    code: z.string().optional().openapi({ description: "over the control socket, while there is no account" }),
  })
  .openapi("Setup");
export type WireSetup = z.output<typeof setupSchema>;

export const sessionSchema = z
  .object({
    name: z.string().openapi({ description: "the account; `root` over the control socket" }),
    role: roleSchema,
    machines: machinesSchema,
    by: z.enum(["control", "session", "token"]),
    signsInBy: z.enum(["password", "provider"]).optional().openapi({ description: "absent over the control socket" }),
    secondFactor: z
      .enum(["off", "on", "required"])
      .openapi({ description: "`required`: this account gets at nothing else until it has one" }),
    csrf: z
      .string()
      .optional()
      .openapi({ description: "of a session: to be sent as x-sternway-csrf with all that changes something" }),
    endsAt: timeSchema
      .optional()
      .openapi({ description: "of a session: at the latest; earlier after 30 idle minutes" }),
  })
  .openapi("Session");
export type WireSession = z.output<typeof sessionSchema>;

export const getSetup = createRoute({
  method: "get",
  path: "/v1/setup",
  operationId: "getSetup",
  summary: "Whether the appliance is set up, and how one signs in",
  tags: ["access"],
  request: none,
  responses: { 200: json("how it stands", setupSchema), default: problem },
});

export const setUp = createRoute({
  method: "post",
  path: "/v1/setup",
  operationId: "setUp",
  summary: "Make the first administrator and sign in; needs the code that the terminal shows",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({
          code: z.string().max(64).optional().openapi({ description: "not needed over the control socket" }),
          name: accountNameSchema,
          password: passwordSchema,
        })
        .openapi("SetUp"),
    ),
  },
  responses: { 201: json("signed in", sessionSchema), default: problem },
});

export const getSession = createRoute({
  method: "get",
  path: "/v1/session",
  operationId: "getSession",
  summary: "Who is asking, and the CSRF token of the session",
  tags: ["access"],
  request: none,
  responses: { 200: json("who", sessionSchema), default: problem },
});

export const signIn = createRoute({
  method: "post",
  path: "/v1/session",
  operationId: "signIn",
  summary: "Sign in; the session comes as a cookie",
  description:
    "401 with `facts.needsCode` when only the code of the second factor is missing; 429 with `facts.retryAfterSeconds` after too many wrong attempts.",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({ name: z.string().max(128), password: typedSchema, code: codeSchema.optional() })
        .openapi("SignIn"),
    ),
  },
  responses: { 201: json("signed in", sessionSchema), default: problem },
});

export const signOut = createRoute({
  method: "delete",
  path: "/v1/session",
  operationId: "signOut",
  summary: "Sign out",
  tags: ["access"],
  request: none,
  responses: { 204: { description: "the session is over" }, default: problem },
});

export const changePassword = createRoute({
  method: "put",
  path: "/v1/account/password",
  operationId: "changePassword",
  summary: "Change one's own password; all other sessions end, and this one gets another cookie and CSRF token",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(z.strictObject({ password: typedSchema, newPassword: passwordSchema }).openapi("ChangePassword")),
  },
  responses: { 200: json("the new session", sessionSchema), default: problem },
});

export const beginTotp = createRoute({
  method: "post",
  path: "/v1/account/totp",
  operationId: "beginTotp",
  summary: "Begin to get a second factor: what the authenticator needs",
  tags: ["access"],
  request: { ...none, body: jsonBody(z.strictObject({ password: typedSchema }).openapi("BeginTotp")) },
  responses: {
    200: json(
      "counts when PUT confirmed it by a code",
      z
        .object({
          secret: z.string().openapi({ description: "base32, to type it" }),
          uri: z.string().openapi({ description: "otpauth:, to show it as a picture" }),
        })
        .openapi("TotpBegun"),
    ),
    default: problem,
  },
});

export const confirmTotp = createRoute({
  method: "put",
  path: "/v1/account/totp",
  operationId: "confirmTotp",
  summary: "Turn the second factor on, by a code that the authenticator shows",
  tags: ["access"],
  request: { ...none, body: jsonBody(z.strictObject({ code: codeSchema }).openapi("ConfirmTotp")) },
  responses: {
    200: json(
      "it is on",
      z
        .object({ recoveryCodes: z.array(z.string()).openapi({ description: "shown once; each works once" }) })
        .openapi("TotpOn"),
    ),
    default: problem,
  },
});

export const turnTotpOff = createRoute({
  method: "post",
  path: "/v1/account/totp/off",
  operationId: "turnTotpOff",
  summary: "Turn one's own second factor off",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(z.strictObject({ password: typedSchema, code: codeSchema }).openapi("TurnTotpOff")),
  },
  responses: { 204: { description: "it is off" }, default: problem },
});

export const startOidc = createRoute({
  method: "get",
  path: "/v1/oidc/start",
  operationId: "startOidc",
  summary: "Send the browser to the provider of OpenID Connect",
  tags: ["access"],
  request: none,
  responses: { 302: { description: "to the provider" }, default: problem },
});

export const finishOidc = createRoute({
  method: "get",
  path: "/v1/oidc/callback",
  operationId: "finishOidc",
  summary: "Where the provider sends the browser back to; leads to the console",
  description:
    "To `/` when it signed in, else to `/?sign-in=REASON` with `expired`, `refused` (by the provider, or its answer does not count), `role` (none on this appliance), `name` (taken or not possible) or `provider` (out of reach).",
  tags: ["access"],
  // The provider decides what it sends along.
  request: { query: z.object({}).loose() },
  responses: { 302: { description: "to the console" }, default: problem },
});
