/** A strand that nobody needs any more comes to rest: what its deltas still hold begins no work that is undone again. */
import { expect, test } from "bun:test";
import { lsn } from "../../../../src/base/units.ts";
import { inWorld, noise } from "../../../support/world.ts";

const MIB = 2 ** 20;

test("after a volume is deleted, no image of it is made and given up again and again", () =>
  inWorld(1, async ({ open }) => {
    const { vault, volumes } = await open({ imageEntriesMin: 50, journalFileBytes: 16 * MIB, journalFilesMax: 6 });
    for (const name of ["stays", "goes"]) await volumes.create(name, 32 * MIB);
    const [stays, goes] = [await volumes.openLive("stays"), await volumes.openLive("goes")];
    const fill = async (from: number): Promise<void> => {
      for (let i = 0; i < 9; i++) await stays.write(from + i * MIB, noise(from + i, 256), false);
    };
    // A fortieth of the delta is the volume's that goes: too little to write the delta anew for.
    await fill(0);
    await goes.write(0, noise(1000, 60), false);
    await vault.seal();
    await vault.sealing.idle();
    await goes.close();
    await volumes.delete("goes");
    // As much again, so that the one that stays gets a newer image; then nothing needs the old one.
    await fill(10 * MIB);
    await vault.seal();
    await vault.sealing.idle();
    await volumes.thin("stays", { horizonLsn: lsn(vault.lastLsn), points: [] });
    await vault.seal();
    await vault.sealing.idle();
    const images = vault.sealing.manifest.layers.filter(({ kind }) => kind === "image");
    expect(images.flatMap(({ weights }) => weights.map(({ strand }) => strand as number))).toEqual([1]);
    await stays.close();
  }));
