/**
 * A vault that grows old in this process, through the engine itself: its journal, sealer thread, merging, thinning and collecting, on the real disk.
 * Only the network is left out. Blocks hold a few bytes of their own and much that compresses, so that ten million writes fit on a disk.
 *
 * Writes go to four volumes: nine of ten to a hot tenth of one. A flush follows each 64. Each twentieth of a decade keeps a point per volume,
 * and lets go of what is older than the newest fifth of history.
 */
import { systemClock } from "../../src/base/clock.ts";
import type { WritableDevice } from "../../src/base/device.ts";
import { realDisk } from "../../src/base/real-disk.ts";
import { seededRandom, systemRandom } from "../../src/base/random.ts";
import { lsn, type Lsn } from "../../src/base/units.ts";
import { createVault, openVault } from "../../src/vault/open-vault.ts";
import { workerSealer } from "../../src/vault/sealing/sealer-worker.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { openVolumes } from "../../src/volume/volume-set.ts";
import type { Volumes } from "../../src/volume/volumes.ts";

const BLOCK = 4096;
const VOLUMES = 4;
const VOLUME_BLOCKS = 65_536;
const HOT_BLOCKS = VOLUME_BLOCKS / 10;
const FLUSH_EACH = 64;
const KEPT_SHARE = 0.2;
const POINTS_MAX = 200;

export interface AgeingVault {
  vault: Vault;
  volumes: Volumes;
  devices: WritableDevice[];
}

const nameOf = (i: number): string => `disk${i}`;

/** Opens it, and makes it where there is none. */
export async function openAgeing(dir: string, isNew: boolean): Promise<AgeingVault> {
  await realDisk.mkdir(dir);
  if (isNew) await createVault(realDisk, dir, systemRandom, { journalFileBytes: 64 * 2 ** 20 });
  const vault = await openVault({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    dir,
    sealer: workerSealer,
    reserveBytes: 0,
  });
  const volumes = await openVolumes(vault, systemClock, "default");
  const devices: WritableDevice[] = [];
  for (let i = 0; i < VOLUMES; i++) {
    if (isNew) await volumes.create(nameOf(i), VOLUME_BLOCKS * BLOCK);
    devices.push(await volumes.openLive(nameOf(i)));
  }
  return { vault, volumes, devices };
}

export async function closeAgeing({ vault, devices }: AgeingVault): Promise<void> {
  for (const device of devices) await device.close();
  await vault.stop();
}

/** Writes one history on and on. */
export class HistoryWriter {
  private readonly random = seededRandom(7);
  private readonly block = new Uint8Array(BLOCK).fill(0x2e);
  private readonly view = new DataView(this.block.buffer);
  private readonly points: { lsn: Lsn; time: number; why: "hourly" }[][] = Array.from({ length: VOLUMES }, () => []);
  private written = 0;
  private readonly ageing: AgeingVault;

  constructor(ageing: AgeingVault) {
    this.ageing = ageing;
  }

  /** Writes until so many were written in all. */
  async writeTo(total: number): Promise<void> {
    const { devices } = this.ageing;
    const from = this.written;
    const thinEach = Math.max(1000, Math.floor((total - from) / 20));
    while (this.written < total) {
      const volume = this.random.below(10) < 9 ? 0 : 1 + this.random.below(VOLUMES - 1);
      const at = this.random.below(10) < 9 ? this.random.below(HOT_BLOCKS) : this.random.below(VOLUME_BLOCKS);
      // Three of four are like no other; the fourth is one of 4,096.
      const isOwn = this.random.below(4) > 0;
      this.view.setFloat64(0, isOwn ? this.written : -this.random.below(4096), true);
      await devices[volume]!.write(at * BLOCK, this.block, false);
      this.written++;
      if (this.written % FLUSH_EACH === 0) await devices[volume]!.flush();
      if ((this.written - from) % thinEach === 0) await this.thin();
    }
    for (const device of devices) await device.flush();
  }

  private async thin(): Promise<void> {
    const { vault, volumes } = this.ageing;
    const newest = vault.lastLsn;
    for (let i = 0; i < VOLUMES; i++) {
      const present = (await volumes.retention(nameOf(i))).horizon.lsn;
      const horizonLsn = lsn(Math.max(present, Math.floor(newest * (1 - KEPT_SHARE))));
      // What was a horizon stays as a point; of many, each second goes.
      const points = this.points[i]!;
      if (horizonLsn > present) points.push({ lsn: present, time: 0, why: "hourly" });
      if (points.length > POINTS_MAX) this.points[i] = points.filter((_, place) => place % 2 === 0);
      await volumes.thin(nameOf(i), { horizonLsn, points: this.points[i]! });
    }
  }

  /** A moment that can be read, and the name of its volume. */
  somewhere(): { name: string; at: Lsn } {
    const volume = this.random.below(VOLUMES);
    const points = this.points[volume]!;
    const newest = this.ageing.vault.lastLsn;
    const isPoint = points.length > 0 && this.random.below(2) === 0;
    const from = Math.floor(newest * (1 - KEPT_SHARE)) + 1;
    const at = isPoint ? points[this.random.below(points.length)]!.lsn : lsn(from + this.random.below(newest - from));
    return { name: nameOf(volume), at };
  }

  /** A place in a volume. */
  place(): number {
    return this.random.below(VOLUME_BLOCKS) * BLOCK;
  }
}
