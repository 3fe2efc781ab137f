import { expect, test } from "bun:test";
import { Simulation } from "../../../src/base/simulation.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { lsn } from "../../../src/base/units.ts";
import { openBed } from "../../support/vault-bed.ts";

const GIB = 2 ** 30;

test("extents() passes over shards that were only cleared as a whole, and finds what lies between, in memory and sealed", async () => {
  const sim = new Simulation(20261121);
  await sim.run(async () => {
    const { vault, volumes } = await openBed(sim, new SimulatedDisk(sim, {}));
    await volumes.create("big", 1024 * GIB);
    const device = await volumes.openLive("big");
    await device.trim(0, 1024 * GIB, false);
    await device.writeZeroes(512 * GIB, 2 * GIB, false, false);
    await device.write(700 * GIB + 4096, new Uint8Array(4096).fill(7), true);
    const expected = [
      { offset: 0, length: 512 * GIB, kind: "hole" as const },
      { offset: 512 * GIB, length: 2 * GIB, kind: "zero" as const },
      { offset: 514 * GIB, length: 186 * GIB + 4096, kind: "hole" as const },
      { offset: 700 * GIB + 4096, length: 4096, kind: "data" as const },
      { offset: 700 * GIB + 8192, length: 324 * GIB - 8192, kind: "hole" as const },
    ];
    for (const where of ["in memory", "sealed"]) {
      const found = [];
      for (let offset = 0; offset < 1024 * GIB;) {
        for (const extent of await device.extents(offset, 1024 * GIB - offset)) {
          const last = found.at(-1);
          if (last?.kind === extent.kind) last.length += extent.length;
          else found.push(extent);
          offset = extent.offset + extent.length;
        }
      }
      expect({ where, found }).toEqual({ where, found: expected });
      await vault.seal();
    }
    expect(await vault.isUniform(1, lsn(vault.lastLsn), 700)).toBe(false);
    expect(await vault.isUniform(1, lsn(vault.lastLsn), 512)).toBe(true);
    await device.close();
    await vault.stop();
  });
});
