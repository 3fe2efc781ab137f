/**
 * A vault with at most one tier in this process, as its daemon opens it, on the real disk: journal, sealer thread, replication. Only NBD is left out.
 */
import { readFileSync, rmSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import type { WritableDevice } from "../../src/base/device.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { systemRandom } from "../../src/base/random.ts";
import { Replication, type TierMode, type TierStatus } from "../../src/replication/replication.ts";
import { createVault, openVault } from "../../src/vault/open-vault.ts";
import { workerSealer } from "../../src/vault/sealing/sealer-worker.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { openVolumes } from "../../src/volume/volume-set.ts";
import type { Volumes } from "../../src/volume/volumes.ts";
import { processorSecondsOf } from "./process.ts";
import { settingsOf, type Place } from "./tiers-places.ts";

export const DISK = "disk";
export const RPO_SECONDS = 5;
const MIB = 2 ** 20;
const SHARE_PROCESS = "share-process.ts";

export interface TieredVault {
  vault: Vault;
  volumes: Volumes;
  replication: Replication;
  /** Where its tier is reached, if it has one. */
  reach: { place: Place | undefined };
}

/** Opens what lies in a folder, a reader's too. @param place - where its tier is reached, if it has one already */
export async function openTiered(dir: string, place?: Place): Promise<TieredVault> {
  const reach = { place };
  const replication = await Replication.open({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dir,
    host: "bench",
    zone: "UTC",
    openStore: () =>
      reach.place ? Promise.resolve(reach.place.openStore()) : Promise.reject(new Error("there is no tier here")),
    // Being late is what is measured.
    tell: ({ level, message }) => {
      if (level === "alert") console.error(`bench: alert: ${message}`);
    },
  });
  const { readOnlyReason } = replication;
  const vault = await openVault({
    disk: replication.disk,
    clock: systemClock,
    random: systemRandom,
    dir,
    sealer: workerSealer,
    reserveBytes: 0,
    restoreFile: replication.restoreFile,
    takesOver: replication.isArriving,
    ...(readOnlyReason !== undefined && { readOnly: true, readOnlyReason }),
  });
  replication.start(vault);
  return { vault, volumes: await openVolumes(vault, systemClock, "default"), replication, reach };
}

export async function closeTiered({ vault, replication }: TieredVault): Promise<void> {
  await replication.stop();
  await vault.stop();
}

/** Makes a vault with one volume, runs `work` on it, and removes it with its folder. */
export async function withNewVault(
  dir: string,
  sizeBytes: number,
  work: (opened: TieredVault, device: WritableDevice) => Promise<void>,
): Promise<void> {
  await realDisk.mkdir(dir);
  await createVault(realDisk, dir, systemRandom, { journalFileBytes: 64 * MIB });
  const opened = await openTiered(dir);
  try {
    await opened.volumes.create(DISK, sizeBytes);
    const device = await opened.volumes.openLive(DISK);
    await work(opened, device);
    await device.close();
  } finally {
    await closeTiered(opened);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Gives it its tier, and waits until that has all that there is by now. */
export async function addTier(opened: TieredVault, place: Place, mode: TierMode): Promise<void> {
  const { vault, replication } = opened;
  // A tier of a vault without a manifest has nothing to begin with.
  await vault.seal();
  await vault.sealing.idle();
  opened.reach.place = place;
  await replication.add(settingsOf(place, mode, RPO_SECONDS));
  await untilEqual(opened);
}

/** The one tier there is. */
export const tierOf = ({ replication }: TieredVault): TierStatus => replication.status()[0]!;

const isEqual = (opened: TieredVault, target: number): boolean => {
  const { state, reachedLsn, revision } = tierOf(opened);
  return state === "online" && reachedLsn >= target && revision?.number === opened.vault.sealing.manifest.number;
};

/** Waits until a tier holds all that was written so far; at once without one, but for sealing. */
export async function untilEqual(opened: TieredVault, secondsMax = 600): Promise<void> {
  const { vault } = opened;
  const target = vault.lastLsn;
  await vault.sealing.idle();
  if (opened.replication.status().length === 0) return;
  const deadline = performance.now() + secondsMax * 1000;
  while (!isEqual(opened, target)) {
    if (performance.now() > deadline) throw new Error(`the tier is not equal: ${JSON.stringify(tierOf(opened))}`);
    await Bun.sleep(20);
  }
}

/** The value below which so much of a list lies. @param share - 0 to 1 */
export const percentile = (list: readonly number[], share: number): number =>
  list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * share)] ?? Number.NaN;

/** Processor seconds of all threads of this process, and of the processes that it has for directories. */
export function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean);
  const helpers = children.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(SHARE_PROCESS));
  return helpers.reduce((sum, pid) => sum + processorSecondsOf(Number(pid)), (user + system) / 1e6);
}
