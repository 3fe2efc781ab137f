/**
 * Mixed use of one daemon for minutes: writers, readers of past moments, restores, images, branches, rollbacks and commands, all at
 * once, with its descriptors and memory sampled. What it holds must not grow with what it has done (law 9).
 */
import { afterAll, expect } from "bun:test";
import { join } from "node:path";
import { SternwayError } from "../../src/base/errors.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { findings, readWhole } from "../support/daemon-kill-rounds.ts";
import { DaemonProcess, execute, removeScratch, scratchFolder, succeed } from "../support/daemon-process.ts";
import { StampedWorkload } from "../support/daemon-stamps.ts";
import { testWith } from "../support/require-tool.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const SECONDS = process.env["STERNWAY_SOAK"] === "1" ? 300 : 120;
/** The first part fills caches, starts threads and makes the first packs. */
const WARM_UP = 0.25;
const SAMPLE_MS = 1000;
const MIB = 2 ** 20;
/** Caches of 64 MiB twice, the fingerprint index of 256 MiB and half of it again while it grows, slabs, and garbage not yet collected. */
const RESIDENT_BYTES_MAX = 1400 * MIB;
/** What the later half may hold above the earlier, each in the middle: the index still fills. Peaks say more of the collector's mood. */
const RESIDENT_GROWTH_MAX = 256 * MIB;
/** 32 journal files, each open for writing and reading, 64 packs, the layers and chronicles of three ranks, at most 15 of each, and what readers still hold. */
const FILES_MAX = 320;

const folder = scratchFolder();
// Gigabytes: removing them takes its time.
afterAll(() => removeScratch(folder), 120_000);

interface Sample {
  residentBytes: number;
  sockets: number;
  files: number;
  deleted: string[];
}

const middle = (values: readonly number[]): number => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);

function sample(daemon: DaemonProcess): Sample {
  const descriptors = daemon.descriptors;
  return {
    residentBytes: daemon.residentBytes,
    sockets: descriptors.filter((target) => target.startsWith("socket:")).length,
    files: descriptors.filter((target) => target.startsWith("/") && !target.startsWith("/dev/")).length,
    deleted: descriptors.filter((target) => target.endsWith(" (deleted)")),
  };
}

testWith(
  ["nbdcopy", "fio", "curl"],
  `${SECONDS} s of mixed use leave no descriptor behind and memory bounded (seed ${seed})`,
  async () => {
    await using daemon = await DaemonProcess.start(join(folder, "data"), {
      config: { storage: { journalFileBytes: "16MiB" } },
    });
    const end = performance.now() + SECONDS * 1000;
    const random = seededRandom(seed);
    const counts: Record<string, number> = {};
    const user = async (name: string, use: (random: Random, turn: number) => Promise<void>): Promise<void> => {
      const own = seededRandom(seed ^ Bun.hash.crc32(name));
      for (let turn = 0; performance.now() < end; turn++) {
        await use(own, turn);
        counts[name] = turn + 1;
      }
    };
    const samples: Sample[] = [];
    const sampling = user("samples", async () => {
      samples.push(sample(daemon));
      await Bun.sleep(SAMPLE_MS);
    });

    const workload = new StampedWorkload({ random, laneCount: 8, sectorsPerLane: 4099 });
    await daemon.client.createVolume("stamped", workload.sizeBytes);
    await daemon.client.createVolume("fio", 64 * MIB);
    await daemon.client.createVolume("turns", 16 * MIB);
    const moments: { lsn: number; hash: bigint }[] = [];
    await Promise.all([
      sampling,
      user("write", (own) => writeForAWhile(daemon, workload, moments, own)),
      user("read the past", (own) => readPast(daemon, moments, own)),
      user("fio", async (_own, turn) => {
        await succeed(
          [
            ...["fio", "--name=soak", "--ioengine=nbd", `--uri=${daemon.uri("fio")}`, "--size=64m", "--io_size=8m"],
            ...["--rw=randwrite", "--bs=4k", "--iodepth=16", "--fsync=16", "--verify=crc32c", `--randseed=${turn}`],
          ],
          { cwd: folder },
        );
        await Bun.sleep(200);
      }),
      user("copies", async (_own, turn) => {
        if (turn % 2 === 0) await succeed(["nbdcopy", daemon.uri("fio"), "null:"]);
        else
          await succeed([
            "curl",
            "-fsS",
            ...(await daemon.bearer()),
            "-o",
            "/dev/null",
            `${daemon.addresses.http}/v1/volumes/fio/image`,
          ]);
        // Clients that leave in the middle.
        await execute([
          "curl",
          "-sS",
          ...(await daemon.bearer()),
          "--max-time",
          "0.05",
          "-o",
          "/dev/null",
          `${daemon.addresses.http}/v1/volumes/fio/image`,
        ]);
        await daemon.client.timeline("fio", { buckets: 200 });
        await Bun.sleep(200);
      }),
      user("turns", (own, turn) => turnBack(daemon, own, turn)),
    ]);

    const warm = samples.slice(Math.ceil(samples.length * WARM_UP));
    await settled(daemon);
    const last = sample(daemon);
    const most = (of: (each: Sample) => number, among = warm): number => Math.max(...among.map(of));
    const half = warm.length >> 1;
    const figures = {
      residentMiBMax: Math.round(most((each) => each.residentBytes, samples) / MIB),
      residentMiBEarly: middle(warm.slice(0, half).map((each) => each.residentBytes / MIB)),
      residentMiBLate: middle(warm.slice(half).map((each) => each.residentBytes / MIB)),
      filesEarly: most((each) => each.files, warm.slice(0, half)),
      filesLate: most((each) => each.files, warm.slice(half)),
      filesAtEnd: last.files,
      socketsMost: most((each) => each.sockets),
      socketsAtEnd: last.sockets,
    };
    console.log(JSON.stringify({ ...figures, ...counts, writes: workload.answeredCount }));
    expect(figures.residentMiBMax * MIB).toBeLessThan(RESIDENT_BYTES_MAX);
    expect((figures.residentMiBLate - figures.residentMiBEarly) * MIB).toBeLessThan(RESIDENT_GROWTH_MAX);
    // Two listeners of blocks at most, the control socket, HTTP, and what the runtime keeps.
    expect(last.sockets).toBeLessThanOrEqual(10);
    expect(last.deleted).toEqual([]);
    expect(Math.max(figures.filesEarly, figures.filesLate)).toBeLessThanOrEqual(FILES_MAX);
    expect(daemon.complaints).toEqual([]);
    expect(await findings(daemon)).toEqual([]);
    expect((await daemon.stop()).code).toBe(0);
  },
  (SECONDS + 120) * 1000,
);

async function writeForAWhile(
  daemon: DaemonProcess,
  workload: StampedWorkload,
  moments: { lsn: number; hash: bigint }[],
  random: Random,
): Promise<void> {
  const clients = await Promise.all([1, 2].map(() => connectNbd(daemon.blocks, "stamped")));
  const running = workload.run(clients);
  await Bun.sleep(500 + random.below(1000));
  workload.stop();
  await running;
  await clients[0]!.flush();
  const { lastFlushLsn } = await daemon.client.volume("stamped");
  const image = await readWhole(daemon, `stamped@lsn:${lastFlushLsn}`);
  workload.recover(image, { orderly: true });
  moments.push({ lsn: lastFlushLsn, hash: Bun.hash.xxHash3(image) });
  await Promise.all(clients.map((client) => client.close()));
  await Bun.sleep(700);
}

async function readPast(
  daemon: DaemonProcess,
  moments: readonly { lsn: number; hash: bigint }[],
  random: Random,
): Promise<void> {
  await Bun.sleep(100);
  const moment = moments[random.below(Math.max(1, moments.length))];
  if (!moment) return;
  const image = await readWhole(daemon, `stamped@lsn:${moment.lsn}`);
  expect(Bun.hash.xxHash3(image)).toBe(moment.hash);
}

/** Bookmark, branch, write to the branch, roll back, compare, delete. */
async function turnBack(daemon: DaemonProcess, random: Random, turn: number): Promise<void> {
  const { client } = daemon;
  const writer = await connectNbd(daemon.blocks, "turns");
  await writer.write(random.below(15) * MIB, random.bytes(65_536));
  await writer.flush();
  await writer.close();
  const before = Bun.hash.xxHash3(await readWhole(daemon, "turns"));
  await client.createBookmark("turns", { name: `turn-${turn}` });
  await client.branch("turns", `bookmark:turn-${turn}`, "turns-branch");
  const other = await connectNbd(daemon.blocks, "turns-branch");
  await other.write(0, random.bytes(MIB), true);
  await other.close();
  await eventuallyAlone(daemon, "turns-branch");
  await client.deleteVolume("turns-branch");
  const again = await connectNbd(daemon.blocks, "turns");
  await again.write(0, random.bytes(MIB), true);
  await again.close();
  await eventuallyAlone(daemon, "turns");
  await client.rollback("turns", `bookmark:turn-${turn}`);
  expect(Bun.hash.xxHash3(await readWhole(daemon, "turns"))).toBe(before);
  await client.deleteBookmark("turns", `turn-${turn}`);
  await Bun.sleep(200);
}

/** The daemon learns a moment after the client that it has gone. */
async function eventuallyAlone(daemon: DaemonProcess, volume: string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if ((await daemon.client.volume(volume)).attached === 0) return;
    await Bun.sleep(5);
  }
  throw new SternwayError("internal", `${volume} stays attached`);
}

/** Waits until sealing has caught up and no client is left. */
async function settled(daemon: DaemonProcess): Promise<void> {
  let before = -1;
  for (let attempt = 0; attempt < 100; attempt++) {
    const { files, sockets } = sample(daemon);
    if (files + sockets === before) return;
    before = files + sockets;
    await Bun.sleep(300);
  }
}
