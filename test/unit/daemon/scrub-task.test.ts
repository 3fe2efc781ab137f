import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE } from "../../../src/base/units.ts";
import { ScrubTask } from "../../../src/daemon/scrub-task.ts";
import { createLog } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { all, inWorld, noise, type World } from "../../support/world.ts";
import type { Bed } from "../../support/vault-bed.ts";

const MIB = 2 ** 20;
const DAY_MS = 86_400_000;

/** A vault of three sealed stretches, spoiled at rest if asked for, with its scrub under way. */
function story(
  seed: number,
  options: { spoil: boolean },
  tell: (story: World & { bed: Bed; task: ScrubTask; told: string[] }) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const first = await world.open();
    await first.volumes.create("web", 4 * MIB);
    const web = await first.volumes.openLive("web");
    for (let round = 0; round < 3; round++) {
      await web.write(round * 16 * BLOCK_SIZE, noise(round, 16), false);
      await first.vault.seal();
    }
    await web.close();
    await first.vault.stop();
    if (options.spoil) {
      const path = world.disk.paths().find((name) => name.endsWith("00000002-0.pack"))!;
      world.disk.flipBit(path, Buffer.from(world.disk.peek(path)!).indexOf(Buffer.from(noise(1, 1))) + 9);
    }
    const bed = await world.open();
    const told: string[] = [];
    const task = await ScrubTask.start({
      vault: bed.vault,
      name: "default",
      cycleDays: 2,
      clock: world.sim.clock,
      log: createLog({ level: "error", format: "json", write: () => undefined }),
      metrics: createMetrics(),
      tell: (event) => void told.push(`${event.level} ${event.kind} ${event.subject}`),
    });
    try {
      await tell({ ...world, bed, task, told });
    } finally {
      await task.stop();
    }
  });
}

describe("ScrubTask", () => {
  test("goes through everything once in a cycle's time, evenly", () =>
    story(1, { spoil: false }, async ({ sim, task, told }) => {
      await sim.clock.sleep(DAY_MS);
      const half = task.status();
      expect(half.cycle).toBe(1);
      expect(half.bytes).toBeGreaterThan(half.bytesLeft / 3);
      expect(half.bytesLeft).toBeGreaterThan(0);
      await sim.clock.sleep(DAY_MS + DAY_MS / 2);
      expect(task.status()).toMatchObject({ cycle: 2, last: { objects: 9, findings: 0 } });
      expect(told).toEqual([]);
    }));

  test("tells of damage and of what became of it, once, and looks for a copy again later", () =>
    story(2, { spoil: true }, async ({ sim, bed, task, told }) => {
      await sim.clock.sleep(2 * DAY_MS);
      expect(told).toEqual(["alert damage pack 2", "warning repaired pack 2"]);
      expect(task.status()).toMatchObject({ quarantined: 1 });
      const web = await bed.volumes.openLive("web");
      await web.write(100 * BLOCK_SIZE, noise(1, 1), false);
      await web.flush();
      await sim.clock.sleep(DAY_MS / 8);
      expect(task.quarantined).toBe(0);
      expect(told.at(-1)).toBe("info repaired pack 2");
      await web.close();
    }));

  test("run() reads the rest at once, and ends with what is still damaged", () =>
    story(3, { spoil: true }, async ({ sim, task }) => {
      const from = sim.clock.monotonic();
      const lines = await all(task.run({ full: true }, new AbortController().signal));
      expect(sim.clock.monotonic() - from).toBeLessThan(1e6);
      expect(lines.at(-1)).toMatchObject({ line: "end", objects: 9, findings: 1, restored: 3, damaged: 1 });
      expect(lines.filter(({ line }) => line === "finding")).toHaveLength(1);
      expect(task.status().state).toBe("waiting");
    }));

  test("run() ends after the object at hand when its signal is aborted, and refuses a second one", () =>
    story(4, { spoil: false }, async ({ task }) => {
      const stop = new AbortController();
      const run = task.run({}, stop.signal);
      expect((await run.next()).value).toMatchObject({ line: "progress" });
      await expect(task.run({}, stop.signal).next()).rejects.toMatchObject({ kind: "conflict" });
      stop.abort();
      const rest = await all(run);
      expect(rest.some(({ line }) => line === "end")).toBe(false);
      expect(task.status()).toMatchObject({ objects: 1, state: "waiting" });
    }));

  test("gives way to clients while the sealer falls behind", () =>
    story(5, { spoil: false }, async ({ sim, bed, task }) => {
      Object.defineProperty(bed.vault.parts.pressure, "effort", { get: () => "raw", configurable: true });
      const { objects } = task.status();
      await sim.clock.sleep(DAY_MS);
      expect(task.status()).toMatchObject({ objects, state: "paused" });
      Object.defineProperty(bed.vault.parts.pressure, "effort", { get: () => "full", configurable: true });
      await sim.clock.sleep(DAY_MS / 4);
      expect(task.status().objects).toBeGreaterThan(objects + 1);
    }));
});
