/** What happened to a volume over time: intervals with their counts, marks, and flush points one by one. */
import { createRoute, z } from "@hono/zod-openapi";
import { bytesSchema, countSchema, lsnSchema, queryInteger, spanQuery, timeSchema, volumeParams } from "./fields.ts";
import { json, problem } from "./route-parts.ts";

export const timelineSchema = z
  .object({
    from: timeSchema,
    to: timeSchema,
    buckets: z.array(
      z.object({
        from: timeSchema,
        to: timeSchema,
        writes: countSchema,
        writtenBytes: bytesSchema,
        clearedBytes: bytesSchema.openapi({ description: "trimmed or zeroed" }),
        flushPoints: countSchema,
        lastLsn: lsnSchema.openapi({ description: "last LSN of this volume in the interval; 0 when there is none" }),
      }),
    ),
    marks: z.array(
      z.object({
        kind: z.enum(["created", "resized", "rolled-back", "bookmark", "hold"]),
        time: timeSchema,
        lsn: lsnSchema,
        detail: z.string(),
      }),
    ),
    kept: z
      .object({
        everyWriteFrom: z.object({ lsn: lsnSchema, time: timeSchema }),
        points: z.array(z.object({ lsn: lsnSchema, time: timeSchema, why: z.string() })),
      })
      .optional()
      .openapi({
        description: "where every write begins to be kept, and the points that are kept before; absent: all is kept",
      }),
  })
  .openapi("Timeline");
export type WireTimeline = z.output<typeof timelineSchema>;

/** As many intervals as a wide screen has pixels, a few times over; the answer stays near 2 MB. */
export const TIMELINE_BUCKETS_MAX = 10_000;
export const TIMELINE_BUCKETS_DEFAULT = 60;

export const getTimeline = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/timeline",
  operationId: "getTimeline",
  summary: "Writes, bytes and flush points per interval",
  tags: ["timeline"],
  request: {
    params: volumeParams,
    query: spanQuery("creation", TIMELINE_BUCKETS_MAX),
  },
  responses: { 200: json("the timeline", timelineSchema), default: problem },
});

export const flushPointListSchema = z
  .object({
    flushPoints: z.array(z.object({ lsn: lsnSchema, time: timeSchema })),
    next: lsnSchema
      .optional()
      .openapi({ description: "pass as `after`, or as `before`, for the next page; absent on the last" }),
  })
  .openapi("FlushPointList");
export type WireFlushPoints = z.output<typeof flushPointListSchema>;

export const FLUSH_POINTS_MAX = 10_000;
export const FLUSH_POINTS_DEFAULT = 1_000;

export const listFlushPoints = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/flush-points",
  operationId: "listFlushPoints",
  summary: "Flush points after an LSN, oldest first, or before one, newest first",
  tags: ["timeline"],
  request: {
    params: volumeParams,
    query: z.strictObject({
      after: queryInteger(0, Number.MAX_SAFE_INTEGER).optional(),
      before: queryInteger(0, Number.MAX_SAFE_INTEGER).optional().openapi({ description: "not together with `after`" }),
      limit: queryInteger(1, FLUSH_POINTS_MAX).optional(),
    }),
  },
  responses: { 200: json("one page", flushPointListSchema), default: problem },
});
