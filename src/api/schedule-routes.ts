/** Routes of schedules. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { formatTime } from "../base/units.ts";
import type { ScheduleState, TaskSubjects } from "../automation/automation.ts";
import type { ScheduleRun } from "../catalog/catalog.ts";
import { routes } from "../contract/contract.ts";
import {
  PREVIEW_COUNT,
  type WireSchedule,
  type WireScheduleDetail,
  type WireScheduleRun,
} from "../contract/schedules.ts";
import type { ApiContext, ApiEnv } from "./appliance.ts";
import { recordEvent } from "./record.ts";

/** Of how many runs the job is looked up for its error. */
const ERRORS_MAX = 20;

export function registerScheduleRoutes(app: OpenAPIHono<ApiEnv>, context: ApiContext): void {
  const { automation } = context;
  const { schedules } = automation;
  const tell = (kind: string, subject: string, message: string): void =>
    recordEvent(context, { level: "info", kind, subject, message });

  app.openapi(routes.listSchedules, (c) => {
    const subjects = automation.subjects();
    return c.json({ schedules: schedules.list().map((state) => wireSchedule(context, state, subjects)) }, 200);
  });

  app.openapi(routes.createSchedule, (c) => {
    const { description = "", jitterSeconds = 0, missed = "run", paused = false, ...wanted } = c.req.valid("json");
    automation.addSchedule({ ...wanted, description, jitterSeconds, missed, paused });
    tell("schedule-created", wanted.name, `schedule ${wanted.name} (${wanted.task.kind}) was made`);
    return c.json(wireDetail(context, wanted.name), 201, { location: `/v1/schedules/${wanted.name}` });
  });

  app.openapi(routes.getSchedule, (c) => c.json(wireDetail(context, c.req.valid("param").name), 200));

  app.openapi(routes.changeSchedule, (c) => {
    const { name } = c.req.valid("param");
    const change = c.req.valid("json");
    automation.changeSchedule(name, change);
    const how = change.paused === undefined ? "changed" : change.paused ? "paused" : "resumed";
    tell("schedule-changed", name, `schedule ${name} was ${how}`);
    return c.json(wireDetail(context, name), 200);
  });

  app.openapi(routes.deleteSchedule, (c) => {
    const { name } = c.req.valid("param");
    schedules.remove(name);
    tell("schedule-deleted", name, `schedule ${name} was deleted; what it made stays`);
    return c.body(null, 204);
  });

  app.openapi(routes.runSchedule, async (c) => {
    const { name } = c.req.valid("param");
    return c.json(wireRun(context, await schedules.runNow(name)), 202);
  });

  app.openapi(routes.previewSchedule, (c) => {
    const { timing } = c.req.valid("json");
    const next = automation.preview(timing, PREVIEW_COUNT).map(formatTime);
    const timeZone = timing.kind === "calendar" ? (timing.timeZone ?? automation.zone) : automation.zone;
    return c.json({ next, timeZone }, 200);
  });
}

function wireSchedule(context: ApiContext, state: ScheduleState, subjects?: TaskSubjects): WireSchedule {
  const { schedule, running, next } = state;
  const { jitterSeconds, ...timing } = schedule.timing;
  const { task, trouble = state.trouble } = context.automation.wireTask(schedule.task, subjects);
  const [last] = context.automation.schedules.runs(schedule.name, 1);
  return {
    name: schedule.name,
    description: schedule.description,
    task,
    timing,
    jitterSeconds,
    missed: schedule.missed,
    paused: schedule.state === "paused",
    createdAt: formatTime(schedule.createdAt),
    running,
    ...(next === undefined ? {} : { nextAt: formatTime(next.at) }),
    ...(last === undefined ? {} : { last: wireRun(context, last) }),
    ...(trouble === undefined ? {} : { trouble }),
  };
}

function wireDetail(context: ApiContext, name: string): WireScheduleDetail {
  const { schedules } = context.automation;
  const runs = schedules.runs(name).map((run, i) => wireRun(context, run, i < ERRORS_MAX));
  const next = schedules.times(name, PREVIEW_COUNT).map(formatTime);
  return { ...wireSchedule(context, schedules.state(name)), next, runs };
}

function wireRun({ catalog }: ApiContext, run: ScheduleRun, withError = true): WireScheduleRun {
  const { id, dueAt, startedAt, finishedAt, outcome, job } = run;
  const error = withError && job !== null && outcome === "failed" ? (catalog.job(job)?.error ?? undefined) : undefined;
  return {
    id,
    dueAt: formatTime(dueAt),
    startedAt: formatTime(startedAt),
    ...(finishedAt === null ? {} : { finishedAt: formatTime(finishedAt) }),
    outcome,
    ...(job === null ? {} : { job }),
    ...(error === undefined ? {} : { error }),
  };
}
