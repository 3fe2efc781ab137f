/** What people are told of a tier in trouble: once, and what is so. */
import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { arriveAsReader, becomeWriter } from "../../../src/replication/arrival.ts";
import type { ReplicationEvent, TierSettings } from "../../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import { openReplicated, type ReplicatedBed } from "../../support/replication-run.ts";
import { failure } from "../../support/tier-bed.ts";
import { VAULT_DIR } from "../../support/vault-bed.ts";
import { inWorld, noise, type World } from "../../support/world.ts";

const SETTINGS: TierSettings = { name: "one", url: "file:///one", mode: "continuous", rpoSeconds: 1 };

interface Troubled extends ReplicatedBed {
  place: SimulatedPlace;
  events: ReplicationEvent[];
}

async function withTier(world: World, mode: TierSettings["mode"] = "continuous"): Promise<Troubled> {
  const place = new SimulatedPlace("one");
  const events: ReplicationEvent[] = [];
  const tell = (event: ReplicationEvent) => void events.push(event);
  const bed = await openReplicated({ sim: world.sim, disk: world.disk, places: [place], tell });
  await bed.volumes.create("v", 2 ** 20);
  await bed.replication.add({ ...SETTINGS, mode });
  await comesTo(world, bed, "online");
  return { ...bed, place, events };
}

async function comesTo({ sim }: World, { replication }: ReplicatedBed, state: string): Promise<void> {
  for (let waits = 0; replication.status()[0]?.state !== state; waits++) {
    if (waits > 1_000) throw new Error(`not ${state}: ${JSON.stringify(replication.status())}`);
    await sim.clock.sleep(20);
  }
}

async function write({ volumes, vault }: ReplicatedBed, block: number): Promise<void> {
  const device = await volumes.openLive("v");
  await device.write(block * 4096, noise(block + 1, 4), false);
  await device.flush();
  await device.close();
  await vault.seal();
}

async function drained(lines: () => AsyncIterable<unknown>): Promise<void> {
  for await (const _ of lines()) continue;
}

/** As a disk that has room for small files alone. Each refusal names another temporary file. */
function fillUp({ objects }: SimulatedPlace): { isFull: boolean } {
  const room = { isFull: true };
  const set = objects.set.bind(objects);
  let tries = 0;
  objects.set = (name, bytes) => {
    if (room.isFull && name.startsWith("packs/"))
      throw new SternwayError("unavailable", `write .tmp/${String(tries++).padStart(10, "0")}: ENOSPC`);
    return set(name, bytes);
  };
  return room;
}

async function stop({ replication, vault }: ReplicatedBed): Promise<void> {
  await replication.stop();
  await vault.stop();
}

test("a tier whose disk is full is told once, however often it is tried, and again when it was online in between", () =>
  inWorld(41, async (world) => {
    const bed = await withTier(world);
    const told = (): number => bed.events.filter(({ kind }) => kind === "tier-offline").length;
    const room = fillUp(bed.place);
    await write(bed, 0);
    await world.sim.clock.sleep(5_000);
    expect(told()).toBe(1);
    room.isFull = false;
    await comesTo(world, bed, "online");
    room.isFull = true;
    await write(bed, 8);
    await world.sim.clock.sleep(3_000);
    expect(told()).toBe(2);
    await stop(bed);
  }));

test("a place whose manifests somebody removed is not said to hold another one's", () =>
  inWorld(42, async (world) => {
    const bed = await withTier(world);
    await write(bed, 0);
    await stop(bed);
    for (const name of bed.place.objects.keys()) if (name.startsWith("manifest/")) bed.place.objects.delete(name);
    const again = await openReplicated({ sim: world.sim, disk: world.disk, places: [bed.place] });
    await comesTo(world, again, "foreign");
    const { reason } = again.replication.status()[0]!;
    expect(reason).toMatch(/holds no revision any more, though this installation put \d+ there/);
    expect(reason).toContain("what lay there was changed or removed");
    const before = bed.place.content();
    const verified = failure(drained(() => again.replication.verify("one", true, new AbortController().signal)));
    expect((await verified).kind).toBe("fenced");
    expect(bed.place.content()).toEqual(before);
    await stop(again);
  }));

test("a place without vault.json is said to lack it, not to change too fast", () =>
  inWorld(43, async (world) => {
    const bed = await withTier(world);
    await write(bed, 0);
    await stop(bed);
    bed.place.objects.delete("vault.json");
    const { sim } = world;
    const options = { disk: new SimulatedDisk(sim), clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "two" };
    const error = await failure(arriveAsReader(options, new SimulatedStore(sim, bed.place), SETTINGS));
    expect(error.kind).toBe("corrupt");
    expect(error.message).toMatch(/is not whole: .*vault\.json.*verify --repair/);
  }));

test("a tier that goes away lags from its own last write on, whoever else lags behind for longer", () =>
  inWorld(44, async (world) => {
    const places = [new SimulatedPlace("one"), new SimulatedPlace("two")] as const;
    const events: ReplicationEvent[] = [];
    const tell = (event: ReplicationEvent) => void events.push(event);
    const bed = await openReplicated({ sim: world.sim, disk: world.disk, places, tell });
    await bed.volumes.create("v", 2 ** 20);
    await bed.replication.add({ ...SETTINGS, rpoSeconds: 10 });
    await bed.replication.add({ ...SETTINGS, name: "two", url: "file:///two", rpoSeconds: 10 });
    await comesTo(world, bed, "online");
    const lag = (name: string): number =>
      bed.replication.status().find(({ settings }) => settings.name === name)!.lagSeconds;
    places[0].isAway = true;
    await write(bed, 0);
    await world.sim.clock.sleep(20_000);
    expect(lag("one")).toBeGreaterThan(15);
    expect(lag("two")).toBe(0);
    places[1].isAway = true;
    await write(bed, 8);
    await world.sim.clock.sleep(3_000);
    expect(bed.replication.status().map(({ state }) => state)).toEqual(["offline", "offline"]);
    expect(lag("two")).toBeGreaterThan(2);
    expect(lag("two")).toBeLessThan(5);
    expect(events.filter(({ kind, tier }) => kind === "tier-lagging" && tier === "two")).toEqual([]);
    await stop(bed);
  }));

test("a tier that is away at the start lags from when it held everything, until it does again", () =>
  inWorld(46, async (world) => {
    const before = await withTier(world);
    await write(before, 0);
    await world.sim.clock.sleep(1_000);
    before.place.isAway = true;
    const away = world.sim.clock.wall();
    await world.sim.clock.sleep(5_000);
    await write(before, 8);
    await world.sim.clock.sleep(30_000);
    await stop(before);
    const events: ReplicationEvent[] = [];
    const tell = (event: ReplicationEvent) => void events.push(event);
    const { place } = before;
    const bed = { ...before, ...(await openReplicated({ sim: world.sim, disk: world.disk, places: [place], tell })) };
    await comesTo(world, bed, "offline");
    const { lagSeconds } = bed.replication.status()[0]!;
    const sinceAway = (world.sim.clock.wall() - away) / 1e6;
    expect(lagSeconds).toBeGreaterThanOrEqual(sinceAway);
    expect(lagSeconds).toBeLessThan(sinceAway + 5);
    await world.sim.clock.sleep(1_000);
    expect(events.map(({ kind }) => kind)).toEqual(["tier-offline", "tier-lagging"]);
    place.isAway = false;
    await comesTo(world, bed, "online");
    await world.sim.clock.sleep(1_000);
    expect(bed.replication.status()[0]!.lagSeconds).toBe(0);
    await stop(bed);
  }));

test("a tier that lacks nothing and is away at the start does not lag", () =>
  inWorld(47, async (world) => {
    const before = await withTier(world);
    await write(before, 0);
    await world.sim.clock.sleep(1_000);
    await stop(before);
    const { place } = before;
    place.isAway = true;
    await world.sim.clock.sleep(60_000);
    const bed = { ...before, ...(await openReplicated({ sim: world.sim, disk: world.disk, places: [place] })) };
    await comesTo(world, bed, "offline");
    expect(bed.replication.status()[0]!.lagSeconds).toBe(0);
    await stop(bed);
  }));

test("a take-over that pieces of tail and a manifest meet at the same time is told once", () =>
  inWorld(45, async (world) => {
    const bed = await withTier(world, "sync");
    await write(bed, 0);
    await comesTo(world, bed, "online");
    const { sim } = world;
    const options = { disk: new SimulatedDisk(sim), clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "two" };
    const store = new SimulatedStore(sim, bed.place);
    await arriveAsReader(options, store, SETTINGS);
    await becomeWriter(options, store);
    // Slow enough that each of them is on its way when another one is answered.
    bed.place.latencyMicros = 200_000;
    const device = await bed.volumes.openLive("v");
    await device.write(8 * 4096, noise(9, 4), false);
    const outcomes = await Promise.allSettled([device.flush(), bed.vault.seal()]);
    expect(outcomes[0]).toMatchObject({ status: "rejected", reason: { kind: "fenced" } });
    await sim.clock.sleep(5_000);
    expect(bed.events.filter(({ kind }) => kind === "vault-overtaken")).toHaveLength(1);
    await stop(bed);
  }));
