/** The scheduler on a simulated clock, with the catalog's real tables in memory. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { Scheduler, type TaskJob } from "../../../src/automation/scheduler.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { formatTime, micros, parseTime } from "../../../src/base/units.ts";
import { migrate } from "../../../src/catalog/migrations.ts";
import { scheduleTable, type Schedule, type ScheduleTable } from "../../../src/catalog/schedules.ts";
import { createLog } from "../../../src/observe/log.ts";

const START = parseTime("2026-03-28T12:00:00Z")!;
const HOUR_MS = 3_600_000;
const log = createLog({ level: "error", format: "json", write: () => undefined });

interface Bed {
  sim: Simulation;
  scheduler: Scheduler;
  table: ScheduleTable;
  /** When each run began, by schedule. */
  began: string[];
  told: { kind: string; level: string; message: string }[];
  /** What runs do; at once done unless a test sets it. */
  work: { do: (job: TaskJob) => Promise<string> };
  /** The same catalog and clock under a new scheduler, as after a restart. */
  reopen(): Scheduler;
}

function schedule(change: Partial<Schedule> = {}): Schedule {
  return {
    name: "nightly",
    key: "1a2b3c4d",
    description: "",
    task: { kind: "gc" },
    timing: { kind: "calendar", expression: "30 2 * * *", timeZone: "Europe/Berlin", jitterSeconds: 0 },
    missed: "run",
    state: "active",
    createdAt: START,
    handledAt: START,
    ...change,
  };
}

function bed(story: (bed: Bed) => Promise<void>): Promise<void> {
  const sim = new Simulation(1, START);
  const database = new Database(":memory:", { strict: true, safeIntegers: true });
  migrate(database);
  const table = scheduleTable(
    drizzle(database),
    (work) => work(),
    (work) => work(),
  );
  const began: string[] = [];
  const told: Bed["told"] = [];
  const work: Bed["work"] = { do: async () => "done" };
  let job = 0;
  const open = (): Scheduler =>
    new Scheduler({
      table,
      clock: sim.clock,
      log,
      startJob: (_kind, _subject, run) => ({
        id: Promise.resolve(++job),
        ended: run({ signal: new AbortController().signal, progress: () => undefined }),
      }),
      async perform(due, given) {
        began.push(`${due.name} ${formatTime(sim.clock.wall()).slice(0, 16)}`);
        return await work.do(given);
      },
      subjectOf: () => "appliance",
      tell: (event) => void told.push(event),
    });
  return sim.run(async () => {
    const scheduler = open();
    await story({ sim, scheduler, table, began, told, work, reopen: open });
    await scheduler.stop();
  });
}

test("runs at each due time once, through the switch to summer time, and keeps a history of it", () =>
  bed(async ({ sim, scheduler, began }) => {
    scheduler.add(schedule());
    scheduler.start();
    expect(formatTime(scheduler.state("nightly").next!.at).slice(0, 16)).toBe("2026-03-29T01:00");
    await sim.clock.sleep(49 * HOUR_MS);
    expect(began).toEqual(["nightly 2026-03-29T01:00", "nightly 2026-03-30T00:30"]);
    expect(scheduler.runs("nightly").map(({ outcome, job }) => [outcome, job])).toEqual([
      ["done", 2],
      ["done", 1],
    ]);
  }));

test("a schedule that was missed while the appliance was off runs once, or not at all, as it is set", () =>
  bed(async ({ sim, scheduler, began, told, reopen }) => {
    scheduler.add(schedule({ name: "made-up" }));
    scheduler.add(schedule({ name: "skipped", missed: "skip" }));
    await scheduler.stop();
    await sim.clock.sleep(100 * HOUR_MS);
    const second = reopen();
    second.start();
    await second.idle();
    expect(began).toEqual(["made-up 2026-04-01T16:00"]);
    expect(told.map(({ kind, level }) => [kind, level])).toEqual([
      ["schedule-missed", "info"],
      ["schedule-missed", "warning"],
    ]);
    expect(told[0]!.message).toContain("missed 4 times, the last at 2026-04-01T00:30:00");
    expect(second.runs("skipped").map(({ outcome }) => outcome)).toEqual(["missed"]);
    expect(formatTime(second.state("skipped").next!.at).slice(0, 16)).toBe("2026-04-02T00:30");
    const third = reopen();
    third.start();
    await third.idle();
    expect(began).toHaveLength(1);
    await Promise.all([second.stop(), third.stop()]);
  }));

test("what comes due while the last run is under way is passed over, and told once for that run", () =>
  bed(async ({ sim, scheduler, began, told, work }) => {
    const release = Promise.withResolvers<string>();
    work.do = () => release.promise;
    const timing = { kind: "interval" as const, everySeconds: 600, jitterSeconds: 0 };
    scheduler.add(schedule({ timing }));
    scheduler.start();
    await sim.clock.sleep(35 * 60_000);
    expect(began).toHaveLength(1);
    expect(scheduler.state("nightly").running).toBe(true);
    await expect(scheduler.runNow("nightly")).rejects.toThrow(/is running already/);
    expect(scheduler.runs("nightly").map(({ outcome }) => outcome)).toEqual(["overlapped", "overlapped", "running"]);
    expect(told.map(({ kind }) => kind)).toEqual(["schedule-missed"]);
    release.resolve("done");
    work.do = async () => "done";
    await sim.clock.sleep(6 * 60_000);
    expect(began).toHaveLength(2);
  }));

test("a paused schedule does nothing, can be run by hand, and has missed nothing when it is resumed", () =>
  bed(async ({ sim, scheduler, began, told }) => {
    scheduler.add(schedule({ state: "paused" }));
    scheduler.start();
    await sim.clock.sleep(61 * HOUR_MS);
    expect([began, scheduler.times("nightly", 10), scheduler.state("nightly").next]).toEqual([[], [], undefined]);
    const run = await scheduler.runNow("nightly");
    expect(run).toMatchObject({ outcome: "running", job: 1 });
    scheduler.change("nightly", { state: "active" });
    await sim.clock.sleep(2 * HOUR_MS);
    expect(began).toHaveLength(1);
    await sim.clock.sleep(24 * HOUR_MS);
    expect(began).toHaveLength(2);
    expect(told).toEqual([]);
  }));

test("a failure is told each time, and once that it works again", () =>
  bed(async ({ sim, scheduler, told, work }) => {
    work.do = async () => {
      throw new SternwayError("unavailable", "no tier answers");
    };
    scheduler.add(schedule({ timing: { kind: "interval", everySeconds: 3600, jitterSeconds: 0 } }));
    scheduler.start();
    await sim.clock.sleep(2.5 * HOUR_MS);
    expect(told.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      "schedule-failed: schedule nightly failed: no tier answers",
      "schedule-failed: schedule nightly failed: no tier answers",
    ]);
    work.do = async () => "sent";
    await sim.clock.sleep(2 * HOUR_MS);
    expect(told.slice(2).map(({ kind }) => kind)).toEqual(["schedule-recovered"]);
  }));

test("a clock that steps forward over due times makes one run; one that steps back does not repeat what ran", () =>
  bed(async ({ sim, scheduler, began }) => {
    scheduler.add(
      schedule({ timing: { kind: "calendar", expression: "0 * * * *", timeZone: "UTC", jitterSeconds: 0 } }),
    );
    scheduler.start();
    await sim.clock.sleep(HOUR_MS + 60_000);
    expect(began).toEqual(["nightly 2026-03-28T13:00"]);
    sim.clock.stepWall(-20 * 60e6);
    await sim.clock.sleep(30 * 60_000);
    expect(began).toHaveLength(1);
    sim.clock.stepWall(10 * 3_600e6);
    await sim.clock.sleep(60_000);
    expect(began).toHaveLength(2);
  }));

test("a clock that was years ahead and is set right does not silence a schedule for years", () =>
  bed(async ({ sim, scheduler, began }) => {
    scheduler.add(schedule({ timing: { kind: "interval", everySeconds: 3600, jitterSeconds: 0 } }));
    scheduler.start();
    sim.clock.stepWall(4 * 365 * 86_400e6);
    await sim.clock.sleep(60_000);
    sim.clock.stepWall(-4 * 365 * 86_400e6);
    await sim.clock.sleep(2 * HOUR_MS + 60_000);
    expect(began).toHaveLength(3);
  }));

test("no more than eight run at once; the others follow as these end", () =>
  bed(async ({ sim, scheduler, began, work }) => {
    const gates: (() => void)[] = [];
    work.do = () => new Promise((resolve) => gates.push(() => resolve("done")));
    const timing = { kind: "interval" as const, everySeconds: 3600, jitterSeconds: 0 };
    for (let i = 0; i < 11; i++) scheduler.add(schedule({ name: `s${i}`, key: `${i}`, timing }));
    scheduler.start();
    await sim.clock.sleep(HOUR_MS + 1000);
    expect(began).toHaveLength(8);
    gates.shift()!();
    gates.shift()!();
    await sim.clock.sleep(1000);
    expect(began).toHaveLength(10);
    for (let i = 0; i < 3; i++) {
      for (const open of gates.splice(0)) open();
      await sim.clock.sleep(1000);
    }
    expect(began).toHaveLength(11);
  }));

test("one that waits for others to end is not late, however long that takes", () =>
  bed(async ({ sim, scheduler, began, told, work }) => {
    const gates: (() => void)[] = [];
    work.do = () => new Promise((resolve) => gates.push(() => resolve("done")));
    const timing = { kind: "interval", everySeconds: 3600, jitterSeconds: 0 } as const;
    for (let i = 0; i < 9; i++) scheduler.add(schedule({ name: `s${i}`, timing, missed: "skip" }));
    scheduler.start();
    await sim.clock.sleep(HOUR_MS + 20 * 60_000);
    expect(began).toHaveLength(8);
    gates.shift()!();
    await sim.clock.sleep(1000);
    expect([began.length, told]).toEqual([9, []]);
    for (const open of gates.splice(0)) open();
  }));

test("an interval schedule that was made while the clock was ahead runs when that is set right", () =>
  bed(async ({ sim, scheduler, began }) => {
    const ahead = micros(START + 365 * 86_400e6);
    const timing = { kind: "interval", everySeconds: 3600, jitterSeconds: 0 } as const;
    scheduler.add(schedule({ timing, createdAt: ahead, handledAt: ahead }));
    scheduler.start();
    expect(scheduler.times("nightly", 1)[0]! - sim.clock.wall()).toBeLessThanOrEqual(3600e6);
    await sim.clock.sleep(3 * HOUR_MS + 1000);
    expect(began).toHaveLength(3);
  }));

test("stop() tells what runs to stop, waits for it, and begins nothing more", () =>
  bed(async ({ sim, scheduler, began, told, work, table }) => {
    work.do = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => void sim.clock.sleep(5000).then(() => reject(new Error("stopped"))));
      });
    scheduler.add(schedule({ timing: { kind: "interval", everySeconds: 60, jitterSeconds: 0 } }));
    scheduler.start();
    await sim.clock.sleep(90_000);
    const before = sim.clock.monotonic();
    await scheduler.stop();
    expect(sim.clock.monotonic() - before).toBeGreaterThanOrEqual(5e6);
    expect(table.runs("nightly").map(({ outcome }) => outcome)).toEqual(["interrupted"]);
    await sim.clock.sleep(HOUR_MS);
    expect(began).toHaveLength(1);
    expect(told).toEqual([]);
  }));

test("a schedule that is removed while it runs lets the run end; its history goes with it", () =>
  bed(async ({ sim, scheduler, table, work, told }) => {
    const release = Promise.withResolvers<string>();
    work.do = () => release.promise;
    scheduler.add(schedule());
    scheduler.start();
    await scheduler.runNow("nightly");
    scheduler.remove("nightly");
    expect(() => scheduler.state("nightly")).toThrow(/no schedule nightly/);
    release.resolve("done");
    await scheduler.idle();
    expect([table.list(), table.runs("nightly"), told]).toEqual([[], [], []]);
    await sim.clock.sleep(1);
  }));

test("keeps the newest hundred runs of each schedule", () =>
  bed(async ({ scheduler, table }) => {
    scheduler.add(schedule());
    const run = { startedAt: START, finishedAt: START, outcome: "done" as const, job: null };
    for (let i = 0; i < 130; i++) table.addRun({ ...run, schedule: "nightly", dueAt: micros(START + i) });
    table.addRun({ ...run, schedule: "other", dueAt: START });
    expect(table.runs("nightly")).toHaveLength(100);
    expect(table.runs("nightly")[0]!.dueAt).toBe(micros(START + 129));
    expect(table.runs("other")).toHaveLength(1);
  }));
