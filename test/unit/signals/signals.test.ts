import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { BLOCK_SIZE, micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog } from "../../../src/catalog/catalog.ts";
import { createLog } from "../../../src/observe/log.ts";
import { Signals, type VaultWatch } from "../../../src/signals/signals.ts";
import type { VaultOptions } from "../../../src/vault/open-vault.ts";
import type { Bed } from "../../support/vault-bed.ts";
import { encryptedBed } from "../../support/vault-bed.ts";
import { inWorld, noise, type World } from "../../support/world.ts";

const MIB = 2 ** 20;
/** More than 256 blocks: enough for the sensitivity `high`. */
const BLOCKS = 300;

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function text(seed: number, blocks: number): Uint8Array {
  const random = seededRandom(seed);
  let out = "";
  while (out.length < blocks * BLOCK_SIZE) out += `line ${random.below(1e6)} of the ledger\n`;
  return new TextEncoder().encode(out).subarray(0, blocks * BLOCK_SIZE);
}

interface Story extends World {
  catalog: Catalog;
  signals: Signals;
  alarmed: () => number;
  /** Opens the vault and watches it. */
  watched(options?: Partial<VaultOptions>): Promise<Bed & { watch: VaultWatch }>;
  /** Writes at a place, seals, and waits until what was found has become alarms. */
  write(bed: Bed & { watch: VaultWatch }, at: number, bytes: Uint8Array): Promise<void>;
}

function story(seed: number, tell: (story: Story) => Promise<void>): Promise<void> {
  return inWorld(seed, async (world) => {
    const dir = mkdtempSync(join(tmpdir(), "sternway-signals-"));
    dirs.push(dir);
    const catalog = await openCatalog({ disk: realDisk, dir, clock: world.sim.clock });
    let alarms = 0;
    const log = createLog({ level: "error", format: "json", write: () => undefined });
    const signals = new Signals({
      catalog,
      clock: world.sim.clock,
      log,
      tell: (event) => catalog.addEvent(event),
      onAlarm: () => alarms++,
    });
    const watches: VaultWatch[] = [];
    await tell({
      ...world,
      catalog,
      signals,
      alarmed: () => alarms,
      async watched(options = {}) {
        const late: { watch?: VaultWatch } = {};
        const bed = await world.open({
          journalFilesMax: 16,
          onSealed: (sealed) => late.watch?.sealed(sealed),
          ...options,
        });
        const watch = (late.watch = signals.watch(bed.vault, "default", bed.volumes));
        watches.push(watch);
        return { ...bed, watch };
      },
      async write({ vault, volumes, watch }, at, bytes) {
        const device = await volumes.openLive("a");
        for (let done = 0; done < bytes.length; done += MIB)
          await device.write(at + done, bytes.subarray(done, done + MIB), false);
        await device.flush();
        await device.close();
        await vault.seal();
        await watch.settled();
      },
    });
    for (const watch of watches) await watch.stop();
    catalog.close();
  });
}

/** A volume with text on its first 2 MiB, of which the sealer knows. */
async function prepared({ sim, signals, watched, write }: Story, options?: Partial<VaultOptions>) {
  const bed = await watched(options);
  await bed.volumes.create("a", 16 * MIB);
  signals.setSensitivity("a", "high");
  await write(bed, 0, text(1, 512));
  await sim.clock.sleep(120_000);
  return bed;
}

describe("Signals", () => {
  test("an attack gives one alarm, a hold on the last flush before it, and an event that says what to do", () =>
    story(1, async (world) => {
      const bed = await prepared(world);
      const { catalog, signals, write, alarmed } = world;
      const before = bed.volumes.get("a").lastFlushLsn;
      expect(signals.alarms({ limit: 9 })).toEqual([]);
      await write(bed, 0, noise(1, BLOCKS));
      await write(bed, BLOCKS * BLOCK_SIZE, noise(2, 100));
      expect(alarmed()).toBe(1);
      const [alarm, ...more] = signals.alarms({ limit: 9 });
      expect(more).toEqual([]);
      expect(alarm).toMatchObject({
        volume: "a",
        vault: "default",
        beforeLsn: before,
        flushPoint: true,
        endedAt: null,
      });
      expect(alarm!.turned).toBe(BLOCKS + 100);
      const holds = bed.volumes.holds("a");
      expect(holds).toMatchObject([{ name: alarm!.hold!, lsn: before }]);
      expect(alarm!.hold).toMatch(/^before-suspicion-\d{8}T\d{6}Z$/);
      const [event] = catalog.events({ limit: 1 });
      expect(event).toMatchObject({ level: "alert", kind: "ransomware-suspected", subject: "a" });
      for (const word of [alarm!.hold!, `lsn:${before}`, `acknowledge ${alarm!.id} --mine`])
        expect(event!.message).toContain(word);
      expect(signals.scoreOf("a")).toBe(1);
      const past = await bed.volumes.openAt("a", { kind: "lsn", lsn: holds[0]!.lsn });
      expect(await past.read(0, 512 * BLOCK_SIZE)).toEqual(text(1, 512));
      await past.close();
    }));

  test("is over after a calm while, and the hold stays", () =>
    story(2, async (world) => {
      const bed = await prepared(world);
      await world.write(bed, 0, noise(1, BLOCKS));
      await world.sim.clock.sleep(30 * 60_000);
      await bed.watch.settled();
      expect(world.signals.alarms({ limit: 1 })[0]).toMatchObject({ acknowledgedAt: null });
      expect(world.signals.alarms({ limit: 1 })[0]!.endedAt).not.toBeNull();
      expect(world.catalog.events({ limit: 1 })[0]).toMatchObject({ kind: "ransomware-over" });
      expect(bed.volumes.holds("a")).toHaveLength(1);
      expect(world.signals.scoreOf("a")).toBeLessThan(0.25);
    }));

  test("what somebody says was theirs gives no second alarm, until somebody else finds that it was not", () =>
    story(3, async (world) => {
      const bed = await prepared(world);
      const { signals, write, sim, alarmed } = world;
      await write(bed, 0, noise(1, BLOCKS));
      const answer = { by: "anna", verdict: "mine", note: "turned encryption on" } as const;
      expect(signals.acknowledge(1, answer)).toMatchObject({ acknowledgedBy: "anna", verdict: "mine", volume: "a" });
      expect(() => signals.acknowledge(7, answer)).toThrow(/there is no alarm 7/);
      expect(signals.alarm(1).endedAt).not.toBeNull();
      await write(bed, 0, text(9, 512));
      await sim.clock.sleep(20 * 60_000);
      await write(bed, 0, noise(5, BLOCKS));
      expect(alarmed()).toBe(1);
      signals.acknowledge(1, { by: "otto", verdict: "attack", note: "no, it was not" });
      expect(signals.alarm(1)).toMatchObject({ acknowledgedBy: "otto", verdict: "attack" });
      await sim.clock.sleep(20 * 60_000);
      await write(bed, 0, text(10, 512));
      await sim.clock.sleep(20 * 60_000);
      await write(bed, 0, noise(6, BLOCKS));
      expect(alarmed()).toBe(2);
    }));

  test("an attack that is noticed again and again makes a few holds and no more, and says so", () =>
    story(4, async (world) => {
      const bed = await prepared(world);
      const { signals, write, sim, catalog } = world;
      for (let round = 0; round < 5; round++) {
        await write(bed, 0, noise(round, BLOCKS));
        await sim.clock.sleep(40 * 60_000);
        await write(bed, 0, text(100 + round, 512));
        await sim.clock.sleep(120_000);
      }
      expect(signals.alarms({ limit: 9 })).toHaveLength(5);
      expect(bed.volumes.holds("a")).toHaveLength(4);
      expect(signals.alarms({ limit: 1 })[0]).toMatchObject({ hold: null });
      const events = catalog.events({ limit: 20 }).filter(({ kind }) => kind === "ransomware-suspected");
      expect(events[0]!.message).toContain("could NOT be held");
    }));

  test("goes on after a restart with sensitivity, alarm and what blocks held", () =>
    story(5, async (world) => {
      const first = await prepared(world);
      await world.write(first, 0, noise(1, BLOCKS));
      await first.watch.stop();
      expect(world.signals.alarms({ limit: 1 })[0]).toMatchObject({ volume: undefined });
      await first.vault.stop();
      const second = await world.watched();
      await second.watch.settled();
      expect(world.signals.series("a", { bucketCount: 1 }).sensitivity).toBe("high");
      await world.write(second, BLOCKS * BLOCK_SIZE, noise(2, 100));
      expect(world.alarmed()).toBe(1);
      expect(world.signals.alarms({ limit: 9 })).toHaveLength(1);
      expect(world.signals.alarms({ limit: 9 })[0]).toMatchObject({ volume: "a", turned: BLOCKS + 100 });
    }));

  test("off gives no alarm; the series goes on", () =>
    story(6, async (world) => {
      const bed = await prepared(world);
      world.signals.setSensitivity("a", "off");
      await world.write(bed, 0, noise(1, BLOCKS));
      expect(world.alarmed()).toBe(0);
      const from = micros(world.sim.clock.wall() - 600e6);
      const { buckets, alarms, score } = world.signals.series("a", { from, bucketCount: 10 });
      expect({ alarms, score }).toEqual({ alarms: [], score: 0 });
      expect(buckets).toHaveLength(10);
      expect(buckets.reduce((sum, { blocks }) => sum + blocks, 0)).toBe(512 + BLOCKS);
      expect(buckets.reduce((sum, { turned }) => sum + turned, 0)).toBe(BLOCKS);
      const busy = buckets.filter(({ blocks }) => blocks > 0);
      expect(busy[0]!.compressibility).toBeGreaterThan(0.5);
      expect(busy[1]).toMatchObject({ compressibility: 0, newShare: 1, duplicateShare: 0, rewriteShare: 1 });
    }));

  test("nothing that the catalog keeps names a volume of an encrypted vault", () =>
    story(7, async (world) => {
      const bed = await prepared(world, encryptedBed);
      await world.write(bed, 0, noise(1, BLOCKS));
      const id = { vault: bed.vault.sealing.manifest.vault, volume: 1 };
      const { signals: store } = world.catalog;
      const everything = JSON.stringify([store.alarms({ limit: 9 }), store.state(id)]);
      expect(store.alarms({ limit: 9 })).toHaveLength(1);
      expect(everything).not.toContain('"a"');
    }));

  test("what is usual for a volume is forgotten when it is deleted", () =>
    story(11, async (world) => {
      const { volumes, vault, watch } = await prepared(world);
      const of = watch.idOf(watch.numberOf("a")!);
      expect(world.catalog.signals.state(of)).toMatchObject({ sensitivity: "high" });
      await volumes.delete("a");
      await vault.seal();
      await world.sim.clock.sleep(400_000);
      await watch.settled();
      expect(world.catalog.signals.state(of)).toBeUndefined();
    }));

  test("has a file closed early when something was written to it, so that it is looked at", () =>
    story(8, async (world) => {
      const bed = await world.watched({ journalFileBytes: 32 * MIB });
      await bed.volumes.create("a", 16 * MIB);
      const device = await bed.volumes.openLive("a");
      for (let at = 0; at < 6 * MIB; at += MIB) await device.write(at, text(at, 256), false);
      await device.flush();
      expect(bed.vault.sealing.manifest.packs).toHaveLength(0);
      await world.sim.clock.sleep(32_000);
      expect(bed.vault.sealing.manifest.packs).toHaveLength(1);
      await device.close();
    }));
});
