/** The simulated store: that it keeps the contract, and that its faults are what they are said to be, by the seed alone. */
import { describe, expect, test } from "bun:test";
import { isSternwayError, SternwayError } from "../../../src/base/errors.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { SimulatedPlace, SimulatedStore, STORE_FAULTS, type StoreFault } from "../../../src/tiers/simulated-store.ts";
import { bytesSource, IDENTITY_OBJECT, type ObjectSource } from "../../../src/tiers/store.ts";
import { bytesOf, sourceOf } from "../../support/store-faults.ts";
import { all } from "../../support/world.ts";

const MIB = 2 ** 20;

interface Bed {
  sim: Simulation;
  place: SimulatedPlace;
  store: SimulatedStore;
}

async function onPlace(story: (bed: Bed) => Promise<void>, seed = 5): Promise<SimulatedPlace> {
  const sim = new Simulation(seed);
  const place = new SimulatedPlace("place");
  try {
    await sim.run(() => story({ sim, place, store: new SimulatedStore(sim, place) }));
  } catch (error) {
    if (error instanceof Error) error.message = `${error.message} (seed ${seed})`;
    throw error;
  }
  return place;
}

/** Kind and message of what it fails with, or "done". */
async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return `${error.kind}: ${error.message}`;
  }
}

/** All further calls fail in one way. */
function always(place: SimulatedPlace, fault: StoreFault): void {
  place.faultPercent = 100;
  place.faults = [fault];
}

describe("SimulatedStore", () => {
  test("stores, gives ranges, lists by whole parts, removes", async () => {
    await onPlace(async ({ store }) => {
      await store.put("packs/1", sourceOf("0123456789"));
      await store.put("packs-old/1", sourceOf("x"));
      expect(await store.get("packs/1", { offset: 3, length: 4 })).toEqual(bytesOf("3456"));
      expect(await store.get("packs/1", { offset: 8, length: 4 })).toEqual(bytesOf("89"));
      expect(await store.get("packs/1", { offset: 10 })).toHaveLength(0);
      expect(await all(store.list("packs"))).toEqual([{ name: "packs/1", sizeBytes: 10 }]);
      await store.remove("packs/1");
      await store.remove("packs/1");
      expect(await store.stat("packs/1")).toBeUndefined();
      expect(await outcome(store.get("packs/1"))).toStartWith("not_found");
      expect(await outcome(store.get("../etc"))).toStartWith("invalid");
    });
  });

  test("of many puts with ifAbsent at once exactly one wins, and its bytes stay", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const place = await onPlace(async ({ store, place: { objects } }) => {
        const puts = Array.from({ length: 10 }, (_, i) =>
          outcome(store.put("x", sourceOf(`${i}`), { ifAbsent: true })),
        );
        const ends = await Promise.all(puts);
        const winner = ends.indexOf("done");
        expect(ends.filter((end) => end === "done")).toHaveLength(1);
        expect(ends.filter((end) => end.startsWith("conflict"))).toHaveLength(9);
        expect(objects.get("x")).toEqual(bytesOf(`${winner}`));
      }, seed);
      expect(place.calls["put"]).toBe(10);
    }
  });

  test("a place is whose it was attached for", async () => {
    await onPlace(async ({ store, place }) => {
      expect(await store.identify()).toBeUndefined();
      expect(await outcome(store.connect("ours"))).toStartWith("invalid");
      await store.attach("ours");
      await store.attach("ours");
      await store.connect("ours");
      expect(await outcome(store.attach("theirs"))).toStartWith("conflict");
      expect(await outcome(store.connect("theirs"))).toStartWith("invalid");
      expect([...place.objects.keys()]).toEqual([IDENTITY_OBJECT]);
    });
  });

  test("a place that ignores conditions is not attached", async () => {
    await onPlace(async ({ store, place }) => {
      place.ignoresConditions = true;
      expect(await outcome(store.attach("ours"))).toMatch(/^invalid: .*two writers could not be kept apart/);
      expect(place.objects.size).toBe(0);
    });
  });
});

describe("faults", () => {
  test.each(["refused", "failed", "halfway"] as const)("%s: nothing was done", async (fault) => {
    await onPlace(async ({ store, place }) => {
      await store.put("old", sourceOf("old"));
      always(place, fault);
      expect(await outcome(store.put("x", bytesSource(new Uint8Array(5 * MIB))))).toStartWith("unavailable");
      expect(await outcome(store.put("old", sourceOf("new")))).toStartWith("unavailable");
      expect(await outcome(store.remove("old"))).toStartWith("unavailable");
      expect(await outcome(all(store.list("")))).toStartWith("unavailable");
      expect([...place.objects]).toEqual([["old", bytesOf("old")]]);
    });
  });

  test("halfway: a put breaks off in the midst of its bytes", async () => {
    await onPlace(async ({ store, place }) => {
      const offsets: number[] = [];
      const source: ObjectSource = {
        sizeBytes: 6 * MIB,
        read: (offset, length) => {
          offsets.push(offset / MIB);
          return Promise.resolve(new Uint8Array(length));
        },
      };
      always(place, "halfway");
      expect(await outcome(store.put("x", source))).toContain("reset");
      expect(offsets).toEqual([0, 1, 2]);
    });
  });

  test("lost answers: done, and unavailable all the same", async () => {
    await onPlace(async ({ store, place }) => {
      await store.put("old", sourceOf("old"));
      always(place, "lost-answer");
      expect(await outcome(store.put("x", sourceOf("1"), { ifAbsent: true }))).toStartWith("unavailable");
      expect(await outcome(store.remove("old"))).toStartWith("unavailable");
      expect(await outcome(store.put("x", sourceOf("2"), { ifAbsent: true }))).toStartWith("unavailable");
      expect([...place.objects]).toEqual([["x", bytesOf("1")]]);
    });
  });

  test("hang: ends at the time limit, done or not", async () => {
    const done = new Set<boolean>();
    for (let seed = 1; seed <= 20; seed++) {
      await onPlace(async ({ sim, store, place }) => {
        always(place, "hang");
        expect(await outcome(store.put("x", sourceOf("1")))).toStartWith("unavailable");
        expect(sim.nowMicros).toBeGreaterThan(5e6);
        expect(sim.nowMicros).toBeLessThan(5.01e6);
        done.add(place.objects.has("x"));
      }, seed);
    }
    expect(done.size).toBe(2);
  });

  test("hang, done late: only after the failure was answered", async () => {
    await onPlace(async ({ sim, store, place }) => {
      always(place, "hang");
      place.doneLatePercent = 100;
      expect(await outcome(store.put("x", sourceOf("1")))).toStartWith("unavailable");
      expect(place.objects.has("x")).toBe(false);
      await sim.clock.sleep(6_000);
      expect(place.objects.has("x")).toBe(true);
    });
  });

  test("slow: takes long, and succeeds", async () => {
    const times = await Promise.all(
      [[], ["slow"] as const].map(async (faults) => {
        let micros = 0;
        await onPlace(async ({ sim, store, place }) => {
          place.faultPercent = 100;
          place.faults = faults;
          for (let i = 0; i < 50; i++) await store.put("x", sourceOf("1"));
          micros = sim.nowMicros;
        });
        return micros;
      }),
    );
    expect(times[1]! / times[0]!).toBeGreaterThan(20);
  });

  test("full: puts fail with ENOSPC, and room can be made", async () => {
    await onPlace(async ({ store, place }) => {
      await store.put("old", sourceOf("old"));
      place.isFull = true;
      const error = await store.put("x", sourceOf("1")).catch((caught: unknown) => caught);
      expect(error instanceof SternwayError && [error.kind, error.facts["code"]]).toEqual(["unavailable", "ENOSPC"]);
      await store.remove("old");
      expect(place.objects.size).toBe(0);
    });
  });

  test("away: all is refused, and all is there when it is back", async () => {
    await onPlace(async ({ store, place }) => {
      await store.attach("ours");
      place.isAway = true;
      expect(await outcome(store.connect("ours"))).toStartWith("unavailable");
      expect(await outcome(store.put("x", sourceOf("1")))).toStartWith("unavailable");
      expect(place.objects.has("x")).toBe(false);
      place.isAway = false;
      await store.connect("ours");
    });
  });

  test("away in the midst of a call: what was done is not answered for", async () => {
    await onPlace(async ({ store, place }) => {
      const { objects } = place;
      const set = objects.set.bind(objects);
      objects.set = (name, bytes) => {
        place.isAway = true;
        return set(name, bytes);
      };
      expect(await outcome(store.put("x", sourceOf("1")))).toStartWith("unavailable");
      expect(objects.has("x")).toBe(true);
    });
  });

  test.each([
    ["silent", (place: SimulatedPlace) => (place.isSilent = true), "unavailable"],
    ["vanished", (place: SimulatedPlace) => (place.isVanished = true), "invalid"],
    ["swapped for another's", (place: SimulatedPlace) => (place.otherIdentity = "theirs"), "invalid"],
  ])("%s: a connection says so, calls change nothing, and what was there returns", async (_, leave, kind) => {
    await onPlace(async ({ store, place }) => {
      await store.attach("ours");
      await store.put("x", sourceOf("1"));
      const before = place.content();
      leave(place);
      expect(await outcome(store.connect("ours"))).toStartWith(kind);
      expect(await outcome(store.put("x", sourceOf("2")))).toStartWith("unavailable");
      expect(await outcome(store.remove("x"))).toStartWith("unavailable");
      expect(await outcome(store.get("x"))).toStartWith("unavailable");
      expect(await outcome(store.stat("y"))).toStartWith("unavailable");
      place.isSilent = place.isVanished = false;
      place.otherIdentity = undefined;
      await store.connect("ours");
      expect(place.content()).toEqual(before);
    });
  });

  test("a call that is given up ends at once, and a put that was on its way is not done", async () => {
    await onPlace(async ({ sim, store, place }) => {
      const abort = new AbortController();
      always(place, "slow");
      const put = outcome(store.put("x", sourceOf("1"), { signal: abort.signal }));
      sim.clock.timer(0.001, () => abort.abort());
      expect(await put).toMatch(/^unavailable: .*given up/);
      expect(sim.nowMicros).toBe(1);
      await sim.clock.sleep(1_000);
      expect(place.objects.size).toBe(0);
    });
  });
});

describe("a crash", () => {
  test("finds puts that were done and not answered, and puts that were not done; the place outlives it", async () => {
    const found = { answered: 0, done: 0, not: 0 };
    for (let seed = 1; seed <= 40; seed++) {
      const sim = new Simulation(seed);
      const place = new SimulatedPlace("place");
      const store = new SimulatedStore(sim, place);
      let isAnswered = false;
      await sim.runFor(1 + (seed % 4), async () => {
        await store.stat("x");
        await store.put("x", sourceOf("1"));
        isAnswered = true;
        await sim.clock.sleep(1_000);
      });
      found[isAnswered ? "answered" : place.objects.has("x") ? "done" : "not"]++;
      const next = sim.rebooted();
      const stat = await next.run(() => new SimulatedStore(next, place).stat("x"));
      expect(stat !== undefined).toBe(place.objects.has("x"));
    }
    expect(Object.values(found).every((count) => count > 0)).toBe(true);
  });

  test("one seed gives one run", async () => {
    const run = async (seed: number): Promise<string> => {
      const ends: string[] = [];
      const place = await onPlace(async ({ sim, store, place: { objects }, place: all }) => {
        all.faultPercent = 40;
        expect(all.faults).toBe(STORE_FAULTS);
        await Promise.all(
          Array.from({ length: 40 }, async (_, i) => {
            const name = `x${i % 5}`;
            const work =
              i % 3 === 0 ? store.remove(name) : store.put(name, sourceOf(`${i}`), { ifAbsent: i % 2 === 0 });
            ends.push(`${i} ${await outcome(work)} ${sim.nowMicros} ${objects.size}`);
          }),
        );
      }, seed);
      return JSON.stringify([ends, [...place.content()]]);
    };
    expect(await run(3)).toBe(await run(3));
    expect(await run(3)).not.toBe(await run(4));
  });
});
