/** The scrub: how far it has come, and running it now. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, countSchema, nameSchema, timeSchema } from "./fields.ts";
import { JOB_DESCRIPTION, jobStarted } from "./jobs.ts";
import { problemSchema } from "./problem.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

const totals = {
  objects: countSchema.openapi({ description: "packs, layers and chronicles read" }),
  bytes: bytesSchema,
  findings: countSchema.openapi({ description: "damaged places" }),
  restored: countSchema.openapi({ description: "blocks that were brought back" }),
};

export const vaultScrubSchema = z
  .object({
    vault: nameSchema,
    state: z.enum(["waiting", "running", "paused"]).openapi({
      description:
        "`waiting`: for the next object's turn; `running`: asked for by somebody; `paused`: clients come first",
    }),
    cycle: countSchema.openapi({ description: "counts from 1" }),
    startedAt: timeSchema,
    part: z.enum(["packs", "layers", "chronicles", "searching"]),
    ...totals,
    bytesLeft: bytesSchema.openapi({ description: "that this cycle has still to read" }),
    quarantined: countSchema.openapi({ description: "blocks that are damaged and not brought back, as of now" }),
    trouble: z.string().optional().openapi({ description: "why it does not go on, in words" }),
    last: z
      .object({ ...totals, startedAt: timeSchema, endedAt: timeSchema })
      .optional()
      .openapi({ description: "the cycle before" }),
  })
  .openapi("VaultScrub");
export type VaultScrub = z.output<typeof vaultScrubSchema>;

export const scrubStatusSchema = z
  .object({ cycleDays: z.number(), vaults: z.array(vaultScrubSchema) })
  .openapi("ScrubStatus");
export type ScrubStatus = z.output<typeof scrubStatusSchema>;

export const scrubLineSchema = z
  .discriminatedUnion("line", [
    z.object({
      line: z.literal("progress"),
      what: z.string(),
      done: bytesSchema,
      total: bytesSchema,
    }),
    z.object({
      line: z.literal("finding"),
      subject: z.string().openapi({ description: "the object: a pack, a layer, a chronicle" }),
      message: z.string(),
      known: z.boolean().openapi({ description: "it was found before and could not be repaired since" }),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    }),
    z.object({
      line: z.literal("repair"),
      subject: z.string(),
      restored: z
        .record(z.string(), countSchema)
        .openapi({ description: "blocks brought back, by where they were found" }),
      freed: countSchema.openapi({ description: "damaged blocks that nothing refers to" }),
      lost: countSchema.openapi({ description: "blocks for which no copy was found" }),
      obstacle: z.string().optional().openapi({ description: "why nothing could be done" }),
    }),
    z.object({
      line: z.literal("end"),
      objects: countSchema,
      bytes: bytesSchema,
      findings: countSchema,
      restored: countSchema,
      damaged: countSchema.openapi({ description: "places that are still damaged" }),
    }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("ScrubLine");
export type ScrubLine = z.output<typeof scrubLineSchema>;

export const getScrub = createRoute({
  method: "get",
  path: "/v1/scrub",
  operationId: "getScrub",
  summary: "How far the scrub of each open vault has come",
  tags: ["appliance"],
  request: { query: z.strictObject({}) },
  responses: { 200: json("the scrub", scrubStatusSchema), default: problem },
});

export const startScrub = createRoute({
  method: "post",
  path: "/v1/scrub",
  operationId: "startScrub",
  summary: "Read at full speed what the present cycle has left, repairing on the way, as a job",
  description: `${JOB_DESCRIPTION} Its lines are ScrubLine. Cancelled, it stops after the object at hand. One runs at a time.`,
  tags: ["appliance"],
  request: {
    query: z.strictObject({}),
    body: jsonBody(
      z
        .strictObject({
          vault: nameSchema.optional().openapi({ description: "only this vault" }),
          full: z.boolean().optional().openapi({ description: "begin the cycle anew, so that everything is read" }),
        })
        .openapi("StartScrub"),
    ),
  },
  responses: { 202: jobStarted, default: problem },
});
export type ScrubRequest = { vault?: string | undefined; full?: boolean | undefined };
