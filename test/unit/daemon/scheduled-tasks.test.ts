import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JobRunner } from "../../../src/api/app.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { openCatalog, type Catalog } from "../../../src/catalog/catalog.ts";
import { jobStarter, scheduledTasks, type TaskSources } from "../../../src/daemon/scheduled-tasks.ts";
import { createLog } from "../../../src/observe/log.ts";

const log = createLog({ level: "error", format: "json", write: () => undefined });

describe("scheduledTasks()", () => {
  /** Work whose lines a test sets. */
  function tasksOn(lines: object[]) {
    const asked: unknown[] = [];
    const moved: number[] = [];
    async function* given(...args: unknown[]): AsyncGenerator<never> {
      asked.push(args.filter((each) => !(each instanceof AbortSignal)));
      for (const line of lines) yield line as never;
    }
    const sources = {
      check: given,
      scrub: { status: () => ({ cycleDays: 30, vaults: [] }), run: given },
      retention: { zone: "UTC", run: given },
      tiers: { sync: given, verify: given },
      report: async () => "sent",
    } satisfies TaskSources;
    const job = { signal: new AbortController().signal, progress: (fraction: number) => void moved.push(fraction) };
    return { tasks: scheduledTasks(sources), job, asked, moved };
  }

  test("tell how far they are and what was done", async () => {
    const end = { line: "end", findings: 0, objects: 3, bytes: 4096 };
    const { tasks, job, asked, moved } = tasksOn([{ line: "progress", what: "packs", done: 1, total: 4 }, end]);
    expect(await tasks.check({ kind: "check", vault: "default", quick: true }, job)).toBe(
      "3 objects and 4 KiB are whole",
    );
    expect([asked, moved]).toEqual([[[{ vault: "default", quick: true }]], [0.25]]);
    const tier = tasksOn([
      { line: "progress", objects: 5, objectsTotal: 10, bytes: 0 },
      { line: "end", objects: 10, bytes: 1, findings: 2, repaired: 2 },
    ]);
    await tier.tasks.verifyTier({ kind: "verify-tier", vault: "v", tier: "t", repair: true }, tier.job);
    expect([tier.asked, tier.moved]).toEqual([[["v", "t", true]], [0.5]]);
  });

  test("fail when what they looked at is not whole, and when they were stopped before their end", async () => {
    const found = tasksOn([{ line: "end", findings: 2, objects: 3, bytes: 0, damaged: 1, failures: 1, repaired: 1 }]);
    await expect(found.tasks.check({ kind: "check" }, found.job)).rejects.toThrow("found 2 things");
    await expect(found.tasks.scrub({ kind: "scrub" }, found.job)).rejects.toThrow("1 places damaged");
    await expect(found.tasks.gc({ kind: "gc" }, found.job)).rejects.toThrow("1 parts of it failed");
    const verify = found.tasks.verifyTier({ kind: "verify-tier", vault: "v", tier: "t" }, found.job);
    await expect(verify).rejects.toThrow("1 of its objects");
    const cut = tasksOn([{ line: "progress", done: 1, total: 2 }]);
    await expect(cut.tasks.syncTier({ kind: "sync-tier", vault: "v" }, cut.job)).rejects.toThrow(
      "stopped before its end",
    );
  });
});

describe("jobStarter()", () => {
  let dir: string;
  let catalog: Catalog;
  let jobs: JobRunner;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "sternway-tasks-"));
    catalog = await openCatalog({ disk: realDisk, dir, clock: systemClock });
    jobs = new JobRunner({ catalog, log, clock: systemClock });
  });
  afterEach(async () => {
    await jobs.stop(0);
    catalog.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("makes a job of a run, with its progress and its end", async () => {
    const gate = Promise.withResolvers<void>();
    const { id, ended } = jobStarter(() => jobs)("sync-tier", "default", async (job) => {
      job.progress(0.5);
      await gate.promise;
      return "done";
    });
    const job = (await id)!;
    const lines = jobs.lines(job)!;
    expect(lines).toBeDefined();
    gate.resolve();
    expect(await ended).toBe("done");
    while (jobs.job(job).state === "running") await new Promise(setImmediate);
    expect(jobs.job(job)).toMatchObject({ kind: "sync-tiers", subject: "default", state: "done", progress: 1 });
  });

  test("work that fails at once is a job all the same, and says why", async () => {
    const { id, ended } = jobStarter(() => jobs)("gc", "appliance", async () => {
      throw new SternwayError("unavailable", "the disk is full");
    });
    await expect(ended).rejects.toThrow("the disk is full");
    const job = (await id)!;
    while (jobs.job(job).state === "running") await new Promise(setImmediate);
    expect(jobs.job(job)).toMatchObject({ state: "failed", error: "the disk is full" });
  });

  test("a job that is cancelled stops its work", async () => {
    const { id, ended } = jobStarter(() => jobs)("check", "appliance", ({ signal }) => {
      const stopped = Promise.withResolvers<string>();
      signal.addEventListener("abort", () => stopped.reject(new SternwayError("unavailable", "it was stopped")));
      return stopped.promise;
    });
    jobs.cancel((await id)!, "root");
    await expect(ended).rejects.toThrow("it was stopped");
  });

  test("what cannot begin at all has no job, and says why", async () => {
    await jobs.stop(0);
    const { id, ended } = jobStarter(() => jobs)("gc", "appliance", async () => "never");
    await expect(ended).rejects.toThrow(/appliance is stopping/);
    expect(await id).toBeUndefined();
  });
});
