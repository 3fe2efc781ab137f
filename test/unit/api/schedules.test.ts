/** Schedules over the API; how they run in time is the scheduler's own test. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { openApiFixture, type ApiFixture } from "../../support/api-fixture.ts";

let api: ApiFixture;
beforeEach(async () => {
  api = await openApiFixture();
  await api.volumes.create("a", 8192);
});
afterEach(async () => {
  await api.context.automation.stop();
  api[Symbol.dispose]();
});

const send = (method: string, path: string, body?: unknown): Promise<Response> =>
  api.ask(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
const json = async (response: Promise<Response>): Promise<Record<string, unknown>> =>
  (await (await response).json()) as Record<string, unknown>;
const daily = { kind: "calendar", expression: "daily" };
const make = (change: object = {}): Promise<Response> =>
  send("POST", "/v1/schedules", {
    name: "s",
    task: { kind: "bookmark", volume: "a", keep: 2 },
    timing: daily,
    ...change,
  });

/** A notification channel, through which reports go. */
function makeChannel(name: string): void {
  const common = { enabled: true, details: "full", hourlyMax: 20, gatherSeconds: 60, plaintext: false } as const;
  api.context.notifier.directory.createChannel(name, { ...common, kind: "webhook", url: "https://hooks.example.org/" });
}

test("a schedule is made with what was left out, shown with its next times, changed, paused and forgotten", async () => {
  const made = await make();
  expect([made.status, made.headers.get("location")]).toEqual([201, "/v1/schedules/s"]);
  const shown = (await made.json()) as { next: string[] };
  expect(shown).toMatchObject({
    task: { kind: "bookmark", volume: "a", keep: 2 },
    timing: { kind: "calendar", expression: "daily", timeZone: "UTC" },
    jitterSeconds: 0,
    missed: "run",
    paused: false,
    running: false,
    runs: [],
  });
  expect(shown.next).toHaveLength(10);
  expect(shown.next.every((time) => time.endsWith("T02:00:00.000000Z"))).toBe(true);
  expect((await make()).status).toBe(409);
  const changed = await json(
    send("PATCH", "/v1/schedules/s", { jitterSeconds: 600, timing: { kind: "interval", everySeconds: 3600 } }),
  );
  expect(changed).toMatchObject({ timing: { kind: "interval", everySeconds: 3600 }, jitterSeconds: 600 });
  const paused = await json(send("PATCH", "/v1/schedules/s", { paused: true }));
  expect(paused).toMatchObject({ paused: true, next: [] });
  expect(paused).not.toHaveProperty("nextAt");
  expect(await json(send("PATCH", "/v1/schedules/s", { paused: false }))).toHaveProperty("nextAt");
  expect((await send("DELETE", "/v1/schedules/s")).status).toBe(204);
  expect((await send("GET", "/v1/schedules/s")).status).toBe(404);
  const kinds = api.context.catalog.events({ limit: 9 }).map(({ kind }) => kind);
  expect(kinds).toEqual([
    "schedule-deleted",
    "schedule-changed",
    "schedule-changed",
    "schedule-changed",
    "schedule-created",
  ]);
});

test("a run by hand is a job, a line of the history and a bookmark with the schedule's mark", async () => {
  await make();
  const begun = await send("POST", "/v1/schedules/s/run");
  expect([begun.status, await begun.json()]).toMatchObject([202, { outcome: "running", job: 1 }]);
  await api.context.automation.schedules.idle();
  expect(await json(send("GET", "/v1/schedules/s"))).toMatchObject({
    last: { outcome: "done", job: 1 },
    running: false,
  });
  expect(api.context.catalog.job(1)).toMatchObject({ kind: "bookmark", subject: "a", state: "done" });
  expect(api.volumes.bookmarks("a")).toMatchObject([{ note: expect.stringMatching(/^\[schedule s [0-9a-f]{8}\]$/) }]);
});

test("a run that fails says why, in the history and in an event", async () => {
  await make();
  await api.volumes.delete("a");
  const shown = await json(send("GET", "/v1/schedules/s"));
  expect(shown["trouble"]).toContain("cannot be had");
  expect(shown["task"]).toEqual({ kind: "bookmark", keep: 2 });
  await send("POST", "/v1/schedules/s/run");
  await api.context.automation.schedules.idle();
  const { last } = (await json(send("GET", "/v1/schedules/s"))) as { last: { outcome: string; error: string } };
  expect([last.outcome, last.error.slice(0, 37)]).toEqual(["failed", "the schedule's volume cannot be had: "]);
  expect(api.context.catalog.events({ limit: 1 })).toMatchObject([{ kind: "schedule-failed", level: "warning" }]);
});

test("every kind of task can be scheduled and run", async () => {
  await send("POST", "/v1/machines", { name: "web", volumes: ["a"] });
  makeChannel("ops");
  const tasks = [
    { kind: "bookmark", machine: "web", prefix: "p", scripts: { pre: "absent", ifPreFails: "crash-consistent" } },
    { kind: "check", vault: "default", quick: true },
    { kind: "scrub" },
    { kind: "gc", vault: "default" },
    { kind: "sync-tier", vault: "default" },
    { kind: "verify-tier", vault: "default", tier: "cloud", repair: true },
    { kind: "report", report: "growth", span: "day", channel: "ops" },
  ];
  for (const [i, task] of tasks.entries()) {
    expect((await make({ name: `s${i}`, task })).status).toBe(201);
    expect((await send("POST", `/v1/schedules/s${i}/run`)).status).toBe(202);
  }
  await api.context.automation.schedules.idle();
  const { schedules } = (await json(send("GET", "/v1/schedules"))) as {
    schedules: { task: object; last: { outcome: string } }[];
  };
  expect(schedules.map(({ last }) => last.outcome)).toEqual(Array(tasks.length).fill("done"));
  expect(api.volumes.bookmarks("a")[0]!.note).toContain(
    "machine web; crash-consistent only: there is no script absent",
  );
});

test("a list of schedules goes through the volumes once, however many there are", async () => {
  for (let i = 0; i < 10; i++) await make({ name: `s${i}` });
  const listed = spyOn(api.volumes, "list");
  const { schedules } = (await json(send("GET", "/v1/schedules"))) as { schedules: { task: { volume: string } }[] };
  expect(schedules.map(({ task }) => task.volume)).toEqual(Array(10).fill("a"));
  expect(listed.mock.calls.length).toBeLessThanOrEqual(3);
  listed.mockRestore();
});

test("a schedule whose channel went says so before its report is due", async () => {
  makeChannel("ops");
  await make({ task: { kind: "report", report: "growth", span: "month", channel: "ops" } });
  expect((await json(send("GET", "/v1/schedules/s")))["trouble"]).toBeUndefined();
  await send("DELETE", "/v1/channels/ops");
  expect((await json(send("GET", "/v1/schedules/s")))["trouble"]).toBe("there is no channel ops any more");
});

test("what is wrong with a schedule is said, and nothing is made", async () => {
  const bad: object[] = [
    { name: "no/path" },
    { timing: { kind: "calendar", expression: "0 0 31 2 *" } },
    { timing: { kind: "calendar", expression: "daily", timeZone: "Mars/Olympus" } },
    { timing: { kind: "interval", everySeconds: 59 } },
    { timing: { kind: "interval", everySeconds: 60, timeZone: "UTC" } },
    { task: { kind: "bookmark" } },
    { task: { kind: "bookmark", machine: "web", volume: "a" } },
    { task: { kind: "bookmark", volume: "a", keep: 0 } },
    { task: { kind: "rm" } },
    { task: { kind: "verify-tier", vault: "default" } },
    { task: { kind: "report", report: "growth.day.ops" } },
    { task: { kind: "report", report: "nonsense", span: "day", channel: "ops" } },
    { task: { kind: "report", report: "growth", span: "year", channel: "ops" } },
    { jitterSeconds: -1 },
    { missed: "maybe" },
    { surprise: true },
  ];
  for (const change of bad) expect((await make(change)).status).toBe(400);
  expect((await make({ task: { kind: "bookmark", volume: "nowhere" } })).status).toBe(404);
  expect((await make({ task: { kind: "bookmark", machine: "nowhere" } })).status).toBe(404);
  const report = { kind: "report", report: "growth", span: "day", channel: "nowhere" };
  expect((await make({ task: report })).status).toBe(404);
  expect((await send("POST", "/v1/schedules/nowhere/run")).status).toBe(404);
  expect(await json(send("GET", "/v1/schedules"))).toEqual({ schedules: [] });
});

test("a timing can be looked at before it is used", async () => {
  const timing = { kind: "calendar", expression: "30 2 * * *", timeZone: "Europe/Berlin" };
  const { next, timeZone } = (await json(send("POST", "/v1/schedules/preview", { timing }))) as {
    next: string[];
    timeZone: string;
  };
  expect([next.length, timeZone]).toEqual([10, "Europe/Berlin"]);
  expect((await send("POST", "/v1/schedules/preview", { timing: { kind: "calendar", expression: "x" } })).status).toBe(
    400,
  );
});
