/**
 * Part "encryption": the same disk in a vault that is not encrypted and in one that is, each with a daemon of its own, one loaded at a time
 * and in turn. The column `sternway encrypted` stands where the other parts have peers: the ratio says what encryption costs.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startSternway, sternway, type BlockServer } from "./block-servers.ts";
import { runFio, type Workload } from "./fio.ts";
import type { Bench } from "./main.ts";
import { runCommand, settle } from "./process.ts";

const KIB4 = 4096;
const MIB = 2 ** 20;
const ENCRYPTED = "sternway encrypted";

async function startIn(bench: Bench, contender: string, sizeBytes: number): Promise<BlockServer> {
  const folder = join(bench.folder, "encryption", contender.replace(" ", "-"));
  mkdirSync(folder, { recursive: true });
  const server = await startSternway(folder);
  const isEncrypted = contender === ENCRYPTED;
  if (isEncrypted) {
    const keyFile = join(folder, "key");
    writeFileSync(keyFile, crypto.getRandomValues(new Uint8Array(32)), { mode: 0o600 });
    await runCommand(sternway(server.folder, "vault", "create", "sealed", "--encrypt", "--key-file", keyFile));
  }
  const vault = isEncrypted ? "sealed" : "default";
  const create = ["volume", "create", server.exportName, String(sizeBytes), "--vault", vault];
  await runCommand(sternway(server.folder, ...create));
  return { ...server, contender };
}

function workloads(bench: Bench): Workload[] {
  const seconds = bench.quick ? 2 : 5;
  const random = (row: string, depth: number, flushEach: number, pattern: "randwrite" | "randread"): Workload => ({
    row: `4 KiB random ${row}, depth ${depth}`,
    pattern,
    blockBytes: KIB4,
    depth,
    flushEach,
    seconds,
  });
  return [
    random("write, flush each 1", 1, 1, "randwrite"),
    random("write, flush each 1", 32, 1, "randwrite"),
    random("write, no flush", 1, 0, "randwrite"),
    random("write, no flush", 32, 0, "randwrite"),
    random("read", 1, 0, "randread"),
  ];
}

export async function runEncryptionPart(bench: Bench): Promise<void> {
  const sizeBytes = bench.quick ? 2 ** 28 : 2 ** 29;
  const servers: BlockServer[] = [];
  try {
    for (const contender of ["sternway", ENCRYPTED]) servers.push(await startIn(bench, contender, sizeBytes));
    for (let round = 0; round < bench.rounds; round++) {
      for (const server of bench.turned(servers, round)) await measureStream(bench, server, sizeBytes, round);
      for (const work of workloads(bench)) {
        for (const server of bench.turned(servers, round)) {
          const { iops } = await runFio(server, work, sizeBytes, round + 1);
          bench.record("encryption", work.row, server.contender, "iops", iops);
          await settle(server.pid);
        }
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** A stream of new blocks: how fast it is taken, and how long until all but the open stretch is sealed. */
async function measureStream(bench: Bench, server: BlockServer, sizeBytes: number, round: number): Promise<void> {
  const stream: Workload = {
    row: "stream",
    pattern: "write",
    blockBytes: MIB,
    depth: 8,
    flushEach: 0,
    bytes: sizeBytes,
    flushAtEnd: true,
  };
  const from = performance.now();
  const { megabytesPerSecond } = await runFio(server, stream, sizeBytes, 1000 + round);
  bench.record(
    "encryption",
    "1 MiB sequential write, flushed at the end",
    server.contender,
    "MB/s",
    megabytesPerSecond,
  );
  await settle(server.pid);
  const seconds = (performance.now() - from) / 1000;
  bench.record("encryption", `… of ${sizeBytes / MIB} MiB, until all of it is sealed`, server.contender, "s", seconds);
}
