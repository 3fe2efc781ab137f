/** Signals of ransomware: what a volume's writes are like over time, how sensitive it is watched, and alarms. */
import { createRoute, z } from "@hono/zod-openapi";
import { PAGE_DEFAULT } from "./pages.ts";
import {
  bytesSchema,
  countSchema,
  lsnSchema,
  nameSchema,
  queryInteger,
  spanQuery,
  timeSchema,
  volumeParams,
} from "./fields.ts";
import { json, jsonBody, problem } from "./route-parts.ts";

const tags = ["signals"];
const noQuery = z.strictObject({});

const sensitivitySchema = z.enum(["off", "low", "normal", "high"]).openapi({
  description: "how little is enough for an alarm: 8, 2 or 1 MiB that are turned into random-looking data",
});
const shareSchema = z.number().min(0).max(1);
const verdictSchema = z.enum(["mine", "attack", "unclear"]).openapi({
  description: "`mine`: somebody did it and meant it; as much of it gives no alarm again for 30 days",
});

export const alarmSchema = z
  .object({
    id: countSchema,
    volume: nameSchema.optional().openapi({ description: "absent: it was deleted, or its vault is closed" }),
    vault: nameSchema.optional(),
    raisedAt: timeSchema,
    state: z.enum(["open", "over"]).openapi({ description: "`over`: nothing more was found for a while" }),
    first: z
      .object({ lsn: lsnSchema, time: timeSchema })
      .openapi({ description: "the first suspicious overwrite; its time is good to some seconds" }),
    before: z
      .object({ lsn: lsnSchema, time: timeSchema, flushPoint: z.boolean() })
      .openapi({ description: "the last moment before it: restore to this" }),
    hold: nameSchema
      .optional()
      .openapi({ description: "the hold that keeps that moment; absent: it could not be held" }),
    turnedBytes: bytesSchema.openapi({ description: "that compressed and were overwritten by what looks random" }),
    share: shareSchema.openapi({ description: "of what was written meanwhile, when the alarm was raised" }),
    endedAt: timeSchema.optional(),
    acknowledged: z
      .object({ at: timeSchema, by: z.string(), verdict: verdictSchema, note: z.string() })
      .optional()
      .openapi({ description: "absent: nobody has looked into it yet" }),
  })
  .openapi("Alarm");
export type WireAlarm = z.output<typeof alarmSchema>;

export const alarmListSchema = z
  .object({
    alarms: z.array(alarmSchema),
    next: countSchema.optional().openapi({ description: "pass as `before` for the next page; absent on the last" }),
  })
  .openapi("AlarmList");

export const listAlarms = createRoute({
  method: "get",
  path: "/v1/alarms",
  operationId: "listAlarms",
  summary: "Alarms, newest first",
  tags,
  request: {
    query: z.strictObject({
      before: queryInteger(1, Number.MAX_SAFE_INTEGER).optional(),
      limit: queryInteger(1, 1_000)
        .optional()
        .openapi({ description: `default ${PAGE_DEFAULT}` }),
    }),
  },
  responses: { 200: json("one page", alarmListSchema), default: problem },
});

export const acknowledgeAlarm = createRoute({
  method: "post",
  path: "/v1/alarms/{id}/acknowledge",
  operationId: "acknowledgeAlarm",
  summary: "Say what an alarm was. Its hold stays until it is released",
  tags,
  request: {
    params: z.strictObject({ id: queryInteger(1, Number.MAX_SAFE_INTEGER) }),
    query: noQuery,
    body: jsonBody(
      z.strictObject({ verdict: verdictSchema, note: z.string().max(1_000).optional() }).openapi("AcknowledgeAlarm"),
    ),
  },
  responses: { 200: json("the alarm", alarmSchema), default: problem },
});

export const volumeSignalsSchema = z
  .object({
    volume: nameSchema,
    sensitivity: sensitivitySchema,
    score: shareSchema.openapi({ description: "how suspicious it is now: 1 is an alarm" }),
    from: timeSchema,
    to: timeSchema,
    buckets: z.array(
      z.object({
        from: timeSchema,
        to: timeSchema,
        writtenBytes: bytesSchema.openapi({ description: "as far as it is sealed" }),
        compressibility: shareSchema.optional().openapi({
          description: "how much smaller new blocks became; absent: there were none, here and below",
        }),
        newShare: shareSchema.optional(),
        duplicateShare: shareSchema.optional(),
        rewriteShare: shareSchema.optional().openapi({ description: "written over data that was there" }),
        turnedBytes: bytesSchema.openapi({ description: "that compressed and were overwritten by what looks random" }),
      }),
    ),
    alarms: z.array(alarmSchema).openapi({ description: "raised in this time, newest first" }),
  })
  .openapi("VolumeSignals");
export type WireVolumeSignals = z.output<typeof volumeSignalsSchema>;

export const SIGNAL_BUCKETS_MAX = 2_000;
export const SIGNAL_BUCKETS_DEFAULT = 60;

export const getSignals = createRoute({
  method: "get",
  path: "/v1/volumes/{name}/signals",
  operationId: "getSignals",
  summary: "What a volume's writes were like: by the minute for a week, by the hour for a year",
  tags,
  request: {
    params: volumeParams,
    query: spanQuery("a day before the end", SIGNAL_BUCKETS_MAX),
  },
  responses: { 200: json("the signals", volumeSignalsSchema), default: problem },
});

export const signalSettingsSchema = z
  .object({ volume: nameSchema, sensitivity: sensitivitySchema })
  .openapi("SignalSettings");

export const setSignals = createRoute({
  method: "put",
  path: "/v1/volumes/{name}/signals",
  operationId: "setSignals",
  summary: "Set how sensitively a volume is watched",
  tags,
  request: {
    params: volumeParams,
    query: noQuery,
    body: jsonBody(z.strictObject({ sensitivity: sensitivitySchema }).openapi("SetVolumeSignals")),
  },
  responses: { 200: json("as it is now", signalSettingsSchema), default: problem },
});
