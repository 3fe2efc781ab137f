/** Rounds of writing, killing and proving on one vault; the short default test and the long one run the same. */
import { expect } from "bun:test";
import { errorText } from "../../src/base/errors.ts";
import type { Random } from "../../src/base/random.ts";
import { connectNbd, type NbdClient } from "../../src/nbd/client.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { StampedWorkload } from "./daemon-stamps.ts";

/** The least that the configuration takes: a seal for every few MiB. */
export const SMALL_STORE = { storage: { journalFileBytes: "4MiB", journalFilesMax: 6 }, log: { level: "debug" } };

const CONNECTIONS = 3;
const VOLUME = "stamped";

export interface KillReport {
  /** Of every start, from exec to serving. */
  startMs: number[];
  answeredCount: number;
  lostCount: number;
  flushCount: number;
  /** Stretches that were sealed. */
  sealedCount: number;
  packCount: number;
  layerCount: number;
  momentCount: number;
}

interface KeptMoment {
  lsn: number;
  hash: bigint;
}

/** @throws when a law is broken */
export async function killRounds(options: {
  dataDir: string;
  random: Random;
  rounds: number;
  /** A full check of the vault after every so many rounds, and after the last. Default 5. */
  checkEvery?: number;
}): Promise<KillReport> {
  const { dataDir, random, rounds } = options;
  const workload = new StampedWorkload({ random, laneCount: 12, sectorsPerLane: 2051 });
  const moments: KeptMoment[] = [];
  const report: KillReport = {
    startMs: [],
    answeredCount: 0,
    lostCount: 0,
    flushCount: 0,
    sealedCount: 0,
    packCount: 0,
    layerCount: 0,
    momentCount: 0,
  };
  for (let round = 0; round <= rounds; round++) {
    await using daemon = await DaemonProcess.start(dataDir, { config: SMALL_STORE });
    report.startMs.push(daemon.startMs);
    try {
      if (round === 0) await daemon.client.createVolume(VOLUME, workload.sizeBytes);
      else report.lostCount += workload.recover(await readWhole(daemon, VOLUME)).lostCount;
      await verifyMoments(daemon, moments, random, round === rounds);
      if (round === rounds || round % (options.checkEvery ?? 5) === 0) expect(await findings(daemon)).toEqual([]);
      if (round < rounds) {
        moments.push(await writeAndKeepMoment(daemon, workload, random));
        await writeAndKill(daemon, workload, random);
      } else {
        const vault = await daemon.client.vault();
        report.packCount = vault.packCount;
        report.layerCount = vault.layerCount;
        expect((await daemon.stop()).code).toBe(0);
      }
    } catch (cause) {
      throw new Error(`round ${round}: ${errorText(cause)}\nthe daemon said: ${JSON.stringify(daemon.complaints)}`, {
        cause,
      });
    }
    report.sealedCount += daemon.log.filter((line) => line["msg"] === "a stretch was sealed").length;
    expect(daemon.complaints).toEqual([]);
  }
  report.answeredCount = workload.answeredCount;
  report.flushCount = workload.flushCount;
  report.momentCount = moments.length;
  return report;
}

/** Writes for a while, stops, and keeps the flush point it ends at. */
async function writeAndKeepMoment(
  daemon: DaemonProcess,
  workload: StampedWorkload,
  random: Random,
): Promise<KeptMoment> {
  const clients = await connectAll(daemon);
  const running = workload.run(clients);
  await Bun.sleep(20 + random.below(150));
  workload.stop();
  await running;
  await clients[0]!.flush();
  const { lastLsn, lastFlushLsn } = await daemon.client.volume(VOLUME);
  expect(lastFlushLsn).toBeGreaterThanOrEqual(lastLsn);
  const image = await readWhole(daemon, `${VOLUME}@lsn:${lastFlushLsn}`);
  workload.verifyExact(image, `${VOLUME}@lsn:${lastFlushLsn}`);
  await Promise.all(clients.map((client) => client.close()));
  return { lsn: lastFlushLsn, hash: Bun.hash.xxHash3(image) };
}

async function writeAndKill(daemon: DaemonProcess, workload: StampedWorkload, random: Random): Promise<void> {
  const clients = await connectAll(daemon);
  const running = workload.run(clients);
  await Bun.sleep(random.below(400));
  await daemon.kill();
  await running;
}

async function connectAll(daemon: DaemonProcess): Promise<NbdClient[]> {
  return await Promise.all(Array.from({ length: CONNECTIONS }, () => connectNbd(daemon.blocks, VOLUME)));
}

/** All of them at the end; a few on the way, always the newest. */
async function verifyMoments(
  daemon: DaemonProcess,
  moments: readonly KeptMoment[],
  random: Random,
  all: boolean,
): Promise<void> {
  const picked = all ? moments : moments.filter((_, i) => i === moments.length - 1 || random.below(moments.length) < 2);
  for (const { lsn, hash } of picked) {
    const again = Bun.hash.xxHash3(await readWhole(daemon, `${VOLUME}@lsn:${lsn}`));
    if (again !== hash) throw new Error(`${VOLUME}@lsn:${lsn} does not read as it did`);
  }
}

/** All bytes of an export. */
export async function readWhole(daemon: DaemonProcess, exportName: string): Promise<Uint8Array> {
  const client = await connectNbd(daemon.blocks, exportName);
  const bytes = await client.read(0, client.sizeBytes);
  await client.close();
  return bytes;
}

/** What a check of the whole vault finds. */
export async function findings(daemon: DaemonProcess): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const line of daemon.client.check())
    if (line.line === "finding" || line.line === "failed") found.push(line);
  return found;
}
