/** Where people are signed in: browsers' sessions, named by ids that are no secrets, and ending them. */
import { createRoute, z } from "@hono/zod-openapi";
import { accountNameSchema } from "./accounts.ts";
import { countSchema, timeSchema } from "./fields.ts";
import { json, problem } from "./route-parts.ts";

const ofAccount = z.strictObject({
  account: accountNameSchema
    .optional()
    .openapi({ description: "one's own if left out; another's for administrators; needed over the control socket" }),
});

export const openSessionSchema = z
  .object({
    id: z.string().openapi({ description: "no secret, and nothing follows from it", example: "9f86d081884c7d65" }),
    account: z.string(),
    createdAt: timeSchema.openapi({ description: "when somebody signed in" }),
    lastSeenAt: timeSchema.openapi({ description: "to the minute" }),
    endsAt: timeSchema.openapi({ description: "at the latest; earlier after 30 idle minutes" }),
    from: z.string().openapi({ description: "address from which somebody signed in" }),
    browser: z
      .string()
      .openapi({ description: "as it calls itself, in short; empty: not known", example: "Firefox on Linux" }),
    current: z.boolean().openapi({ description: "the one that asks" }),
  })
  .openapi("OpenSession");
export type WireOpenSession = z.output<typeof openSessionSchema>;
export const sessionListSchema = z.object({ sessions: z.array(openSessionSchema) }).openapi("SessionList");
export const sessionsEndedSchema = z
  .object({ ended: countSchema.openapi({ description: "how many" }) })
  .openapi("SessionsEnded");

export const listSessions = createRoute({
  method: "get",
  path: "/v1/sessions",
  operationId: "listSessions",
  summary: "Where somebody is signed in with a browser, oldest first",
  tags: ["access"],
  request: { query: ofAccount },
  responses: { 200: json("the sessions that run", sessionListSchema), default: problem },
});

export const endSessions = createRoute({
  method: "delete",
  path: "/v1/sessions",
  operationId: "endSessions",
  summary: "Sign somebody out everywhere, but for the session that asks; API tokens stay",
  tags: ["access"],
  request: { query: ofAccount },
  responses: { 200: json("they are over", sessionsEndedSchema), default: problem },
});

export const endSession = createRoute({
  method: "delete",
  path: "/v1/sessions/{id}",
  operationId: "endSession",
  summary: "End one session: one's own, or as an administrator anybody's",
  tags: ["access"],
  request: {
    params: z.strictObject({
      id: z
        .string()
        .regex(/^[0-9a-f]{16}$/, "must be a session's id: 16 hexadecimal digits")
        .openapi({ example: "9f86d081884c7d65" }),
    }),
    query: z.strictObject({}),
  },
  responses: { 204: { description: "it is over: its cookie is refused from now on" }, default: problem },
});
