/** Routes of the scrub. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { errorText } from "../base/errors.ts";
import { LINES_TYPE, routes, type ScrubLine, type ScrubRequest } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { lineStream } from "./line-stream.ts";
import { startedJob } from "./record.ts";

export function registerScrubRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { scrub } = context.appliance;

  app.openapi(routes.getScrub, (c) => c.json(scrub.status(), 200));

  app.openapi(routes.startScrub, async (c) => {
    const body = await lineStream(scrubLines(context, c.req.valid("json")), context.log);
    return c.body(body, 200, { "content-type": LINES_TYPE });
  });
}

/** A run as lines, kept as a job; leaving it early stops the run after the object at hand. */
async function* scrubLines(context: ApiContext, request: ScrubRequest): AsyncGenerator<ScrubLine> {
  const stop = new AbortController();
  const job = startedJob(context, "scrub", request.vault ?? "vault");
  let outcome: string | undefined = "stopped by its client";
  try {
    for await (const line of context.appliance.scrub.run(request, stop.signal)) {
      if (line.line === "progress" && line.total > 0) job.progress(line.done / line.total);
      if (line.line === "end")
        outcome = line.damaged === 0 ? undefined : `places that are still damaged: ${line.damaged}`;
      yield line;
    }
  } catch (error) {
    outcome = errorText(error);
    throw error;
  } finally {
    stop.abort();
    job.finish(outcome);
  }
}
