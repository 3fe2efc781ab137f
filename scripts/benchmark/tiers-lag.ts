/**
 * How far a continuous tier lags behind a steady load, what keeping it costs, and how long it takes to be equal again after an outage, while the load goes on.
 */
import { join } from "node:path";
import { BlockSource, SteadyLoad } from "./tiers-load.ts";
import type { Bench } from "./main.ts";
import { makePlace, type Place, type PlaceName } from "./tiers-places.ts";
import {
  addTier,
  percentile,
  processorSeconds,
  RPO_SECONDS,
  tierOf,
  untilEqual,
  withNewVault,
  type TieredVault,
} from "./tiers-vault.ts";
import { OURS } from "./table.ts";

const GB = 1e9;
const LOAD_BYTES_PER_SECOND = 50e6;
const VOLUME_BYTES = 2 ** 30;
const SAMPLE_MS = 100;
const RECOVERY_SECONDS_MAX = 600;

/** The lag and the price of each place, and the load without any tier beside them. */
export async function measureLag(bench: Bench, places: readonly PlaceName[]): Promise<void> {
  const source = new BlockSource();
  for (let round = 0; round < bench.rounds; round++) {
    // What a GB costs without a tier is what the others' prices are above.
    let bare = { secondsPerGb: Number.NaN };
    for (const name of [undefined, ...bench.turned(places, round)]) {
      await withTier(bench, name, async (opened, device, place) => {
        const load = { device, source, seconds: bench.quick ? 15 : 60 };
        const price = await lagUnderLoad(bench, opened, place, load, bare.secondsPerGb);
        if (!place) bare = price;
      });
    }
    for (const name of [undefined, ...bench.turned(places, round)]) {
      await withTier(bench, name, async (opened, device, place) => {
        await streamRate(bench, opened, place, { device, source, bytes: (bench.quick ? 0.5 : 2) * 2 ** 30 });
      });
    }
  }
}

type Device = ConstructorParameters<typeof SteadyLoad>[0];

async function withTier(
  bench: Bench,
  name: PlaceName | undefined,
  work: (opened: TieredVault, device: Device, place: Place | undefined) => Promise<void>,
): Promise<void> {
  const place = name && (await makePlace(name, join(bench.folder, "lag-place")));
  try {
    await withNewVault(join(bench.folder, "lag-vault"), VOLUME_BYTES, async (opened, device) => {
      if (place) await addTier(opened, place, "continuous");
      await work(opened, device, place);
    });
  } finally {
    await place?.close();
  }
}

async function lagUnderLoad(
  bench: Bench,
  opened: TieredVault,
  place: Place | undefined,
  { device, source, seconds }: { device: Device; source: BlockSource; seconds: number },
  barePerGb: number,
): Promise<{ secondsPerGb: number }> {
  const contender = place?.name ?? OURS;
  const before = await place?.traffic();
  const processor = processorSeconds();
  const started = performance.now();
  const load = new SteadyLoad(device, source, LOAD_BYTES_PER_SECOND);
  const lags: number[] = [];
  while (performance.now() - started < seconds * 1000) {
    await Bun.sleep(SAMPLE_MS);
    if (place) lags.push(tierOf(opened).lagSeconds);
  }
  await load.end();
  const loadSeconds = (performance.now() - started) / 1000;
  await untilEqual(opened);
  const written = load.writtenBytes / GB;
  const secondsPerGb = (processorSeconds() - processor) / written;
  const note = (row: string, unit: "s" | "MB/s" | "s/GB" | "requests/GB" | "ratio", value: number): void =>
    bench.record("tiers", row, contender, unit, value);
  note("50 MB/s of writes: taken", "MB/s", (written * 1000) / loadSeconds);
  note("… processor time, for each GB written", "s/GB", secondsPerGb);
  if (!place || !before) return { secondsPerGb };
  const after = await place.traffic();
  const shipped = (after.bytesThere - before.bytesThere) / GB;
  for (const [what, share] of [
    ["p50", 0.5],
    ["p99", 0.99],
    ["worst", 1],
  ] as const) {
    note(`… lag with an RPO of ${RPO_SECONDS} s, ${what}`, "s", percentile(lags, share));
  }
  note("… sent, for each byte written", "ratio", shipped / written);
  note("… processor time of the tier, for each GB sent", "s/GB", ((secondsPerGb - barePerGb) * written) / shipped);
  note("… requests, for each GB sent", "requests/GB", (after.requests - before.requests) / shipped);
  return { secondsPerGb };
}

/** What is taken at most, with the tier working beside it. */
async function streamRate(
  bench: Bench,
  opened: TieredVault,
  place: Place | undefined,
  { device, source, bytes }: { device: Device; source: BlockSource; bytes: number },
): Promise<void> {
  const started = performance.now();
  const load = new SteadyLoad(device, source, Number.POSITIVE_INFINITY);
  while (load.writtenBytes < bytes) await Bun.sleep(5);
  await load.end();
  const taken = load.writtenBytes / 1e6 / ((performance.now() - started) / 1000);
  await untilEqual(opened);
  const shipped = load.writtenBytes / 1e6 / ((performance.now() - started) / 1000);
  const what = `${bytes / 2 ** 20} MiB as fast as they go`;
  bench.record("tiers", `${what}: taken`, place?.name ?? OURS, "MB/s", taken);
  bench.record("tiers", `${what}: taken, sealed, and equal there`, place?.name ?? OURS, "MB/s", shipped);
}

/** An outage under the same load: how long until the tier is noticed to be back, and until it lags no more than it may. */
export async function measureOutage(bench: Bench, places: readonly PlaceName[]): Promise<void> {
  const source = new BlockSource();
  const seconds = bench.quick ? 10 : 60;
  for (let round = 0; round < bench.rounds; round++) {
    for (const name of bench.turned(places, round)) {
      await withTier(bench, name, async (opened, device, place) => {
        const load = new SteadyLoad(device, source, LOAD_BYTES_PER_SECOND);
        await Bun.sleep(5000);
        await place!.cut();
        await Bun.sleep(seconds * 1000);
        const { lagBytes, bytesPut } = tierOf(opened);
        await place!.mend();
        const back = performance.now();
        const since = (): number => (performance.now() - back) / 1000;
        let reached = Number.NaN;
        for (;;) {
          const { state, lagSeconds, bytesPut: put } = tierOf(opened);
          if (Number.isNaN(reached) && put > bytesPut) reached = since();
          if (state === "online" && lagSeconds <= RPO_SECONDS) break;
          if (since() > RECOVERY_SECONDS_MAX) {
            bench.say(`${name} is not equal after ${RECOVERY_SECONDS_MAX} s: ${JSON.stringify(tierOf(opened))}`);
            break;
          }
          await Bun.sleep(SAMPLE_MS);
        }
        const note = (row: string, unit: "s" | "MiB", value: number): void =>
          bench.record("tiers", `an outage of ${seconds} s under 50 MB/s: ${row}`, name, unit, value);
        note("not sent when it ended", "MiB", lagBytes / 2 ** 20);
        note("until the first object is there", "s", reached);
        note("until the lag is within the RPO", "s", since());
        await load.end();
        await untilEqual(opened);
        note("until all is equal, the load ended", "s", since());
      });
    }
  }
}
