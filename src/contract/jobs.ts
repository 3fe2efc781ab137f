/**
 * Long work: every route that starts some answers 202 with a job; here is what to do with it: look, follow, cancel. The work goes on whoever listens, and
 * ends by itself, by being cancelled, or when the appliance stops.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { countSchema, queryInteger, timeSchema } from "./fields.ts";
import { pageQuery } from "./pages.ts";
import { json, problem } from "./route-parts.ts";

/** Media type of server-sent events. Typed as text, or the router's types take it for one JSON value. */
export const EVENTS_TYPE: string = "text/event-stream";
export const LAST_EVENT_HEADER = "last-event-id";

export const jobSchema = z
  .object({
    id: z.int().min(1),
    kind: z.string().openapi({ example: "check" }),
    subject: z.string().openapi({ example: "web1" }),
    state: z.enum(["running", "done", "failed", "cancelled", "interrupted"]).openapi({
      description: "`interrupted`: the appliance stopped while it ran",
    }),
    progress: z.number().min(0).max(1),
    startedAt: timeSchema,
    finishedAt: timeSchema.optional(),
    error: z.string().optional().openapi({ description: "why it did not end well" }),
    askedBy: z
      .string()
      .optional()
      .openapi({ description: "the account that started it; absent: the appliance itself" }),
    droppedLines: countSchema.optional().openapi({
      description: "lines other than progress that were too many to keep; absent: none",
    }),
  })
  .openapi("Job");
export type WireJob = z.output<typeof jobSchema>;
export const jobListSchema = z
  .object({ jobs: z.array(jobSchema), next: z.int().optional().openapi({ description: "pass as `before`" }) })
  .openapi("JobList");

/** The answer of a route that starts long work. */
export const jobStarted = {
  ...json("it runs; follow it at Location", jobSchema),
  headers: z.object({ location: z.string().openapi({ example: "/v1/jobs/7" }) }),
};

/** What each route that starts long work says of it. */
export const JOB_DESCRIPTION =
  "Answers with the job, whose lines `GET /v1/jobs/{id}/events` tells as they come. It goes on when its client goes away; `POST /v1/jobs/{id}/cancel` stops it.";

export const listJobs = createRoute({
  method: "get",
  path: "/v1/jobs",
  operationId: "listJobs",
  summary: "Jobs, newest first",
  tags: ["jobs"],
  request: { query: pageQuery },
  responses: { 200: json("one page", jobListSchema), default: problem },
});

const jobParams = z.strictObject({
  id: queryInteger(1, Number.MAX_SAFE_INTEGER).openapi({ param: { name: "id", in: "path" }, example: 7 }),
});
const none = z.strictObject({});

export const getJob = createRoute({
  method: "get",
  path: "/v1/jobs/{id}",
  operationId: "getJob",
  summary: "One job",
  tags: ["jobs"],
  request: { params: jobParams, query: none },
  responses: { 200: json("the job", jobSchema), default: problem },
});

export const followJob = createRoute({
  method: "get",
  path: "/v1/jobs/{id}/events",
  operationId: "followJob",
  summary: "What a job tells, as server-sent events, up to its end",
  description:
    "Events are named `progress` (data: a line of the job that the next one replaces), `line` (data: a line that stays, such as a finding) and `end` (data: the job, as it ended); after `end` the stream ends. Each has an `id`; with `Last-Event-ID` the stream goes on after it. A comment every 15 s shows that the stream lives. Lines are kept for an hour after the end, 5,000 at most, the newest, findings rather than progress.",
  tags: ["jobs"],
  request: {
    params: jobParams,
    query: none,
    headers: z.object({
      [LAST_EVENT_HEADER]: z
        .string()
        .regex(/^\d{0,15}$/, "must be the id of an event of this job")
        .optional()
        .openapi({ description: "go on after this event", example: "41" }),
    }),
  },
  responses: {
    200: { description: "events", content: { [EVENTS_TYPE]: { schema: z.string() } } },
    default: problem,
  },
});

export const cancelJob = createRoute({
  method: "post",
  path: "/v1/jobs/{id}/cancel",
  operationId: "cancelJob",
  summary: "Stop a job that runs; it ends at its next good place",
  tags: ["jobs"],
  request: { params: jobParams, query: none },
  responses: { 202: json("it stops; it may run for a moment yet", jobSchema), default: problem },
});
