import { describe, expect, test } from "bun:test";
import { claimWriter, foreignClaim, highestClaim, isStillHighest, takeOver } from "../../../src/replication/claims.ts";
import { Ledger } from "../../../src/replication/ledger.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { failure } from "../../support/tier-bed.ts";
import { inWorld } from "../../support/world.ts";

async function bed(sim: Simulation, disk: SimulatedDisk, dir: string, place: SimulatedPlace) {
  await disk.mkdir(dir);
  const ledger = await Ledger.open(disk, dir);
  if (!ledger.tier("t")) {
    await ledger.change((before) => ({
      ...before,
      tiers: [{ settings: { name: "t", url: "file:///t", mode: "continuous", rpoSeconds: 5 } }],
    }));
  }
  const claimant = { store: new SimulatedStore(sim, place), random: sim.random, epoch: 1, wall: 0, host: dir };
  return {
    ledger,
    claimant,
    claim: async () => claimWriter(claimant, ledger, "t", await highestClaim(claimant.store)),
  };
}

describe("claims of a tier", () => {
  test("claimWriter() takes the next number at each opening of one installation", () =>
    inWorld(1, async ({ sim, disk }) => {
      const place = new SimulatedPlace("t");
      for (let opening = 1; opening <= 3; opening++) {
        const { claim } = await bed(sim, disk, "/a", place);
        expect(await claim()).toMatchObject({ claim: { sequence: opening, takeOver: false, tookOverAt: 0 } });
      }
    }));

  test("claimWriter() after a crash at any point of the one before never meets a stranger", async () => {
    let cuts = 0;
    for (let steps = 1, isDone = false; !isDone; steps++) {
      const place = new SimulatedPlace("t");
      let sim = new Simulation(1_000 + steps);
      let disk = new SimulatedDisk(sim);
      await sim.run(async () => {
        await (await bed(sim, disk, "/a", place)).claim();
        await disk.syncDir("/");
      });
      const result = await sim.runFor(steps, async () => (await bed(sim, disk, "/a", place)).claim());
      isDone = result.done;
      const next = sim.rebooted();
      disk = disk.crashed(next);
      sim = next;
      expect(await sim.run(async () => (await bed(sim, disk, "/a", place)).claim())).toHaveProperty("claim");
      cuts++;
    }
    expect(cuts).toBeGreaterThan(20);
  });

  test("a copy of the folder that claims is a stranger to the other, whichever comes first", () =>
    inWorld(2, async ({ sim, disk }) => {
      const place = new SimulatedPlace("t");
      const { claim } = await bed(sim, disk, "/a", place);
      await claim();
      await disk.syncDir("/");
      const twin = disk.shutDown(sim);
      const one = await bed(sim, disk, "/a", place);
      const two = await bed(sim, twin, "/a", place);
      expect(await one.claim()).toHaveProperty("claim");
      expect(await two.claim()).toMatchObject({ other: { sequence: 2, takeOver: false } });
      expect(await foreignClaim(two.claimant.store, two.ledger.tier("t"))).toMatchObject({ sequence: 2 });
    }));

  test("takeOver() takes it whoever had it, who then finds out", () =>
    inWorld(3, async ({ sim, disk }) => {
      const place = new SimulatedPlace("t");
      const one = await bed(sim, disk, "/a", place);
      await one.claim();
      const two = await bed(sim, disk, "/b", place);
      expect(await isStillHighest(one.claimant.store, 1)).toBe(true);
      expect(await takeOver(two.claimant)).toMatchObject({ sequence: 2, takeOver: true, tookOverAt: 2 });
      expect(await isStillHighest(one.claimant.store, 1)).toBe(false);
      expect(await one.claim()).toMatchObject({ other: { host: "/b", tookOverAt: 2 } });
    }));

  test("of two who take over at the same time one does", () =>
    inWorld(4, async ({ sim, disk }) => {
      const place = new SimulatedPlace("t");
      const two = await bed(sim, disk, "/a", place);
      const three = await bed(sim, disk, "/b", place);
      const results = await Promise.allSettled([takeOver(two.claimant), takeOver(three.claimant)]);
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { kind: "conflict" } });
    }));

  test("a claim that is nonsense is damage", () =>
    inWorld(5, async ({ sim }) => {
      const place = new SimulatedPlace("t");
      place.objects.set("writers/0000000001", new TextEncoder().encode("{}"));
      expect((await failure(highestClaim(new SimulatedStore(sim, place)))).kind).toBe("corrupt");
    }));
});
