/** How long a volume's history is kept: policy, plan, lock, holds; and giving space back. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, countSchema, lsnSchema, momentSchema, nameSchema, timeSchema, volumeParams } from "./fields.ts";
import { JOB_DESCRIPTION, jobStarted } from "./jobs.ts";
import { problemSchema } from "./problem.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

/** 100 years. */
const SECONDS_MAX = 36_525 * 86_400;
const secondsSchema = z.int().min(0).max(SECONDS_MAX);
const DAY_SECONDS = 86_400;

/** Lengths count back from the present; 0 or left out: none. */
const policyFields = {
  allSeconds: secondsSchema
    .min(1)
    .openapi({ description: "every write is kept for so long", example: 2 * DAY_SECONDS }),
  hourlySeconds: secondsSchema.default(0).openapi({ description: "one point of each hour", example: 14 * DAY_SECONDS }),
  dailySeconds: secondsSchema.default(0).openapi({ description: "one point of each day", example: 56 * DAY_SECONDS }),
  weeklySeconds: secondsSchema.default(0).openapi({ description: "one point of each week, from Monday" }),
  monthlySeconds: secondsSchema
    .default(0)
    .openapi({ description: "one point of each month", example: 744 * DAY_SECONDS }),
};

export const retentionPolicySchema = z.strictObject(policyFields).openapi("RetentionPolicy");
export type WirePolicy = z.output<typeof retentionPolicySchema>;

const keptPointSchema = z
  .object({
    lsn: lsnSchema,
    time: timeSchema,
    why: z.enum(["hourly", "daily", "weekly", "monthly", "open"]).openapi({
      description: "the rhythm that keeps it longest; `open`: somebody was reading it when it would have gone",
    }),
  })
  .openapi("KeptPoint");

const placeSchema = z.object({ lsn: lsnSchema, time: timeSchema });
const aheadSchema = countSchema.openapi({
  description: "seconds by which the wall clock is ahead of what the vault's own running time bears out",
});

export const retentionSchema = z
  .object({
    volume: nameSchema,
    policy: z.object(policyFields).optional().openapi({ description: "absent: everything is kept" }),
    everyWriteFrom: placeSchema.openapi({ description: "from here on every write can be had" }),
    points: z.array(keptPointSchema).openapi({ description: "kept of the time before, oldest first" }),
    lockSeconds: secondsSchema.openapi({ description: "nothing younger may be let go of, by anybody; 0: no lock" }),
    lockedFrom: lsnSchema
      .optional()
      .openapi({ description: "what is locked now: the state at this LSN and all after it" }),
    timeZone: z
      .string()
      .openapi({ description: "whose hours, days, weeks and months count", example: "Europe/Berlin" }),
    now: timeSchema.openapi({ description: "the present from which lengths count" }),
    clockAheadSeconds: aheadSchema,
  })
  .openapi("Retention");
export type WireRetention = z.output<typeof retentionSchema>;

export const retentionPlanSchema = z
  .object({
    volume: nameSchema,
    policy: z.object(policyFields).optional(),
    now: timeSchema,
    clockAheadSeconds: aheadSchema,
    from: placeSchema.openapi({ description: "where every write begins to be kept now" }),
    to: placeSchema.openapi({ description: "where it would begin" }),
    writes: countSchema.openapi({ description: "writes between the two, of which the new points alone stay" }),
    writtenBytes: bytesSchema,
    newPoints: z.array(keptPointSchema),
    goingPoints: z.array(keptPointSchema),
    pointCount: countSchema.openapi({ description: "points that would be kept in all" }),
    lockHolds: z.boolean().openapi({ description: "the lock keeps what the policy would let go of" }),
    freedBytes: bytesSchema
      .optional()
      .openapi({ description: "of what is stored; absent when it cannot be counted now" }),
  })
  .openapi("RetentionPlan");
export type WirePlan = z.output<typeof retentionPlanSchema>;

const path = "/v1/volumes/{name}/retention" as const;
const tags = ["retention"];
const noQuery = z.strictObject({});

export const getRetention = createRoute({
  method: "get",
  path,
  operationId: "getRetention",
  summary: "A volume's policy, lock, and what is kept of its history",
  tags,
  request: { params: volumeParams, query: noQuery },
  responses: { 200: json("its retention", retentionSchema), default: problem },
});

export const setRetention = createRoute({
  method: "put",
  path,
  operationId: "setRetention",
  summary: "Set a volume's policy; one that lets go of something at once needs `expire`",
  description:
    "What it lets go of goes at the next evaluation and cannot be had back. Take the policy away before that to keep it.",
  tags,
  request: {
    params: volumeParams,
    query: noQuery,
    body: jsonBody(
      z
        .strictObject({
          ...policyFields,
          expire: z.boolean().optional().openapi({ description: "although it lets go of something at once" }),
        })
        .openapi("SetRetention"),
    ),
  },
  responses: { 200: json("its retention", retentionSchema), default: problem },
});

export const clearRetention = createRoute({
  method: "delete",
  path,
  operationId: "clearRetention",
  summary: "Take a volume's policy away: from now on everything is kept",
  tags,
  request: { params: volumeParams, query: noQuery },
  responses: { 200: json("its retention", retentionSchema), default: problem },
});

export const planRetention = createRoute({
  method: "post",
  path: `${path}/plan`,
  operationId: "planRetention",
  summary: "What a policy would let go of now, and how much space that frees; changes nothing",
  tags,
  request: {
    params: volumeParams,
    query: noQuery,
    body: jsonBody(
      z
        .strictObject({
          policy: retentionPolicySchema.optional().openapi({ description: "instead of the volume's own" }),
        })
        .openapi("PlanRetention"),
    ),
  },
  responses: { 200: json("the plan", retentionPlanSchema), default: problem },
});

export const lockRetention = createRoute({
  method: "put",
  path: `${path}/lock`,
  operationId: "lockRetention",
  summary: "Lock a volume's history: nothing younger goes, by anybody. A lock can be lengthened and never shortened",
  tags,
  request: {
    params: volumeParams,
    query: noQuery,
    body: jsonBody(
      z.strictObject({ seconds: secondsSchema.min(1).openapi({ example: 30 * DAY_SECONDS }) }).openapi("LockRetention"),
    ),
  },
  responses: { 200: json("its retention", retentionSchema), default: problem },
});

export const holdSchema = z
  .object({ name: nameSchema, lsn: lsnSchema, time: timeSchema, createdAt: timeSchema, note: z.string() })
  .openapi("Hold");
export type WireHold = z.output<typeof holdSchema>;
export const holdListSchema = z.object({ holds: z.array(holdSchema) }).openapi("HoldList");

export const listHolds = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/holds",
  operationId: "listHolds",
  summary: "Holds of a volume: moments that nothing expires until they are released",
  tags,
  request: { params: volumeParams, query: noQuery },
  responses: { 200: json("the holds, oldest moment first", holdListSchema), default: problem },
});

export const createHold = createRoute({
  method: "post",
  path: "/v1/volumes/{name}/holds",
  operationId: "createHold",
  summary: "Hold a moment (default `now`, which is made durable first)",
  tags,
  request: {
    params: volumeParams,
    query: noQuery,
    body: jsonBody(
      z
        .strictObject({ name: nameSchema, at: momentSchema.optional(), note: z.string().max(1_000).optional() })
        .openapi("CreateHold"),
    ),
  },
  responses: { 201: json("the hold", holdSchema), default: problem },
});

export const releaseHold = createRoute({
  method: "delete",
  path: "/v1/volumes/{name}/holds/{hold}",
  operationId: "releaseHold",
  summary: "Release a hold; its moment goes when its policy lets it",
  tags,
  request: { params: z.strictObject({ name: nameSchema, hold: nameSchema }), query: noQuery },
  responses: { 204: { description: "it is released" }, default: problem },
});

const collectedFields = {
  packsDeleted: countSchema,
  packsRepacked: countSchema,
  freedBytes: bytesSchema,
  copiedBytes: bytesSchema.openapi({ description: "live blocks that were written anew beside what was freed" }),
  deadBytes: bytesSchema.openapi({ description: "left where they are, because they are too little of their packs" }),
};

export const gcLineSchema = z
  .discriminatedUnion("line", [
    z.object({ line: z.literal("progress"), what: z.string(), done: countSchema, total: countSchema }),
    z.object({
      line: z.literal("thinned"),
      volume: nameSchema,
      to: placeSchema,
      writes: countSchema,
      goingPoints: countSchema,
      pointCount: countSchema,
    }),
    z.object({ line: z.literal("kept"), volume: nameSchema, reason: z.string() }),
    z.object({ line: z.literal("collected"), vault: nameSchema, ...collectedFields }),
    z.object({ line: z.literal("end"), volumesThinned: countSchema, failures: countSchema, ...collectedFields }),
    z.object({ line: z.literal("failed"), problem: problemSchema }),
  ])
  .openapi("GcLine");
export type GcLine = z.output<typeof gcLineSchema>;
/** Lines as they are made: `failed` is the stream's own. */
export type GcRunLine = Exclude<GcLine, { line: "failed" }>;
export type GcRequest = { vault?: string | undefined };

export const runGc = createRoute({
  method: "post",
  path: "/v1/gc",
  operationId: "runGc",
  summary: "Carry out every policy now and give the space back, as a job",
  description: `${JOB_DESCRIPTION} Its lines are GcLine. Cancelled, it stops after the vault at hand. One runs at a time.`,
  tags,
  request: {
    query: noQuery,
    body: jsonBody(
      z.strictObject({ vault: nameSchema.optional().openapi({ description: "only this vault" }) }).openapi("RunGc"),
    ),
  },
  responses: { 202: jobStarted, default: problem },
});
