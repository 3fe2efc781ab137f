import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { listenHttp } from "../../../src/api/app.ts";
import type { Clock } from "../../../src/base/clock.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { micros } from "../../../src/base/units.ts";
import { jobEventStream } from "../../../src/api/event-stream.ts";
import { JobLines } from "../../../src/api/job-lines.ts";
import { JobRunner, type JobWork } from "../../../src/api/job-runner.ts";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { createClient } from "../../../src/contract/client.ts";
import { openApiFixture } from "../../support/api-fixture.ts";
import { eventsOf, jobEvents, parseEvents } from "../../support/job-events.ts";

const post = (body: object = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** A clock whose timers fire when they are told to. */
function heldClock() {
  const timers = new Set<{ at: number; fire: () => void }>();
  let now = 0;
  const clock: Clock = {
    wall: () => micros(1e15 + now * 1000),
    monotonic: () => now * 1000,
    timer(delayMs, fire) {
      const timer = { at: now + delayMs, fire };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    sleep: (delayMs) => new Promise((resolve) => clock.timer(delayMs, resolve)),
  };
  return {
    clock,
    timers,
    advance(ms: number): void {
      now += ms;
      for (const timer of timers) {
        if (timer.at > now) continue;
        timers.delete(timer);
        timer.fire();
      }
    },
  };
}

type TestLine = { line: string; number?: number };

/** Work that tells what it is given, and stops when it is told to. */
function work(source: (signal: AbortSignal) => AsyncIterable<TestLine>): JobWork<TestLine> {
  return {
    kind: "check",
    subject: "web1",
    askedBy: "anna",
    run: source,
    read: ({ line, number }) => ({ passing: line === "progress", progress: number }),
  };
}

async function* untilStopped(signal: AbortSignal): AsyncGenerator<TestLine> {
  yield { line: "progress", number: 0.5 };
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function settled(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000; turn++) {
    if (condition()) return;
    await setImmediate();
  }
  throw new Error("never came true");
}

describe("a route of long work", () => {
  test("answers 202 with the job and its place, and goes on when its client is gone", async () => {
    const gate = Promise.withResolvers<void>();
    using api = await openApiFixture({
      async *check() {
        yield { line: "progress", what: "packs", done: 1, total: 4 };
        await gate.promise;
        yield { line: "end", findings: 0, objects: 4, bytes: 1 };
      },
    });
    const started = await api.ask("/v1/check", post());
    expect(started.status).toBe(202);
    expect(await started.json()).toMatchObject({ id: 1, kind: "check", state: "running", askedBy: "root" });
    expect(started.headers.get("location")).toBe("/v1/jobs/1");
    const followed = await api.ask("/v1/jobs/1/events");
    const reader = followed.body!.getReader();
    await reader.read();
    await reader.cancel();
    gate.resolve();
    expect((await eventsOf(await api.ask("/v1/jobs/1/events"))).map(({ name }) => name)).toEqual([
      "progress",
      "line",
      "end",
    ]);
    const job = (await (await api.ask("/v1/jobs/1")).json()) as Record<string, unknown>;
    expect(job).toMatchObject({ state: "done", progress: 1 });
    expect(job).toHaveProperty("finishedAt");
  });

  test("goes on after Last-Event-ID, also at the very end", async () => {
    using api = await openApiFixture();
    const { events } = await jobEvents(api, await api.ask("/v1/gc", post()));
    expect(events.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    const from = async (id: string) =>
      eventsOf(await api.ask("/v1/jobs/1/events", { headers: { "last-event-id": id } }));
    expect(await from("2")).toEqual(events.slice(2));
    expect(await from("3")).toEqual(events.slice(3));
    expect(await from("4")).toMatchObject([{ name: "end", data: { state: "done" } }]);
    expect((await api.ask("/v1/jobs/1/events", { headers: { "last-event-id": "x" } })).status).toBe(400);
  });

  test("that cannot begin answers with its error and leaves no job behind", async () => {
    using api = await openApiFixture({
      // eslint-disable-next-line require-yield -- it fails before its first line
      async *check() {
        throw new SternwayError("conflict", "a check is running already");
      },
    });
    expect((await api.ask("/v1/check", post())).status).toBe(409);
    expect(api.context.catalog.jobs({ limit: 9 })).toEqual([]);
  });

  test("a job of before this start is told from the catalog, with its end alone", async () => {
    using api = await openApiFixture();
    const id = api.context.catalog.startJob("gc", "default", "anna");
    expect((await api.ask(`/v1/jobs/${id}/cancel`, { method: "POST" })).status).toBe(409);
    api.context.catalog.finishJob(id, "power", "interrupted");
    expect(await eventsOf(await api.ask(`/v1/jobs/${id}/events`))).toMatchObject([
      { name: "end", data: { id, state: "interrupted", error: "power", askedBy: "anna" } },
    ]);
    for (const path of ["/v1/jobs/99", "/v1/jobs/99/events"]) expect((await api.ask(path)).status).toBe(404);
    expect((await api.ask("/v1/jobs/0")).status).toBe(400);
  });
});

test("an appliance that stops tells who follows a job, and is not held up by them", async () => {
  using api = await openApiFixture({
    async *check(_request, signal) {
      yield { line: "progress", what: "packs", done: 1, total: 4 };
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    },
  });
  const socketPath = join(api.dir, "control.sock");
  const listener = await listenHttp({ kind: "unix", path: socketPath }, api.answer, api.context.log);
  const checking = createClient({ socketPath }).check();
  expect((await checking.next()).value).toMatchObject({ line: "progress" });
  const next = checking.next().then(
    () => undefined,
    (error: unknown) => error,
  );
  await api.context.jobs.stop(60_000);
  // The grace is longer than this test may take.
  await listener.stop(600_000);
  expect(await next).toMatchObject({
    kind: "unavailable",
    message: "job 1 was interrupted: the appliance stopped while it ran",
  });
});

describe("JobRunner", () => {
  async function withRunner(
    use: (runner: JobRunner, held: ReturnType<typeof heldClock>, catalog: Catalog) => Promise<void>,
  ): Promise<void> {
    using api = await openApiFixture();
    const held = heldClock();
    const { catalog, log } = api.context;
    await use(new JobRunner({ catalog, log, clock: held.clock }), held, catalog);
  }

  test("stop() interrupts what runs, lets nothing begin, and leaves no timer", async () => {
    await withRunner(async (runner, { timers }, catalog) => {
      const { id } = await runner.start(work(untilStopped));
      await runner.stop(1_000);
      expect(runner.job(id)).toMatchObject({ state: "interrupted", error: "the appliance stopped while it ran" });
      expect(catalog.job(id)).toMatchObject({ state: "interrupted" });
      await expect(runner.start(work(untilStopped))).rejects.toMatchObject({ kind: "unavailable" });
      expect(timers.size).toBe(0);
    });
  });

  test("stop() ends the followers of work that hangs, after its grace", async () => {
    await withRunner(async (runner, held) => {
      const hanging = Promise.withResolvers<void>();
      const { id } = await runner.start(
        work(async function* () {
          yield { line: "progress" };
          await hanging.promise;
        }),
      );
      const stopped = runner.stop(1_000);
      held.advance(1_000);
      await stopped;
      expect(runner.lines(id)?.endId).toBe(2);
      expect(runner.job(id).state).toBe("interrupted");
      hanging.resolve();
    });
  });

  test("work that is slow to begin has begun after a second", async () => {
    await withRunner(async (runner, held) => {
      const gate = Promise.withResolvers<void>();
      const starting = runner.start(
        work(async function* () {
          await gate.promise;
          yield { line: "end" };
        }),
      );
      held.advance(1_000);
      const job = await starting;
      expect(job.state).toBe("running");
      gate.resolve();
      await settled(() => runner.job(job.id).state === "done");
    });
  });

  test("runs 16 at a time, and the next when one has ended", async () => {
    await withRunner(async (runner) => {
      const jobs = await Promise.all(Array.from({ length: 16 }, () => runner.start(work(untilStopped))));
      await expect(runner.start(work(untilStopped))).rejects.toMatchObject({ kind: "unavailable" });
      runner.cancel(jobs[0]!.id, "bert");
      await settled(() => runner.job(jobs[0]!.id).state === "cancelled");
      expect(runner.job(jobs[0]!.id).error).toBe("at the request of bert");
      await runner.start(work(untilStopped));
      await runner.stop(1_000);
    });
  });

  test("keeps lines for an hour, and of 48 jobs at the most", async () => {
    await withRunner(async (runner, held) => {
      const ids: number[] = [];
      for (let i = 0; i < 50; i++) {
        const { id } = await runner.start(
          work(async function* () {
            yield { line: "end" };
          }),
        );
        await settled(() => runner.job(id).state === "done");
        ids.push(id);
      }
      expect(ids.map((id) => runner.lines(id) !== undefined)).toEqual(ids.map((_, i) => i >= 2));
      held.advance(3_600_000);
      expect(ids.some((id) => runner.lines(id) !== undefined)).toBe(false);
      expect(runner.job(ids[0]!).state).toBe("done");
      expect(held.timers.size).toBe(0);
    });
  });

  test("a catalog that fails does not stop the work", async () => {
    await withRunner(async (runner, _held, catalog) => {
      catalog.close();
      const { id } = await runner.start(
        work(async function* () {
          yield { line: "end" };
        }),
      );
      await settled(() => runner.job(id).state === "done");
    });
  });
});

describe("JobLines", () => {
  test("drops progress before findings, the oldest first, and counts what it dropped of the rest", () => {
    const lines = new JobLines();
    lines.add({ line: "finding", number: 0 }, false);
    for (let i = 0; i < 1_000; i++) lines.add({ line: "progress", number: i }, true);
    expect(lines.after(0, 9_999).map(({ id }) => id)).toEqual([1, ...Array.from({ length: 100 }, (_, i) => 902 + i)]);
    expect(lines.dropped).toBe(0);
    for (let i = 0; i < 5_000; i++) lines.add({ line: "finding", number: i }, false);
    const kept = lines.after(0, 9_999);
    expect(kept).toHaveLength(5_000);
    expect(kept.every(({ name }) => name === "line")).toBe(true);
    expect(lines.dropped).toBe(1);
  });

  test("holds a bounded length of text", () => {
    const lines = new JobLines();
    for (let i = 0; i < 100; i++) lines.add({ line: "finding", message: "x".repeat(60_000) }, false);
    expect(lines.after(0, 999).length).toBeLessThan(18);
    expect(lines.dropped).toBeGreaterThan(80);
  });
});

describe("jobEventStream()", () => {
  function open(held: ReturnType<typeof heldClock>, lines: JobLines, signal = new AbortController().signal) {
    let closed = 0;
    const end = (): string => '{"state":"done"}';
    const stream = jobEventStream({ lines, after: 0, end, clock: held.clock, signal, onClose: () => closed++ });
    const reader = stream.getReader();
    const read = async () => new TextDecoder().decode((await reader.read()).value);
    return { reader, read, closed: () => closed };
  }

  test("shows a sign of life every 15 s, then what comes, then the end", async () => {
    const held = heldClock();
    const lines = new JobLines();
    const { read, reader, closed } = open(held, lines);
    const first = read();
    await setImmediate();
    held.advance(15_000);
    expect(await first).toBe(": the job goes on\n\n");
    const second = read();
    await setImmediate();
    lines.add({ line: "finding" }, false);
    await setImmediate();
    held.advance(50);
    expect(parseEvents(await second)).toEqual([{ id: 1, name: "line", data: { line: "finding" } }]);
    lines.end();
    expect(parseEvents(await read())).toEqual([{ id: 2, name: "end", data: { state: "done" } }]);
    expect((await reader.read()).done).toBe(true);
    expect(closed()).toBe(1);
    expect(held.timers.size).toBe(0);
  });

  test("lets go at once when the client is gone", async () => {
    const held = heldClock();
    const gone = new AbortController();
    const { read, closed } = open(held, new JobLines(), gone.signal);
    const waiting = read();
    await setImmediate();
    gone.abort();
    await waiting;
    expect(closed()).toBe(1);
    expect(held.timers.size).toBe(0);
  });
});
