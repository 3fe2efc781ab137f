/** What a tier does to the answering path: synced 4 KiB writes of one client and of sixteen, without a tier and with one in each mode, in turn. */
import { join } from "node:path";
import type { WritableDevice } from "../../src/base/device.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { TierMode } from "../../src/replication/replication.ts";
import type { Bench } from "./main.ts";
import { makePlace, type PlaceName } from "./tiers-places.ts";
import { addTier, percentile, tierOf, withNewVault } from "./tiers-vault.ts";
import { OURS } from "./table.ts";

const BLOCK = 4096;
const VOLUME_BYTES = 2 ** 28;
const CLIENTS = 16;
const WARM_UP_MS = 500;

export interface AnswerCase {
  place: PlaceName;
  mode: TierMode;
}

export async function measureAnswers(bench: Bench, cases: readonly AnswerCase[]): Promise<void> {
  for (let round = 0; round < bench.rounds; round++) {
    // Without a tier in each round, too: what the disk does changes with time.
    for (const one of bench.turned([undefined, ...cases], round)) {
      // What is without a tier stands beside each mode.
      const modes = one ? [one.mode] : [...new Set(cases.map(({ mode }) => mode))];
      await measure(bench, one, modes);
    }
  }
}

const MODE_NAMES: Record<TierMode, string> = { continuous: "continuous", sync: "synchronous", scheduled: "scheduled" };

async function measure(bench: Bench, one: AnswerCase | undefined, modes: readonly TierMode[]): Promise<void> {
  const place = one && (await makePlace(one.place, join(bench.folder, "answer-place")));
  const contender = one?.place ?? OURS;
  const note = (what: string, unit: "ms" | "iops", value: number): void => {
    for (const mode of modes) bench.record("tiers", `${what}, ${MODE_NAMES[mode]} tier`, contender, unit, value);
  };
  const runMs = bench.quick ? 2000 : 5000;
  try {
    await withNewVault(join(bench.folder, "answer-vault"), VOLUME_BYTES, async (opened, device) => {
      if (one && place) await addTier(opened, place, one.mode);
      await syncedWrites(device, 1, WARM_UP_MS);
      const alone = await syncedWrites(device, 1, runMs);
      note("a synced 4 KiB write, p50", "ms", percentile(alone, 0.5));
      note("a synced 4 KiB write, p99", "ms", percentile(alone, 0.99));
      const many = await syncedWrites(device, CLIENTS, runMs);
      note(`synced 4 KiB writes of ${CLIENTS} clients`, "iops", many.length / (runMs / 1000));
      if (one && tierOf(opened).state !== "online") {
        bench.say(
          `${contender}: the tier was ${tierOf(opened).state} at the end: flushes did not wait for it throughout`,
        );
      }
    });
  } finally {
    await place?.close();
  }
}

/** @returns milliseconds of each */
async function syncedWrites(device: WritableDevice, clients: number, runMs: number): Promise<number[]> {
  const end = performance.now() + runMs;
  const times: number[] = [];
  const client = async (number: number): Promise<void> => {
    const random = seededRandom(number);
    const block = new Uint8Array(BLOCK);
    const view = new DataView(block.buffer);
    for (let i = 0; performance.now() < end; i++) {
      view.setFloat64(0, performance.now(), true);
      view.setUint32(8, number, true);
      const from = performance.now();
      await device.write(random.below(device.sizeBytes / BLOCK) * BLOCK, block, true);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  return times;
}
