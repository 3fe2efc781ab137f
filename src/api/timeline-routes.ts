/** Routes of the timeline and of flush points. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn } from "../base/units.ts";
import { FLUSH_POINTS_DEFAULT, routes, TIMELINE_BUCKETS_DEFAULT, type WireTimeline } from "../contract/contract.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { timeOfBound } from "./time-bound.ts";
import { encodeTimeline } from "./timeline-encoding.ts";

export function registerTimelineRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { volumes } = context;

  app.openapi(routes.getTimeline, async (c) => {
    const { name } = c.req.valid("param");
    const { from, to, buckets } = c.req.valid("query");
    volumes.get(name);
    const range = {
      bucketCount: buckets ?? TIMELINE_BUCKETS_DEFAULT,
      ...(from === undefined ? {} : { from: await timeOfBound(context, name, from) }),
      ...(to === undefined ? {} : { to: await timeOfBound(context, name, to) }),
    };
    if (range.from !== undefined && range.to !== undefined && range.from >= range.to) {
      throw new SternwayError(
        "invalid",
        `from (${formatTime(range.from)}) must be before to (${formatTime(range.to)})`,
      );
    }
    // The request has had its share: adding up is a turn of its own.
    await nextTurn();
    const body = await encodeTimeline(await volumes.timeline(name, range), nextTurn);
    // The type stands for what the JSON is parsed to; that the bytes are so, the compiler cannot see.
    const answer = new Response(body, { headers: { "content-type": "application/json" } });
    return answer as Response & TypedResponse<WireTimeline, 200, "json">;
  });

  app.openapi(routes.listFlushPoints, async (c) => {
    const { after, before, limit } = c.req.valid("query");
    if (after !== undefined && before !== undefined) {
      throw new SternwayError("invalid", "flush points are asked for after an LSN or before one, not both");
    }
    const wanted = limit ?? FLUSH_POINTS_DEFAULT;
    const range = before === undefined ? { after: lsn(after ?? 0) } : { before: lsn(before) };
    const points = await volumes.flushPoints(c.req.valid("param").name, { ...range, limit: wanted });
    const flushPoints = points.map((point) => ({ lsn: point.lsn, time: formatTime(point.time) }));
    const last = flushPoints.at(-1);
    // A full page may be the last: the next one is then empty.
    return c.json(points.length < wanted || !last ? { flushPoints } : { flushPoints, next: last.lsn }, 200);
  });
}

/** A round of the event loop: what sockets received meanwhile is answered in it. Measured, it takes 7 µs, where a timer of 0 ms takes over a millisecond. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
