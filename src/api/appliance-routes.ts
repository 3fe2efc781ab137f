/** Routes of the appliance: health, metrics, vault, check, disks, events. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { formatTime } from "../base/units.ts";
import { PAGE_DEFAULT, routes, type CheckLine } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { startedJob } from "./job-routes.ts";
import type { LineReading } from "./job-runner.ts";
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
    return await startedJob(c, context, {
      kind: "check",
      subject: request.volume ?? request.vault ?? "all vaults",
      run: (signal) => appliance.check(request, signal),
      read: (line) => readCheck(context, line),
    });
  });

  app.openapi(routes.listEvents, (c) => {
    const { before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const events = catalog.events({ before, limit }).map((event) => ({ ...event, time: formatTime(event.time) }));
    const last = events.at(-1);
    return c.json(events.length < limit || !last ? { events } : { events, next: last.id }, 200);
  });
}

/** What a line of a check tells; damage is told as an event as soon as it is found. */
function readCheck(context: ApiContext, line: Exclude<CheckLine, { line: "failed" }>): LineReading {
  switch (line.line) {
    case "progress":
      return { passing: true, progress: line.total > 0 ? line.done / line.total : undefined };
    case "finding":
      if (line.severity === "damage") {
        context.metrics.damage.inc();
        recordEvent(context, { level: "alert", kind: "damage", subject: line.subject, message: line.message });
      }
      return { passing: false };
    case "end":
      return { passing: false, failure: line.findings === 0 ? undefined : `${line.findings} findings` };
  }
}
