/**
 * Part "moments": what it costs to open a past moment and to read there, after a growing number of writes. A moment is opened by the
 * NBD export name that any client would use, on a fresh connection, up to and including the first 4 KiB; then 4 KiB are read at random
 * places, one at a time. The peer's column is the same reader on the live disk of qemu-nbd qcow2, which has no past.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { BLOCK_CONTENDERS, isAvailable, sternway, type BlockServer } from "./block-servers.ts";
import { runFio } from "./fio.ts";
import type { Bench } from "./main.ts";
import { NbdReader } from "./nbd-reader.ts";
import { memoryOf, runCommand, settle } from "./process.ts";

const BLOCK = 4096;
const DISK_BYTES = 2 ** 30;
const MOMENTS = 20;
const READS_PER_MOMENT = 200;

export async function runMomentsPart(bench: Bench): Promise<void> {
  const counts = [1000, 100_000, ...(bench.long ? [10_000_000] : [])];
  for (const contender of BLOCK_CONTENDERS.filter(
    (one) => one.name === "sternway" || one.name === "qemu-nbd qcow2",
  ).filter(isAvailable)) {
    const folder = join(bench.folder, "moments", contender.name.replace(" ", "-"));
    mkdirSync(folder, { recursive: true });
    const server = await contender.start(folder, DISK_BYTES);
    try {
      // Every block holds data, so that no read is answered as a hole.
      await runFio(
        server,
        {
          row: "fill",
          pattern: "write",
          blockBytes: 2 ** 20,
          depth: 8,
          flushEach: 0,
          bytes: DISK_BYTES,
          flushAtEnd: true,
        },
        DISK_BYTES,
        1,
      );
      const filledLsn = await lastLsn(server);
      let written = 0;
      for (const count of counts) {
        const bytes = (count - written) * BLOCK;
        const row = `${count} writes`;
        await runFio(
          server,
          { row, pattern: "randwrite", blockBytes: BLOCK, depth: 32, flushEach: 64, bytes },
          DISK_BYTES,
          count,
        );
        written = count;
        for (let round = 0; round < bench.rounds; round++) {
          // Once just after the writes, when much is still in the journal, then after all of it was sealed.
          if (round > 0) await settle(server.pid, 600);
          await measureMoments(bench, server, filledLsn, count, round);
        }
        bench.record(
          "memory",
          `resident, after ${count.toLocaleString("en")} writes`,
          server.contender,
          "MiB",
          memoryOf(server.pid).rssBytes / 2 ** 20,
        );
      }
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** 0 for a peer, which has no history. */
async function lastLsn(server: BlockServer): Promise<number> {
  if (server.contender !== "sternway") return 0;
  const { stdout } = await runCommand(sternway(server.folder, "volume", "show", server.exportName, "--json"));
  return Number((JSON.parse(stdout) as { lastLsn: number }).lastLsn);
}

async function measureMoments(
  bench: Bench,
  server: BlockServer,
  filledLsn: number,
  count: number,
  round: number,
): Promise<void> {
  const random = seededRandom(count + round);
  const last = await lastLsn(server);
  const opens: number[] = [];
  const reads: number[] = [];
  for (let i = 0; i < MOMENTS; i++) {
    const name =
      server.contender === "sternway"
        ? `${server.exportName}@lsn:${filledLsn + random.below(last - filledLsn)}`
        : server.exportName;
    const started = performance.now();
    const reader = await NbdReader.open(server.socketPath, name);
    await reader.read(0, BLOCK);
    opens.push(performance.now() - started);
    for (let read = 0; read < READS_PER_MOMENT; read++) {
      const at = performance.now();
      await reader.read(random.below(DISK_BYTES / BLOCK) * BLOCK, BLOCK);
      reads.push(performance.now() - at);
    }
    reader.close();
  }
  const after = `after ${count.toLocaleString("en")} writes`;
  const percentile = (list: number[], share: number): number =>
    list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * share)]!;
  bench.record("moments", `open a moment, first 4 KiB, p50, ${after}`, server.contender, "ms", percentile(opens, 0.5));
  bench.record(
    "moments",
    `open a moment, first 4 KiB, worst of ${MOMENTS}, ${after}`,
    server.contender,
    "ms",
    percentile(opens, 1),
  );
  bench.record("moments", `4 KiB random read there, p50, ${after}`, server.contender, "ms", percentile(reads, 0.5));
  bench.record("moments", `4 KiB random read there, p99, ${after}`, server.contender, "ms", percentile(reads, 0.99));
}
