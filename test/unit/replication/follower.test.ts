import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { arriveAsReader, becomeWriter } from "../../../src/replication/arrival.ts";
import { clearViews, type Follower } from "../../../src/replication/follower.ts";
import { SimulatedPlace, SimulatedStore } from "../../../src/tiers/simulated-store.ts";
import type { Moment } from "../../../src/volume/volumes.ts";
import { openFollowing, openWriter, reaches } from "../../support/follow-run.ts";
import { openReplicated, type ReplicatedBed } from "../../support/replication-run.ts";
import { failure } from "../../support/tier-bed.ts";
import { encryptedBed, VAULT_DIR } from "../../support/vault-bed.ts";

const BLOCK = 4096;
const NOW: Moment = { kind: "now" };
/** Longer than any test: it looks when it is asked to. */
const HOUR = 3600;

async function inWorld(story: (sim: Simulation, place: SimulatedPlace) => Promise<void>): Promise<void> {
  const sim = new Simulation(77);
  await sim.run(() => story(sim, new SimulatedPlace("shared")));
}

async function write({ volumes, vault }: ReplicatedBed, block: number, byte: number): Promise<void> {
  const device = await volumes.openLive("v");
  await device.write(block * BLOCK, new Uint8Array(BLOCK).fill(byte), false);
  await device.flush();
  await device.close();
  await vault.durable(vault.lastLsn);
}

async function firstByte(follower: Follower, block: number, moment = NOW): Promise<number> {
  const device = await follower.volumes.openAt("v", moment);
  try {
    return (await device.read(block * BLOCK, BLOCK))[0]!;
  } finally {
    await device.close();
  }
}

async function end(...beds: (ReplicatedBed | { stop: () => Promise<void> })[]): Promise<void> {
  for (const bed of beds) {
    if ("stop" in bed) await bed.stop();
    else {
      await bed.replication.stop();
      await bed.vault.stop();
    }
  }
}

describe("a vault that follows its tier", () => {
  test("look() finds the newest tail and manifest by their names, and lists nothing while nothing is new", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      for (let round = 1; round <= 3; round++) {
        await write(bed, 0, round);
        // The tail alone, and then a manifest.
        if (round === 2) await bed.vault.seal();
        await reaches(sim, bed);
        await follower.look();
        expect(await firstByte(follower, 0)).toBe(round);
      }
      const before = { ...place.calls };
      for (let look = 0; look < 10; look++) await follower.look();
      expect(place.calls["list"]).toBe(before["list"]!);
      expect((place.calls["get"] ?? 0) - (before["get"] ?? 0)).toBeLessThanOrEqual(70);
      expect(follower.status()).toMatchObject({ olderViews: 0, reason: undefined });
      await end(reader, bed);
    }));

  test("pieces of the tail that are here are not fetched again, unless somebody asks for a new look", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      await write(bed, 0, 1);
      await reaches(sim, bed);
      await follower.look();
      const pieces = [...place.objects].filter(([name]) => name.startsWith("tail/"));
      expect(pieces.length).toBeGreaterThan(0);
      for (const [name, bytes] of pieces) place.objects.set(name, new Uint8Array(bytes.length));
      await write(bed, 1, 2);
      await reaches(sim, bed);
      await follower.look();
      expect([await firstByte(follower, 0), await firstByte(follower, 1)]).toEqual([1, 2]);
      await follower.refresh();
      expect([await firstByte(follower, 0), await firstByte(follower, 1)]).toEqual([0, 0]);
      await end(reader, bed);
    }));

  test("it looks by itself as often as it was told to", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: 5 });
      await write(bed, 0, 9);
      await reaches(sim, bed);
      const from = sim.clock.wall();
      while ((await firstByte(reader.follower, 0)) !== 9) {
        await sim.clock.sleep(100);
        expect(sim.clock.wall() - from).toBeLessThan(7e6);
      }
      await end(reader, bed);
    }));

  test("a writer whose manifests skip many numbers is found within twenty looks", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      place.isAway = true;
      for (let round = 1; round <= 8; round++) {
        await write(bed, 0, round);
        await bed.vault.seal();
      }
      place.isAway = false;
      await reaches(sim, bed);
      for (let look = 0; look < 20; look++) await reader.follower.look();
      expect(await firstByte(reader.follower, 0)).toBe(8);
      await end(reader, bed);
    }));

  test("an open moment is read on where the writer put its blocks, when the tier has removed what it was read from", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      for (let block = 0; block < 8; block++) await write(bed, block, block + 1);
      await bed.vault.seal();
      await reaches(sim, bed);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      const device = await follower.volumes.openAt("v", NOW);
      const names = new Set(place.objects.keys());
      for (let round = 0; round < 12; round++) {
        await write(bed, 9, round);
        await bed.vault.seal();
      }
      await bed.vault.collect();
      await reaches(sim, bed);
      expect([...names].filter((name) => /^(layers|packs)/.test(name) && !place.objects.has(name))).not.toEqual([]);
      await follower.refresh();
      expect(follower.status().olderViews).toBe(0);
      for (let block = 0; block < 8; block++) expect((await device.read(block * BLOCK, BLOCK))[0]).toBe(block + 1);
      await device.close();
      await end(reader, bed);
    }));

  test("a moment that the writer let go of stays with the state that has it, and says so when its blocks are gone", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      for (let block = 0; block < 8; block++) await write(bed, block, 1);
      await bed.vault.seal();
      await reaches(sim, bed);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      const device = await follower.volumes.openAt("v", NOW);
      for (let block = 0; block < 8; block++) await write(bed, block, 2);
      await bed.volumes.thin("v", { horizonLsn: bed.vault.lastLsn, points: [] });
      await bed.vault.collect();
      await reaches(sim, bed);
      await follower.refresh();
      expect(follower.status().olderViews).toBe(1);
      const error = await failure(device.read(0, BLOCK));
      expect(error).toMatchObject({ kind: "unavailable" });
      expect(error.message).toContain("is no longer among what the vault's writer keeps");
      expect(await firstByte(follower, 0)).toBe(2);
      await device.close();
      await sim.clock.sleep(1);
      expect(follower.status().olderViews).toBe(0);
      await end(reader, bed);
    }));

  test("what an overtaken writer sent late is never mixed with its successor's history", () =>
    inWorld(async (sim, place) => {
      const { bed: first } = await openWriter(sim, place, 600_000);
      await write(first, 0, 1);
      await reaches(sim, first);
      const disk = new SimulatedDisk(sim);
      const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "second" };
      const store = new SimulatedStore(sim, place);
      await arriveAsReader(options, store, first.replication.status()[0]!.settings);
      await becomeWriter(options, store);
      const tail = [...place.objects.keys()].filter((name) => name.startsWith("tail/")).length;
      await write(first, 0, 66).catch(() => undefined);
      while (first.vault.readOnlyReason === undefined) await sim.clock.sleep(20);
      // It was overtaken, and what it sent lies there.
      expect([...place.objects.keys()].filter((name) => name.startsWith("tail/")).length).toBeGreaterThan(tail);

      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      const late = await follower.volumes.openAt("v", NOW);
      expect((await late.read(0, BLOCK))[0]).toBe(66);
      const second = await openReplicated({ sim, disk, places: [place], host: "second", graceMs: 600_000 });
      await write(second, 1, 2);
      await reaches(sim, second);
      await follower.look();
      expect([await firstByte(follower, 0), await firstByte(follower, 1)]).toEqual([1, 2]);
      expect((await late.read(0, BLOCK))[0]).toBe(66);
      await late.close();
      await end(reader, second, first);
    }));

  test("a tier that is out of reach is told of once, with what is shown meanwhile, and followed again when it is back", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower, events } = reader;
      const { currentAt } = follower.status();
      place.isAway = true;
      await follower.look();
      await follower.look();
      expect(follower.status()).toMatchObject({ currentAt, reason: expect.stringContaining("refused") as string });
      expect(await failure(follower.refresh())).toMatchObject({ kind: "unavailable" });
      place.isAway = false;
      await write(bed, 3, 3);
      await reaches(sim, bed);
      while (follower.status().reason !== undefined) {
        await sim.clock.sleep(100);
        await follower.look();
      }
      expect(await firstByte(follower, 3)).toBe(3);
      expect(events.map(({ kind, level }) => `${kind} ${level}`)).toEqual(["tier-offline warning", "tier-online info"]);
      await end(reader, bed);
    }));

  test("a state with a volume whose name is taken here is not shown", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, {
        everySeconds: HOUR,
        admit: (names) => {
          if (names.includes("taken")) throw new SternwayError("conflict", "volume taken is also in vault default");
        },
      });
      await bed.volumes.create("taken", 2 ** 20);
      await reaches(sim, bed);
      expect(await failure(reader.follower.refresh())).toMatchObject({ kind: "conflict" });
      expect(reader.follower.volumes.list().map(({ name }) => name)).toEqual(["v"]);
      await bed.volumes.delete("taken");
      await reaches(sim, bed);
      await reader.follower.refresh();
      expect(reader.follower.status().reason).toBeUndefined();
      await end(reader, bed);
    }));

  test("an encrypted vault is followed with the key that it was opened with", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0, encryptedBed);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR, vault: { unlock: encryptedBed.encrypt } });
      for (let round = 1; round <= 3; round++) {
        await write(bed, 0, round);
        await reaches(sim, bed);
        await reader.follower.look();
        expect(await firstByte(reader.follower, 0)).toBe(round);
      }
      await end(reader, bed);
    }));

  test("readers of older states keep it from going on, for ten minutes at the most", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 600_000);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      const { follower } = reader;
      const devices = [];
      for (let round = 1; round <= 2; round++) {
        await write(bed, 0, round);
        await reaches(sim, bed);
        await follower.refresh();
        devices.push(await follower.volumes.openAt("v", NOW));
        await write(bed, 0, 50 + round);
        await bed.volumes.thin("v", { horizonLsn: bed.vault.lastLsn, points: [] });
        await reaches(sim, bed);
        await follower.refresh();
      }
      expect(follower.status().olderViews).toBe(2);
      await write(bed, 0, 99);
      await reaches(sim, bed);
      expect(await failure(follower.refresh())).toMatchObject({ kind: "unavailable" });
      for (const [i, device] of devices.entries()) expect((await device.read(0, BLOCK))[0]).toBe(i + 1);
      await sim.clock.sleep(600_000);
      await follower.refresh();
      expect(await firstByte(follower, 0)).toBe(99);
      expect((await failure(devices[0]!.read(0, BLOCK))).message).toContain("is no longer among");
      for (const device of devices) await device.close();
      await end(reader, bed);
    }));

  test("clearViews() leaves no file of what was shown", () =>
    inWorld(async (sim, place) => {
      const { bed } = await openWriter(sim, place, 0);
      const reader = await openFollowing(sim, place, { everySeconds: HOUR });
      await reader.follower.refresh();
      await end(reader, bed);
      const dir = `${VAULT_DIR}/views`;
      const files = async (): Promise<string[]> => {
        const found: string[] = [];
        for (const view of await reader.disk.list(dir)) {
          for (const folder of ["journal", "manifest"])
            found.push(...(await reader.disk.list(`${dir}/${view}/${folder}`)));
          if ((await reader.disk.sizeOf(`${dir}/${view}/vault.json`)) !== undefined) found.push("vault.json");
        }
        return found;
      };
      expect(await files()).not.toEqual([]);
      await clearViews(reader.disk, VAULT_DIR);
      expect(await files()).toEqual([]);
    }));
});
