/**
 * Part "nbd": the live disk under fio, beside servers that keep no history. All servers run at once, one is loaded at a time, their
 * order turns from round to round, and each may settle before the next is loaded.
 *
 * Part "memory": what each server holds resident before and after that load.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BLOCK_CONTENDERS, isAvailable, type BlockServer } from "./block-servers.ts";
import { runFio, type Workload } from "./fio.ts";
import type { Bench } from "./main.ts";
import { memoryOf, settle } from "./process.ts";

const KIB4 = 4096;
const MIB = 2 ** 20;

function workloads(bench: Bench, sizeBytes: number): Workload[] {
  const seconds = bench.quick ? 2 : 5;
  const random = (depth: number, flushEach: number): Workload => ({
    row: `4 KiB random write, depth ${depth}, ${flushEach === 0 ? "no flush" : `flush each ${flushEach}`}`,
    pattern: "randwrite",
    blockBytes: KIB4,
    depth,
    flushEach,
    seconds,
  });
  return [
    {
      row: "1 MiB sequential write, flushed at the end",
      pattern: "write",
      blockBytes: MIB,
      depth: 8,
      flushEach: 0,
      bytes: sizeBytes,
      flushAtEnd: true,
    },
    { row: "1 MiB sequential read", pattern: "read", blockBytes: MIB, depth: 8, flushEach: 0, bytes: sizeBytes },
    ...[1, 32].flatMap((depth) => [1, 8, 64, 0].map((flushEach) => random(depth, flushEach))),
    { row: "4 KiB random read, depth 1", pattern: "randread", blockBytes: KIB4, depth: 1, flushEach: 0, seconds },
    { row: "4 KiB random read, depth 32", pattern: "randread", blockBytes: KIB4, depth: 32, flushEach: 0, seconds },
  ];
}

export async function runNbdPart(bench: Bench): Promise<void> {
  // Every block of it is written before random writes begin: a thin image would be measured on allocation instead.
  const sizeBytes = bench.quick ? 2 ** 29 : 2 ** 31;
  const servers: BlockServer[] = [];
  try {
    for (const contender of BLOCK_CONTENDERS.filter(isAvailable)) {
      const folder = join(bench.folder, "nbd", contender.name.replace(" ", "-"));
      mkdirSync(folder, { recursive: true });
      const server = await contender.start(folder, sizeBytes);
      servers.push(server);
      recordMemory(bench, server, "started, empty");
    }
    for (let round = 0; round < bench.rounds; round++) {
      for (const work of workloads(bench, sizeBytes)) {
        for (const server of bench.turned(servers, round)) await measure(bench, server, work, sizeBytes, round);
      }
      for (const server of bench.turned(servers, round)) await measureWhileSealing(bench, server, sizeBytes, round);
    }
    for (const server of servers) recordMemory(bench, server, "after the nbd part");
  } finally {
    for (const server of servers) await server.stop();
  }
}

function recordMemory(bench: Bench, server: BlockServer, when: string): void {
  const { rssBytes, peakBytes } = memoryOf(server.pid);
  bench.record("memory", `resident, ${when}`, server.contender, "MiB", rssBytes / MIB);
  if (when !== "started, empty") bench.record("memory", `peak, ${when}`, server.contender, "MiB", peakBytes / MIB);
}

async function measure(
  bench: Bench,
  server: BlockServer,
  work: Workload,
  sizeBytes: number,
  round: number,
): Promise<void> {
  const result = await runFio(server, work, sizeBytes, round + 1);
  const isStream = work.blockBytes > KIB4;
  bench.record(
    "nbd",
    work.row,
    server.contender,
    isStream ? "MB/s" : "iops",
    isStream ? result.megabytesPerSecond : result.iops,
  );
  const seconds = await settle(server.pid);
  if (seconds > 2) bench.say(`${server.contender} worked on for ${seconds.toFixed(0)} s after "${work.row}"`);
}

/** A burst leaves Sternway with a stretch to seal; at once after it, a careful client measures its answers. */
async function measureWhileSealing(bench: Bench, server: BlockServer, sizeBytes: number, round: number): Promise<void> {
  const burst: Workload = { row: "burst", pattern: "write", blockBytes: MIB, depth: 8, flushEach: 0, bytes: sizeBytes };
  await runFio(server, burst, sizeBytes, 1000 + round);
  const probe: Workload = {
    row: "probe",
    pattern: "randwrite",
    blockBytes: KIB4,
    depth: 1,
    flushEach: 8,
    seconds: bench.quick ? 2 : 5,
  };
  const { answerMs, flushMs } = await runFio(server, probe, sizeBytes, 2000 + round);
  const row = (what: string): string => `after a burst (while sealing): ${what}`;
  bench.record("nbd", row("write answered, p50"), server.contender, "ms", answerMs.p50);
  bench.record("nbd", row("write answered, p99"), server.contender, "ms", answerMs.p99);
  if (flushMs) {
    bench.record("nbd", row("flush answered, p50"), server.contender, "ms", flushMs.p50);
    bench.record("nbd", row("flush answered, p99"), server.contender, "ms", flushMs.p99);
  }
  await settle(server.pid);
}
