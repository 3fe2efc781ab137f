/**
 * Laws 2, 5 and 6 while history is let go: clients work, volumes come and go, retention thins, collecting runs, and the power fails at any
 * step. After each recovery every moment that is still needed reads as the model says, nothing that layers name is missing, and what is
 * marked live is exactly what a full scan finds.
 */
import { expect, test } from "bun:test";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { checkVault } from "../../src/vault/checking/check.ts";
import { markLayers, SlotBitmaps } from "../../src/vault/collecting/liveness.ts";
import { packOf, slotOf, TARGET_ADDRESS_MIN } from "../../src/vault/map.ts";
import type { VolumeRecord } from "../../src/vault/registry.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { horizonOf, isKept, keptPoints } from "../../src/volume/kept-moments.ts";
import { asLsn, sizeOf, strandOf, VaultModel } from "../support/model.ts";
import { openBed, type Bed } from "../support/vault-bed.ts";
import { LawBroken, same, Workload } from "../support/workload.ts";

const BLOCK = 4096;
const SEED = Number(process.env["TEST_SEED"] ?? 108);
const SEEDS = Number(process.env["TEST_SEEDS"] ?? 8);
const ROUNDS = 5;

class CollectRun {
  readonly seed: number;
  readonly random: Random;
  readonly model = new VaultModel();
  sim: Simulation;
  disk: SimulatedDisk;
  readonly stats = { crashes: 0, runs: 0, deleted: 0, repacked: 0, thinnings: 0, compared: 0 };

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed ^ 0xc011);
    this.sim = new Simulation(seed);
    this.disk = new SimulatedDisk(this.sim, { directoryOrder: seed % 2 === 0 ? "prefix" : "any-order" });
  }

  async run(): Promise<void> {
    for (let round = 1; round <= ROUNDS; round++) {
      const isLast = round === ROUNDS;
      const steps = isLast ? 4_000_000 : 500 + this.random.below(12_000);
      const result = await this.sim.runFor(steps, () => this.session());
      const next = this.sim.rebooted();
      this.disk = result.done ? this.disk.shutDown(next) : this.disk.crashed(next);
      this.sim = next;
      if (!result.done) this.stats.crashes++;
      if (isLast && !result.done) throw new Error("the last round did not come to its end");
    }
    await this.sim.run(
      async () => {
        const bed = await this.open();
        await this.compare(bed);
        await bed.vault.collect();
        await this.compare(bed);
        await bed.vault.stop();
      },
      { stepsMax: 4_000_000 },
    );
  }

  private open(): Promise<Bed> {
    return openBed(this.sim, this.disk, {
      journalFileBytes: 512 * 1024,
      journalFilesMax: 6,
      collectDroppedMin: this.random.below(2) === 0 ? 8 : 65_536,
      collectBytesPerSecond: 2 ** 20,
    });
  }

  private async session(): Promise<void> {
    const bed = await this.open();
    this.model.cut(bed.vault.recoveredLsn);
    await this.compare(bed);
    this.model.attach(bed.vault);
    const seed = this.random.below(2 ** 31);
    const workload = new Workload(this.sim, bed, this.model, seed, { operations: 250, clients: 2 });
    let isWorking = true;
    const working = workload.run().finally(() => {
      isWorking = false;
    });
    const retention = this.letGo(bed, () => isWorking);
    await Promise.all([working, retention]);
    await this.compare(bed);
    await bed.vault.stop();
  }

  /** Retention and the operator: thins at random, collects now and then. */
  private async letGo({ vault }: Bed, isWorking: () => boolean): Promise<void> {
    while (isWorking()) {
      await this.sim.clock.sleep(this.random.below(60));
      const volumes = vault.registry.volumes();
      const volume = volumes[this.random.below(Math.max(1, volumes.length))];
      if (volume && this.random.below(3) > 0) await this.thin(vault, volume.id);
      if (this.random.below(3) > 0) continue;
      const report = await vault.collect();
      this.stats.runs++;
      this.stats.deleted += report.packsDeleted;
      this.stats.repacked += report.packsRepacked;
      expect(report.packsDamaged).toBe(0);
    }
  }

  /** A mark as the planner makes it: of what is kept now, some. */
  private async thin(vault: Vault, id: number): Promise<void> {
    try {
      await vault.mark(() => {
        const volume = vault.registry.byId(id)!;
        if (volume.deletedLsn !== undefined) throw new Error("deleted meanwhile");
        const before = horizonOf(volume);
        const horizonLsn = before + this.random.below(vault.lastLsn - before + 1);
        const points = (volume.kept?.points ?? []).filter(() => this.random.below(3) > 0);
        for (let i = this.random.below(3); i > 0 && horizonLsn > before; i--) {
          const at = before + this.random.below(horizonLsn - before);
          points.push({ lsn: at, time: 0, why: "hourly" });
        }
        points.sort((a, b) => a.lsn - b.lsn);
        return { kind: "thinned", volume: id, horizonLsn, points, time: 0 };
      });
      this.stats.thinnings++;
    } catch (error) {
      if (error instanceof Error && error.message === "deleted meanwhile") return;
      throw error;
    }
  }

  private async compare({ vault }: Bed): Promise<void> {
    const newest = vault.lastLsn;
    for (const volume of vault.registry.volumes()) {
      const recent = [0, 1, 2].map(() => horizonOf(volume) + this.random.below(newest - horizonOf(volume) + 1));
      const moments = new Set([newest, ...keptPoints(volume).map((point) => point.lsn), ...recent]);
      for (const at of moments) await this.compareAt(vault, volume, at);
      for (let i = 0; i < 3; i++) {
        const at = 1 + this.random.below(newest);
        if (at < volume.createdLsn || isKept(volume, at)) continue;
        await this.expectRefused(vault, volume, at);
      }
    }
    const at = vault.sealing.manifest;
    for await (const step of checkVault(vault)) {
      if (step.line !== "finding") continue;
      throw new LawBroken(`laws 5 and 6, manifest ${at.number}: ${step.subject}: ${step.message}`);
    }
  }

  private async compareAt(vault: Vault, volume: VolumeRecord, at: number): Promise<void> {
    const known = this.model.volumes.find(({ id }) => id === volume.id)!;
    const strand = strandOf(known, at)!;
    const end = Math.ceil(sizeOf(known, at) / BLOCK);
    const touched = this.model.touched(strand).filter((block) => block < end);
    for (const block of touched) {
      // Some 64 of each moment: there are many moments.
      if (this.random.below(touched.length) >= 64) continue;
      const bytes = new Uint8Array(BLOCK);
      await vault.read(strand, asLsn(at), block, bytes);
      same(
        bytes,
        this.model.block(strand, at, block),
        `law 2: volume ${volume.name}, block ${block} at needed LSN ${at}`,
      );
      this.stats.compared++;
    }
  }

  /** What is not kept is refused, unless another volume needs the very same moment of the strand. */
  private async expectRefused(vault: Vault, volume: VolumeRecord, at: number): Promise<void> {
    const known = this.model.volumes.find(({ id }) => id === volume.id)!;
    const strand = strandOf(known, at)!;
    const bytes = new Uint8Array(BLOCK);
    try {
      await vault.read(strand, asLsn(at), 0, bytes);
    } catch (error) {
      if (isSternwayError(error, "not_found")) return;
      throw error;
    }
    same(bytes, this.model.block(strand, at, 0), `law 3: a moment that was let go, LSN ${at} of ${volume.name}`);
  }
}

async function runSeed(seed: number): Promise<CollectRun["stats"]> {
  const run = new CollectRun(seed);
  try {
    await run.run();
    return run.stats;
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
      cause: error,
    });
  }
}

test("laws 2, 5 and 6 hold while history is thinned and collected, through crashes at any step", async () => {
  const total = { crashes: 0, runs: 0, deleted: 0, repacked: 0, thinnings: 0, compared: 0 };
  for (let i = 0; i < SEEDS; i++) {
    const stats = await runSeed(SEED + i);
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += stats[key];
  }
  if (process.env["TEST_SEEDS"] !== undefined) console.log(total);
  // The run is worth something only if all of it came to pass.
  for (const count of Object.values(total)) expect(count).toBeGreaterThan(5);
}, 240_000);

test("liveness is what a full scan of all layers finds", async () => {
  for (let seed = SEED; seed < SEED + 4; seed++) {
    const sim = new Simulation(seed);
    const disk = new SimulatedDisk(sim);
    await sim.run(
      async () => {
        const bed = await openBed(sim, disk, { journalFileBytes: 512 * 1024, journalFilesMax: 6 });
        const model = new VaultModel();
        model.attach(bed.vault);
        await new Workload(sim, bed, model, seed, { operations: 300, clients: 2 }).run();
        await bed.vault.collect();
        const { manifest } = bed.vault.sealing;
        const named = new Set<number>();
        for (const record of manifest.layers) {
          const reader = await bed.vault.parts.layers.open(record);
          for await (const columns of reader.entries()) {
            for (const target of columns.target) if (target >= TARGET_ADDRESS_MIN) named.add(target);
          }
        }
        const bits = new SlotBitmaps(manifest.packs.map(({ pack }) => pack));
        const { layers } = bed.vault.parts;
        const pages = markLayers(manifest.layers, async (record) => unclosed(await layers.open(record)), bits);
        for await (const { bytes } of pages) expect(bytes).toBeGreaterThan(0);
        let live = 0;
        for (const { pack, slots } of manifest.packs) {
          for (let slot = 0; slot < slots; slot++) if (bits.has(pack, slot)) live++;
        }
        expect({ seed, live }).toEqual({ seed, live: named.size });
        for (const target of named) expect(bits.has(packOf(target), slotOf(target))).toBe(true);
        await bed.vault.stop();
      },
      { stepsMax: 4_000_000 },
    );
  }
}, 60_000);

/** The vault's own reader, which stays open. */
function unclosed<Reader extends { close(): Promise<void> }>(reader: Reader): Reader {
  return new Proxy(reader, {
    get: (target, name) => {
      if (name === "close") return () => Promise.resolve();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
}
