/** Routes of the timeline and of flush points. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn, micros, type Micros } from "../base/units.ts";
import { FLUSH_POINTS_DEFAULT, routes, TIMELINE_BUCKETS_DEFAULT } from "../contract/contract.ts";
import { parseMoment } from "../volume/moment.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { wireTimeline } from "./wire.ts";

export function registerTimelineRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { volumes } = context;

  /** A bound of a timeline: times and ages count even where nothing was written. */
  async function timeOf(name: string, text: string): Promise<Micros> {
    const moment = parseMoment(text);
    switch (moment.kind) {
      case "now":
        return micros(context.now());
      case "time":
        return moment.time;
      case "age":
        return micros(Math.max(0, context.now() - moment.ageMicros));
      case "lsn":
      case "bookmark":
        return (await volumes.resolve(name, moment)).time;
    }
  }

  app.openapi(routes.getTimeline, async (c) => {
    const { name } = c.req.valid("param");
    const { from, to, buckets } = c.req.valid("query");
    volumes.get(name);
    const range = {
      bucketCount: buckets ?? TIMELINE_BUCKETS_DEFAULT,
      ...(from === undefined ? {} : { from: await timeOf(name, from) }),
      ...(to === undefined ? {} : { to: await timeOf(name, to) }),
    };
    if (range.from !== undefined && range.to !== undefined && range.from >= range.to) {
      throw new SternwayError(
        "invalid",
        `from (${formatTime(range.from)}) must be before to (${formatTime(range.to)})`,
      );
    }
    return c.json(wireTimeline(await volumes.timeline(name, range)), 200);
  });

  app.openapi(routes.listFlushPoints, async (c) => {
    const { after, limit } = c.req.valid("query");
    const wanted = limit ?? FLUSH_POINTS_DEFAULT;
    const points = await volumes.flushPoints(c.req.valid("param").name, { after: lsn(after ?? 0), limit: wanted });
    const flushPoints = points.map((point) => ({ lsn: point.lsn, time: formatTime(point.time) }));
    const last = flushPoints.at(-1);
    // A full page may be the last: the next one is then empty.
    return c.json(points.length < wanted || !last ? { flushPoints } : { flushPoints, next: last.lsn }, 200);
  });
}
