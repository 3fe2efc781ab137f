/** Schedules: what the appliance does by itself, when, and what came of it. */
import { createRoute, z } from "@hono/zod-openapi";
import { nameSchema, timeSchema } from "./fields.ts";
import { REPORT_KINDS, REPORT_SPANS } from "./reports.ts";
import { json, jsonBody, problem } from "./route-parts.ts";
import { bookmarkScriptsSchema, shownScriptsSchema } from "./scripts.ts";

/** Oftener than once a minute nothing is scheduled: bookmarks would outnumber what they tell apart. */
const INTERVAL_SECONDS_MIN = 60;
const INTERVAL_SECONDS_MAX = 366 * 86_400;
const JITTER_SECONDS_MAX = 86_400;
/** As many bookmarks of one schedule as a list of them can be read. */
const KEEP_MAX = 1_000;
/** Leaves room for the time that follows it in a name of 64. */
const PREFIX_MAX = 40;
export const PREVIEW_COUNT = 10;

const vault = nameSchema.optional().openapi({ description: "default: every open vault", example: "default" });

export const taskSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("bookmark"),
      machine: nameSchema.optional().openapi({ description: "all its volumes at one moment; or a volume" }),
      volume: nameSchema.optional(),
      prefix: nameSchema
        .max(PREFIX_MAX)
        .optional()
        .openapi({ description: "of the bookmarks' names, which end in the time; default: the schedule's name" }),
      keep: z
        .int()
        .min(1)
        .max(KEEP_MAX)
        .optional()
        .openapi({ description: "how many of its own bookmarks stay; older ones go. Default: all" }),
      scripts: bookmarkScriptsSchema.optional().openapi({ description: "instead of the machine's own" }),
    }),
    z.strictObject({ kind: z.literal("check"), vault, quick: z.boolean().optional() }),
    z.strictObject({ kind: z.literal("scrub"), vault }),
    z.strictObject({ kind: z.literal("gc"), vault }),
    z.strictObject({ kind: z.literal("sync-tier"), vault: nameSchema, tier: nameSchema.optional() }),
    z.strictObject({
      kind: z.literal("verify-tier"),
      vault: nameSchema,
      tier: nameSchema,
      repair: z.boolean().optional(),
    }),
    z.strictObject({
      kind: z.literal("report"),
      report: z.enum(REPORT_KINDS),
      span: z
        .enum(REPORT_SPANS)
        .openapi({ description: "of the whole days before the one on which it is sent, by the appliance's time zone" }),
      channel: nameSchema.openapi({ description: "the notification channel through which it goes", example: "ops" }),
    }),
  ])
  .refine(
    (task) => task.kind !== "bookmark" || (task.machine === undefined) !== (task.volume === undefined),
    "must name a machine or a volume, and not both",
  )
  .openapi("ScheduledTask");
export type WireTask = z.output<typeof taskSchema>;
export type TaskKind = WireTask["kind"];

/** As answers show it: of all kinds at once, each with its own fields. */
export const shownTaskSchema = z
  .object({
    kind: z.enum(["bookmark", "check", "scrub", "gc", "sync-tier", "verify-tier", "report"]),
    machine: z.string().optional(),
    volume: z.string().optional().openapi({ description: "absent when it cannot be had; `trouble` says why" }),
    prefix: z.string().optional(),
    keep: z.int().optional(),
    scripts: shownScriptsSchema.optional(),
    vault: z.string().optional(),
    quick: z.boolean().optional(),
    tier: z.string().optional(),
    repair: z.boolean().optional(),
    report: z.enum(REPORT_KINDS).optional(),
    span: z.enum(REPORT_SPANS).optional(),
    channel: z.string().optional(),
  })
  .openapi("ShownTask");
export type WireShownTask = z.output<typeof shownTaskSchema>;

export const timingSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("calendar"),
      expression: z.string().min(1).max(200).openapi({
        description: "hourly, daily, weekly, monthly, or five fields: minute, hour, day, month, weekday",
        example: "30 1 * * *",
      }),
      timeZone: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .openapi({ description: "whose hours these are; default: the appliance's", example: "Europe/Berlin" }),
    }),
    z.strictObject({
      kind: z.literal("interval"),
      everySeconds: z
        .int()
        .min(INTERVAL_SECONDS_MIN)
        .max(INTERVAL_SECONDS_MAX)
        .openapi({ description: "time that passes, whatever clocks are switched to" }),
    }),
  ])
  .openapi("ScheduleTiming", {
    description:
      "What is due at a time of day that a switch to summer time leaves out is due right after the switch; what is due at one that comes twice is due once.",
  });
export type WireTiming = z.output<typeof timingSchema>;
const shownTimingSchema = z
  .object({
    kind: z.enum(["calendar", "interval"]),
    expression: z.string().optional(),
    timeZone: z.string().optional(),
    everySeconds: z.int().optional(),
  })
  .openapi("ShownTiming");

const jitterSeconds = z
  .int()
  .min(0)
  .max(JITTER_SECONDS_MAX)
  .openapi({ description: "each run is up to so much later, by an amount of its own; never into the next one's time" });
const missed = z
  .enum(["run", "skip"])
  .openapi({ description: "of runs whose time passed while the appliance was off: one is made up, or none" });

const shape = {
  description: z.string().max(1_000).optional(),
  task: taskSchema,
  timing: timingSchema,
  jitterSeconds: jitterSeconds.optional(),
  missed: missed.optional(),
  paused: z.boolean().optional(),
};

export const scheduleRunSchema = z
  .object({
    id: z.int().min(0).openapi({ description: "0: the catalog did not take it" }),
    dueAt: timeSchema,
    startedAt: timeSchema,
    finishedAt: timeSchema.optional(),
    outcome: z.enum(["running", "done", "failed", "missed", "overlapped", "interrupted"]).openapi({
      description: "missed: the appliance was off; overlapped: the last one still ran",
    }),
    job: z.int().min(1).optional(),
    error: z.string().optional().openapi({ description: "of the newest runs" }),
  })
  .openapi("ScheduleRun");
export type WireScheduleRun = z.output<typeof scheduleRunSchema>;

export const scheduleSchema = z
  .object({
    name: nameSchema,
    description: z.string(),
    task: shownTaskSchema,
    timing: shownTimingSchema,
    jitterSeconds,
    missed,
    paused: z.boolean(),
    createdAt: timeSchema,
    running: z.boolean(),
    nextAt: timeSchema.optional().openapi({ description: "absent while it is paused" }),
    last: scheduleRunSchema.optional(),
    trouble: z.string().optional().openapi({ description: "why it cannot run as it is" }),
  })
  .openapi("Schedule");
export type WireSchedule = z.output<typeof scheduleSchema>;
export const scheduleListSchema = z.object({ schedules: z.array(scheduleSchema) }).openapi("ScheduleList");

export const scheduleDetailSchema = scheduleSchema
  .extend({
    next: z.array(timeSchema).openapi({ description: `the next ${PREVIEW_COUNT} times; none while it is paused` }),
    runs: z.array(scheduleRunSchema).openapi({ description: "the last 100, newest first" }),
  })
  .openapi("ScheduleDetail");
export type WireScheduleDetail = z.output<typeof scheduleDetailSchema>;

const none = { query: z.strictObject({}) };
const ofSchedule = { params: z.strictObject({ name: nameSchema }), ...none };

export const listSchedules = createRoute({
  method: "get",
  path: "/v1/schedules",
  operationId: "listSchedules",
  summary: "All schedules",
  tags: ["schedules"],
  request: none,
  responses: { 200: json("the schedules, by name", scheduleListSchema), default: problem },
});

const createScheduleSchema = z.strictObject({ name: nameSchema, ...shape });
export type CreateSchedule = z.input<typeof createScheduleSchema>;

export const createSchedule = createRoute({
  method: "post",
  path: "/v1/schedules",
  operationId: "createSchedule",
  summary: "Make a schedule",
  tags: ["schedules"],
  request: { ...none, body: jsonBody(createScheduleSchema.openapi("CreateSchedule")) },
  responses: { 201: json("the new schedule", scheduleDetailSchema), default: problem },
});

export const getSchedule = createRoute({
  method: "get",
  path: "/v1/schedules/{name}",
  operationId: "getSchedule",
  summary: "One schedule, its next times and its last runs",
  tags: ["schedules"],
  request: ofSchedule,
  responses: { 200: json("the schedule", scheduleDetailSchema), default: problem },
});

const changeScheduleSchema = z.strictObject({
  ...shape,
  task: taskSchema.optional(),
  timing: timingSchema.optional(),
});
export type ChangeSchedule = z.input<typeof changeScheduleSchema>;

export const changeSchedule = createRoute({
  method: "patch",
  path: "/v1/schedules/{name}",
  operationId: "changeSchedule",
  summary: "Change, pause or resume a schedule; what is left out stays",
  tags: ["schedules"],
  request: { ...ofSchedule, body: jsonBody(changeScheduleSchema.openapi("ChangeSchedule")) },
  responses: { 200: json("the schedule", scheduleDetailSchema), default: problem },
});

export const deleteSchedule = createRoute({
  method: "delete",
  path: "/v1/schedules/{name}",
  operationId: "deleteSchedule",
  summary: "Forget a schedule; what it made stays, and a run that is under way comes to its end",
  tags: ["schedules"],
  request: ofSchedule,
  responses: { 204: { description: "it is forgotten" }, default: problem },
});

export const runSchedule = createRoute({
  method: "post",
  path: "/v1/schedules/{name}/run",
  operationId: "runSchedule",
  summary: "Do now what a schedule does, also while it is paused",
  tags: ["schedules"],
  request: ofSchedule,
  responses: { 202: json("it runs; its job tells how it goes", scheduleRunSchema), default: problem },
});

export const previewSchema = z.object({ next: z.array(timeSchema), timeZone: z.string() }).openapi("SchedulePreview");

export const previewSchedule = createRoute({
  method: "post",
  path: "/v1/schedules/preview",
  operationId: "previewSchedule",
  summary: `The next ${PREVIEW_COUNT} times of a timing, before it is used`,
  tags: ["schedules"],
  request: {
    ...none,
    body: jsonBody(z.strictObject({ timing: timingSchema }).openapi("PreviewSchedule")),
  },
  responses: { 200: json("the times, without jitter", previewSchema), default: problem },
});
