/** Packs published to and read from the disks that the vault runs on: the machine's own and the simulated one. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Disk, publish } from "../../../../src/base/disk.ts";
import { realDisk } from "../../../../src/base/real-disk.ts";
import { SimulatedDisk } from "../../../../src/base/simulated-disk.ts";
import { Simulation } from "../../../../src/base/simulation.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { blockAddress } from "../../../../src/vault/map.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { type PackLocation, PackStore } from "../../../../src/vault/packs/pack-reader.ts";
import { buildPack, SEED, textBlock, VAULT_ID } from "./pack-bed.ts";

const PACKS = 8;
const SLOTS = 40;
const block = (pack: number, slot: number): Uint8Array => textBlock(pack * 100 + slot);

/** Publishes packs, then reads all of their blocks interleaved, with fewer descriptors than packs. */
async function publishAndRead(disk: Disk, dir: string): Promise<void> {
  const located = new Map<number, PackLocation>();
  await disk.mkdir(`${dir}/packs/00000`);
  for (let pack = 1; pack <= PACKS; pack++) {
    const file = buildPack({ pack, blocks: Array.from({ length: SLOTS }, (_, slot) => block(pack, slot)) });
    await publish(disk, `${dir}/${packPath(pack, 0)}`, [file]);
    located.set(pack, { generation: 0, sizeBytes: file.length });
  }
  const locate = (pack: number): PackLocation | undefined => located.get(pack);
  const store = new PackStore({
    disk,
    dir,
    vaultId: VAULT_ID,
    seed: SEED,
    locate,
    openFilesMax: 3,
    frameCacheBytes: 200_000,
  });
  const places = Array.from({ length: PACKS * SLOTS }, (_, i) => [1 + (i % PACKS), (i * 7) % SLOTS] as const);
  const into = new Uint8Array(places.length * BLOCK_SIZE);
  await store.readMany(
    places.map(([pack, slot]) => blockAddress(pack, slot)),
    into,
  );
  expect(Buffer.compare(into, Buffer.concat(places.map(([pack, slot]) => block(pack, slot))))).toBe(0);
  for (let pack = 1; pack <= PACKS; pack++) expect(await store.verify(pack)).toEqual([]);
  await disk.remove(`${dir}/${packPath(1, 0)}`);
  await store.forget(1);
  await expect(store.read(blockAddress(1, 0), into)).rejects.toMatchObject({ kind: "corrupt" });
  expect(await store.verify(1)).toMatchObject([{ frame: -1 }]);
  await store.close();
}

test("PackStore reads what publish() wrote to the machine's own disk", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sternway-pack-"));
  try {
    await publishAndRead(realDisk, dir);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("PackStore reads what publish() wrote to a simulated disk, whatever the order of its answers", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const simulation = new Simulation(seed);
    try {
      await simulation.run(() => publishAndRead(new SimulatedDisk(simulation), "vault"));
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause });
    }
  }
});
