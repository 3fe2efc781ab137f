/**
 * Law 1 on a real process and a real disk: the daemon is killed without warning in the middle of what it does, many times on
 * one vault, and what it brings back is held against what it had answered. Journal files are as small as they may be, so that
 * kills meet seals, merges and manifests. Then the orderly end, under the same load.
 *
 * A killed process loses nothing that it handed to the kernel; what a power cut loses is the simulation's matter.
 */
import { afterAll, expect, test } from "bun:test";
import { ftruncateSync, openSync, closeSync, writeSync } from "node:fs";
import { isSternwayError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { connectNbd } from "../../src/nbd/client.ts";
import { killRounds, readWhole, SMALL_STORE } from "../support/daemon-kill-rounds.ts";
import { DaemonProcess, removeScratch, scratchFolder, sternway } from "../support/daemon-process.ts";
import { StampedWorkload } from "../support/daemon-stamps.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const MIB = 2 ** 20;
const ROUNDS = 15;
/** Machines that others use too stall; each of these takes seconds on an idle one. */
const TIMEOUT_MS = 600_000;

const folder = scratchFolder();
afterAll(() => removeScratch(folder), TIMEOUT_MS);

const hashOf = async (daemon: DaemonProcess, name: string): Promise<bigint> =>
  Bun.hash.xxHash3(await readWhole(daemon, name));

test(
  `a daemon killed while clients write brings back an exact prefix that holds every flushed write (seed ${seed})`,
  async () => {
    const report = await killRounds({ dataDir: `${folder}/writes`, random: seededRandom(seed), rounds: ROUNDS });
    expect(report.startMs).toHaveLength(ROUNDS + 1);
    // Rounds that wrote or sealed nothing would prove nothing.
    expect(report.answeredCount).toBeGreaterThan(ROUNDS * 10);
    expect(report.sealedCount).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

test(
  `a daemon killed during rollbacks and branches did each wholly or not at all (seed ${seed})`,
  async () => {
    const random = seededRandom(seed + 1);
    const dataDir = `${folder}/marks`;
    const contents: { lsn: number; hash: bigint }[] = [];
    let present = 0;
    let branchCount = 0;
    const rounds = 12;
    for (let round = 0; round < rounds; round++) {
      await using daemon = await DaemonProcess.start(dataDir, { config: SMALL_STORE });
      if (round === 0) {
        await daemon.client.createVolume("disk", 4 * MIB);
        for (let i = 0; i < 2; i++) {
          const client = await connectNbd(daemon.blocks, "disk");
          await client.write(i * MIB, random.bytes(2 * MIB));
          await client.flush();
          await client.close();
          const { lastLsn } = await daemon.client.volume("disk");
          contents.push({ lsn: lastLsn, hash: await hashOf(daemon, "disk") });
        }
        present = 1;
      }
      const target = random.below(2);
      let rolledBack = false;
      let branched = false;
      const rollback = daemon.client
        .rollback("disk", `lsn:${contents[target]!.lsn}`, { force: true })
        .then(() => (rolledBack = true), onlyLost);
      const branch = daemon.client
        .branch("disk", `lsn:${contents[target]!.lsn}`, `branch-${round}`)
        .then(() => (branched = true), onlyLost);
      // The last one waits for both: on a slow machine the others may all come too early.
      if (round < rounds - 1) await Bun.sleep(random.below(40));
      else await Promise.all([rollback, branch]);
      await daemon.kill();
      await Promise.all([rollback, branch]);

      await using again = await DaemonProcess.start(dataDir);
      const now = await hashOf(again, "disk");
      if (rolledBack) expect(now).toBe(contents[target]!.hash);
      else expect([contents[present]!.hash, contents[target]!.hash]).toContain(now);
      present = contents.findIndex(({ hash }) => hash === now);
      for (const { lsn, hash } of contents) expect(await hashOf(again, `disk@lsn:${lsn}`)).toBe(hash);
      const names = (await again.client.branches("disk")).map(({ name }) => name);
      const isThere = names.includes(`branch-${round}`);
      if (branched) expect(isThere).toBe(true);
      if (isThere) {
        branchCount++;
        expect(await hashOf(again, `branch-${round}`)).toBe(contents[target]!.hash);
        const client = await connectNbd(again.blocks, `branch-${round}`);
        await client.write(0, random.bytes(4096), true);
        await client.close();
        expect(await hashOf(again, "disk")).toBe(now);
      }
      expect([...daemon.complaints, ...again.complaints]).toEqual([]);
      await again.kill();
    }
    expect(branchCount).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

/** A call that died with the daemon. */
function onlyLost(error: unknown): void {
  if (!isSternwayError(error, "unavailable")) throw error;
}

test(
  `a daemon killed during an import fails the import, and the next import makes it whole (seed ${seed})`,
  async () => {
    const random = seededRandom(seed + 2);
    const dataDir = `${folder}/import`;
    const image = `${folder}/image.raw`;
    const bytes = sparseImage(image, 256 * MIB, random);
    let interrupted = 0;
    for (let round = 0; round < 4; round++) {
      await using daemon = await DaemonProcess.start(dataDir, { config: SMALL_STORE });
      const before = (await daemon.client.volumes())[0]?.lastLsn ?? 0;
      const importing = sternway(dataDir, "import", image, "disk", "--json");
      // In the middle, wherever that falls: after so many of its 170 or so writes.
      const writes = 2 + random.below(80);
      let isDone = false;
      void importing.finally(() => (isDone = true));
      while (!isDone && ((await daemon.client.volumes())[0]?.lastLsn ?? 0) < before + writes);
      await daemon.kill();
      const { code, err } = await importing;
      // It may have been done by then, or not have begun: no daemon to be found is the same exit code.
      if (code !== 0) expect({ code, err }).toMatchObject({ code: 5 });
      if (code !== 0) interrupted++;
      expect(daemon.complaints).toEqual([]);
    }
    expect(interrupted).toBeGreaterThan(0);
    await using daemon = await DaemonProcess.start(dataDir);
    expect(await sternway(dataDir, "import", image, "disk", "--json")).toMatchObject({ code: 0 });
    expect(Buffer.compare(await readWhole(daemon, "disk"), bytes)).toBe(0);
  },
  TIMEOUT_MS,
);

/** Writes a file with data and holes. @returns what it reads as */
function sparseImage(path: string, sizeBytes: number, random: ReturnType<typeof seededRandom>): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const fd = openSync(path, "w");
  ftruncateSync(fd, sizeBytes);
  for (let at = 0; at < sizeBytes; at += MIB) {
    if (random.below(3) === 0) continue;
    const data = random.bytes(MIB / 2);
    bytes.set(data, at);
    writeSync(fd, data, 0, data.length, at);
  }
  closeSync(fd);
  return bytes;
}

test(
  `a daemon asked to stop while clients write keeps everything it answered, and lets no client hang (seed ${seed})`,
  async () => {
    const random = seededRandom(seed + 3);
    const dataDir = `${folder}/stop`;
    const workload = new StampedWorkload({ random, laneCount: 12, sectorsPerLane: 2051, flushPercent: 1 });
    for (let round = 0; round < 4; round++) {
      await using daemon = await DaemonProcess.start(dataDir, { config: SMALL_STORE });
      if (round === 0) await daemon.client.createVolume("stamped", workload.sizeBytes);
      else workload.recover(await readWhole(daemon, "stamped"), { orderly: true });
      const clients = await Promise.all([1, 2, 3].map(() => connectNbd(daemon.blocks, "stamped")));
      const running = workload.run(clients);
      await Bun.sleep(100 + random.below(200));
      const { code, tookMs } = await daemon.stop();
      await running;
      expect(code).toBe(0);
      // Its grace for sessions is 10 s; clients that are served need none of it.
      expect(tookMs).toBeLessThan(8000);
      expect(daemon.complaints).toEqual([]);
    }
    await using last = await DaemonProcess.start(dataDir);
    workload.recover(await readWhole(last, "stamped"), { orderly: true });
    expect(workload.answeredCount).toBeGreaterThan(100);
  },
  TIMEOUT_MS,
);
