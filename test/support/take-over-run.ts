/**
 * One seed's life of a vault with two appliances that want to write to it: the second takes over at any moment of the first one's work, and the first one may
 * be asleep meanwhile. Whatever the first one was answered for by a synchronous tier is the second one's; the first one finds out and stops; and a third, who
 * only reads, sees the second one's history and nothing else.
 */
import { seededRandom } from "../../src/base/random.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { isSternwayError } from "../../src/base/errors.ts";
import { arriveAsReader, becomeWriter } from "../../src/replication/arrival.ts";
import type { TierSettings } from "../../src/replication/replication.ts";
import { SimulatedPlace, SimulatedStore } from "../../src/tiers/simulated-store.ts";
import { openReplicated, type ReplicatedBed } from "./replication-run.ts";
import { VAULT_DIR } from "./vault-bed.ts";
import { LawBroken } from "./workload.ts";

const BLOCK = 4096;
const BLOCKS = 64;

export async function takeOverRun(seed: number): Promise<void> {
  const sim = new Simulation(seed);
  try {
    await sim.run(() => story(sim, seed));
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}: ${text}\nrun it again: TEST_SEED=${seed} bun test …`, { cause: error });
  }
}

/** A block that says who wrote it and when. */
function stamp(writer: string, serial: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block.set(new TextEncoder().encode(`${writer} ${serial}`));
  return block;
}
const readStamp = (block: Uint8Array): string => new TextDecoder().decode(block.subarray(0, 20)).replaceAll("\0", "");

async function story(sim: Simulation, seed: number): Promise<void> {
  const random = seededRandom(seed ^ 0x7a4e);
  const mode: TierSettings["mode"] = seed % 2 === 0 ? "sync" : "continuous";
  const place = new SimulatedPlace("shared");
  const settings: TierSettings = { name: "shared", url: "file:///shared", mode, rpoSeconds: 0.1 };
  const places = [place];
  const first = await openReplicated({ sim, disk: new SimulatedDisk(sim), places, host: "first" });
  await first.replication.add(settings);
  await first.volumes.create("v", BLOCKS * BLOCK);
  while (
    first.replication.status()[0]!.state !== "online" ||
    (first.replication.status()[0]!.revision?.number ?? 0) < 2
  ) {
    await sim.clock.sleep(10);
  }
  place.faultPercent = random.below(3) * 5;

  /** What the first writer was answered for by the tier, per block. */
  const answered = new Map<number, number>();
  const work = writeUntilFenced(sim, first, "first", random, (block, serial) => {
    if (mode === "sync" && first.replication.status()[0]!.state === "online") answered.set(block, serial);
  });
  await sim.clock.sleep(random.below(600));
  if (random.below(2) === 0) place.isAway = true;
  await sim.clock.sleep(random.below(100));
  place.isAway = false;
  // What counts is what it was answered for before it was overtaken.
  const floor = new Map(answered);

  const store = new SimulatedStore(sim, place);
  const takeOver = async (host: string): Promise<ReplicatedBed> => {
    const disk = new SimulatedDisk(sim);
    const options = { disk, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host };
    await persistently(sim, () => arriveAsReader(options, store, settings));
    await persistently(sim, () => becomeWriter(options, store));
    const bed = await openReplicated({ sim, disk, places, host });
    if (bed.vault.readOnlyReason !== undefined) {
      throw new LawBroken(`the ${host} may not write: ${bed.vault.readOnlyReason}`);
    }
    for (const [block, serial] of floor) {
      const found = readStamp(await readBlock(bed, block));
      const [writer, number] = found.split(" ");
      if (writer !== "first" || Number(number) < serial) {
        throw new LawBroken(`block ${block} was answered for as "first ${serial}", and is "${found}" for the ${host}`);
      }
    }
    return bed;
  };
  let second = await takeOver("second");
  if (random.below(3) === 0) {
    // It ends before it gets anywhere, as far as the tier can see.
    await sim.clock.sleep(random.below(60));
    await second.replication.stop();
    second = await takeOver("successor");
  }
  const device = await second.volumes.openLive("v");
  const writes = random.below(2) === 0 ? random.below(2) : 20;
  for (let serial = 1; serial <= writes; serial++) {
    await device.write(random.below(BLOCKS / 2) * BLOCK, stamp("second", serial), false);
    if (random.below(4) === 0) await device.flush();
    if (random.below(6) === 0) await second.vault.seal();
    await sim.clock.sleep(random.below(60));
  }
  await device.flush();
  place.faultPercent = 0;
  await work;
  if (first.vault.readOnlyReason === undefined) throw new LawBroken("the first writer was overtaken and writes on");
  if (random.below(2) === 0) await second.vault.seal();
  const isBehind = (): boolean => {
    const [status] = second.replication.status();
    const isPublished = status!.revision?.number === second.vault.sealing.manifest.number;
    return status!.state !== "online" || !isPublished || status!.lagSeconds > 0;
  };
  // What was written at this very moment has no age yet.
  await sim.clock.sleep(1);
  for (let waits = 0; isBehind(); waits++) {
    if (waits === 1_000)
      throw new LawBroken(`the second does not get through: ${JSON.stringify(second.replication.status())}`);
    await sim.clock.sleep(20);
  }
  if (second.vault.readOnlyReason !== undefined)
    throw new LawBroken(`the second was stopped: ${second.vault.readOnlyReason}`);

  const third = new SimulatedDisk(sim);
  const options = { disk: third, clock: sim.clock, random: sim.random, dir: VAULT_DIR, host: "third" };
  await arriveAsReader(options, store, settings);
  const reader = await openReplicated({ sim, disk: third, places, host: "third" });
  for (let block = 0; block < BLOCKS; block++) {
    const [seen, right] = [await readBlock(reader, block), await readBlock(second, block)];
    if (Buffer.compare(seen, right) !== 0) {
      throw new LawBroken(
        `block ${block} is "${readStamp(seen)}" for a reader, and "${readStamp(right)}" for the writer`,
      );
    }
  }
  await device.close();
  for (const bed of [first, second, reader]) {
    await bed.replication.stop();
    await bed.vault.stop();
  }
}

/** Writes and flushes until the vault says that it has another writer. */
async function writeUntilFenced(
  sim: Simulation,
  bed: ReplicatedBed,
  writer: string,
  random: ReturnType<typeof seededRandom>,
  answered: (block: number, serial: number) => void,
): Promise<void> {
  const device = await bed.volumes.openLive("v");
  try {
    for (let serial = 1; serial < 5_000; serial++) {
      const block = random.below(BLOCKS);
      await device.write(block * BLOCK, stamp(writer, serial), false);
      if (random.below(3) === 0) {
        await device.flush();
        answered(block, serial);
      }
      // Asleep now and then, as a virtual machine may be for any time.
      await sim.clock.sleep(random.below(40) === 0 ? random.below(3_000) : random.below(20));
    }
    throw new LawBroken("the first writer was never stopped");
  } catch (error) {
    if (!isSternwayError(error) || bed.vault.readOnlyReason === undefined) throw error;
  } finally {
    await device.close();
  }
}

async function readBlock(bed: ReplicatedBed, block: number): Promise<Uint8Array> {
  const device = await bed.volumes.openAt("v", { kind: "now" });
  try {
    return (await device.read(block * BLOCK, BLOCK)).slice();
  } finally {
    await device.close();
  }
}

async function persistently<T>(sim: Simulation, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isSternwayError(error, "unavailable") && !isSternwayError(error, "conflict")) throw error;
      await sim.clock.sleep(20);
    }
  }
}
