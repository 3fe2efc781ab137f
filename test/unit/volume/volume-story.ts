/** What the tests of volumes share: a story on volumes in a simulated world. */
import type { WritableDevice } from "../../../src/base/device.ts";
import { BLOCK_SIZE } from "../../../src/base/units.ts";
import type { Vault } from "../../../src/vault/vault.ts";
import { parseMoment } from "../../../src/volume/moment.ts";
import type { Volumes } from "../../../src/volume/volumes.ts";
import { inWorld, type World } from "../../support/world.ts";

export const MIB = 2 ** 20;

export interface Story extends World {
  vault: Vault;
  volumes: Volumes;
  /** The bytes of a volume at a moment, a whole volume unless told otherwise. */
  read(name: string, moment?: string, offset?: number, length?: number): Promise<Uint8Array>;
  /** Attaches for one piece of work. */
  using<T>(name: string, work: (device: WritableDevice) => Promise<T>): Promise<T>;
  /** Writes one block of a value. @returns its LSN */
  put(name: string, block: number, value: number): Promise<number>;
}

export function story(seed: number, tell: (story: Story) => Promise<void>): Promise<void> {
  return inWorld(seed, async (world) => {
    const { vault, volumes } = await world.open();
    const using: Story["using"] = async (name, work) => {
      const device = await volumes.openLive(name);
      try {
        return await work(device);
      } finally {
        await device.close();
      }
    };
    await tell({
      ...world,
      vault,
      volumes,
      using,
      read: async (name, moment = "now", offset = 0, length) => {
        const device = await volumes.openAt(name, parseMoment(moment));
        try {
          return await device.read(offset, length ?? device.sizeBytes);
        } finally {
          await device.close();
        }
      },
      put: (name, block, value) =>
        using(name, async (device) => {
          await device.write(block * BLOCK_SIZE, new Uint8Array(BLOCK_SIZE).fill(value), false);
          return vault.lastLsn;
        }),
    });
  });
}

/** The first byte of each block. */
export const tags = (bytes: Uint8Array): number[] =>
  Array.from({ length: Math.ceil(bytes.length / BLOCK_SIZE) }, (_, i) => bytes[i * BLOCK_SIZE]!);

/** The error that some work ends in; a text when it ends in none. */
export const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no error",
    (error: unknown) => error,
  );
