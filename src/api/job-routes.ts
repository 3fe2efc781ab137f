/** Routes of jobs, and how a route of long work answers. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import type { Job } from "../catalog/catalog.ts";
import { EVENTS_TYPE, LAST_EVENT_HEADER, PAGE_DEFAULT, routes, type WireJob } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { jobEventStream } from "./event-stream.ts";
import type { JobWork } from "./job-runner.ts";

/** Each costs a connection and a timer. */
const FOLLOWERS_MAX = 128;

export function registerJobRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { catalog, jobs } = context;
  let followers = 0;
  const show = (job: Job): WireJob => wireJob(job, jobs.droppedLines(job.id));

  app.openapi(routes.listJobs, (c) => {
    const { before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const found = catalog.jobs({ before, limit }).map(show);
    const last = found.at(-1);
    return c.json(found.length < limit || !last ? { jobs: found } : { jobs: found, next: last.id }, 200);
  });

  app.openapi(routes.getJob, (c) => c.json(show(jobs.job(c.req.valid("param").id)), 200));

  app.openapi(routes.followJob, (c) => {
    const { id } = c.req.valid("param");
    const lines = jobs.lines(id);
    if (followers >= FOLLOWERS_MAX) {
      throw new SternwayError("unavailable", `${FOLLOWERS_MAX} clients follow jobs already`, {
        followersMax: FOLLOWERS_MAX,
      });
    }
    followers++;
    const body = jobEventStream({
      lines,
      after: Number(c.req.valid("header")[LAST_EVENT_HEADER] ?? 0),
      end: () => JSON.stringify(show(jobs.job(id))),
      clock: jobs.clock,
      signal: c.req.raw.signal,
      onClose: () => followers--,
    });
    return c.body(body, 200, { "content-type": EVENTS_TYPE });
  });

  app.openapi(routes.cancelJob, (c) => {
    const { id } = c.req.valid("param");
    return c.json(show(jobs.cancel(id, c.get("principal")?.name ?? "nobody")), 202);
  });
}

/** Starts work for whoever asks. @returns the answer: 202, the job, and where it is @throws what {@link JobRunner.start} throws */
export async function startedJob<Line extends { line: string }>(
  c: Context<ApiEnv>,
  context: ApiContext,
  work: Omit<JobWork<Line>, "askedBy">,
) {
  const job = await context.jobs.start({ ...work, askedBy: c.get("principal")?.name });
  return c.json(wireJob(job, 0), 202, { location: `/v1/jobs/${job.id}` });
}

function wireJob(
  { id, kind, subject, state, progress, startedAt, finishedAt, error, askedBy }: Job,
  dropped: number,
): WireJob {
  return {
    id,
    kind,
    subject,
    state,
    progress,
    startedAt: formatTime(startedAt),
    ...(finishedAt === null ? {} : { finishedAt: formatTime(finishedAt) }),
    ...(error === null ? {} : { error }),
    ...(askedBy === null ? {} : { askedBy }),
    ...(dropped === 0 ? {} : { droppedLines: dropped }),
  };
}
