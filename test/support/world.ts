/**
 * One simulated world with a vault in it, for unit tests: a test is a story told in one place, printed with its seed when it fails.
 */
import { seededRandom } from "../../src/base/random.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { BLOCK_SIZE } from "../../src/base/units.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { openBed, type Bed } from "./vault-bed.ts";

export interface World {
  sim: Simulation;
  disk: SimulatedDisk;
  /** Opens the vault of this world; every one that is still open at the end is stopped. */
  open(options?: Partial<VaultOptions>): Promise<Bed>;
}

/** Runs a story in a new world. @throws what it throws, with the seed in the message */
export async function inWorld<T>(
  seed: number,
  story: (world: World) => Promise<T>,
  diskOptions: SimulatedDiskOptions = {},
): Promise<T> {
  const sim = new Simulation(seed);
  const disk = new SimulatedDisk(sim, diskOptions);
  const beds: Bed[] = [];
  const world: World = {
    sim,
    disk,
    open: async (options = {}) => {
      const bed = await openBed(sim, disk, options);
      beds.push(bed);
      return bed;
    },
  };
  try {
    return await sim.run(async () => {
      const result = await story(world);
      for (const bed of beds) await bed.vault.stop();
      return result;
    });
  } catch (error) {
    if (error instanceof Error) error.message = `${error.message} (seed ${seed})`;
    throw error;
  }
}

/** A block whose every byte tells what it is; `tag` in any range. */
export function blockOf(tag: number): Uint8Array {
  const block = new Uint8Array(BLOCK_SIZE).fill(tag & 0xff);
  new DataView(block.buffer).setFloat64(0, tag, true);
  return block;
}

/** Blocks that do not compress and are like no others. */
export const noise = (seed: number, blocks: number): Uint8Array => seededRandom(seed).bytes(blocks * BLOCK_SIZE);

/** Everything that an iterable gives. */
export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}
