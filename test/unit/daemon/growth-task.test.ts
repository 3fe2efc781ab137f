/** Sampling on a real catalog in a simulated world. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternwayError } from "../../../src/base/errors.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { micros } from "../../../src/base/units.ts";
import { openCatalog, type Catalog } from "../../../src/catalog/catalog.ts";
import { GrowthTask, type GrowthTaskOptions } from "../../../src/daemon/growth-task.ts";
import { createLog } from "../../../src/observe/log.ts";

const GIB = 2 ** 30;
const HOUR_MS = 3_600_000;
const log = createLog({ level: "error", format: "json", write: () => undefined });
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sternway-growth-task-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface World {
  sim: Simulation;
  catalog: Catalog;
  task: GrowthTask;
  told: string[];
  hours(count: number): Promise<void>;
}

function story(options: Partial<GrowthTaskOptions>, work: (world: World) => Promise<void>): Promise<void> {
  const sim = new Simulation(1);
  return sim.run(async () => {
    const catalog = await sim.outside(openCatalog({ disk: realDisk, dir, clock: sim.clock }));
    const told: string[] = [];
    const task = new GrowthTask({
      growth: catalog.growth,
      clock: sim.clock,
      log,
      tell: ({ kind, subject }) => void told.push(`${kind} ${subject}`),
      vaults: () => [{ vault: "default", storedBytes: GIB, freeBytes: 500 * GIB, totalBytes: 1000 * GIB }],
      liveBytes: async () => GIB / 2,
      totals: () => [],
      isSecret: () => false,
      reserveBytes: 0,
      ...options,
    });
    task.start();
    await work({ sim, catalog, task, told, hours: (count) => sim.clock.sleep(count * HOUR_MS) });
    await task.stop();
    catalog.close();
  });
}

const samples = ({ catalog, sim }: World, kind: "vault" | "volume", rhythm: "hour" | "day" = "hour") =>
  catalog.growth.samples({ kind, rhythm, from: micros(0), to: micros(sim.clock.wall() + 1) });

test("a vault is sampled every hour, and what it needs once a day", () => {
  let counted = 0;
  const liveBytes = async (): Promise<number> => ++counted;
  return story({ liveBytes }, async (world) => {
    await world.hours(49);
    expect(samples(world, "vault")).toHaveLength(49);
    expect(samples(world, "vault", "day").map((sample) => sample.liveBytes)).toEqual([1, 2, null]);
  });
});

test("a count that fails is tried again at the next sample", () => {
  let tries = 0;
  const liveBytes = async (): Promise<number> => {
    if (++tries < 3) throw new SternwayError("conflict", "it is being counted already");
    return 9;
  };
  return story({ liveBytes }, async (world) => {
    await world.hours(6);
    expect(samples(world, "vault", "day")[0]!.liveBytes).toBe(9);
    expect(tries).toBe(3);
  });
});

test("what was written is added up by the hour; names of encrypted vaults' volumes are not kept", () => {
  let written = 100;
  const zero = { writes: 0, clearedBytes: 0, readBytes: 0, flushes: 0 };
  const totals = () => ["web1", "secret1"].map((volume) => ({ ...zero, volume, writtenBytes: written }));
  return story({ totals, isSecret: (volume) => volume.startsWith("secret") }, async (world) => {
    await world.hours(0.5);
    written = 150;
    await world.hours(1);
    // Since the last sample, and kept by the stop.
    written = 157;
    await world.task.stop();
    const rows = samples(world, "volume");
    expect(new Set(rows.map(({ name }) => name))).toEqual(new Set(["web1"]));
    expect(rows.map(({ writtenBytes }) => writtenBytes)).toEqual([100, 57]);
  });
});

test("it warns once when space ends soon, and says when it lasts again", () => {
  let free = 300 * GIB;
  const vaults = () => [{ vault: "default", storedBytes: GIB, freeBytes: (free -= GIB / 2), totalBytes: 1000 * GIB }];
  return story({ vaults }, async (world) => {
    await world.hours(6 * 24);
    expect(world.told).toEqual([]);
    expect(world.task.daysLeft()).toEqual([]);
    await world.hours(6 * 24);
    expect(world.told).toEqual(["space-forecast default"]);
    expect(world.task.daysLeft()[0]!.daysLeft).toBeLessThan(14);
    free = 900 * GIB;
    await world.hours(3);
    expect(world.told).toEqual(["space-forecast default", "space-forecast-back default"]);
  });
});

test("stop() does not wait for a count that takes long, and the count keeps nothing afterwards", () => {
  const count = Promise.withResolvers<number>();
  return story({ liveBytes: () => count.promise }, async (world) => {
    await world.hours(2);
    expect(samples(world, "vault")).toHaveLength(1);
    await world.task.stop();
    count.resolve(1);
    await world.hours(2);
    expect(samples(world, "vault")).toHaveLength(1);
  });
});
