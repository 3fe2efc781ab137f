/** Law 6: what is marked live is exactly what a full scan of the layers finds. Collecting beside everything else is in ageing.test.ts. */
import { expect, test } from "bun:test";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";
import { markLayers, SlotBitmaps } from "../../src/vault/collecting/liveness.ts";
import { packOf, slotOf, TARGET_ADDRESS_MIN } from "../../src/vault/map.ts";
import { VaultModel } from "../support/model.ts";
import { openBed } from "../support/vault-bed.ts";
import { Workload } from "../support/workload.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 108);

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
}, 300_000);

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
