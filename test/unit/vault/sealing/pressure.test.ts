import { describe, expect, test } from "bun:test";
import { Simulation } from "../../../../src/base/simulation.ts";
import { Pressure } from "../../../../src/vault/sealing/pressure.ts";

function at(fill: number, debt = 0): { pressure: Pressure; set(fill: number, debt?: number): void; sim: Simulation } {
  const sim = new Simulation(1);
  let now = { fill, debt };
  const pressure = new Pressure(
    sim.clock,
    () => now.fill,
    () => now.debt,
  );
  return { sim, pressure, set: (nextFill, nextDebt = 0) => (now = { fill: nextFill, debt: nextDebt }) };
}

describe("Pressure", () => {
  test("first the sealer does less, then writers are slowed", () => {
    const { pressure, set } = at(0);
    const seen: string[] = [];
    for (let fill = 0; fill <= 100; fill++) {
      set(fill / 100);
      const state = `${pressure.effort}${pressure.isSlowing ? " slow" : ""}`;
      if (seen.at(-1) !== state) seen.push(state);
    }
    expect(seen).toEqual(["full", "raw", "raw slow"]);
  });

  test("keeps the same order when merging falls behind, however empty the journal is", () => {
    const { pressure, set } = at(0);
    const seen: string[] = [];
    for (let debt = 0; debt <= 100; debt++) {
      set(0, debt / 100);
      const state = `${pressure.effort}${pressure.isSlowing ? " slow" : ""}`;
      if (seen.at(-1) !== state) seen.push(state);
    }
    expect(seen).toEqual(["full", "raw", "raw slow"]);
  });

  test("delays nothing without pressure, and never longer than a quarter of a second", () => {
    const { pressure, set } = at(0.5);
    for (let i = 0; i < 100; i++) expect(pressure.delayMs(2 ** 20)).toBe(0);
    set(1);
    const delays = Array.from({ length: 100 }, () => pressure.delayMs(2 ** 20));
    expect(delays[0]).toBe(0);
    expect(delays.at(-1)).toBe(250);
    expect(delays).toEqual(delays.toSorted((a, b) => a - b));
  });

  test("slows writers to the rate at which the sealer works, down to half of it in a full journal", async () => {
    for (const [fill, share] of [
      [0.86, 1],
      [1, 0.5],
    ] as const) {
      const { pressure, sim } = at(fill);
      const rate = 100 * 2 ** 20;
      pressure.sealed(rate, 1e6);
      await sim.run(async () => {
        const started = sim.nowMicros;
        let bytes = 0;
        while (sim.nowMicros - started < 2e6) {
          await sim.clock.sleep(pressure.delayMs(2 ** 20));
          bytes += 2 ** 20;
        }
        const measured = bytes / ((sim.nowMicros - started) / 1e6);
        expect(measured / (rate * share)).toBeGreaterThan(0.9);
        expect(measured / (rate * share)).toBeLessThan(1.1);
      });
    }
  });

  test("does not make later writers pay for a pause", async () => {
    const { pressure, sim } = at(1);
    for (let i = 0; i < 50; i++) pressure.delayMs(2 ** 20);
    await sim.run(() => sim.clock.sleep(60_000));
    expect(pressure.delayMs(4096)).toBe(0);
  });
});
