/** Routes of signals and alarms. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { BLOCK_SIZE, formatTime } from "../base/units.ts";
import {
  PAGE_DEFAULT,
  routes,
  SIGNAL_BUCKETS_DEFAULT,
  type WireAlarm,
  type WireVolumeSignals,
} from "../contract/contract.ts";
import type { NamedAlarm, SignalBucket } from "../signals/signals.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";
import { timeOfBound } from "./time-bound.ts";

export function registerSignalRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { signals, volumes } = context;

  app.openapi(routes.listAlarms, (c) => {
    const { before, limit = PAGE_DEFAULT } = c.req.valid("query");
    const page = signals.alarms({ before, limit });
    const last = page.at(-1);
    const next = page.length < limit || !last ? {} : { next: last.id };
    return c.json({ alarms: page.map(wireAlarm), ...next }, 200);
  });

  app.openapi(routes.acknowledgeAlarm, (c) => {
    const { id } = c.req.valid("param");
    const { verdict, note = "" } = c.req.valid("json");
    const by = c.get("principal")?.name ?? "";
    const alarm = signals.acknowledge(id, { by, verdict, note });
    const subject = alarm.volume ?? "signals";
    const held = alarm.hold === null ? "" : `; hold ${alarm.hold} stays until it is released`;
    const message = `alarm ${id} of volume ${alarm.volume ?? "(not open)"} was acknowledged by ${by} as ${verdict}${held}`;
    recordEvent(context, { level: "info", kind: "alarm-acknowledged", subject, message });
    return c.json(wireAlarm(alarm), 200);
  });

  app.openapi(routes.getSignals, async (c) => {
    const { name } = c.req.valid("param");
    const { from, to, buckets = SIGNAL_BUCKETS_DEFAULT } = c.req.valid("query");
    volumes.get(name);
    const found = signals.series(name, {
      bucketCount: buckets,
      ...(from === undefined ? {} : { from: await timeOfBound(context, name, from) }),
      ...(to === undefined ? {} : { to: await timeOfBound(context, name, to) }),
    });
    const answer: WireVolumeSignals = {
      volume: name,
      sensitivity: found.sensitivity,
      score: found.score,
      from: formatTime(found.from),
      to: formatTime(found.to),
      buckets: found.buckets.map(wireBucket),
      alarms: found.alarms.map(wireAlarm),
    };
    return c.json(answer, 200);
  });

  app.openapi(routes.setSignals, (c) => {
    const { name } = c.req.valid("param");
    const { sensitivity } = c.req.valid("json");
    volumes.get(name);
    signals.setSensitivity(name, sensitivity);
    const message =
      sensitivity === "off"
        ? `volume ${name} is not watched for ransomware any more`
        : `the signals of volume ${name} have the sensitivity ${sensitivity}`;
    recordEvent(context, {
      level: sensitivity === "off" ? "warning" : "info",
      kind: "signals-set",
      subject: name,
      message,
    });
    return c.json({ volume: name, sensitivity }, 200);
  });
}

function wireAlarm(alarm: NamedAlarm): WireAlarm {
  const { id, volume, vault, hold, endedAt, acknowledgedAt, acknowledgedBy, verdict, note } = alarm;
  return {
    id,
    ...(volume === undefined ? {} : { volume }),
    ...(vault === undefined ? {} : { vault }),
    raisedAt: formatTime(alarm.raisedAt),
    state: endedAt === null ? "open" : "over",
    first: { lsn: alarm.firstLsn, time: formatTime(alarm.firstAt) },
    before: { lsn: alarm.beforeLsn, time: formatTime(alarm.beforeAt), flushPoint: alarm.flushPoint },
    ...(hold === null ? {} : { hold }),
    turnedBytes: alarm.turned * BLOCK_SIZE,
    share: alarm.share,
    ...(endedAt === null ? {} : { endedAt: formatTime(endedAt) }),
    ...(acknowledgedAt === null
      ? {}
      : {
          acknowledged: {
            at: formatTime(acknowledgedAt),
            by: acknowledgedBy ?? "",
            verdict: verdict ?? "unclear",
            note: note ?? "",
          },
        }),
  };
}

function wireBucket(bucket: SignalBucket): WireVolumeSignals["buckets"][number] {
  const { from, to, blocks, turned, compressibility, newShare, duplicateShare, rewriteShare } = bucket;
  return {
    from: formatTime(from),
    to: formatTime(to),
    writtenBytes: blocks * BLOCK_SIZE,
    ...(compressibility === undefined ? {} : { compressibility }),
    ...(newShare === undefined ? {} : { newShare }),
    ...(duplicateShare === undefined ? {} : { duplicateShare }),
    ...(rewriteShare === undefined ? {} : { rewriteShare }),
    turnedBytes: turned * BLOCK_SIZE,
  };
}
