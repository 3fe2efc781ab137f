import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { ReopenedStore } from "../../../src/replication/reopened-store.ts";
import { Replication, type ReplicationEvent } from "../../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import type { ObjectStore } from "../../../src/tiers/store.ts";
import { failure } from "../../support/tier-bed.ts";
import { openBed, VAULT_DIR } from "../../support/vault-bed.ts";
import { inWorld } from "../../support/world.ts";

const denied = (): SternwayError => new SternwayError("denied", "/keys cannot be read by the daemon: ENOENT");

/** A place, whose stores are made by `make`, and how many were made and closed. */
function counted(make: (store: SimulatedStore, count: number) => Promise<ObjectStore>) {
  const sim = new Simulation(3);
  const counts = { made: 0, closed: 0 };
  const open = async (): Promise<ObjectStore> => {
    const store = new SimulatedStore(sim, new SimulatedPlace("one"));
    counts.made++;
    const made = await make(store, counts.made);
    const close = made.close.bind(made);
    made.close = async () => {
      counts.closed++;
      await close();
    };
    return made;
  };
  return { sim, counts, store: new ReopenedStore(open, "simulated://there") };
}

test("a store that cannot be made is made at the next connection", async () => {
  const { sim, counts, store } = counted((made, count) =>
    count === 1 ? Promise.reject(denied()) : Promise.resolve(made),
  );
  await sim.run(async () => {
    expect((await failure(store.connect("ours"))).kind).toBe("denied");
    expect(store.url).toBe("simulated://there");
    await store.attach("ours");
    await store.connect("ours");
    expect(store.url).toBe("simulated://one");
    await store.close();
  });
  expect(counts).toEqual({ made: 2, closed: 1 });
});

test("a store that is refused is made anew at the next connection, and the old one closed", async () => {
  const { sim, counts, store } = counted((made, count) => {
    if (count === 1) made.connect = () => Promise.reject(denied());
    return Promise.resolve(made);
  });
  await sim.run(async () => {
    expect((await failure(store.connect("ours"))).kind).toBe("denied");
    expect(counts).toEqual({ made: 1, closed: 1 });
    await store.attach("ours");
    await store.connect("ours");
    await store.close();
  });
  expect(counts).toEqual({ made: 2, closed: 2 });
});

test("a store that is closed while it is made is closed once, and made no more", async () => {
  const { sim, counts, store } = counted((made) => Promise.resolve(made));
  await sim.run(async () => {
    const identified = store.identify();
    await store.close();
    await identified;
    expect((await failure(store.identify())).kind).toBe("unavailable");
  });
  expect(counts).toEqual({ made: 1, closed: 1 });
});

test("a tier whose credentials cannot be read at the start is offline, says why, can be removed, and comes back with them", () =>
  inWorld(5, async ({ sim, disk }) => {
    const place = new SimulatedPlace("one");
    let areThere = true;
    const events: ReplicationEvent[] = [];
    const open = async () => {
      const replication = await Replication.open({
        disk,
        clock: sim.clock,
        random: sim.random,
        dir: VAULT_DIR,
        host: "one",
        zone: "UTC",
        tell: (event) => void events.push(event),
        openStore: () => (areThere ? Promise.resolve(new SimulatedStore(sim, place)) : Promise.reject(denied())),
        tierPauses: { attemptsMax: 2, pauseMsMin: 5, pauseMsMax: 50, probeMsMin: 20, probeMsMax: 200 },
      });
      const bed = await openBed(sim, disk, { journalFileBytes: 512 * 1024, disk: replication.disk });
      replication.start(bed.vault);
      return { ...bed, replication };
    };
    const until = async (replication: Replication, state: string): Promise<void> => {
      for (let waits = 0; replication.status()[0]?.state !== state; waits++) {
        if (waits > 500) throw new Error(`not ${state}: ${JSON.stringify(replication.status())}`);
        await sim.clock.sleep(20);
      }
    };
    const first = await open();
    await first.volumes.create("v", 2 ** 20);
    await first.replication.add({ name: "one", url: "file:///one", mode: "sync", rpoSeconds: 1 });
    await until(first.replication, "online");
    await first.replication.stop();
    await first.vault.stop();

    areThere = false;
    const second = await open();
    await until(second.replication, "offline");
    expect(second.replication.status()[0]!.reason).toContain("/keys cannot be read by the daemon");
    expect(events).toContainEqual(expect.objectContaining({ kind: "tier-offline", tier: "one" }));
    expect((await failure(drained(second.replication))).kind).toBe("unavailable");
    areThere = true;
    await until(second.replication, "online");
    await second.replication.stop();
    await second.vault.stop();

    areThere = false;
    const third = await open();
    await third.replication.remove("one");
    expect(third.replication.status()).toEqual([]);
    await third.replication.stop();
    await third.vault.stop();
  }));

async function drained(replication: Replication): Promise<void> {
  for await (const _ of replication.sync([], new AbortController().signal)) continue;
}
