/**
 * Part "console": what people who look at the console cost those who write. One daemon, whose disk has some history; the same load without anybody, and while several consoles ask for what
 * their pages show and one of them zooms through the timeline without pause. The column `sternway watched` stands where the other parts have peers: above 1 it is slower.
 * The browsers themselves are left out: they run on other machines.
 *
 * Whoever asks here runs on the same processors, though, and takes the answers apart. So the column `neighbour watched` has the same consoles look at another daemon with the same history: what that
 * costs is the machine's, and only what `sternway watched` costs above it comes from answering consoles where disks are answered.
 */
import { join } from "node:path";
import { createClient, type Client } from "../../src/contract/client.ts";
import { startSternway, sternway, type BlockServer } from "./block-servers.ts";
import { runFio, type Workload } from "./fio.ts";
import type { Bench } from "./main.ts";
import { runCommand, settle } from "./process.ts";

const WATCHED = "sternway watched";
const NEIGHBOUR = "neighbour watched";
const CONSOLES = 3;
/** How often an open page asks anew. */
const POLL_MS = 5_000;
/** Between two steps of somebody who zooms and drags. */
const ZOOM_MS = 100;
/** As many as a wide strip asks for. */
const BUCKETS = 1_200;

/** Consoles that are open until it is ended. */
class Watching {
  asked = 0;
  readonly zoomMs: number[] = [];
  private readonly client: Client;
  private readonly volume: string;
  private isEnding = false;
  private readonly working: Promise<unknown>;

  constructor(client: Client, volume: string) {
    this.client = client;
    this.volume = volume;
    this.working = Promise.all([...Array.from({ length: CONSOLES }, () => this.poll()), this.zoom()]);
  }

  /** @throws what a request threw */
  async end(): Promise<void> {
    this.isEnding = true;
    await this.working;
  }

  private async poll(): Promise<void> {
    const { client } = this;
    while (!this.isEnding) {
      await Promise.all([
        client.health(),
        client.volumes(),
        client.vaults(),
        client.tiers("default"),
        client.events(),
        client.jobs(),
      ]);
      this.asked += 6;
      for (let waited = 0; waited < POLL_MS && !this.isEnding; waited += 100) await Bun.sleep(100);
    }
  }

  private async zoom(): Promise<void> {
    const whole = await this.client.timeline(this.volume, { buckets: 2 });
    const [from, to] = [Date.parse(whole.from), Date.parse(whole.to)];
    for (let step = 0; !this.isEnding; step++) {
      // From the whole history down to a thousandth of it, around another place each time.
      const width = (to - from) / 2 ** (step % 10);
      const begin = from + ((step * 0.618) % 1) * (to - from - width);
      const window = {
        from: new Date(begin).toISOString(),
        to: new Date(begin + width).toISOString(),
        buckets: BUCKETS,
      };
      const asked = performance.now();
      await this.client.timeline(this.volume, window);
      this.zoomMs.push(performance.now() - asked);
      this.asked++;
      await Bun.sleep(ZOOM_MS);
    }
  }
}

export async function runConsolePart(bench: Bench): Promise<void> {
  const sizeBytes = bench.quick ? 2 ** 28 : 2 ** 30;
  const server = await startWithHistory(bench, "console", sizeBytes);
  try {
    const neighbour = await startWithHistory(bench, "neighbour", sizeBytes);
    try {
      const watched: Record<string, BlockServer> = { [WATCHED]: server, [NEIGHBOUR]: neighbour };
      for (let round = 0; round < bench.rounds; round++) {
        for (const work of workloads(bench)) {
          for (const contender of bench.turned(["sternway", WATCHED, NEIGHBOUR], round))
            await measure(bench, { ...server, contender }, watched[contender], work, sizeBytes, round);
        }
      }
    } finally {
      await neighbour.stop();
    }
  } finally {
    await server.stop();
  }
}

async function startWithHistory(bench: Bench, name: string, sizeBytes: number): Promise<BlockServer> {
  const server = await startSternway(join(bench.folder, name));
  try {
    await runCommand(sternway(server.folder, "volume", "create", server.exportName, String(sizeBytes)));
    const history: Workload = {
      row: "history",
      pattern: "randwrite",
      blockBytes: 4096,
      depth: 32,
      flushEach: 64,
      seconds: bench.quick ? 5 : 30,
    };
    await runFio(server, history, sizeBytes, 7);
    await settle(server.pid);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function workloads(bench: Bench): Workload[] {
  const common = { blockBytes: 4096, seconds: bench.quick ? 4 : 15 };
  return [
    { ...common, row: "4 KiB random write, flush each 1, depth 1", pattern: "randwrite", depth: 1, flushEach: 1 },
    { ...common, row: "4 KiB random write, no flush, depth 32", pattern: "randwrite", depth: 32, flushEach: 0 },
    { ...common, row: "4 KiB random read, depth 1", pattern: "randread", depth: 1, flushEach: 0 },
  ];
}

/** @param watched - the one that people look at meanwhile; undefined: none */
async function measure(
  bench: Bench,
  server: BlockServer,
  watched: BlockServer | undefined,
  work: Workload,
  sizeBytes: number,
  round: number,
): Promise<void> {
  const watching = watched && new Watching(clientOf(watched), watched.exportName);
  const { answerMs, flushMs } = await runFio(server, work, sizeBytes, round + 1);
  await watching?.end();
  bench.record("console", `${work.row}: answer, p99`, server.contender, "ms", answerMs.p99);
  if (flushMs) bench.record("console", `${work.row}: flush, p99`, server.contender, "ms", flushMs.p99);
  if (watching) {
    const sorted = watching.zoomMs.sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1]!;
    bench.record("console", `${work.row}: a zoom step meanwhile, median`, server.contender, "ms", median);
  }
  await settle(server.pid);
}

const clientOf = (server: BlockServer): Client => createClient({ socketPath: join(server.folder, "control.sock") });
