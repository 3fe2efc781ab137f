import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import type { TierSettings, VerifyLine } from "../../../src/replication/replication.ts";
import { SimulatedPlace } from "../../../src/tiers/simulated-store.ts";
import { openReplicated, type ReplicatedBed } from "../../support/replication-run.ts";
import { VAULT_DIR } from "../../support/vault-bed.ts";
import { all, inWorld, noise, type World } from "../../support/world.ts";

/** A vault with one volume, and a tier that is equal to it. */
async function withTier(world: World, more: Partial<TierSettings> = {}): Promise<[ReplicatedBed, SimulatedPlace]> {
  const place = new SimulatedPlace("one");
  const bed = await openReplicated({ sim: world.sim, disk: world.disk, places: [place] });
  await bed.volumes.create("v", 2 ** 20);
  await write(bed, 0, 4);
  await bed.vault.seal();
  await bed.replication.add({ name: "one", url: "file:///one", mode: "continuous", rpoSeconds: 1, ...more });
  await reached(world, bed);
  return [bed, place];
}

async function write(bed: ReplicatedBed, block: number, blocks: number): Promise<void> {
  const device = await bed.volumes.openLive("v");
  await device.write(block * 4096, noise(block + 1, blocks), false);
  await device.flush();
  await device.close();
}

/** Waits until the tier has everything that was flushed. */
async function reached(world: World, { replication, vault }: ReplicatedBed): Promise<void> {
  const target = vault.journal.durableLsn;
  for (let waits = 0; ; waits++) {
    const [status] = replication.status();
    if (status!.state === "online" && status!.reachedLsn >= target) return;
    if (waits > 500) throw new Error(`not there: ${JSON.stringify(status)}`);
    await world.sim.clock.sleep(20);
  }
}

async function verify({ replication }: ReplicatedBed, isRepair = false): Promise<VerifyLine[]> {
  const lines = await all(replication.verify("one", isRepair, new AbortController().signal));
  return lines.filter(({ line }) => line !== "progress");
}

async function stop({ replication, vault }: ReplicatedBed): Promise<void> {
  await replication.stop();
  await vault.stop();
}

const newest = (place: SimulatedPlace, prefix: string): string =>
  [...place.objects.keys()]
    .filter((name) => name.startsWith(prefix))
    .sort()
    .at(-1)!;

function flip(place: SimulatedPlace, name: string): void {
  const bytes = place.objects.get(name)!.slice();
  bytes[bytes.length >> 1]! ^= 1;
  place.objects.set(name, bytes);
}

const CASES: { what: string; prefix: string; harm: (place: SimulatedPlace, name: string) => void; message: RegExp }[] =
  [
    { what: "a newest manifest that is damaged", prefix: "manifest/", harm: flip, message: /is damaged/ },
    { what: "vault.json that is missing", prefix: "vault.json", harm: remove, message: /nobody could open the vault/ },
    { what: "vault.json that is damaged", prefix: "vault.json", harm: flip, message: /damaged or old/ },
    { what: "a piece of tail that is damaged", prefix: "tail/", harm: flip, message: /newest writes/ },
    { what: "a piece of tail that is missing", prefix: "tail/", harm: remove, message: /newest writes/ },
    { what: "a pack that is damaged", prefix: "packs/", harm: flip, message: /pack 1/ },
  ];

function remove(place: SimulatedPlace, name: string): void {
  place.objects.delete(name);
}

describe("verifying a tier", () => {
  for (const [seed, { what, prefix, harm, message }] of CASES.entries()) {
    test(`finds ${what}, and puts it anew`, () =>
      inWorld(20 + seed, async (world) => {
        const [bed, place] = await withTier(world);
        await write(bed, 8, 4);
        await reached(world, bed);
        expect(await verify(bed)).toMatchObject([{ line: "end", findings: 0 }]);
        const before = place.content();
        const name = newest(place, prefix);
        harm(place, name);
        const [finding, end] = await verify(bed);
        expect(finding).toMatchObject({ line: "finding", object: name, repaired: false });
        expect((finding as { message: string }).message).toMatch(message);
        expect(end).toMatchObject({ findings: 1, repaired: 0 });
        expect((await verify(bed, true)).at(-1)).toMatchObject({ findings: 1, repaired: 1 });
        expect(place.content()).toEqual(before);
        expect(await verify(bed)).toMatchObject([{ line: "end", findings: 0 }]);
        await stop(bed);
      }));
  }

  test("finds what a place with checksums of its own does not give because it is damaged, and puts it anew", () =>
    inWorld(29, async (world) => {
      const [bed, place] = await withTier(world);
      const damaged = new Set([newest(place, "manifest/"), "vault.json", newest(place, "packs/")]);
      const { objects } = place;
      const [get, set] = [objects.get.bind(objects), objects.set.bind(objects)];
      objects.get = (name) => {
        if (damaged.has(name)) throw new SternwayError("corrupt", `${name}: its checksum does not fit`);
        return get(name);
      };
      objects.set = (name, bytes) => {
        damaged.delete(name);
        return set(name, bytes);
      };
      expect((await verify(bed)).at(-1)).toMatchObject({ findings: 3, repaired: 0 });
      expect((await verify(bed, true)).at(-1)).toMatchObject({ findings: 3, repaired: 3 });
      expect(await verify(bed)).toMatchObject([{ line: "end", findings: 0 }]);
      await stop(bed);
    }));

  test("removes an older manifest that is damaged, when it is not on this machine any more either", () =>
    inWorld(28, async (world) => {
      const [bed, place] = await withTier(world);
      await write(bed, 8, 4);
      await bed.vault.seal();
      await reached(world, bed);
      const older = [...place.objects.keys()].filter((name) => name.startsWith("manifest/")).sort()[0]!;
      expect(older).not.toBe(newest(place, "manifest/"));
      flip(place, older);
      await world.disk.remove(`${VAULT_DIR}/manifest/${older.split("-").at(-1)!}`);
      expect((await verify(bed))[0]).toMatchObject({ message: expect.stringContaining("it is an older one") });
      expect((await verify(bed, true)).at(-1)).toMatchObject({ findings: 1, repaired: 1 });
      expect(place.objects.has(older)).toBe(false);
      expect(await verify(bed)).toMatchObject([{ line: "end", findings: 0 }]);
      await stop(bed);
    }));

  test("finds a newest manifest that is missing, and puts it anew", () =>
    inWorld(30, async (world) => {
      const [bed, place] = await withTier(world);
      const before = place.content();
      place.objects.delete(newest(place, "manifest/"));
      expect((await verify(bed))[0]).toMatchObject({ message: expect.stringMatching(/manifest \d+ is missing/) });
      expect((await verify(bed, true)).at(-1)).toMatchObject({ findings: 1, repaired: 1 });
      expect(place.content()).toEqual(before);
      await stop(bed);
    }));

  test("finds a claim that is missing, and says what to do", () =>
    inWorld(31, async (world) => {
      const [bed, place] = await withTier(world);
      place.objects.delete(newest(place, "writers/"));
      const [finding, end] = await verify(bed, true);
      expect(finding).toMatchObject({ repaired: false, message: expect.stringMatching(/remove the tier and add it/) });
      expect(end).toMatchObject({ findings: 1, repaired: 0 });
      await stop(bed);
    }));

  test("finds an identity that is missing, though the connection still holds", () =>
    inWorld(32, async (world) => {
      const [bed, place] = await withTier(world);
      place.objects.delete("identity");
      expect((await verify(bed))[0]).toMatchObject({ object: "identity", repaired: false });
      await stop(bed);
    }));

  test("does not take for missing what a scheduled tier gets next time", () =>
    inWorld(33, async (world) => {
      const [bed, place] = await withTier(world, { mode: "scheduled", schedule: "monthly" });
      const packs = (): number => [...place.objects.keys()].filter((name) => name.startsWith("packs/")).length;
      const before = packs();
      await write(bed, 8, 4);
      await bed.vault.seal();
      expect(packs()).toBe(before);
      const clean = await verify(bed);
      expect(clean).toMatchObject([{ line: "end", findings: 0 }]);
      flip(place, newest(place, "packs/"));
      expect((await verify(bed)).at(-1)).toMatchObject({ findings: 1 });
      await stop(bed);
    }));
});
