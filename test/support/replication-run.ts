/**
 * One seed's life of a vault with tiers that fail: work, outages, crashes of the appliance, then everything heals. At the end every tier holds the same, and each of
 * them alone gives back the whole vault; and when the machine is lost instead, a tier gives back what it was answered for.
 */
import { deepEquals } from "bun";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { arriveAsReader, becomeWriter } from "../../src/replication/arrival.ts";
import { Replication, type ReplicationEvent, type TierSettings } from "../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../src/tiers/simulated-store.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { asLsn, strandOf, VaultModel } from "./model.ts";
import { openBed, VAULT_DIR, type Bed } from "./vault-bed.ts";
import { LawBroken, same, Workload } from "./workload.ts";

export interface ReplicationRunOptions {
  rounds?: number;
  operations?: number;
  vault?: Partial<VaultOptions>;
}

export interface ReplicationRunStats {
  crashes: number;
  outages: number;
  takeOvers: number;
  events: Record<string, number>;
}

/** Pauses of virtual seconds would outlast the work. */
const PAUSES = { attemptsMax: 4, pauseMsMin: 5, pauseMsMax: 50, probeMsMin: 20, probeMsMax: 200 };

export interface ReplicatedBed extends Bed {
  replication: Replication;
}

export interface OpenReplicated {
  sim: Simulation;
  disk: SimulatedDisk;
  places: readonly SimulatedPlace[];
  host?: string;
  vault?: Partial<VaultOptions>;
  tell?: (event: ReplicationEvent) => void;
  /** Default 0. */
  graceMs?: number;
}

const settingsOf = (place: SimulatedPlace, mode: TierSettings["mode"]): TierSettings => ({
  name: place.name,
  url: `file:///${place.name}`,
  mode,
  rpoSeconds: 1,
  ...(mode === "scheduled" && { schedule: "hourly" }),
});

/** Opens a vault with its tiers, as its daemon would. */
export async function openReplicated({
  sim,
  disk,
  places,
  host = "one",
  vault,
  tell,
  graceMs = 0,
}: OpenReplicated): Promise<ReplicatedBed> {
  const replication = await Replication.open({
    disk,
    clock: sim.clock,
    random: sim.random,
    dir: VAULT_DIR,
    host,
    zone: "UTC",
    tell: tell ?? (() => undefined),
    openStore: ({ name }) =>
      Promise.resolve(
        new SimulatedStore(
          sim,
          places.find((place) => place.name === name)!,
        ),
      ),
    tierPauses: PAUSES,
    graceMs,
  });
  const { readOnlyReason } = replication;
  const bed = await openBed(sim, disk, {
    journalFileBytes: 512 * 1024,
    ...vault,
    disk: replication.disk,
    restoreFile: replication.restoreFile,
    takesOver: replication.isArriving,
    ...(readOnlyReason !== undefined && { readOnly: true, readOnlyReason }),
  });
  replication.start(bed.vault);
  return { ...bed, replication };
}

/** Runs one seed. @throws Error with the seed in its message, whatever went wrong */
export async function replicationRun(seed: number, options: ReplicationRunOptions = {}): Promise<ReplicationRunStats> {
  const run = new ReplicationRun(seed, options);
  try {
    return await run.run();
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}, ${run.stage}: ${text}\nrun it again: TEST_SEED=${seed} bun test …`, {
      cause: error,
    });
  }
}

class ReplicationRun {
  stage = "begin";
  private readonly seed: number;
  private readonly options: ReplicationRunOptions;
  private readonly random: Random;
  private readonly stats: ReplicationRunStats = { crashes: 0, outages: 0, takeOvers: 0, events: {} };
  private readonly places: SimulatedPlace[];
  private readonly modes: TierSettings["mode"][];
  private readonly model = new VaultModel();
  private sim: Simulation;
  private disk: SimulatedDisk;
  /** What flushes were answered for while the synchronous tier was online. */
  private syncFloor = 0;

  constructor(seed: number, options: ReplicationRunOptions) {
    this.seed = seed;
    this.options = options;
    this.random = seededRandom(seed ^ 0x7135);
    this.sim = new Simulation(seed);
    this.disk = new SimulatedDisk(this.sim);
    this.places = ["alpha", "beta", "gamma"].slice(0, 1 + this.random.below(3)).map((name) => new SimulatedPlace(name));
    this.modes = this.places.map((_, i) => (i === 0 && seed % 2 === 0 ? "sync" : "continuous"));
  }

  async run(): Promise<ReplicationRunStats> {
    const rounds = this.options.rounds ?? 3;
    for (let round = 1; round <= rounds; round++) {
      this.stage = `round ${round}`;
      const steps = 200 + this.random.below(this.random.below(2) === 0 ? 1_500 : 15_000);
      const result = await this.sim.runFor(steps, () => this.session());
      const next = this.sim.rebooted();
      this.disk = this.disk.crashed(next);
      this.sim = next;
      if (!result.done) this.stats.crashes++;
    }
    for (const place of this.places) this.heal(place);
    if (this.seed % 3 === 0) {
      this.stage = "loss of the machine";
      await this.sim.run(() => this.lose());
    } else {
      this.stage = "healing";
      await this.sim.run(() => this.finish());
      for (const place of this.places) {
        this.stage = `opening from ${place.name}`;
        await this.sim.run(() => this.openFrom(place));
      }
    }
    return this.stats;
  }

  private heal(place: SimulatedPlace): void {
    place.isAway = place.isVanished = place.isFull = false;
    place.faultPercent = 0;
  }

  private open(host?: string): Promise<ReplicatedBed> {
    return openReplicated({
      sim: this.sim,
      disk: this.disk,
      places: this.places,
      ...(host !== undefined && { host }),
      vault: { imageEntriesMin: 60, ...this.options.vault },
      tell: ({ kind, message }) => {
        this.stats.events[kind] = (this.stats.events[kind] ?? 0) + 1;
        if (kind === "tier-foreign" || kind === "vault-overtaken")
          throw new LawBroken(`nobody else writes, and yet: ${message}`);
      },
    });
  }

  private async session(): Promise<void> {
    const bed = await this.open();
    const { vault, replication } = bed;
    if (vault.recoveredLsn < this.model.durableLsn) {
      throw new LawBroken(`law 1: recovered ${vault.recoveredLsn}, answered for ${this.model.durableLsn}`);
    }
    this.model.cut(vault.recoveredLsn);
    this.model.attach(vault);
    const { durable } = vault;
    vault.durable = async (target) => {
      const isHeld = (): boolean =>
        replication.status().some(({ settings, state }) => settings.mode === "sync" && state === "online");
      const before = isHeld();
      await durable.call(vault, target);
      // LSNs that a crash skipped are nobody's.
      const newest = this.model.events.findLast((event) => event.lsn <= target)?.lsn ?? 0;
      if (before && isHeld()) this.syncFloor = Math.max(this.syncFloor, newest);
    };
    const weather = this.weather();
    await this.addMissing(bed);
    const workload = new Workload(this.sim, bed, this.model, this.random.below(2 ** 31), {
      operations: this.options.operations ?? 150,
      clients: 1 + this.random.below(3),
    });
    await workload.run();
    weather.end();
    if (this.random.below(2) === 0) return;
    await replication.stop();
    await vault.stop();
  }

  private async addMissing({ replication }: ReplicatedBed): Promise<void> {
    for (const [i, place] of this.places.entries()) {
      while (!replication.ledger.tier(place.name)) {
        try {
          await replication.add(settingsOf(place, this.modes[i]!));
        } catch (error) {
          if (!isSternwayError(error, "unavailable") && !isSternwayError(error, "invalid")) throw error;
          await this.sim.clock.sleep(50);
        }
      }
    }
  }

  /** Outages of each kind, one after another. */
  private weather(): { end(): void } {
    let isOver = false;
    const next = (): void => {
      if (isOver) return;
      const place = this.places[this.random.below(this.places.length)]!;
      this.heal(place);
      switch (this.random.below(6)) {
        case 0:
          place.isAway = true;
          break;
        case 1:
          place.isVanished = true;
          break;
        case 2:
          place.isFull = true;
          break;
        case 3:
          place.faultPercent = 30;
          break;
        default:
          place.faultPercent = 3;
      }
      this.stats.outages++;
      this.sim.clock.timer(20 + this.random.below(400), next);
    };
    this.sim.clock.timer(this.random.below(300), next);
    return {
      end: () => {
        isOver = true;
      },
    };
  }

  /** Everything is well again: all become equal by themselves. */
  private async finish(): Promise<void> {
    const bed = await this.open();
    this.model.cut(bed.vault.recoveredLsn);
    this.model.attach(bed.vault);
    await this.addMissing(bed);
    if (bed.volumes.list().length === 0) await bed.volumes.create("late", 2 ** 20);
    await bed.vault.seal();
    const isBehind = (): boolean =>
      bed.replication
        .status()
        .some(({ state, revision }) => state !== "online" || revision?.number !== bed.vault.sealing.manifest.number);
    for (let waits = 0; isBehind(); waits++) {
      if (waits === 2_000)
        throw new LawBroken(`tiers do not become equal: ${JSON.stringify(bed.replication.status())}`);
      await this.sim.clock.sleep(100);
    }
    this.model.covered(bed.vault.lastLsn);
    await bed.replication.stop();
    await bed.vault.stop();
    const contents = this.places.map((place) => this.contentOf(place));
    for (const content of contents) {
      if (deepEquals(content, contents[0])) continue;
      const differences = content.filter(([name]) => !contents[0]!.some(([other]) => other === name));
      throw new LawBroken(`tiers hold different things after everything healed: ${JSON.stringify(differences)}`);
    }
  }

  /** All but what tells of its writers, and the manifests before the newest, of which a tier that was away has others. */
  private contentOf(place: SimulatedPlace): [string, string][] {
    const all = [...place.content()];
    const newest = all.findLast(([name]) => name.startsWith("manifest/"));
    const data = all.filter(([name]) => !/^(writers|tail|manifest)\//.test(name));
    // Named after its writer, of whom a tier has as many as there were connections.
    return newest ? [["the newest manifest", newest[1]], ...data] : data;
  }

  private async openFrom(place: SimulatedPlace): Promise<void> {
    const bed = await this.arrive(place, false);
    if (bed.vault.readOnlyReason === undefined) throw new LawBroken("a reader may write");
    if (bed.vault.recoveredLsn < this.model.durableLsn) {
      throw new LawBroken(
        `${place.name} gives LSN ${bed.vault.recoveredLsn}, equal tiers had ${this.model.durableLsn}`,
      );
    }
    await this.compare(bed);
    await bed.replication.stop();
    await bed.vault.stop();
  }

  /** The machine is gone with its disk; somebody takes over from a tier, and goes on. */
  private async lose(): Promise<void> {
    const place = this.places[0]!;
    if (!place.objects.has("vault.json") || ![...place.objects.keys()].some((name) => name.startsWith("manifest/")))
      return;
    const bed = await this.arrive(place, true);
    this.stats.takeOvers++;
    if (bed.vault.readOnlyReason !== undefined)
      throw new LawBroken(`it took over, and yet: ${bed.vault.readOnlyReason}`);
    if (this.modes[0] === "sync" && bed.vault.recoveredLsn < this.syncFloor) {
      throw new LawBroken(`${place.name} was answered for LSN ${this.syncFloor}, and gives ${bed.vault.recoveredLsn}`);
    }
    this.model.cut(bed.vault.recoveredLsn);
    await this.compare(bed);
    this.model.attach(bed.vault);
    if (bed.volumes.list().length === 0) await bed.volumes.create("late", 2 ** 20);
    await bed.vault.seal();
    await this.compare(bed);
    for (let waits = 0; bed.replication.isArriving; waits++) {
      if (waits === 2_000) throw new LawBroken("files do not arrive");
      await this.sim.clock.sleep(100);
    }
    await bed.replication.stop();
    await bed.vault.stop();
  }

  private async arrive(place: SimulatedPlace, isWriter: boolean): Promise<ReplicatedBed> {
    this.disk = new SimulatedDisk(this.sim);
    const { sim, disk } = this;
    const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "two" };
    const store = new SimulatedStore(sim, place);
    await arriveAsReader(options, store, settingsOf(place, "continuous"));
    if (isWriter) await becomeWriter(options, store);
    return await this.open("two");
  }

  private async compare({ vault }: Bed): Promise<void> {
    const at = vault.recoveredLsn;
    const model = this.model.prefix(at);
    const flushes = model.events.filter((event) => event.kind === "flush").map((event) => event.lsn);
    const moments = [
      at,
      ...Array.from({ length: Math.min(8, flushes.length) }, () => flushes[this.random.below(flushes.length)]!),
    ];
    for (const moment of moments) {
      for (const volume of model.volumesAt(moment)) {
        if (volume.deletedLsn !== undefined) continue;
        const strand = strandOf(volume, moment)!;
        for (const block of model.touched(strand).slice(0, 120)) {
          const bytes = new Uint8Array(4096);
          await vault.read(strand, asLsn(moment), block, bytes);
          same(bytes, model.block(strand, moment, block), `strand ${strand} block ${block} at LSN ${moment}`);
        }
      }
    }
  }
}
