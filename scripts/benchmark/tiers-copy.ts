/**
 * A whole vault goes to a new tier, beside `cp -a` of its folder; then a machine that has nothing opens it from there, and reads. `cp -a` is no peer: it knows nothing of what it
 * copies and must not be interrupted. It says what the disk can do.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import type { WritableDevice } from "../../src/base/device.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { seededRandom, systemRandom } from "../../src/base/random.ts";
import { lsn, type Lsn } from "../../src/base/units.ts";
import { arriveAsReader } from "../../src/replication/arrival.ts";
import type { Moment } from "../../src/volume/volumes.ts";
import type { Bench } from "./main.ts";
import { diskUse, syncFileSystem } from "./process.ts";
import { BlockSource, SteadyLoad } from "./tiers-load.ts";
import { makePlace, settingsOf, type Place, type PlaceName, type Traffic } from "./tiers-places.ts";
import {
  addTier,
  closeTiered,
  DISK,
  openTiered,
  percentile,
  processorSeconds,
  RPO_SECONDS,
  withNewVault,
  type TieredVault,
} from "./tiers-vault.ts";

const BLOCK = 4096;
const GB = 1e9;
const READS = 200;
const FLUSH_EACH = 64;

interface Copied {
  opened: TieredVault;
  place: Place;
  /** History worth asking for: from here to the vault's newest. */
  firstLsn: Lsn;
}

/** Makes the vault once, and copies it to each place and opens it from there, in turn. */
export async function measureCopies(bench: Bench, places: readonly PlaceName[]): Promise<void> {
  const sizeBytes = bench.quick ? 2 ** 28 : 2 ** 31;
  const writes = bench.quick ? 10_000 : 100_000;
  const dir = join(bench.folder, "copy-vault");
  await withNewVault(dir, sizeBytes, async (opened, device) => {
    const source = new BlockSource();
    const filling = new SteadyLoad(device, source, Number.POSITIVE_INFINITY);
    while (filling.writtenBytes < sizeBytes) await Bun.sleep(5);
    await filling.end();
    const firstLsn = opened.vault.lastLsn;
    await writeSmall(device, source, writes);
    await opened.vault.seal();
    await opened.vault.sealing.idle();
    const { packs, layers } = opened.vault.sealing.manifest;
    bench.say(`the vault to copy has ${packs.length} packs and ${layers.length} layers`);
    for (let round = 0; round < bench.rounds; round++) {
      const plain = await plainCopy(bench, dir);
      for (const name of bench.turned(places, round)) await copyAndOpen(bench, opened, name, firstLsn, plain);
    }
  });
}

async function writeSmall(device: WritableDevice, source: BlockSource, writes: number): Promise<void> {
  const random = seededRandom(3);
  const block = new Uint8Array(BLOCK);
  for (let i = 1; i <= writes; i++) {
    source.fill(block);
    await device.write(random.below(device.sizeBytes / BLOCK) * BLOCK, block, false);
    if (i % FLUSH_EACH === 0) await device.flush();
  }
  await device.flush();
}

const RATE = "a full copy to a new tier";
const PRICE = "a full copy to a new tier, processor time";

/** @returns MB/s */
async function plainCopy(bench: Bench, dir: string): Promise<number> {
  const target = join(bench.folder, "plain-copy");
  await syncFileSystem(dir);
  const started = performance.now();
  const copying = Bun.spawn(["cp", "-a", dir, target], { stdin: "ignore" });
  if ((await copying.exited) !== 0) throw new Error("cp -a failed");
  await syncFileSystem(target);
  const seconds = (performance.now() - started) / 1000;
  const bytes = await diskUse(target);
  const { user, system } = copying.resourceUsage()!.cpuTime;
  const rate = bytes / 1e6 / seconds;
  bench.record("tiers", RATE, "cp -a", "MB/s", rate);
  bench.record("tiers", PRICE, "cp -a", "s/GB", Number(user + system) / 1e6 / (bytes / GB));
  rmSync(target, { recursive: true });
  return rate;
}

async function copyAndOpen(
  bench: Bench,
  opened: TieredVault,
  name: PlaceName,
  firstLsn: Lsn,
  plainRate: number,
): Promise<void> {
  const place = await makePlace(name, join(bench.folder, "copy-place"));
  try {
    await opened.vault.sealing.idle();
    await fullCopy(bench, opened, place, plainRate);
    await coldOpen(bench, { opened, place, firstLsn });
  } finally {
    if (opened.replication.ledger.tier("far")) await opened.replication.remove("far");
    await place.close();
  }
}

async function fullCopy(bench: Bench, opened: TieredVault, place: Place, plainRate: number): Promise<void> {
  const before = await place.traffic();
  const processor = processorSeconds();
  const started = performance.now();
  await addTier(opened, place, "continuous");
  const seconds = (performance.now() - started) / 1000;
  const sent = (await place.traffic()).bytesThere - before.bytesThere;
  bench.record("tiers", RATE, place.name, "MB/s", sent / 1e6 / seconds);
  bench.record("tiers", `${RATE}, its rate to that of cp -a`, place.name, "ratio", sent / 1e6 / seconds / plainRate);
  bench.record("tiers", PRICE, place.name, "s/GB", (processorSeconds() - processor) / (sent / GB));
}

/** Opens the vault of a place in an empty folder, to be read. @param onFolder - told when the folder is made */
export async function arriveFrom(place: Place, dir: string, onFolder?: () => void): Promise<TieredVault> {
  const store = place.openStore();
  const options = { disk: realDisk, clock: systemClock, random: systemRandom, dir, host: "bench" };
  await arriveAsReader(options, store, settingsOf(place, "continuous", RPO_SECONDS));
  await store.close();
  onFolder?.();
  return await openTiered(dir, place);
}

/** A machine with nothing: from the request to the first 4 KiB, to a past moment, and the same again when it is opened anew with what it has cached. */
async function coldOpen(bench: Bench, { opened, place, firstLsn }: Copied): Promise<void> {
  const dir = join(bench.folder, "arrived");
  mkdirSync(dir);
  const random = seededRandom(9);
  const newest = opened.vault.lastLsn;
  const past = lsn(firstLsn + 1 + random.below(newest - firstLsn - 1));
  const before = await place.traffic();
  const started = performance.now();
  const since = (): number => performance.now() - started;
  const note = (row: string, unit: "ms" | "requests" | "MiB", value: number): void =>
    bench.record("tiers", row, place.name, unit, value);
  try {
    const arrived = await arriveFrom(place, dir, () =>
      note("opened where nothing is: its folder is made", "ms", since()),
    );
    try {
      note("… the vault is open", "ms", since());
      await readAt(arrived, { kind: "now" }, 0);
      note("… first 4 KiB", "ms", since());
      noteTraffic(note, "… up to there", before, await place.traffic());
      const asked = performance.now();
      await readAt(arrived, { kind: "lsn", lsn: past }, random.below(2 ** 16) * BLOCK);
      note("… then a past moment, first 4 KiB", "ms", performance.now() - asked);
      await readsThere(arrived, past, note);
      noteTraffic(note, `… with ${READS} reads there`, before, await place.traffic());
    } finally {
      await closeTiered(arrived);
    }
    await openAgain(dir, place, past, note);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

type Note = (row: string, unit: "ms" | "requests" | "MiB", value: number) => void;

function noteTraffic(note: Note, what: string, before: Traffic, after: Traffic): void {
  note(`${what}: requests`, "requests", after.requests - before.requests);
  note(`${what}: fetched`, "MiB", (after.bytesBack - before.bytesBack) / 2 ** 20);
}

async function readAt({ volumes }: TieredVault, moment: Moment, offset: number): Promise<void> {
  const device = await volumes.openAt(DISK, moment);
  await device.read(offset, BLOCK);
  await device.close();
}

async function readsThere({ volumes }: TieredVault, past: Lsn, note: Note): Promise<void> {
  const random = seededRandom(13);
  const device = await volumes.openAt(DISK, { kind: "lsn", lsn: past });
  const times: number[] = [];
  for (let i = 0; i < READS; i++) {
    const from = performance.now();
    await device.read(random.below(device.sizeBytes / BLOCK) * BLOCK, BLOCK);
    times.push(performance.now() - from);
  }
  await device.close();
  note(`… ${READS} random reads there, one after another, p50`, "ms", percentile(times, 0.5));
  note(`… ${READS} random reads there, one after another, p99`, "ms", percentile(times, 0.99));
}

async function openAgain(dir: string, place: Place, past: Lsn, note: Note): Promise<void> {
  const before = await place.traffic();
  const started = performance.now();
  const opened = await openTiered(dir, place);
  try {
    await readAt(opened, { kind: "now" }, 0);
    note("opened again with its cache, first 4 KiB", "ms", performance.now() - started);
    const asked = performance.now();
    await readAt(opened, { kind: "lsn", lsn: past }, 0);
    note("… with its cache, then a past moment, first 4 KiB", "ms", performance.now() - asked);
    note("… with its cache: requests", "requests", (await place.traffic()).requests - before.requests);
  } finally {
    await closeTiered(opened);
  }
}
