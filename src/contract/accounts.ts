/**
 * Everybody's accounts, and API tokens. Passwords and tokens come in and go out in bodies alone, never in a path or query, which logs keep.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { nameSchema, timeSchema } from "./fields.ts";
import { ROLES } from "./rights.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

export const ACCOUNT_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
const ACCOUNT_NAME_RULE = "1 to 64 of a-z 0-9 . _ - @, starting with a letter or digit";
/** Above every password that is taken, so that a longer one gets the rule's own words. */
export const PASSWORD_LENGTH_MAX = 512;
const MACHINES_MAX = 256;
const TOKEN_DAYS_MAX = 366;

export const accountNameSchema = z
  .string()
  .regex(ACCOUNT_NAME, `must be ${ACCOUNT_NAME_RULE}`)
  .openapi({ description: ACCOUNT_NAME_RULE, example: "anna" });
export const passwordSchema = z
  .string()
  .min(1, "must not be empty")
  .max(PASSWORD_LENGTH_MAX)
  .openapi({ format: "password", description: "10 to 256 characters, 5 of them different" });
export const roleSchema = z.enum(ROLES).openapi({ description: "see the README for what each may" });
export const machinesSchema = z
  .array(nameSchema)
  .max(MACHINES_MAX)
  .openapi({ description: "of the role self-service: the machines that are theirs" });

const none = { query: z.strictObject({}) };
const named = { params: z.strictObject({ name: accountNameSchema }), ...none };

export const accountSchema = z
  .object({
    name: accountNameSchema,
    role: roleSchema,
    machines: machinesSchema,
    signsInBy: z.enum(["password", "provider"]),
    secondFactor: z.boolean(),
    createdAt: timeSchema,
    signedInAt: timeSchema.optional().openapi({ description: "the last time; absent: never" }),
    pausedUntil: timeSchema.optional().openapi({ description: "after too many wrong passwords or codes" }),
  })
  .openapi("Account");
export type WireAccount = z.output<typeof accountSchema>;
export const accountListSchema = z.object({ accounts: z.array(accountSchema) }).openapi("AccountList");
export const accountChangedSchema = accountSchema
  .extend({ tokensRemoved: z.int().min(0).openapi({ description: "that would do more than the account may now" }) })
  .openapi("AccountChanged");

export const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    account: z.string(),
    role: roleSchema,
    machines: machinesSchema.optional().openapi({ description: "absent: all of the account" }),
    createdAt: timeSchema,
    expiresAt: timeSchema,
    lastUsedAt: timeSchema.optional().openapi({ description: "to the minute; absent: never" }),
  })
  .openapi("Token");
export type WireToken = z.output<typeof tokenSchema>;
export const tokenListSchema = z.object({ tokens: z.array(tokenSchema) }).openapi("TokenList");
export const tokenMadeSchema = tokenSchema
  .extend({ token: z.string().openapi({ description: "shown once; cannot be had again" }) })
  .openapi("TokenMade");
export type WireTokenMade = z.output<typeof tokenMadeSchema>;

export const listAccounts = createRoute({
  method: "get",
  path: "/v1/accounts",
  operationId: "listAccounts",
  summary: "All accounts, by name",
  tags: ["access"],
  request: none,
  responses: { 200: json("the accounts", accountListSchema), default: problem },
});

export const addAccount = createRoute({
  method: "post",
  path: "/v1/accounts",
  operationId: "addAccount",
  summary: "Add an account with a password",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({
          name: accountNameSchema,
          role: roleSchema,
          machines: machinesSchema.optional(),
          password: passwordSchema,
        })
        .openapi("AddAccount"),
    ),
  },
  responses: { 201: json("the account", accountSchema), default: problem },
});

export const getAccount = createRoute({
  method: "get",
  path: "/v1/accounts/{name}",
  operationId: "getAccount",
  summary: "One account",
  tags: ["access"],
  request: named,
  responses: { 200: json("the account", accountSchema), default: problem },
});

export const changeAccount = createRoute({
  method: "patch",
  path: "/v1/accounts/{name}",
  operationId: "changeAccount",
  summary: "Give an account another role or other machines; its sessions end",
  tags: ["access"],
  request: {
    ...named,
    body: jsonBody(
      z.strictObject({ role: roleSchema.optional(), machines: machinesSchema.optional() }).openapi("ChangeAccount"),
    ),
  },
  responses: { 200: json("the account", accountChangedSchema), default: problem },
});

export const removeAccount = createRoute({
  method: "delete",
  path: "/v1/accounts/{name}",
  operationId: "removeAccount",
  summary: "Remove an account with its sessions and tokens",
  tags: ["access"],
  request: named,
  responses: { 204: { description: "it is gone" }, default: problem },
});

export const setAccountPassword = createRoute({
  method: "put",
  path: "/v1/accounts/{name}/password",
  operationId: "setAccountPassword",
  summary: "Set somebody's password; his sessions end",
  tags: ["access"],
  request: { ...named, body: jsonBody(z.strictObject({ password: passwordSchema }).openapi("SetAccountPassword")) },
  responses: { 204: { description: "it is set" }, default: problem },
});

export const unlockAccount = createRoute({
  method: "post",
  path: "/v1/accounts/{name}/unlock",
  operationId: "unlockAccount",
  summary: "End the pause after too many wrong passwords or codes",
  tags: ["access"],
  request: named,
  responses: { 200: json("the account", accountSchema), default: problem },
});

export const turnAccountTotpOff = createRoute({
  method: "delete",
  path: "/v1/accounts/{name}/totp",
  operationId: "turnAccountTotpOff",
  summary: "Turn somebody's second factor off, for who lost it",
  tags: ["access"],
  request: named,
  responses: { 200: json("the account", accountSchema), default: problem },
});

export const listTokens = createRoute({
  method: "get",
  path: "/v1/tokens",
  operationId: "listTokens",
  summary: "One's own API tokens; an administrator's list has everybody's",
  tags: ["access"],
  request: none,
  responses: { 200: json("oldest first", tokenListSchema), default: problem },
});

export const addToken = createRoute({
  method: "post",
  path: "/v1/tokens",
  operationId: "addToken",
  summary: "Make an API token; it is shown once",
  tags: ["access"],
  request: {
    ...none,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema.openapi({ description: "what it is for" }),
          role: roleSchema.optional().openapi({ description: "not above the account's; its own if left out" }),
          machines: machinesSchema.optional().openapi({ description: "of the role self-service: only these" }),
          expiresInDays: z.int().min(1).max(TOKEN_DAYS_MAX).optional().openapi({ description: "90 if left out" }),
          account: accountNameSchema.optional().openapi({ description: "over the control socket: whose it is" }),
        })
        .openapi("AddToken"),
    ),
  },
  responses: { 201: json("the token", tokenMadeSchema), default: problem },
});

export const removeToken = createRoute({
  method: "delete",
  path: "/v1/tokens/{id}",
  operationId: "removeToken",
  summary: "Remove an API token: one's own, or as an administrator anybody's",
  tags: ["access"],
  request: {
    params: z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/, "must be a token's id: 16 hexadecimal digits") }),
    ...none,
  },
  responses: { 204: { description: "it is refused from now on" }, default: problem },
});
