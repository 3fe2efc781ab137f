/** A tier's states: when it goes offline and comes back, that it lets go of everything, and what it says at a place that fails in every way. */
import { describe, expect, test } from "bun:test";
import { isSternwayError, SternwayError } from "../../../src/base/errors.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import { Tier } from "../../../src/tiers/tier.ts";
import { CountingClock } from "../../support/counting-clock.ts";
import { forSeeds } from "../../support/seeds.ts";
import { sourceOf } from "../../support/store-faults.ts";
import { failure, HOUR_MS, times, withTier } from "../../support/tier-bed.ts";

describe("offline", () => {
  test.each(["invalid", "denied"] as const)("a place whose connection is %s takes it offline at once", async (kind) => {
    await withTier(async ({ store, tier, states, sim }) => {
      store.script("connect", kind);
      const error = await failure(tier.get("x"));
      expect(error.kind).toBe("unavailable");
      expect(error.facts["reason"]).toBe(kind);
      expect(tier.offlineReason?.kind).toBe(kind);
      expect(states).toEqual(["offline"]);
      expect(store.calls).toEqual(["connect"]);
      expect(sim.nowMicros).toBe(0);
    });
  });

  test("it probes with growing pauses, and comes back by itself", async () => {
    await withTier(async ({ store, tier, states, clock, sim }) => {
      const probes: number[] = [];
      const note = (): Promise<void> => {
        probes.push(sim.nowMicros / 1e6);
        return Promise.reject(new SternwayError("unavailable", "no route"));
      };
      store.script("connect", "invalid", ...times(8, note));
      await failure(tier.get("x"));
      await clock.sleep(HOUR_MS);
      expect(probes).toHaveLength(8);
      const gaps = probes.map((at, i) => at - (probes[i - 1] ?? 0));
      [2, 4, 8, 15, 15, 15, 15, 15].forEach((most, i) => {
        expect(gaps[i]).toBeGreaterThanOrEqual(most / 2);
        expect(gaps[i]).toBeLessThanOrEqual(most);
      });
      expect(states).toEqual(["offline", "online"]);
      expect(tier.offlineReason).toBeUndefined();
      expect(store.count("connect")).toBe(10);
      await tier.get("x");
      expect(store.count("connect")).toBe(10);
    });
  });

  test("its reason is the newest probe's", async () => {
    await withTier(async ({ store, tier, clock, states }) => {
      store.script("connect", "invalid", "denied", ...times(1000, "denied"));
      await failure(tier.get("x"));
      await clock.sleep(5_001);
      expect(tier.offlineReason?.kind).toBe("denied");
      expect(states).toEqual(["offline"]);
    });
  });

  test("who pauses between tries is told as soon as another operation has given up", async () => {
    await withTier(
      async ({ store, tier, sim, clock }) => {
        store.script("get", ...times(3, "unavailable"));
        store.script("stat", ...times(3, "unavailable"));
        const first = failure(tier.get("x")).then((error) => ({ error, at: sim.nowMicros }));
        await clock.sleep(15);
        const second = failure(tier.stat("x")).then((error) => ({ error, at: sim.nowMicros }));
        const ends = await Promise.all([first, second]);
        // One of them was the first to give up.
        expect(ends.filter(({ error }) => error.facts["offline"] === true)).toHaveLength(1);
        expect(ends[0].at).toBe(ends[1].at);
      },
      { attemptsMax: 3, pauseMsMin: 10_000, pauseMsMax: 10_000 },
    );
  });

  test("goes offline and back as often as the place does", async () => {
    await withTier(
      async ({ store, tier, states, clock }) => {
        for (let round = 0; round < 5; round++) {
          store.script("get", ...times(3, "unavailable"));
          await failure(tier.get("x"));
          await clock.sleep(100);
          await tier.get("x");
        }
        expect(states).toEqual(
          Array.from({ length: 5 }, () => ["online", "offline"] as const)
            .flat()
            .concat("online"),
        );
      },
      { attemptsMax: 3, pauseMsMin: 1, pauseMsMax: 1, probeMsMin: 50 },
    );
  });
});

describe("run() and stop()", () => {
  test("run() connects without being asked anything", async () => {
    await withTier(async ({ store, tier, states, clock }) => {
      store.script("connect", "unavailable");
      tier.run();
      await clock.sleep(1_000);
      expect(states).toEqual(["online"]);
      expect(store.calls).toEqual(["connect", "connect"]);
    });
  });

  test("a signal ends a pause at once, and leaves the tier as it is", async () => {
    await withTier(async ({ store, tier, sim, clock }) => {
      store.script("get", ...times(10, "unavailable"));
      const abort = new AbortController();
      clock.timer(5_000, () => abort.abort());
      const error = await failure(tier.get("x", { signal: abort.signal }));
      expect(error.facts["aborted"]).toBe(true);
      expect(sim.nowMicros).toBe(5e6);
      expect(tier.state).toBe("online");
    });
  });

  test("a signal that is aborted beforehand asks nothing of the place", async () => {
    await withTier(async ({ store, tier }) => {
      expect((await failure(tier.stat("x", AbortSignal.abort()))).facts["aborted"]).toBe(true);
      expect(store.calls).toEqual([]);
    });
  });

  test("a caller's signal ends its wait for a connection, which goes on for the others", async () => {
    await withTier(async ({ store, tier }) => {
      const gate = Promise.withResolvers<void>();
      store.script("connect", () => gate.promise);
      const abort = new AbortController();
      const given = failure(tier.get("x", { signal: abort.signal }));
      const other = tier.get("y");
      abort.abort();
      expect((await given).facts["aborted"]).toBe(true);
      gate.resolve();
      await other;
      expect(store.count("connect")).toBe(1);
    });
  });

  test("stop() ends pauses at once; calls fail from then on, and nothing is told or tried any more", async () => {
    await withTier(async ({ store, tier, sim, states, clock }) => {
      store.script("get", ...times(10, "unavailable"));
      const waiting = failure(tier.get("x"));
      await clock.sleep(5_000);
      await tier.stop();
      expect((await waiting).kind).toBe("unavailable");
      expect(sim.nowMicros).toBe(5e6);
      const calls = store.calls.length;
      expect((await failure(tier.get("x"))).message).toContain("was let go");
      await clock.sleep(HOUR_MS);
      expect(store.calls).toHaveLength(calls);
      expect(states).toEqual(["online"]);
    });
  });

  test("stop() ends the probes of a tier that is offline, also one that is under way", async () => {
    await withTier(async ({ store, tier, states, clock }) => {
      const gate = Promise.withResolvers<void>();
      store.script("connect", "invalid", () => gate.promise);
      await failure(tier.get("x"));
      await clock.sleep(5_001);
      expect(store.count("connect")).toBe(2);
      const stopped = tier.stop();
      gate.resolve();
      await stopped;
      await clock.sleep(HOUR_MS);
      expect(store.count("connect")).toBe(2);
      expect(states).toEqual(["offline"]);
    });
  });

  test("stop() gives up what is under way, and waits for it before it closes the store", async () => {
    await withTier(async ({ store, tier, clock }) => {
      const order: string[] = [];
      store.script("get", async () => {
        const { signal } = store;
        await new Promise<void>((resolve) => signal!.addEventListener("abort", () => resolve()));
        await clock.sleep(100);
        order.push("the try has ended");
        throw new SternwayError("unavailable", "aborted");
      });
      store.script("close", () => {
        order.push("closed");
        return Promise.resolve();
      });
      const waiting = failure(tier.get("x"));
      await clock.sleep(1);
      await tier.stop();
      await waiting;
      expect(order).toEqual(["the try has ended", "closed"]);
    });
  });

  test("stop() does not wait for a store that hangs longer than its bound, and closes it all the same", async () => {
    await withTier(async ({ store, tier, sim, clock }) => {
      const never = Promise.withResolvers<void>();
      store.script("get", () => never.promise);
      store.script("close", () => never.promise);
      const waiting = failure(tier.get("x"));
      await clock.sleep(1);
      await Promise.all([tier.stop(300), tier.stop(300), tier.close()]);
      expect(sim.nowMicros).toBe(601e3);
      expect(store.count("close")).toBe(1);
      never.reject(new SternwayError("unavailable", "its time limit"));
      await waiting;
    });
  });
});

/** Two writers race for names at a place that fails; each puts its own name as content. */
async function race(seed: number): Promise<void> {
  const sim = new Simulation(seed);
  const clock = new CountingClock(sim.clock);
  const place = new SimulatedPlace("place");
  const tierOf = (): Tier =>
    new Tier({ store: new SimulatedStore(sim, place), identity: "ours", clock, random: sim.random, attemptsMax: 30 });
  const tiers = [tierOf(), tierOf()];
  const broken: string[] = [];
  await sim.run(async () => {
    await tiers[0]!.attach("ours");
    place.faultPercent = 30;
    await Promise.all(
      tiers.map(async (tier, writer) => {
        for (let i = 0; i < 20; i++) {
          const end = await tier.put(`x${i}`, sourceOf(`${writer}`), { ifAbsent: true }).then(
            () => "done",
            (error: unknown) => {
              if (!isSternwayError(error, "conflict")) throw error;
              return error.facts["ambiguous"] === true ? "ambiguous" : "lost";
            },
          );
          const isOurs = new TextDecoder().decode(place.objects.get(`x${i}`)) === `${writer}`;
          if (end !== "ambiguous" && isOurs !== (end === "done")) broken.push(`writer ${writer}, x${i}: ${end}`);
        }
      }),
    );
    await Promise.all(tiers.map((tier) => tier.stop()));
  });
  expect({ seed, broken, timers: clock.timerCount }).toEqual({ seed, broken: [], timers: 0 });
}

describe("at a place that fails in every way", () => {
  forSeeds("a put that says done is ours, and a conflict that is not ambiguous is another's", 30, [], race);
});
