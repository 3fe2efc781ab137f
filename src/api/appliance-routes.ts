/** Routes of the appliance: health, metrics, vault, check, disks, jobs, events. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { formatTime } from "../base/units.ts";
import { LINES_TYPE, PAGE_DEFAULT, routes, type CheckLine, type CheckRequest } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { lineStream } from "./line-stream.ts";
import { recordEvent } from "./record.ts";

export function registerApplianceRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { appliance, catalog } = context;

  app.openapi(routes.getHealth, (c) => {
    const health = appliance.health();
    return health.status === "stopping" ? c.json(health, 503) : c.json(health, 200);
  });

  app.openapi(routes.getMetrics, async (c) =>
    c.text(await context.metrics.text(), 200, { "content-type": context.metrics.contentType }),
  );

  app.openapi(routes.getVault, async (c) => c.json(await appliance.vault(), 200));

  app.openapi(routes.listDisks, async (c) => c.json(await appliance.disks(), 200));

  app.openapi(routes.startCheck, async (c) => {
    const request = c.req.valid("json");
    if (request.volume !== undefined) context.volumes.get(request.volume);
    if (request.vault !== undefined) await appliance.vaults.show(request.vault);
    const body = await lineStream(checkLines(context, request), context.log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });

  app.openapi(routes.listJobs, (c) => {
    const { before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const jobs = catalog.jobs({ before, limit }).map(({ finishedAt, error, startedAt, ...job }) => ({
      ...job,
      startedAt: formatTime(startedAt),
      ...(finishedAt === null ? {} : { finishedAt: formatTime(finishedAt) }),
      ...(error === null ? {} : { error }),
    }));
    const last = jobs.at(-1);
    return c.json(jobs.length < limit || !last ? { jobs } : { jobs, next: last.id }, 200);
  });

  app.openapi(routes.listEvents, (c) => {
    const { before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const events = catalog.events({ before, limit }).map((event) => ({ ...event, time: formatTime(event.time) }));
    const last = events.at(-1);
    return c.json(events.length < limit || !last ? { events } : { events, next: last.id }, 200);
  });
}

/** A check as lines, kept as a job; leaving it early stops the check and fails the job. */
async function* checkLines(context: ApiContext, request: CheckRequest): AsyncGenerator<CheckLine> {
  const { catalog, log } = context;
  const stop = new AbortController();
  const subject = request.volume ?? request.vault ?? "all vaults";
  const recorded = (work: () => number | undefined | void): number | undefined => {
    try {
      return work() ?? undefined;
    } catch (error) {
      log.warn({ err: error }, "the catalog did not take an entry");
      return undefined;
    }
  };
  const id = recorded(() => catalog.startJob("check", subject));
  let outcome: string | undefined = "stopped by its client";
  try {
    for await (const line of context.appliance.check(request, stop.signal)) {
      if (line.line === "progress" && id !== undefined && line.total > 0) {
        recorded(() => catalog.progressJob(id, line.done / line.total));
      }
      if (line.line === "finding" && line.severity === "damage") {
        context.metrics.damage.inc();
        recordEvent(context, { level: "alert", kind: "damage", subject: line.subject, message: line.message });
      }
      if (line.line === "end") outcome = line.findings === 0 ? undefined : `${line.findings} findings`;
      yield line;
    }
  } catch (error) {
    outcome = error instanceof SternwayError ? error.message : "the check failed";
    throw error;
  } finally {
    stop.abort();
    if (id !== undefined) recorded(() => catalog.finishJob(id, outcome));
  }
}
