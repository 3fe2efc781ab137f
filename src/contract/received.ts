/** Places that this appliance keeps for others: list, add, remove, and a new token. A token is told once. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, nameSchema, timeSchema } from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

/** Far above any disk, and exact as a number. */
const QUOTA_BYTES_MAX = 2 ** 50;

export const receivedSchema = z
  .object({
    name: nameSchema,
    createdAt: timeSchema,
    identity: z.string().optional().openapi({ description: "the vault that uses it; absent: none does yet" }),
    usedBytes: bytesSchema.openapi({ description: "of all its objects" }),
    quotaBytes: bytesSchema.optional().openapi({ description: "absent: the disk's free space is the bound" }),
    reason: z.string().optional().openapi({ description: "why it cannot be used now, in words" }),
  })
  .openapi("Received");
export type WireReceived = z.output<typeof receivedSchema>;

export const receivedListSchema = z
  .object({
    listen: z.string().optional().openapi({ description: "where peers reach it, HOST:PORT; absent: nowhere" }),
    places: z.array(receivedSchema),
  })
  .openapi("ReceivedList");
export type WireReceivedList = z.output<typeof receivedListSchema>;

export const receivedTokenSchema = z
  .object({
    name: nameSchema,
    token: z.string().openapi({ description: "what the sender needs; cannot be had again" }),
    listen: z.string().optional().openapi({ description: "where peers reach it, HOST:PORT; absent: nowhere" }),
  })
  .openapi("ReceivedToken");
export type WireReceivedToken = z.output<typeof receivedTokenSchema>;

const none = z.strictObject({});
const params = z.strictObject({ name: nameSchema });

export const listReceived = createRoute({
  method: "get",
  path: "/v1/received",
  operationId: "listReceived",
  summary: "The places kept for other appliances",
  tags: ["received"],
  request: { query: none },
  responses: { 200: json("by name", receivedListSchema), default: problem },
});

export const addReceived = createRoute({
  method: "post",
  path: "/v1/received",
  operationId: "addReceived",
  summary: "Make a place for another appliance's vault, and the token for it. Control socket only",
  tags: ["received"],
  request: {
    query: none,
    body: jsonBody(
      z
        .strictObject({ name: nameSchema, quotaBytes: z.int().min(1).max(QUOTA_BYTES_MAX).optional() })
        .openapi("AddReceived"),
    ),
  },
  responses: { 201: json("its token", receivedTokenSchema), default: problem },
});

export const renewReceived = createRoute({
  method: "post",
  path: "/v1/received/{name}/token",
  operationId: "renewReceived",
  summary: "Make another token for a place; the old one is refused from then on. Control socket only",
  tags: ["received"],
  request: { params, query: none },
  responses: { 200: json("its token", receivedTokenSchema), default: problem },
});

export const removeReceived = createRoute({
  method: "delete",
  path: "/v1/received/{name}",
  operationId: "removeReceived",
  summary: "Delete a place and all that it keeps, for good. Control socket only",
  tags: ["received"],
  request: { params, query: none },
  responses: { 204: { description: "it is gone" }, default: problem },
});
