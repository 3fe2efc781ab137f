/**
 * Part "timeline": how long a step of zooming takes in a disk with a growing number of small writes. Each step asks for what the console would ask for: its grid for a strip of 1,200
 * pixels, from all of history to milliseconds, around a moment that the view was not at before. Counted from the request to the parsed answer, the first time that a stretch is looked at
 * and once it was. No peer keeps a history to look at.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { createClient, type Client } from "../../src/contract/client.ts";
import { gridFor } from "../../src/web/console/timeline/grid.ts";
import { microsOf, wireTime } from "../../src/web/console/timeline/time.ts";
import { spanOf, wholeView, zoomed, type View } from "../../src/web/console/timeline/view.ts";
import { BLOCK_CONTENDERS } from "./block-servers.ts";
import { runFio } from "./fio.ts";
import type { Bench } from "./main.ts";
import { settle } from "./process.ts";

const DISK_BYTES = 2 ** 30;
const BLOCK = 4096;
const STRIP_PIXELS = 1_200;
/** One notch of a wheel or press of a key that is not timid. */
const STEP_FACTOR = 0.5;
/** Where the strip shows milliseconds. */
const SPAN_MICROS_MIN = 20_000;

export async function runTimelinePart(bench: Bench): Promise<void> {
  const contender = BLOCK_CONTENDERS.find((one) => one.name === "sternway")!;
  const counts = bench.quick ? [100_000] : [100_000, 1_000_000, ...(bench.long ? [10_000_000] : [])];
  const folder = join(bench.folder, "timeline");
  mkdirSync(folder, { recursive: true });
  const server = await contender.start(folder, DISK_BYTES);
  try {
    const client = createClient({ socketPath: join(server.folder, "control.sock") });
    let written = 0;
    for (const count of counts) {
      const bytes = (count - written) * BLOCK;
      // What is in the blocks does not matter to a timeline, so all hold the same: ten million of them then take no tens of gigabytes.
      const load = { row: "fill", pattern: "randwrite", blockBytes: BLOCK, depth: 32, flushEach: 16, bytes } as const;
      await runFio(server, { ...load, sameBytes: true }, DISK_BYTES, count);
      written = count;
      await settle(server.pid, 300);
      for (let round = 0; round < bench.rounds; round++)
        await zoomThrough(bench, client, server.exportName, count, round);
    }
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function zoomThrough(bench: Bench, client: Client, volume: string, count: number, round: number): Promise<void> {
  const { createdAt, lastWriteAt } = await client.volume(volume);
  const [created, last] = [microsOf(createdAt), microsOf(lastWriteAt)];
  const bounds = wholeView(created, last);
  const anchor = created + Math.floor((seededRandom(count + round).below(1_000) / 1_000) * (last - created));
  const steps: { first: number; again: number }[] = [];
  for (let view = bounds; spanOf(view) > SPAN_MICROS_MIN; view = zoomed(view, STEP_FACTOR, anchor, bounds)) {
    steps.push({ first: await askFor(client, volume, view), again: await askFor(client, volume, view) });
  }
  const after = `after ${count.toLocaleString("en")} writes`;
  const record = (row: string, values: number[], share: number): void => {
    const sorted = values.toSorted((a, b) => a - b);
    bench.record("timeline", `${row}, ${after}`, "sternway", "ms", sorted[Math.floor((sorted.length - 1) * share)]!);
  };
  record(
    "a zoom step, p50",
    steps.map((step) => step.first),
    0.5,
  );
  record(
    "a zoom step, worst",
    steps.map((step) => step.first),
    1,
  );
  record(
    "the same step again, worst",
    steps.map((step) => step.again),
    1,
  );
}

/** Milliseconds until the answer is parsed. */
async function askFor(client: Client, volume: string, view: View): Promise<number> {
  const { from, to, count } = gridFor(view, STRIP_PIXELS);
  const started = performance.now();
  await client.timeline(volume, { from: wireTime(from), to: wireTime(to), buckets: count });
  return performance.now() - started;
}
