import { describe, expect, test } from "bun:test";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { micros } from "../../../src/base/units.ts";

/** Eight writers and a clock that contend for one disk. */
async function workload(simulation: Simulation, disk: SimulatedDisk): Promise<void> {
  await disk.mkdir("/v");
  const timer = simulation.clock.sleep(3);
  await Promise.all(
    Array.from({ length: 8 }, async (_, n) => {
      const file = await disk.open(`/v/${n}`, "create");
      for (let i = 0; i < 10; i++) await file.write(new Uint8Array(700).fill(i), i * 700);
      await file.sync();
      await file.close();
    }),
  );
  await timer;
}

async function logOf(seed: number): Promise<string> {
  const simulation = new Simulation(seed);
  const disk = new SimulatedDisk(simulation);
  await simulation.run(() => workload(simulation, disk));
  return disk.logText();
}

describe("Simulation", () => {
  test("the same seed gives the same operation log, another seed another", async () => {
    const first = await logOf(1);
    expect(first.split("\n").length).toBe(105);
    expect(await logOf(1)).toBe(first);
    expect(await logOf(2)).not.toBe(first);
  });

  test("run() returns what main returns and throws what it throws", async () => {
    const simulation = new Simulation(1);
    expect(await simulation.run(async () => 5)).toBe(5);
    const failing = simulation.run(async () => {
      await simulation.clock.sleep(1);
      throw new Error("from main");
    });
    expect(failing).rejects.toThrow("from main");
    await failing.catch(() => {});
  });

  test("run() reports a deadlock with its seed", async () => {
    const simulation = new Simulation(4711);
    const stuck = simulation.run(() => new Promise<void>(() => {}));
    await expect(stuck).rejects.toThrow(/deadlock.*seed 4711/);
  });

  test("run() ends at its bound of steps", async () => {
    const simulation = new Simulation(3);
    const endless = simulation.run(
      async () => {
        for (;;) await simulation.clock.sleep(1);
      },
      { stepsMax: 100 },
    );
    await expect(endless).rejects.toThrow(/within 100 steps.*seed 3/);
  });

  test("timers fire by virtual time, never early, cancelled ones not at all", async () => {
    const simulation = new Simulation(1);
    const fired: string[] = [];
    await simulation.run(async () => {
      const { clock } = simulation;
      clock.timer(20, () => fired.push(`b${clock.monotonic()}`));
      clock.timer(10, () => fired.push(`a${clock.monotonic()}`));
      const cancelled = clock.timer(15, () => fired.push("never"));
      cancelled.cancel();
      await clock.sleep(3_600_000);
      expect(clock.monotonic()).toBe(3_600_000_000);
    });
    expect(fired).toEqual(["a10000", "b20000"]);
  });

  test("stepWall() moves the wall clock and nothing else", async () => {
    const simulation = new Simulation(1, micros(1_000_000));
    await simulation.run(async () => {
      await simulation.clock.sleep(1);
      expect(simulation.clock.wall()).toBe(micros(1_001_000));
      simulation.clock.stepWall(-500_000);
      expect(simulation.clock.wall()).toBe(micros(501_000));
      expect(simulation.clock.monotonic()).toBe(1_000);
    });
    const next = simulation.rebooted();
    expect(next.clock.wall()).toBe(micros(501_000));
    expect(next.clock.monotonic()).toBe(0);
  });

  test("promise chains of any length end before the next step", async () => {
    const simulation = new Simulation(1);
    const seen: string[] = [];
    await simulation.run(async () => {
      const long = simulation.clock.sleep(1).then(async () => {
        for (let i = 0; i < 5_000; i++) await Promise.resolve();
        seen.push("long chain");
      });
      await simulation.clock.sleep(1.001);
      seen.push("next step");
      await long;
    });
    expect(seen).toEqual(["long chain", "next step"]);
  });

  test("outside() holds the world until real work is done", async () => {
    const simulation = new Simulation(1);
    const seen: string[] = [];
    await simulation.run(async () => {
      const tick = simulation.clock.sleep(1).then(() => seen.push("tick"));
      const compressed = await simulation.outside(
        new Response(new Blob(["x".repeat(1000)]).stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
      );
      seen.push(compressed.length > 0 ? "outside" : "nothing");
      await tick;
    });
    expect(seen).toEqual(["outside", "tick"]);
  });

  test("runFor() stops the world after its steps, and nothing of it completes later", async () => {
    for (let steps = 0; steps < 30; steps++) {
      const simulation = new Simulation(9);
      const disk = new SimulatedDisk(simulation);
      let finished = 0;
      const result = await simulation.runFor(steps, async () => {
        await disk.mkdir("/v");
        const file = await disk.open("/v/a", "create");
        for (;;) {
          await file.write(new Uint8Array(100), finished * 100);
          finished++;
        }
      });
      expect(result).toEqual({ done: false });
      expect(finished).toBe(Math.max(0, steps - 2));
      const before = disk.peek("/v/a")?.length;
      void disk.remove("/v/a").then(() => finished++);
      simulation.clock.timer(0, () => finished++);
      await new Promise((resolve) => setImmediate(resolve));
      expect(simulation.pendingCount).toBe(0);
      expect(disk.peek("/v/a")?.length).toBe(before);
      expect(finished).toBe(Math.max(0, steps - 2));
    }
  });

  test("runFor() gives the value of a main that ends in time, and afterStep sees every step", async () => {
    const simulation = new Simulation(5);
    const steps: number[] = [];
    const sleepTwice = async (): Promise<string> => {
      await simulation.clock.sleep(1);
      await simulation.clock.sleep(1);
      return "done";
    };
    const result = await simulation.runFor(100, sleepTwice, { afterStep: (step) => void steps.push(step) });
    expect(result).toEqual({ done: true, value: "done" });
    expect(steps).toEqual([1, 2]);
    expect(simulation.stopped).toBe(false);
  });

  test("operations started together finish in many orders", async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const simulation = new Simulation(seed);
      const disk = new SimulatedDisk(simulation);
      const order: number[] = [];
      await simulation.run(() => Promise.all([0, 1, 2].map((n) => disk.sizeOf(`/${n}`).then(() => order.push(n)))));
      orders.add(order.join(""));
    }
    expect(orders.size).toBe(6);
  });
});
