/** Routes of retention: policies, plans, locks, holds, and giving space back. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { SternwayError } from "../base/errors.ts";
import { formatTime, micros, type Micros } from "../base/units.ts";
import {
  routes,
  type GcRunLine,
  type WireHold,
  type WirePlan,
  type WirePolicy,
  type WireRetention,
} from "../contract/contract.ts";
import { describePolicy } from "../retention/policy.ts";
import { expires, planRetention, type RetentionPlan } from "../retention/retention.ts";
import { parseMoment } from "../volume/moment.ts";
import type { Hold, KeptPoint, RetentionPolicy } from "../volume/volumes.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { startedJob } from "./job-routes.ts";
import type { LineReading } from "./job-runner.ts";
import { recordEvent } from "./record.ts";

export function registerRetentionRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { volumes } = context;
  const zone = (): string => context.appliance.retention.zone;
  const tell = (level: "info" | "warning", kind: string, subject: string, message: string): void =>
    recordEvent(context, { level, kind, subject, message });

  app.openapi(routes.getRetention, async (c) => c.json(await wireRetention(context, c.req.valid("param").name), 200));

  app.openapi(routes.setRetention, async (c) => {
    const { name } = c.req.valid("param");
    const { expire, ...wanted } = c.req.valid("json");
    const policy = policyOf(wanted);
    const plan = await planRetention(volumes, name, { zone: zone(), policy });
    if (expires(plan) && expire !== true) throw wouldExpire(plan);
    await volumes.setRetention(name, policy);
    tell("info", "retention-set", name, `volume ${name} keeps ${describePolicy(policy)}`);
    return c.json(await wireRetention(context, name), 200);
  });

  app.openapi(routes.clearRetention, async (c) => {
    const { name } = c.req.valid("param");
    await volumes.setRetention(name, null);
    tell("info", "retention-cleared", name, `volume ${name} has no retention policy any more: everything is kept`);
    return c.json(await wireRetention(context, name), 200);
  });

  app.openapi(routes.planRetention, async (c) => {
    const { name } = c.req.valid("param");
    const { policy } = c.req.valid("json");
    const plan = await planRetention(volumes, name, {
      zone: zone(),
      ...(policy === undefined ? {} : { policy: policyOf(policy) }),
    });
    const freedBytes = await volumes.wouldFree(name, { horizonLsn: plan.to.lsn, points: plan.points });
    return c.json(wirePlan(plan, freedBytes), 200);
  });

  app.openapi(routes.lockRetention, async (c) => {
    const { name } = c.req.valid("param");
    const { seconds } = c.req.valid("json");
    await volumes.setLock(name, seconds * 1e6);
    const message = `volume ${name} is locked: nothing younger than ${Math.floor(seconds / 86_400)} days (${seconds} s) can be let go of by anybody`;
    tell("warning", "retention-locked", name, message);
    return c.json(await wireRetention(context, name), 200);
  });

  app.openapi(routes.listHolds, (c) => {
    const holds = volumes.holds(c.req.valid("param").name).sort((a, b) => a.lsn - b.lsn);
    return c.json({ holds: holds.map(wireHold) }, 200);
  });

  app.openapi(routes.createHold, async (c) => {
    const { name } = c.req.valid("param");
    const wanted = c.req.valid("json");
    const made = await volumes.hold(name, wanted.name, parseMoment(wanted.at ?? "now"), wanted.note ?? "");
    tell("info", "hold-made", name, `hold ${made.name} keeps lsn ${made.lsn} of volume ${name} until it is released`);
    return c.json(wireHold(made), 201);
  });

  app.openapi(routes.releaseHold, async (c) => {
    const { name, hold } = c.req.valid("param");
    await volumes.releaseHold(name, hold);
    tell("warning", "hold-released", name, `hold ${hold} of volume ${name} was released`);
    return c.body(null, 204);
  });

  app.openapi(routes.runGc, async (c) => {
    const request = c.req.valid("json");
    const run = (signal: AbortSignal) => context.appliance.retention.run(request, signal);
    return await startedJob(c, context, { kind: "gc", subject: request.vault ?? "appliance", run, read: readGc });
  });
}

function readGc(line: GcRunLine): LineReading {
  if (line.line === "progress") return { passing: true, progress: line.total > 0 ? line.done / line.total : undefined };
  if (line.line !== "end" || line.failures === 0) return { passing: false };
  return { passing: false, failure: `${line.failures} parts of it failed` };
}

function wouldExpire({ volume, writes, goingPoints, to }: RetentionPlan): SternwayError {
  const points = goingPoints.length === 0 ? "" : ` and ${goingPoints.length} kept points`;
  return new SternwayError(
    "conflict",
    `with this policy volume ${volume} keeps every write only from ${formatTime(to.time)} on: ${writes} earlier writes${points} would be let go of, but for the points that it keeps, and could not be had back. Nothing was changed: look at the plan, then set it again with expire`,
    { volume, writes, goingPoints: goingPoints.length },
  );
}

const POLICY_FIELDS = ["all", "hourly", "daily", "weekly", "monthly"] as const;

function policyOf(wire: WirePolicy): RetentionPolicy {
  return {
    allMicros: wire.allSeconds * 1e6,
    hourlyMicros: wire.hourlySeconds * 1e6,
    dailyMicros: wire.dailySeconds * 1e6,
    weeklyMicros: wire.weeklySeconds * 1e6,
    monthlyMicros: wire.monthlySeconds * 1e6,
  };
}

function wirePolicy(policy: RetentionPolicy): WirePolicy {
  const seconds = POLICY_FIELDS.map((field) => [`${field}Seconds`, Math.round(policy[`${field}Micros`] / 1e6)]);
  return Object.fromEntries(seconds) as WirePolicy;
}

async function wireRetention(context: ApiContext, name: string): Promise<WireRetention> {
  const { policy, horizon, points, lockMicros, lockedFrom, now, clockAheadMicros } =
    await context.volumes.retention(name);
  return {
    volume: name,
    ...(policy === undefined ? {} : { policy: wirePolicy(policy) }),
    everyWriteFrom: wirePlace(horizon),
    points: points.map(wirePoint),
    lockSeconds: Math.round(lockMicros / 1e6),
    ...(lockedFrom === undefined ? {} : { lockedFrom }),
    timeZone: context.appliance.retention.zone,
    now: formatTime(now),
    clockAheadSeconds: Math.round(clockAheadMicros / 1e6),
  };
}

function wirePlan(plan: RetentionPlan, freedBytes: number | undefined): WirePlan {
  const { volume, policy, now, clockAheadMicros, from, to, points, writes, writtenBytes, lockHolds } = plan;
  return {
    volume,
    ...(policy === undefined ? {} : { policy: wirePolicy(policy) }),
    now: formatTime(now),
    clockAheadSeconds: Math.round(clockAheadMicros / 1e6),
    from: wirePlace(from),
    to: wirePlace(to),
    writes,
    writtenBytes,
    newPoints: plan.newPoints.map(wirePoint),
    goingPoints: plan.goingPoints.map(wirePoint),
    pointCount: points.length,
    lockHolds,
    ...(freedBytes === undefined ? {} : { freedBytes: Math.round(freedBytes) }),
  };
}

const wirePlace = ({ lsn, time }: { lsn: number; time: Micros }) => ({ lsn, time: formatTime(time) });
const wirePoint = ({ lsn, time, why }: KeptPoint) => ({ lsn, time: formatTime(micros(time)), why });

function wireHold(hold: Hold): WireHold {
  return { ...hold, time: formatTime(hold.time), createdAt: formatTime(hold.createdAt) };
}
