/**
 * One seed's life of a reader that follows a tier: its writer goes on, lets go of history and collects, and is overtaken by another one, while the tier fails and
 * moments stay open at the reader. Every moment that it opens is one that a writer's model has, from end to end; it reads the same as long as it is open, or
 * says why not; and in the end the reader shows what the last writer holds.
 */
import { seededRandom, type Random } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { arriveAsReader, becomeWriter, refreshReader } from "../../src/replication/arrival.ts";
import { Follower } from "../../src/replication/follower.ts";
import type { ReplicationEvent, TierSettings } from "../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../src/tiers/simulated-store.ts";
import { openVault, type VaultOptions } from "../../src/vault/open-vault.ts";
import { openVolumes } from "../../src/volume/volume-set.ts";
import type { Moment, PastDevice } from "../../src/volume/volumes.ts";
import { asLsn, strandOf, VaultModel } from "./model.ts";
import { openReplicated, type ReplicatedBed } from "./replication-run.ts";
import { VAULT_DIR } from "./vault-bed.ts";
import { LawBroken } from "./workload.ts";

const BLOCK = 4096;
const BLOCKS = 48;
const TIER: TierSettings = { name: "shared", url: "file:///shared", mode: "continuous", rpoSeconds: 0.1 };

export interface FollowStats {
  moves: number;
  held: number;
  lost: number;
  takenOver: boolean;
}

export interface FollowedReader {
  follower: Follower;
  events: ReplicationEvent[];
  disk: SimulatedDisk;
  stop: () => Promise<void>;
}

/** Opens a reader that follows a place, as its daemon would. @param vault - of its views, too */
export async function openFollowing(
  sim: Simulation,
  place: SimulatedPlace,
  { everySeconds, vault = {}, admit }: FollowingOptions,
): Promise<FollowedReader> {
  const disk = new SimulatedDisk(sim);
  const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "reader" };
  const store = new SimulatedStore(sim, place);
  await arriveAsReader(options, store, TIER, everySeconds);
  const arrived = await refreshReader(options, store);
  const events: ReplicationEvent[] = [];
  const bed = await openReplicated({ sim, disk, places: [place], host: "reader", vault, tell: (e) => events.push(e) });
  const { replication } = bed;
  const follower = Follower.start({
    ...options,
    replication,
    first: bed,
    arrived,
    open: (viewDisk, dir, openedAs) =>
      openVault({
        disk: viewDisk.disk,
        restoreFile: viewDisk.restoreFile,
        readOnly: true,
        openedAs,
        clock: sim.clock,
        random: sim.random,
        dir,
        indexBudgetBytes: 2 ** 20,
      }),
    volumesOf: (view) => openVolumes(view, sim.clock, "default"),
    admit: admit ?? (() => undefined),
    onMoved: () => Promise.resolve(),
  });
  const stop = async (): Promise<void> => {
    await follower.stop();
    await replication.stop();
    await bed.vault.stop();
  };
  return { follower, events, disk, stop };
}

export interface FollowingOptions {
  everySeconds: number;
  vault?: Partial<VaultOptions>;
  admit?: (names: readonly string[]) => void;
}

/** A vault with a volume `v` at a place, and its model. */
export async function openWriter(
  sim: Simulation,
  place: SimulatedPlace,
  graceMs: number,
  vault: Partial<VaultOptions> = {},
): Promise<{ bed: ReplicatedBed; model: VaultModel }> {
  const disk = new SimulatedDisk(sim);
  const bed = await openReplicated({ sim, disk, places: [place], host: "writer", graceMs, vault });
  const model = new VaultModel();
  model.attach(bed.vault);
  await bed.replication.add(TIER);
  await bed.volumes.create("v", BLOCKS * BLOCK);
  await bed.vault.seal();
  await reaches(sim, bed);
  return { bed, model };
}

/** Waits until the tier has all that the vault holds. */
export async function reaches(sim: Simulation, { replication, vault }: ReplicatedBed): Promise<void> {
  for (let waits = 0; waits < 5_000; waits++) {
    const [status] = replication.status();
    const { manifest } = vault.sealing;
    const newest = Math.max(manifest.sealed.lsn, ...vault.journal.tail().map(({ lastLsn }) => lastLsn));
    const isPublished = status!.revision?.number === manifest.number;
    if (status!.state === "online" && isPublished && status!.reachedLsn >= newest) return;
    await sim.clock.sleep(20);
  }
  throw new LawBroken(`the tier does not get equal: ${JSON.stringify(replication.status())}`);
}

/** Runs one seed. @throws Error with the seed in its message, whatever went wrong */
export async function followRun(seed: number): Promise<FollowStats> {
  const sim = new Simulation(seed);
  try {
    return await sim.run(() => new FollowRun(sim, seed).run());
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}: ${text}\nrun it again: TEST_SEED=${seed} bun test …`, { cause: error });
  }
}

interface Held {
  device: PastDevice;
  blocks: Uint8Array[];
}

class FollowRun {
  private readonly sim: Simulation;
  private readonly random: Random;
  private readonly place = new SimulatedPlace("shared");
  private readonly graceMs: number;
  private readonly isCalm: boolean;
  private readonly models: VaultModel[] = [];
  private readonly held: Held[] = [];
  private readonly stats: FollowStats = { moves: 0, held: 0, lost: 0, takenOver: false };

  constructor(sim: Simulation, seed: number) {
    this.sim = sim;
    this.random = seededRandom(seed ^ 0xf0110);
    this.isCalm = seed % 3 === 0;
    this.graceMs = seed % 2 === 0 ? 600_000 : 0;
  }

  async run(): Promise<FollowStats> {
    const { sim, place, random } = this;
    const first = await openWriter(sim, place, this.graceMs, { imageEntriesMin: 40 });
    this.models.push(first.model);
    const reader = await openFollowing(sim, place, { everySeconds: 1 });
    const isOver = { first: false, second: false };
    const writing = this.write(first.bed, () => isOver.first);
    const watching = this.watch(reader.follower, () => isOver.second);
    await sim.clock.sleep(3_000 + random.below(4_000));
    let last = first.bed;
    if (random.below(2) === 0) {
      last = await this.takeOver();
      const secondWriting = this.write(last, () => isOver.second);
      await sim.clock.sleep(3_000 + random.below(4_000));
      isOver.second = true;
      await secondWriting;
    } else isOver.second = true;
    isOver.first = true;
    await writing;
    await watching;
    place.isAway = false;
    place.faultPercent = 0;
    await reaches(sim, last);
    await this.settles(reader);
    for (const { device } of this.held.splice(0)) await device.close();
    await sim.clock.sleep(1);
    const { olderViews } = reader.follower.status();
    if (olderViews > 0) throw new LawBroken(`${olderViews} older views are open, and nobody reads`);
    await reader.stop();
    const beds = new Set([first.bed, last]);
    for (const bed of beds) {
      await bed.replication.stop();
      await bed.vault.stop();
    }
    return this.stats;
  }

  /** Writes until it is over, or it is overtaken. */
  private async write({ vault, volumes }: ReplicatedBed, isOver: () => boolean): Promise<void> {
    const { random } = this;
    const device = await volumes.openLive("v");
    const name = this.models.length;
    try {
      for (let serial = 1; !isOver(); serial++) {
        const block = new Uint8Array(BLOCK);
        block.set(new TextEncoder().encode(`writer ${name} serial ${serial}`));
        await device.write(random.below(BLOCKS) * BLOCK, block, false);
        if (random.below(6) === 0) await device.flush();
        if (random.below(25) === 0) await vault.seal();
        if (random.below(60) === 0) {
          const horizonLsn = asLsn(Math.max(volumes.get("v").createdLsn, vault.lastLsn - random.below(40)));
          await volumes.thin("v", { horizonLsn, points: [] }).catch(orBehindHorizon);
          // Who took over a moment ago has not all packs yet.
          await vault.collect().catch(orAway);
        }
        await this.sim.clock.sleep(random.below(60));
      }
    } catch (error) {
      if (!isSternwayError(error) || vault.readOnlyReason === undefined) throw error;
    } finally {
      await device.close();
    }
  }

  private async takeOver(): Promise<ReplicatedBed> {
    const { sim, place } = this;
    const disk = new SimulatedDisk(sim);
    const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "second" };
    const store = new SimulatedStore(sim, place);
    place.isAway = false;
    place.faultPercent = 0;
    for (let tries = 0; ; tries++) {
      try {
        await arriveAsReader(options, store, TIER);
        await becomeWriter(options, store);
        break;
      } catch (error) {
        const isPassing = isSternwayError(error, "unavailable") || isSternwayError(error, "conflict");
        if (!isPassing || tries > 50) throw error;
        // The weather changes meanwhile.
        place.isAway = false;
        await sim.clock.sleep(20);
      }
    }
    const bed = await openReplicated({ sim, disk, places: [place], host: "second", graceMs: this.graceMs });
    const model = this.models[0]!.prefix(bed.vault.recoveredLsn);
    model.attach(bed.vault);
    this.models.push(model);
    this.stats.takenOver = true;
    return bed;
  }

  /** Opens moments at the reader, reads those that are open, and closes some. */
  private async watch({ volumes, current }: Follower, isOver: () => boolean): Promise<void> {
    const { random, sim, place, held } = this;
    let shown = current.vault.lastLsn;
    while (!isOver()) {
      if (!this.isCalm && random.below(12) === 0) place.isAway = !place.isAway;
      if (!this.isCalm) place.faultPercent = random.below(3) * 4;
      const newest = volumes.get("v").lastLsn;
      if (newest !== shown) this.stats.moves++;
      shown = newest;
      if (held.length < 6)
        await this.open(volumes, { kind: "lsn", lsn: asLsn(Math.max(1, newest - random.below(12))) });
      for (const each of [...held]) await this.compare(each);
      if (held.length > 3) await held.splice(random.below(held.length), 1)[0]!.device.close();
      await sim.clock.sleep(random.below(900));
    }
  }

  private async open(volumes: Follower["volumes"], moment: Moment): Promise<void> {
    let device: PastDevice;
    const blocks: Uint8Array[] = [];
    try {
      device = await volumes.openAt("v", moment);
    } catch (error) {
      this.mayFail(error);
      return;
    }
    try {
      for (let block = 0; block < BLOCKS; block++) blocks.push((await device.read(block * BLOCK, BLOCK)).slice());
    } catch (error) {
      await device.close();
      this.mayFail(error);
      return;
    }
    if (!this.models.some((model) => isOf(model, device.moment.lsn, blocks))) {
      throw new LawBroken(`LSN ${device.moment.lsn} at the reader is what no writer ever had`);
    }
    this.held.push({ device, blocks });
    this.stats.held++;
  }

  private async compare({ device, blocks }: Held): Promise<void> {
    const block = this.random.below(BLOCKS);
    try {
      const found = await device.read(block * BLOCK, BLOCK);
      if (Buffer.compare(found, blocks[block]!) === 0) return;
    } catch (error) {
      this.mayFail(error);
      this.stats.lost++;
      return;
    }
    throw new LawBroken(`block ${block} of LSN ${device.moment.lsn} changed while it was open`);
  }

  /** What must be there is there: only what the tier does to it, or a tier that keeps nothing, is a reason. */
  private mayFail(error: unknown): void {
    if (!isSternwayError(error)) throw error;
    const isGone = error.kind === "not_found" && error.message.includes("kept");
    const isTier = error.kind === "unavailable" && (!this.isCalm || this.graceMs === 0);
    if (!isGone && !isTier) throw error;
  }

  private async settles({ follower, events }: FollowedReader): Promise<void> {
    const model = this.models.at(-1)!;
    const newest = model.events.findLast(({ kind }) => kind === "write")!.lsn;
    for (let waits = 0; follower.volumes.get("v").lastLsn < newest; waits++) {
      if (waits === 2_000) {
        throw new LawBroken(
          `the reader shows ${follower.volumes.get("v").lastLsn}, and the writer has ${newest}: ${JSON.stringify(follower.status())}`,
        );
      }
      // Those of a writer that was overtaken may keep as many views as there may be.
      if (waits === 100) for (const { device } of this.held.splice(0)) await device.close();
      await this.sim.clock.sleep(100);
    }
    const device = await follower.volumes.openAt("v", { kind: "now" });
    const blocks: Uint8Array[] = [];
    for (let block = 0; block < BLOCKS; block++) blocks.push((await device.read(block * BLOCK, BLOCK)).slice());
    await device.close();
    if (!isOf(model, newest, blocks)) throw new LawBroken(`the reader does not show what the last writer holds`);
    const last = events.findLast(({ kind }) => kind === "tier-offline" || kind === "tier-online");
    if (follower.status().reason === undefined && last?.kind === "tier-offline") {
      throw new LawBroken("the reader follows again, and nobody was told");
    }
  }
}

function isOf(model: VaultModel, at: number, blocks: readonly Uint8Array[]): boolean {
  const volume = model.volumes.find(({ name }) => name === "v")!;
  const strand = strandOf(volume, at)!;
  return blocks.every((found, block) => Buffer.compare(found, model.block(strand, at, block)) === 0);
}

function orAway(error: unknown): void {
  if (!isSternwayError(error, "unavailable")) throw error;
}

/** A horizon never moves back. */
function orBehindHorizon(error: unknown): void {
  if (!isSternwayError(error, "conflict")) throw error;
}
