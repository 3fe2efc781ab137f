/**
 * Part "ageing": what a write, a read and an opening cost as history grows by powers of ten; what background work does to synced writes; and how
 * fast the space of what was deleted comes back, beside the tools people prune backups with.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Scrub } from "../../src/vault/scrubbing/scrub.ts";
import { seededRandom } from "../../src/base/random.ts";
import { closeAgeing, HistoryWriter, openAgeing, type AgeingVault } from "./ageing-history.ts";
import { isAvailable } from "./block-servers.ts";
import { IMAGE_KEEPERS, type ImageKeeper } from "./image-keepers.ts";
import { sourceImages, type SourceImages } from "./images.ts";
import type { Bench } from "./main.ts";
import { OURS } from "./table.ts";
import { memoryOf, runCommand, syncFileSystem } from "./process.ts";

const BLOCK = 4096;
const MIB = 2 ** 20;
const READS = 2000;

export async function runAgeingPart(bench: Bench): Promise<void> {
  await measureDecades(bench);
  for (let round = 0; round < bench.rounds; round++) await measureBackground(bench);
  await measurePruning(bench);
}

const percentile = (list: readonly number[], share: number): number =>
  list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * share)]!;

async function measureDecades(bench: Bench): Promise<void> {
  const dir = join(bench.folder, "ageing");
  const decades = bench.quick ? [10_000, 100_000] : [10_000, 100_000, 1_000_000, ...(bench.long ? [10_000_000] : [])];
  let ageing = await openAgeing(dir, true);
  const writer = new HistoryWriter(ageing);
  let before = 0;
  try {
    for (const total of decades) {
      const started = performance.now();
      const cpu = process.cpuUsage();
      await writer.writeTo(total);
      const wall = performance.now() - started;
      await ageing.vault.sealing.idle();
      const all = performance.now() - started;
      const { user, system } = process.cpuUsage(cpu);
      const writes = total - before;
      before = total;
      const row = (what: string): string => `${what}, up to ${total.toLocaleString("en")} writes`;
      const note = (what: string, unit: "ms" | "MiB" | "s", value: number): void =>
        bench.record("ageing", row(what), OURS, unit, value);
      note("a write, answered", "ms", wall / writes);
      note("a write, with all work behind it", "ms", all / writes);
      note("a write, processor time of all threads", "ms", (user + system) / 1000 / writes);
      await measureReads(ageing, writer, note);
      note("memory, resident", "MiB", memoryOf(process.pid).rssBytes / MIB);
      const { layers, chronicles, packs } = ageing.vault.sealing.manifest;
      bench.say(`${row("files")}: ${packs.length} packs, ${layers.length} layers, ${chronicles.length} chronicles`);
    }
    await closeAgeing(ageing);
    const started = performance.now();
    ageing = await openAgeing(dir, false);
    bench.record("ageing", "opening the vault at the end", OURS, "ms", performance.now() - started);
  } finally {
    await closeAgeing(ageing);
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureReads(
  { volumes }: AgeingVault,
  writer: HistoryWriter,
  note: (what: string, unit: "ms", value: number) => void,
): Promise<void> {
  const opens: number[] = [];
  const reads: number[] = [];
  for (let i = 0; i < 40; i++) {
    const { name, at } = writer.somewhere();
    const started = performance.now();
    const device = await volumes.openAt(name, { kind: "lsn", lsn: at });
    await device.read(0, BLOCK);
    opens.push(performance.now() - started);
    for (let read = 0; read < READS / 40; read++) {
      const from = performance.now();
      await device.read(writer.place(), BLOCK);
      reads.push(performance.now() - from);
    }
    await device.close();
  }
  note("opening a moment, first block, p99", "ms", percentile(opens, 0.99));
  note("reading a block at random there, p50", "ms", percentile(reads, 0.5));
  note("reading a block at random there, p99", "ms", percentile(reads, 0.99));
}

/** Synced writes of one client, alone and beside each kind of work. */
async function measureBackground(bench: Bench): Promise<void> {
  const dir = join(bench.folder, "background");
  const ageing = await openAgeing(dir, true);
  const { vault, volumes, devices } = ageing;
  const seconds = bench.quick ? 2 : 5;
  const random = seededRandom(3);
  const bulk = await volumes.create("bulk", 2 ** 30).then(() => volumes.openLive("bulk"));
  const synced = async (name: string, work: (signal: { done: boolean }) => Promise<void>): Promise<void> => {
    const signal = { done: false };
    const working = work(signal);
    const times: number[] = [];
    const block = new Uint8Array(BLOCK);
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      new DataView(block.buffer).setFloat64(0, times.length, true);
      const from = performance.now();
      await devices[0]!.write(random.below(65_536) * BLOCK, block, true);
      times.push(performance.now() - from);
    }
    signal.done = true;
    await working;
    bench.record("ageing", `a synced write, p50, ${name}`, OURS, "ms", percentile(times, 0.5));
    bench.record("ageing", `a synced write, p99, ${name}`, OURS, "ms", percentile(times, 0.99));
  };
  try {
    // Something to merge, to collect and to scrub: a GiB in eight rounds, of which each takes the place of the one before.
    const fill = async (): Promise<void> => {
      for (let offset = 0; offset < 128 * MIB; offset += MIB) await bulk.write(offset, random.bytes(MIB), false);
      await vault.seal();
    };
    for (let i = 0; i < 4; i++) await fill();
    await vault.sealing.idle();
    await synced("quiet", () => Promise.resolve());
    await synced("beside sealing and merging", async (signal) => {
      while (!signal.done) {
        for (let offset = 0; offset < 16 * MIB && !signal.done; offset += MIB) {
          await bulk.write(offset, random.bytes(MIB), false);
          // Some 50 MB/s.
          await Bun.sleep(20);
        }
      }
    });
    await vault.sealing.idle();
    await synced("beside scrubbing", async (signal) => {
      const scrub = await Scrub.open(vault);
      while (!signal.done) await scrub.step();
    });
    const horizonLsn = vault.lastLsn;
    await volumes.thin("bulk", { horizonLsn, points: [] });
    await synced("beside thinning and collecting", async (signal) => {
      while (!signal.done) {
        await vault.collect();
        await fill();
        await volumes.thin("bulk", { horizonLsn: vault.lastLsn, points: [] });
      }
    });
  } finally {
    await bulk.close();
    await closeAgeing(ageing);
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measurePruning(bench: Bench): Promise<void> {
  const images = await sourceImages(bench.imagesFolder, bench.say);
  const keepers = IMAGE_KEEPERS.filter(isAvailable).filter((keeper) => keeper.prunes);
  for (let round = 0; round < bench.rounds; round++) {
    for (const keeper of bench.turned(keepers, round)) await prune(bench, keeper, images);
  }
}

/** Two machines' images, one of which goes. */
async function prune(bench: Bench, keeper: ImageKeeper, images: SourceImages): Promise<void> {
  const folder = join(bench.folder, "prune");
  mkdirSync(folder, { recursive: true });
  const open = await keeper.open(folder);
  try {
    await open.ingest(images.paths[0], "machine-1");
    await open.finish();
    await open.ingest(images.paths[1], "machine-2");
    await open.finish();
    const before = await open.storedBytes();
    await syncFileSystem(folder);
    const started = performance.now();
    await open.forget?.("machine-1");
    await syncFileSystem(folder);
    const seconds = (performance.now() - started) / 1000;
    const freed = before - (await open.storedBytes());
    bench.record("ageing", "space of a deleted machine back: time", keeper.name, "s", seconds);
    // How much it is differs with what they share; more is no merit by itself.
    bench.say(`${keeper.name} gave ${(freed / MIB).toFixed(0)} MiB back`);
    if (freed > 0)
      bench.record("ageing", "space of a deleted machine back: rate", keeper.name, "MB/s", freed / 1e6 / seconds);
    const target = join(bench.folder, "restored.raw");
    await open.restore("machine-2", target);
    await runCommand(["cmp", images.paths[1], target]);
    rmSync(target);
  } finally {
    await open.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
