/**
 * One fio run against one NBD export. fio's own nbd engine is the client for every contender, on one connection.
 */
import { runCommand } from "./process.ts";
import type { BlockServer } from "./block-servers.ts";

export interface Workload {
  row: string;
  pattern: "read" | "write" | "randread" | "randwrite";
  blockBytes: number;
  depth: number;
  /** A FLUSH after each so many writes; 0 for none. */
  flushEach: number;
  /** Ends after this long, or … */
  seconds?: number;
  /** … after this many bytes; at least one of both. */
  bytes?: number;
  /** Every block holds the same bytes: for what only counts writes. */
  sameBytes?: boolean;
  /** Sync and wait at the end, within the measured time. */
  flushAtEnd?: boolean;
}

export interface FioResult {
  iops: number;
  megabytesPerSecond: number;
  answerMs: { p50: number; p99: number };
  /** Of FLUSH, where there were any. */
  flushMs?: { p50: number; p99: number };
}

interface Latency {
  percentile?: Record<string, number>;
}

interface FioJob {
  error: number;
  read: { iops: number; bw_bytes: number; clat_ns: Latency };
  write: { iops: number; bw_bytes: number; clat_ns: Latency };
  sync: { total_ios: number; lat_ns: Latency };
}

const percentiles = (latency: Latency): { p50: number; p99: number } => ({
  p50: (latency.percentile?.["50.000000"] ?? 0) / 1e6,
  p99: (latency.percentile?.["99.000000"] ?? 0) / 1e6,
});

/** @param seed - the same for every contender in a round, so that all get the same addresses */
export async function runFio(server: BlockServer, work: Workload, sizeBytes: number, seed: number): Promise<FioResult> {
  const command = [
    "fio",
    "--name=bench",
    "--ioengine=nbd",
    `--uri=nbd+unix:///${server.exportName}?socket=${server.socketPath}`,
    `--rw=${work.pattern}`,
    `--bs=${work.blockBytes}`,
    `--iodepth=${work.depth}`,
    `--size=${sizeBytes}`,
    `--randseed=${seed}`,
    // Real writes come to the same block again; fio's map of blocks still to be visited would also cost it memory.
    "--norandommap",
    // Half of each block compresses, and no two blocks are equal, as on a disk in use.
    ...(work.sameBytes === true ? ["--buffer_pattern=0x5a"] : ["--buffer_compress_percentage=50", "--refill_buffers"]),
    "--output-format=json",
    "--percentile_list=50:99",
  ];
  if (work.flushEach > 0) command.push(`--fsync=${work.flushEach}`);
  if (work.flushAtEnd === true) command.push("--end_fsync=1");
  if (work.seconds !== undefined) command.push("--time_based", `--runtime=${work.seconds}`);
  if (work.bytes !== undefined) command.push(`--io_size=${work.bytes}`);
  const { stdout, seconds } = await runCommand(command);
  const report = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { jobs: FioJob[] };
  const job = report.jobs[0];
  if (!job || job.error !== 0) throw new Error(`fio failed on ${server.contender}, ${work.row}: error ${job?.error}`);
  const side = work.pattern.endsWith("read") ? job.read : job.write;
  // fio leaves the closing flush out of its rate; a write that is not yet durable is not yet done.
  const rate = work.flushAtEnd === true && work.bytes !== undefined ? work.bytes / seconds : side.bw_bytes;
  return {
    iops: side.iops,
    megabytesPerSecond: rate / 1e6,
    answerMs: percentiles(side.clat_ns),
    ...(job.sync.total_ios > 0 ? { flushMs: percentiles(job.sync.lat_ns) } : {}),
  };
}
