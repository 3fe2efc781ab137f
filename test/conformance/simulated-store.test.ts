/** The contract of tiers/store.ts on the simulated store, alone and behind a tier. */
import { expect } from "bun:test";
import { Simulation } from "../../src/base/simulation.ts";
import { SimulatedPlace, SimulatedStore } from "../../src/tiers/simulated-store.ts";
import type { ObjectStore } from "../../src/tiers/store.ts";
import { Tier } from "../../src/tiers/tier.ts";
import { CountingClock } from "../support/counting-clock.ts";
import { storeSuite, type StoreSuite } from "../support/store-suite.ts";

const SEED = 7;

function simulated(wrap: (store: SimulatedStore, sim: Simulation, clock: CountingClock) => ObjectStore): StoreSuite {
  return {
    async on(body) {
      const sim = new Simulation(SEED);
      const clock = new CountingClock(sim.clock);
      const place = new SimulatedPlace("place");
      await sim.run(() => body({ open: () => wrap(new SimulatedStore(sim, place), sim, clock) }));
      expect(clock.timerCount).toBe(0);
    },
  };
}

storeSuite(
  "SimulatedStore",
  simulated((store) => store),
);

storeSuite(
  "Tier on SimulatedStore",
  simulated((store, { random }, clock) => new Tier({ store, identity: "vault-4711", clock, random })),
);
