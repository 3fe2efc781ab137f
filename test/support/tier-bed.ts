/** A tier over a store that does what a test says, in a simulated world. */
import { expect } from "bun:test";
import { isSternwayError, type SternwayError } from "../../src/base/errors.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { Tier, type TierOptions, type TierState } from "../../src/tiers/tier.ts";
import { CountingClock } from "./counting-clock.ts";
import { ScriptedStore, type ScriptedStep } from "./store-faults.ts";

export interface TierBed {
  sim: Simulation;
  clock: CountingClock;
  store: ScriptedStore;
  tier: Tier;
  /** As told by onState. */
  states: TierState[];
}

/** Tells a story about a tier; at its end nothing of the tier may be left. */
export async function withTier(
  story: (bed: TierBed) => Promise<void>,
  options: Partial<TierOptions> | ((clock: CountingClock) => Partial<TierOptions>) = {},
): Promise<void> {
  const sim = new Simulation(11);
  const clock = new CountingClock(sim.clock);
  const store = new ScriptedStore();
  const states: TierState[] = [];
  const tier = new Tier({
    store,
    identity: "ours",
    clock,
    random: sim.random,
    onState: (state) => states.push(state),
    ...(typeof options === "function" ? options(clock) : options),
  });
  await sim.run(async () => {
    await story({ sim, clock, store, tier, states });
    await tier.stop();
  });
  expect(clock.timerCount).toBe(0);
  expect(store.count("close")).toBe(1);
}

/** What it fails with. */
export async function failure(work: Promise<unknown>): Promise<SternwayError> {
  try {
    await work;
  } catch (error) {
    if (isSternwayError(error)) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

/** One step of a script, again and again. */
export const times = (count: number, step: ScriptedStep): ScriptedStep[] => Array<ScriptedStep>(count).fill(step);
/** Long enough for ten tries with all pauses. */
export const HOUR_MS = 3_600_000;
