/**
 * What many small pieces of tail cost, which is what synced writes leave at a synchronous tier until they are sealed: to whoever opens the vault from there, and to the writer when
 * they are to go.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import type { Bench } from "./main.ts";
import { makePlace, type Place, type PlaceName } from "./tiers-places.ts";
import { arriveFrom } from "./tiers-copy.ts";
import { addTier, closeTiered, DISK, untilEqual, withNewVault } from "./tiers-vault.ts";

const BLOCK = 4096;
const QUIET_MS = 1000;
const VOLUME_BYTES = 2 ** 28;

export async function measureTails(bench: Bench, places: readonly PlaceName[]): Promise<void> {
  const writes = bench.quick ? 100 : 500;
  for (let round = 0; round < bench.rounds; round++) {
    for (const name of bench.turned(places, round)) await measure(bench, name, writes);
  }
}

async function measure(bench: Bench, name: PlaceName, writes: number): Promise<void> {
  const place = await makePlace(name, join(bench.folder, "tail-place"));
  const dir = join(bench.folder, "tail-arrived");
  const note = (row: string, unit: "ms" | "s" | "requests", value: number): void =>
    bench.record("tiers", `${writes} synced writes in a synchronous tier's tail: ${row}`, name, unit, value);
  try {
    await withNewVault(join(bench.folder, "tail-vault"), VOLUME_BYTES, async (opened, device) => {
      await addTier(opened, place, "sync");
      const random = seededRandom(17);
      for (let i = 0; i < writes; i++) {
        await device.write(random.below(VOLUME_BYTES / BLOCK) * BLOCK, random.bytes(BLOCK), true);
      }
      mkdirSync(dir);
      const before = (await place.traffic()).requests;
      const started = performance.now();
      const arrived = await arriveFrom(place, dir);
      try {
        const past = await arrived.volumes.openAt(DISK, { kind: "now" });
        await past.read(0, BLOCK);
        await past.close();
      } finally {
        await closeTiered(arrived);
      }
      note("opened where nothing is, first 4 KiB", "ms", performance.now() - started);
      note("… requests of it", "requests", (await place.traffic()).requests - before);
      const from = performance.now();
      await opened.vault.seal();
      await untilEqual(opened);
      note("sealed and sent", "s", (performance.now() - from) / 1000);
      note("… and the pieces removed", "s", ((await untilQuiet(place)) - from) / 1000);
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await place.close();
  }
}

/** @returns when the last request was seen */
async function untilQuiet(place: Place): Promise<number> {
  let { requests } = await place.traffic();
  let last = performance.now();
  while (performance.now() - last < QUIET_MS) {
    await Bun.sleep(20);
    const now = (await place.traffic()).requests;
    if (now === requests) continue;
    requests = now;
    last = performance.now();
  }
  return last;
}
