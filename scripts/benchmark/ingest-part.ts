/**
 * Part "ingest": a real file system image taken in whole and given back whole, by Sternway and by what people back images up with.
 * Part "dedup": what is stored after it, and after a second, similar machine.
 *
 * Times run until the bytes are durable: a sync of the file system counts for everyone. The source is in the page cache for everyone.
 * What was given back is compared byte for byte, outside the measured time.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isAvailable } from "./block-servers.ts";
import { IMAGE_KEEPERS, type ImageKeeper } from "./image-keepers.ts";
import { sourceImages, type SourceImages } from "./images.ts";
import type { Bench } from "./main.ts";
import { runCommand, syncFileSystem } from "./process.ts";

const MIB = 2 ** 20;

export async function runIngestPart(bench: Bench): Promise<void> {
  const images = await sourceImages(bench.imagesFolder, bench.say);
  const keepers = IMAGE_KEEPERS.filter(isAvailable);
  for (let round = 0; round < bench.rounds; round++) {
    for (const keeper of bench.turned(keepers, round)) await measure(bench, keeper, images);
  }
}

async function timed(folder: string, work: () => Promise<unknown>): Promise<number> {
  await syncFileSystem(folder);
  const started = performance.now();
  await work();
  await syncFileSystem(folder);
  return (performance.now() - started) / 1000;
}

async function measure(bench: Bench, keeper: ImageKeeper, images: SourceImages): Promise<void> {
  const folder = join(bench.folder, "ingest");
  const target = join(bench.folder, "restored.raw");
  mkdirSync(folder, { recursive: true });
  // Into the page cache, so that no one's time depends on who came first.
  await runCommand(["sh", "-c", 'cat "$@" > /dev/null', "sh", ...images.paths]);
  const open = await keeper.open(folder);
  try {
    const started = performance.now();
    const ingest = await timed(folder, () => open.ingest(images.paths[0], "machine-1"));
    bench.record("ingest", "full image taken in, durable", keeper.name, "s", ingest);
    await open.finish();
    bench.record(
      "ingest",
      "… and all work behind it done",
      keeper.name,
      "s",
      Math.max(ingest, (performance.now() - started) / 1000),
    );
    const first = await open.storedBytes();
    bench.record("dedup", "stored after the first machine", keeper.name, "MiB", first / MIB);

    const restore = await timed(bench.folder, () => open.restore("machine-1", target));
    bench.record("ingest", "full image given back, durable", keeper.name, "s", restore);
    await runCommand(["cmp", images.paths[0], target]);
    rmSync(target);
    if (open.restoreVerified) {
      const verified = await timed(bench.folder, async () => open.restoreVerified?.("machine-1", target));
      bench.record("ingest", "full image given back, read back and compared", keeper.name, "s", verified);
      rmSync(target);
    }

    const second = await timed(folder, () => open.ingest(images.paths[1], "machine-2"));
    bench.record("ingest", "second, similar machine taken in, durable", keeper.name, "s", second);
    await open.finish();
    const both = await open.storedBytes();
    bench.record("dedup", "stored for the second, similar machine", keeper.name, "MiB", (both - first) / MIB);
    bench.record("dedup", "stored for both", keeper.name, "MiB", both / MIB);
  } finally {
    await open.close();
    rmSync(folder, { recursive: true, force: true });
    rmSync(target, { force: true });
  }
}
