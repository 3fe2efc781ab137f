/** The task on real vaults in a simulated world. */
import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import type { GcRunLine } from "../../../src/contract/contract.ts";
import { RetentionTask, type RetainedVault } from "../../../src/daemon/retention-task.ts";
import { createLog } from "../../../src/observe/log.ts";
import { parsePolicy } from "../../../src/retention/policy.ts";
import { all } from "../../support/world.ts";
import { MIB, story, type Story } from "../volume/volume-story.ts";

const HOUR_MS = 3_600_000;
const log = createLog({ level: "error", format: "json", write: () => undefined });

function taskOn({ vault, volumes, sim }: Story, vaults?: RetainedVault[]) {
  const told: { kind: string; subject: string; message: string }[] = [];
  const own: RetainedVault = { name: "default", volumes, collect: () => vault.collect() };
  const task = new RetentionTask({
    vaults: () => vaults ?? [own],
    clock: sim.clock,
    intervalMinutes: 15,
    zone: "UTC",
    log,
    tell: (event) => void told.push(event),
  });
  return { task, told, own };
}

async function write({ volumes, using, sim }: Story, hours: number): Promise<void> {
  await volumes.create("v", MIB);
  for (let i = 0; i < hours; i++) {
    await using("v", async (device) => {
      await device.write(0, sim.random.bytes(64 * 1024), false);
    });
    await sim.clock.sleep(HOUR_MS);
  }
}

const run = (task: RetentionTask): Promise<GcRunLine[]> => all(task.run({}, new AbortController().signal));

test("a run thins what policies let go of, collects it, and tells", () =>
  story(1, async (told_) => {
    const { task, told } = taskOn(told_);
    await write(told_, 12);
    await told_.volumes.setRetention("v", parsePolicy({ all: "2h", hourly: "4h" }));
    const lines = await run(task);
    expect(lines.map((line) => line.line)).toEqual(["progress", "thinned", "collected", "end"]);
    expect(lines.at(-1)).toMatchObject({ volumesThinned: 1, failures: 0 });
    expect(told.map((event) => event.kind)).toContain("retention-applied");
    expect((await run(task)).map((line) => line.line)).toEqual(["progress", "collected", "end"]);
  }));

test("by itself it evaluates at the start and every interval, until it is stopped", () =>
  story(2, async (told_) => {
    const { task, told } = taskOn(told_);
    await write(told_, 6);
    await told_.volumes.setRetention("v", parsePolicy({ all: "4h" }));
    task.start();
    await task.idle();
    const first = (await told_.volumes.retention("v")).horizon.lsn;
    await told_.using("v", async (device) => {
      await device.write(0, new Uint8Array(4096), false);
    });
    await told_.sim.clock.sleep(5 * HOUR_MS);
    await task.idle();
    const second = (await told_.volumes.retention("v")).horizon.lsn;
    expect(second).toBeGreaterThan(first);
    task.stop();
    await task.idle();
    const count = told.length;
    await told_.sim.clock.sleep(5 * HOUR_MS);
    expect(told).toHaveLength(count);
  }));

test("a vault that fails is told of once, and the others go on", () =>
  story(3, async (told_) => {
    const broken = async (): Promise<never> => {
      throw new SternwayError("corrupt", "a layer is damaged");
    };
    const vaults: RetainedVault[] = [];
    const { task, told, own } = taskOn(told_, vaults);
    vaults.push({ ...own, name: "bad", collect: broken }, { ...own, collect: undefined }, own);
    for (let i = 0; i < 2; i++) {
      expect((await run(task)).at(-1)).toMatchObject({ line: "end", failures: 1 });
    }
    expect(told.filter((event) => event.kind === "retention-failed")).toMatchObject([{ subject: "bad" }]);
  }));

test("two runs at once: the second one is refused", () =>
  story(4, async (told_) => {
    const { task } = taskOn(told_);
    const first = task.run({}, new AbortController().signal);
    await first.next();
    expect(await run(task).catch((error: unknown) => error)).toMatchObject({ kind: "conflict" });
    await all(first);
    expect((await run(task)).at(-1)).toMatchObject({ line: "end" });
  }));

test("a clock that was set far forward is told of once, and again after it was right", () =>
  story(5, async (told_) => {
    const { task, told } = taskOn(told_);
    await write(told_, 2);
    const warnings = (): number => told.filter((event) => event.kind === "clock-ahead").length;
    await run(task);
    expect(warnings()).toBe(0);
    told_.sim.clock.stepWall(3650 * 86_400e6);
    await run(task);
    await run(task);
    expect(warnings()).toBe(1);
    told_.sim.clock.stepWall(-3650 * 86_400e6);
    await run(task);
    told_.sim.clock.stepWall(30 * 86_400e6);
    await run(task);
    expect(warnings()).toBe(2);
  }));
