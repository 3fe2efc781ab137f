import { describe, expect, test } from "bun:test";
import type { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { arriveAsReader, becomeWriter } from "../../../src/replication/arrival.ts";
import { manifestObject } from "../../../src/replication/objects.ts";
import type { ReplicationEvent, TierSettings } from "../../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import { SimulatedDisk as NewDisk } from "../../../src/base/simulated-disk.ts";
import { openReplicated, type ReplicatedBed } from "../../support/replication-run.ts";
import { encryptedBed, VAULT_DIR } from "../../support/vault-bed.ts";
import { all, blockOf, inWorld, noise, type World } from "../../support/world.ts";

const settings = (place: SimulatedPlace, more: Partial<TierSettings> = {}): TierSettings => ({
  name: place.name,
  url: `file:///${place.name}`,
  mode: "continuous",
  rpoSeconds: 1,
  ...more,
});

/** A vault with one volume `v`, and tiers that are equal to it. */
async function withTiers(
  world: World,
  places: SimulatedPlace[],
  more: Partial<TierSettings> = {},
  tell?: (event: ReplicationEvent) => void,
): Promise<ReplicatedBed> {
  const bed = await openReplicated({ sim: world.sim, disk: world.disk, places, ...(tell && { tell }) });
  await bed.volumes.create("v", 2 ** 20);
  for (const place of places) await bed.replication.add(settings(place, more));
  await equal(world, bed);
  return bed;
}

async function equal(world: World, { replication, vault }: ReplicatedBed): Promise<void> {
  const isBehind = (): boolean =>
    replication
      .status()
      .some(({ state, revision }) => state !== "online" || revision?.number !== vault.sealing.manifest.number);
  for (let waits = 0; isBehind(); waits++) {
    if (waits > 500) throw new Error(`not equal: ${JSON.stringify(replication.status())}`);
    await world.sim.clock.sleep(20);
  }
}

async function write(bed: ReplicatedBed, block: number, bytes: Uint8Array): Promise<void> {
  const device = await bed.volumes.openLive("v");
  await device.write(block * 4096, bytes, false);
  await device.flush();
  await device.close();
}

async function read(bed: ReplicatedBed, block: number, blocks = 1): Promise<Uint8Array> {
  const device = await bed.volumes.openAt("v", { kind: "now" });
  try {
    return (await device.read(block * 4096, blocks * 4096)).slice();
  } finally {
    await device.close();
  }
}

async function stop(...beds: ReplicatedBed[]): Promise<void> {
  for (const bed of beds) {
    await bed.replication.stop();
    await bed.vault.stop();
  }
}

/** Opens the vault from a place on a disk of its own. */
async function elsewhere(
  { sim }: World,
  place: SimulatedPlace,
  isWriter = false,
  disk: SimulatedDisk = new NewDisk(sim),
): Promise<ReplicatedBed> {
  const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "two" };
  const store = new SimulatedStore(sim, place);
  await arriveAsReader(options, store, settings(place));
  if (isWriter) await becomeWriter(options, store);
  return await openReplicated({ sim, disk, places: [place], host: "two" });
}

/** A request of an earlier writer that the network held up: a manifest of other bytes. */
function putLate(place: SimulatedPlace, writer: number, number: number): string {
  const name = manifestObject(writer, number);
  place.objects.set(name, new TextEncoder().encode("f".repeat(64)));
  return name;
}

const kindOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return "done";
  } catch (error) {
    if (error instanceof SternwayError) return error.kind;
    throw error;
  }
};

describe("a vault with tiers", () => {
  test("what is written is at every tier soon, and each gives it back", () =>
    inWorld(1, async (world) => {
      const places = [new SimulatedPlace("one"), new SimulatedPlace("two")];
      const bed = await withTiers(world, places);
      const data = noise(7, 32);
      await write(bed, 3, data);
      await bed.vault.seal();
      await equal(world, bed);
      for (const place of places) {
        const copy = await elsewhere(world, place);
        expect(Buffer.compare(await read(copy, 3, 32), data)).toBe(0);
        await stop(copy);
      }
      await stop(bed);
    }));

  test("what is not sealed comes with the journal's tail, within the RPO", () =>
    inWorld(2, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await write(bed, 5, blockOf(55));
      await world.sim.clock.sleep(1_100);
      expect([...place.objects.keys()].some((name) => name.startsWith("tail/"))).toBe(true);
      const copy = await elsewhere(world, place);
      expect(Buffer.compare(await read(copy, 5), blockOf(55))).toBe(0);
      await stop(copy, bed);
    }));

  for (const kind of ["shows", "says"]) {
    test(`with a newest manifest whose place ${kind} that it is damaged, the one before is opened, and why is told`, () =>
      inWorld(60, async (world) => {
        const place = new SimulatedPlace("one");
        const bed = await withTiers(world, [place]);
        for (const byte of [1, 2]) {
          await write(bed, byte, blockOf(byte));
          await bed.vault.seal();
          await equal(world, bed);
        }
        const name = [...place.objects.keys()]
          .filter((each) => each.startsWith("manifest/"))
          .sort()
          .at(-1)!;
        const harmed = place.objects.get(name)!.with(100, 0);
        place.objects.set(name, harmed);
        if (kind === "says") {
          const answer = harmed.slice.bind(harmed);
          harmed.slice = (from, to) => {
            if (to === undefined) throw new SternwayError("corrupt", `${name}: its checksum does not fit`);
            return answer(from, to);
          };
        }
        const copy = await elsewhere(world, place);
        expect(copy.vault.readOnlyReason).toMatch(/manifest .* is damaged/);
        expect(await read(copy, 1)).toEqual(blockOf(1));
        await stop(copy, bed);
      }));
  }

  test("a flush waits for a synchronous tier, and not for one that is away", () =>
    inWorld(3, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place], { mode: "sync" });
      await write(bed, 1, blockOf(11));
      // At once: nothing but the answer to the flush has passed.
      const copy = await elsewhere(world, place);
      expect(Buffer.compare(await read(copy, 1), blockOf(11))).toBe(0);
      await stop(copy);
      place.isAway = true;
      await write(bed, 1, blockOf(12));
      expect(bed.replication.status()[0]!.state).toBe("offline");
      place.isAway = false;
      await equal(world, bed);
      await write(bed, 1, blockOf(13));
      await stop(bed);
    }));

  test("a scheduled tier is brought up at its time, and when somebody asks", () =>
    inWorld(4, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
      await bed.volumes.create("v", 2 ** 20);
      await bed.replication.add(settings(place, { mode: "scheduled", schedule: "hourly" }));
      await world.sim.clock.sleep(2_000);
      await write(bed, 1, blockOf(1));
      await bed.vault.seal();
      await world.sim.clock.sleep(60_000);
      const before = place.objects.size;
      await all(bed.replication.sync([], new AbortController().signal));
      expect(place.objects.size).toBeGreaterThan(before);
      await write(bed, 1, blockOf(2));
      await world.sim.clock.sleep(3_600_000);
      const copy = await elsewhere(world, place);
      expect(Buffer.compare(await read(copy, 1), blockOf(2))).toBe(0);
      await stop(copy, bed);
    }));

  test("a place that vanishes is no empty tier: nothing is put there, and it goes on when it is back", () =>
    inWorld(5, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      place.isVanished = true;
      const before = place.objects.size;
      await write(bed, 2, noise(1, 8));
      await bed.vault.seal();
      await world.sim.clock.sleep(3_000);
      expect(place.objects.size).toBe(before);
      expect(bed.replication.status()[0]!.state).toBe("offline");
      place.isVanished = false;
      await equal(world, bed);
      await stop(bed);
    }));

  test("damage on this machine is read from a tier, and mended", () =>
    inWorld(6, async (world) => {
      const place = new SimulatedPlace("one");
      const events: string[] = [];
      const bed = await withTiers(world, [place], {}, ({ kind }) => void events.push(kind));
      const data = noise(3, 64);
      await write(bed, 0, data);
      await bed.vault.seal();
      await equal(world, bed);
      await stop(bed);
      const pack = world.disk.paths().find((path) => path.endsWith(".pack"))!;
      for (const offset of [100, 5_000, 40_000, 100_000]) world.disk.flipBit(pack, offset, 3);
      const again = await openReplicated({
        sim: world.sim,
        disk: world.disk,
        places: [place],
        tell: ({ kind }) => void events.push(kind),
      });
      await equal(world, again);
      expect(Buffer.compare(await read(again, 0, 64), data)).toBe(0);
      expect(events).toContain("file-restored");
      await stop(again);
    }));

  test("a tier whose copy is damaged passes the question on, and is told of", () =>
    inWorld(7, async (world) => {
      const places = [new SimulatedPlace("one"), new SimulatedPlace("two")];
      const events: ReplicationEvent[] = [];
      const bed = await withTiers(world, places, {}, (event) => void events.push(event));
      const data = noise(3, 64);
      await write(bed, 0, data);
      await bed.vault.seal();
      await equal(world, bed);
      await stop(bed);
      const name = [...places[0]!.objects.keys()].find((each) => each.endsWith(".pack"))!;
      const broken = places[0]!.objects.get(name)!.slice();
      broken[50_000]! ^= 1;
      places[0]!.objects.set(name, broken);
      const pack = world.disk.paths().find((path) => path.endsWith(".pack"))!;
      for (const offset of [100, 5_000, 50_000]) world.disk.flipBit(pack, offset, 3);
      const again = await openReplicated({
        sim: world.sim,
        disk: world.disk,
        places,
        tell: (event) => void events.push(event),
      });
      await equal(world, again);
      expect(Buffer.compare(await read(again, 0, 64), data)).toBe(0);
      expect(events).toContainEqual(expect.objectContaining({ kind: "tier-damaged", tier: "one" }));
      const found = await all(again.replication.verify("one", true, new AbortController().signal));
      expect(found.at(-1)).toMatchObject({ line: "end", findings: 1, repaired: 1 });
      const clean = await all(again.replication.verify("one", false, new AbortController().signal));
      expect(clean.at(-1)).toMatchObject({ findings: 0 });
      await stop(again);
    }));

  test("what is damaged on this machine is never copied to a tier", () =>
    inWorld(8, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
      await bed.volumes.create("v", 2 ** 20);
      await write(bed, 0, noise(3, 64));
      await bed.vault.seal();
      const pack = world.disk.paths().find((path) => path.endsWith(".pack"))!;
      world.disk.flipBit(pack, 5_000, 1);
      await bed.replication.add(settings(place));
      await world.sim.clock.sleep(3_000);
      const [status] = bed.replication.status();
      expect(status!.state).not.toBe("online");
      expect(status!.reason).toMatch(/pack 1/);
      expect([...place.objects.keys()].some((name) => name.startsWith("manifest/"))).toBe(false);
      await stop(bed);
    }));

  test("a second installation on a copy of the folder is told from a crash of the first", () =>
    inWorld(9, async (world) => {
      const place = new SimulatedPlace("one");
      const first = await withTiers(world, [place]);
      await write(first, 0, blockOf(1));
      await stop(first);
      const twin = world.disk.shutDown(world.sim);
      const again = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
      await equal(world, again);
      const events: string[] = [];
      const other = await openReplicated({
        sim: world.sim,
        disk: twin,
        places: [place],
        host: "twin",
        tell: ({ kind }) => void events.push(kind),
      });
      await write(other, 0, blockOf(2));
      await other.vault.seal();
      await world.sim.clock.sleep(500);
      expect(other.replication.status()[0]!.state).toBe("foreign");
      expect(events).toContain("tier-foreign");
      expect(await kindOf(all(other.replication.sync([], new AbortController().signal)))).toBe("fenced");
      // Its own disk takes writes on: only the tier is lost to it.
      expect(other.vault.readOnlyReason).toBeUndefined();
      await write(again, 0, blockOf(3));
      await again.vault.seal();
      await equal(world, again);
      await stop(again, other);
    }));

  test("a tier that was removed can be added again, and one of a newer history cannot", () =>
    inWorld(10, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await bed.replication.remove("one");
      expect(bed.replication.status()).toEqual([]);
      for (let i = 0; i < 3; i++) {
        await write(bed, i, blockOf(i));
        await bed.vault.seal();
      }
      await bed.replication.add(settings(place));
      await equal(world, bed);
      const twin = world.disk.crashed(world.sim);
      for (let i = 0; i < 3; i++) {
        await write(bed, i, blockOf(i + 10));
        await bed.vault.seal();
      }
      await equal(world, bed);
      await bed.replication.remove("one");
      await stop(bed);
      const old = await openReplicated({ sim: world.sim, disk: twin, places: [place] });
      await old.replication.remove("one");
      expect(await kindOf(old.replication.add(settings(place)))).toBe("conflict");
      await stop(old);
    }));

  test("an encrypted vault needs its key at another machine, too", () =>
    inWorld(11, async (world) => {
      const place = new SimulatedPlace("one");
      const { sim } = world;
      const bed = await openReplicated({ sim, disk: world.disk, places: [place], vault: encryptedBed });
      await bed.volumes.create("v", 2 ** 20);
      await bed.replication.add(settings(place));
      await write(bed, 4, blockOf(44));
      await bed.vault.seal();
      await equal(world, bed);
      const disk = new NewDisk(sim);
      const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "two" };
      await arriveAsReader(options, new SimulatedStore(sim, place), settings(place));
      expect(await kindOf(openReplicated({ sim, disk, places: [place] }))).toBe("denied");
      const copy = await openReplicated({ sim, disk, places: [place], vault: { unlock: encryptedBed.encrypt } });
      expect(Buffer.compare(await read(copy, 4), blockOf(44))).toBe(0);
      await stop(copy, bed);
    }));

  test("a reader reads what it needs, and keeps it", () =>
    inWorld(12, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await write(bed, 0, noise(5, 128));
      await bed.vault.seal();
      await equal(world, bed);
      const copy = await elsewhere(world, place);
      const before = place.calls["get"] ?? 0;
      await read(copy, 7);
      const cold = (place.calls["get"] ?? 0) - before;
      expect(cold).toBeGreaterThan(0);
      expect(cold).toBeLessThan(8);
      await read(copy, 7);
      await read(copy, 8);
      expect((place.calls["get"] ?? 0) - before).toBe(cold);
      await stop(copy, bed);
    }));

  test("whoever takes over serves at once, and has every file in the end", () =>
    inWorld(13, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      const data = noise(5, 128);
      await write(bed, 0, data);
      await bed.vault.seal();
      await equal(world, bed);
      const copy = await elsewhere(world, place, true);
      expect(copy.vault.readOnlyReason).toBeUndefined();
      expect(Buffer.compare(await read(copy, 0, 128), data)).toBe(0);
      await write(copy, 1, blockOf(9));
      for (let waits = 0; copy.replication.isArriving && waits < 200; waits++) await world.sim.clock.sleep(50);
      place.isAway = true;
      expect(Buffer.compare(await read(copy, 0), data.subarray(0, 4096))).toBe(0);
      await write(bed, 0, blockOf(1));
      place.isAway = false;
      for (let waits = 0; bed.vault.readOnlyReason === undefined && waits < 500; waits++)
        await world.sim.clock.sleep(50);
      expect(bed.vault.readOnlyReason).toMatch(/took the vault over/);
      expect(await kindOf(write(bed, 0, blockOf(2)))).toMatch(/unavailable|fenced/);
      expect(bed.replication.readOnlyReason).toMatch(/took it over/);
      await stop(copy, bed);
    }));

  test("a manifest that this installation did not write makes the tier a stranger's", () =>
    inWorld(14, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await stop(bed);
      const late = putLate(place, 1, bed.vault.sealing.manifest.number + 1);
      const again = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
      await world.sim.clock.sleep(1_000);
      expect(again.replication.status()[0]!.state).toBe("foreign");
      place.objects.delete(late);
      await equal(world, again);
      await stop(again);
    }));

  test("a manifest of a writer that ended, which arrives late, does no harm", () =>
    inWorld(15, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await stop(bed);
      const again = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
      await equal(world, again);
      await write(again, 0, blockOf(1));
      await again.vault.seal();
      putLate(place, 1, again.vault.sealing.manifest.number);
      await equal(world, again);
      expect(again.vault.readOnlyReason).toBeUndefined();
      await stop(again);
      const copy = await elsewhere(world, place);
      expect(await read(copy, 0)).toEqual(blockOf(1));
      await stop(copy);
    }));

  test("a manifest of an overtaken writer, which arrives late under a far higher number, is never the newest", () =>
    inWorld(16, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await write(bed, 0, blockOf(1));
      await bed.vault.seal();
      await equal(world, bed);
      const disk = new NewDisk(world.sim);
      const copy = await elsewhere(world, place, true, disk);
      // Before the new writer was up, or after: in both cases nobody was answered for it.
      const late = putLate(place, 1, 5_000);
      await equal(world, copy);
      await write(copy, 0, blockOf(2));
      await copy.vault.seal();
      await equal(world, copy);
      expect(place.objects.has(late)).toBe(false);
      putLate(place, 1, 6_000);
      await stop(copy);
      const again = await openReplicated({ sim: world.sim, disk, places: [place], host: "two" });
      await equal(world, again);
      await stop(again);
      putLate(place, 1, 7_000);
      const reader = await elsewhere(world, place);
      expect(await read(reader, 0)).toEqual(blockOf(2));
      const next = await elsewhere(world, place, true);
      await equal(world, next);
      expect(await read(next, 0)).toEqual(blockOf(2));
      await stop(reader, next, bed);
    }));

  test("nothing counts of a new writer before it has published: what the overtaken one sent late would fit nothing", () =>
    inWorld(17, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      await write(bed, 0, blockOf(1));
      await bed.vault.seal();
      await equal(world, bed);
      const { number } = bed.vault.sealing.manifest;
      const copy = await elsewhere(world, place, true);
      await equal(world, copy);
      const named = [...place.objects.keys()].filter((name) => name.startsWith("manifest/")).sort();
      // Its newest manifest is its own, though nothing was written and the content may be the same.
      expect(named.at(-1)).not.toStartWith("manifest/0000000001-");
      expect(Number(named.at(-1)!.slice(-10))).toBeGreaterThanOrEqual(number);
      await stop(copy, bed);
    }));

  test("writers are slowed when more waits for a tier than may", () =>
    inWorld(18, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place], { backlogBytesMax: 2 ** 20 });
      expect(bed.vault.delayMs(2 ** 20)).toBe(0);
      place.isAway = true;
      for (let i = 0; i < 2; i++) {
        await write(bed, 0, noise(i, 256));
        await bed.vault.seal();
      }
      await world.sim.clock.sleep(2_000);
      expect(bed.vault.delayMs(2 ** 20)).toBeGreaterThan(100);
      place.isAway = false;
      await equal(world, bed);
      await world.sim.clock.sleep(1_000);
      expect(bed.vault.delayMs(2 ** 20)).toBe(0);
      await stop(bed);
    }));

  test("who lags behind its RPO is told of, and who has caught up again", () =>
    inWorld(19, async (world) => {
      const place = new SimulatedPlace("one");
      const events: string[] = [];
      const bed = await withTiers(world, [place], {}, ({ kind }) => void events.push(kind));
      place.isAway = true;
      await write(bed, 0, blockOf(1));
      await world.sim.clock.sleep(3_000);
      expect(events).toContain("tier-lagging");
      expect(bed.replication.status()[0]!.lagSeconds).toBeGreaterThan(2);
      place.isAway = false;
      await equal(world, bed);
      await world.sim.clock.sleep(3_000);
      expect(events.at(-1)).toBe("tier-caught-up");
      await stop(bed);
    }));

  test("a synchronous tier that falls silent holds a flush for ten seconds, and is synchronous again when it has caught up", () =>
    inWorld(21, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place], { mode: "sync" });
      place.isSilent = true;
      const before = world.sim.nowMicros;
      await write(bed, 1, blockOf(12));
      expect(world.sim.nowMicros - before).toBeLessThan(11_000_000);
      place.isSilent = false;
      await equal(world, bed);
      await write(bed, 1, blockOf(13));
      const copy = await elsewhere(world, place);
      expect(Buffer.compare(await read(copy, 1), blockOf(13))).toBe(0);
      await stop(copy, bed);
    }));

  test("a writer with nothing to write finds out within a minute that it was overtaken", () =>
    inWorld(22, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place]);
      const copy = await elsewhere(world, place, true);
      await world.sim.clock.sleep(61_000);
      expect(bed.vault.readOnlyReason).toMatch(/took the vault over/);
      await stop(copy, bed);
    }));

  test("an orderly stop leaves everything at the tiers", () =>
    inWorld(20, async (world) => {
      const place = new SimulatedPlace("one");
      const bed = await withTiers(world, [place], { rpoSeconds: 3_600 });
      await write(bed, 6, blockOf(66));
      await stop(bed);
      const copy = await elsewhere(world, place);
      expect(Buffer.compare(await read(copy, 6), blockOf(66))).toBe(0);
      await stop(copy);
    }));
});
