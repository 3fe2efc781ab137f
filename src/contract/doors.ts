/** Where the appliance is reached: its block doors (NBD) and its own address, as commands on other machines need them. */
import { createRoute, z } from "@hono/zod-openapi";
import { json, problem } from "./route-parts.ts";
import { sendForJson, type ClientTarget } from "./transport.ts";

export const doorsSchema = z
  .object({
    socketPath: z.string().openapi({ description: "the block door on the appliance itself: root and its own user" }),
    localSocketPath: z.string().optional().openapi({
      description:
        "the block door for other users of the appliance's system, by credentials of machines; left out: there is none",
    }),
    nbd: z
      .array(
        z.object({
          host: z.string().openapi({ description: "as it listens; `0.0.0.0` and `::` are all addresses" }),
          port: z.int().min(0).max(65_535),
          tls: z.boolean(),
          credentials: z.boolean().openapi({ description: "a client needs the certificate of a machine" }),
        }),
      )
      .openapi({ description: "block doors over TCP; none: other machines do not reach the disks" }),
  })
  .openapi("Doors");
export type WireDoors = z.output<typeof doorsSchema>;

export const getDoors = createRoute({
  method: "get",
  path: "/v1/doors",
  operationId: "getDoors",
  summary: "Where the disks are reached over NBD",
  tags: ["appliance"],
  request: { query: z.strictObject({}) },
  responses: { 200: json("the doors", doorsSchema), default: problem },
});

/** The client's method for them. */
export function doorMethods(target: ClientTarget) {
  return { doors: () => sendForJson(target, { method: "GET", path: "/v1/doors" }, doorsSchema) };
}
