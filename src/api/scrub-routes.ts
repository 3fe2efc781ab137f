/** Routes of the scrub. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { routes, type ScrubLine } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { startedJob } from "./job-routes.ts";
import type { LineReading } from "./job-runner.ts";

export function registerScrubRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { scrub } = context.appliance;

  app.openapi(routes.getScrub, (c) => c.json(scrub.status(), 200));

  app.openapi(routes.startScrub, async (c) => {
    const request = c.req.valid("json");
    const run = (signal: AbortSignal) => scrub.run(request, signal);
    return await startedJob(c, context, { kind: "scrub", subject: request.vault ?? "vault", run, read: readScrub });
  });
}

function readScrub(line: Exclude<ScrubLine, { line: "failed" }>): LineReading {
  if (line.line === "progress") return { passing: true, progress: line.total > 0 ? line.done / line.total : undefined };
  if (line.line !== "end" || line.damaged === 0) return { passing: false };
  return { passing: false, failure: `places that are still damaged: ${line.damaged}` };
}
