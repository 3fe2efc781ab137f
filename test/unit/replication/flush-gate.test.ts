import { describe, expect, test } from "bun:test";
import type { Simulation } from "../../../src/base/simulation.ts";
import { lsn } from "../../../src/base/units.ts";
import { FlushGate, type FlushTier } from "../../../src/replication/flush-gate.ts";
import { inWorld } from "../../support/world.ts";

interface FakeTier extends FlushTier {
  sends: number;
  stalled: number[];
}

const tier = (reached = 0): FakeTier => ({
  holdsFlushes: true,
  reached,
  sends: 0,
  stalled: [],
  send() {
    this.sends++;
  },
  stall(waitedMs) {
    this.stalled.push(waitedMs);
    this.holdsFlushes = false;
  },
});

/** Starts a flush and tells whether it was answered. */
function flush(sim: Simulation, gate: FlushGate, at: number): { isAnswered(): Promise<boolean> } {
  let answered = false;
  void gate.pass(lsn(at)).then(() => {
    answered = true;
    return undefined;
  });
  return {
    async isAnswered() {
      await sim.clock.sleep(1);
      return answered;
    },
  };
}

describe("FlushGate", () => {
  test("a flush passes when all synchronous tiers have it, and asks those that have not", () =>
    inWorld(1, async ({ sim }) => {
      const [one, two, other] = [tier(), tier(9), { ...tier(), holdsFlushes: false }];
      const gate = new FlushGate(
        sim.clock,
        () => [one, two, other],
        () => 9,
      );
      const waiting = flush(sim, gate, 7);
      expect(await waiting.isAnswered()).toBe(false);
      expect([one.sends, other.sends]).toEqual([1, 0]);
      one.reached = 6;
      gate.release();
      expect(await waiting.isAnswered()).toBe(false);
      one.reached = 7;
      gate.release();
      expect(await waiting.isAnswered()).toBe(true);
    }));

  test("an LSN that a crash skipped is nothing to wait for", () =>
    inWorld(2, async ({ sim }) => {
      const gate = new FlushGate(
        sim.clock,
        () => [tier(5)],
        () => 5,
      );
      expect(await flush(sim, gate, 16_000).isAnswered()).toBe(true);
    }));

  test("a tier that goes away lets go of who waits; so does the end", () =>
    inWorld(3, async ({ sim }) => {
      const one = tier();
      const gate = new FlushGate(
        sim.clock,
        () => [one],
        () => 9,
      );
      const first = flush(sim, gate, 7);
      one.holdsFlushes = false;
      gate.release();
      expect(await first.isAnswered()).toBe(true);
      one.holdsFlushes = true;
      const second = flush(sim, gate, 7);
      expect(await second.isAnswered()).toBe(false);
      gate.open();
      expect(await second.isAnswered()).toBe(true);
      expect(await flush(sim, gate, 9).isAnswered()).toBe(true);
    }));

  test("a tier that says nothing is not waited for any longer than ten seconds", () =>
    inWorld(4, async ({ sim }) => {
      const [silent, quick] = [tier(), tier()];
      const gate = new FlushGate(
        sim.clock,
        () => [silent, quick],
        () => 9,
      );
      const waiting = flush(sim, gate, 7);
      quick.reached = 9;
      gate.release();
      await sim.clock.sleep(9_900);
      expect(await waiting.isAnswered()).toBe(false);
      await sim.clock.sleep(200);
      expect(await waiting.isAnswered()).toBe(true);
      expect([silent.stalled, quick.stalled]).toEqual([[10_000], []]);
    }));
});
