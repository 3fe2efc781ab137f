/**
 * The volumes of all vaults of an appliance as one set: a volume's name is unique across the vaults, and each call goes to the vault that
 * holds it. A vault that is closed (locked, damaged, missing) takes its volumes with it: they are not listed, but their names stay
 * taken, and whoever asks for one hears where it is and why it cannot be had.
 *
 * Nothing moves between vaults: a branch shares its blocks with where it came from, so it stays in that vault.
 */
import { assert } from "../base/assert.ts";
import type { WritableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import { unknownVolume } from "./export-name.ts";
import type {
  Bookmark,
  DiffRange,
  Hold,
  Moment,
  PastDevice,
  ResolvedMoment,
  RetentionPolicy,
  RollbackResult,
  Timeline,
  VolumeInfo,
  Volumes,
} from "./volumes.ts";

/** The vault that takes a volume for which none is named. */
export const DEFAULT_VAULT = "default";

/** A vault as its volumes' callers see it. */
export interface VolumeHome {
  readonly name: string;
  /** Undefined while the vault is closed. */
  readonly volumes: Volumes | undefined;
  /** True when it has a volume of this name; for a closed vault, when it had one as it was last open. */
  holds(volume: string): boolean;
  /** Why nothing in it can be had, for a closed vault, with what to do about it. */
  closedError(volume?: string): SternwayError;
  /** Past moments of its volumes that are open for reading now. */
  readers: number;
}

export interface VolumeHomes {
  /** Of two vaults with a volume of one name, the first one counts. */
  all(): readonly VolumeHome[];
  /** Makes durable that a vault is about to hold a volume of this name, so that it stays taken even while the vault is closed. @throws unavailable */
  reserve(vault: string, volume: string): Promise<void>;
  /** What was reserved, or deleted, has become a volume or is none: what is kept may be brought up to date. Never rejects. */
  settle(vault: string, volume: string): Promise<void>;
}

/** Volumes over all vaults. It holds nothing of its own but names that are being given. */
export function volumesOf(homes: VolumeHomes): Volumes {
  return new VaultVolumes(homes);
}

class VaultVolumes implements Volumes {
  private readonly homes: VolumeHomes;
  /** Names on their way into a vault: two creations at once must not both find a name free. */
  private readonly coming = new Set<string>();

  constructor(homes: VolumeHomes) {
    this.homes = homes;
  }

  list(): VolumeInfo[] {
    return this.homes.all().flatMap((home) => home.volumes?.list() ?? []);
  }

  get(name: string): VolumeInfo {
    return this.of(name).get(name);
  }

  async create(name: string, sizeBytes: number, options: { vault?: string } = {}): Promise<VolumeInfo> {
    const home = this.homeNamed(options.vault ?? DEFAULT_VAULT);
    const volumes = openVolumesOf(home);
    return await this.naming(home, name, () => volumes.create(name, sizeBytes));
  }

  async resize(name: string, sizeBytes: number, options?: { force?: boolean }): Promise<VolumeInfo> {
    return await this.of(name).resize(name, sizeBytes, options);
  }

  async delete(name: string, options?: { force?: boolean }): Promise<void> {
    const home = this.homeOf(name);
    await openVolumesOf(home, name).delete(name, options);
    await this.homes.settle(home.name, name);
  }

  async openLive(name: string): Promise<WritableDevice> {
    return await this.of(name).openLive(name);
  }

  async openAt(name: string, moment: Moment): Promise<PastDevice> {
    const home = this.homeOf(name);
    return counted(home, await openVolumesOf(home, name).openAt(name, moment));
  }

  async resolve(name: string, moment: Moment): Promise<ResolvedMoment> {
    return await this.of(name).resolve(name, moment);
  }

  async rollback(name: string, to: Moment, options?: { force?: boolean }): Promise<RollbackResult> {
    return await this.of(name).rollback(name, to, options);
  }

  async branch(name: string, at: Moment, newName: string, options: { vault?: string } = {}): Promise<VolumeInfo> {
    const home = this.homeOf(name);
    const volumes = openVolumesOf(home, name);
    if (options.vault !== undefined && options.vault !== home.name) {
      throw new SternwayError(
        "invalid",
        `a branch shares its blocks with ${name}, so it stays in vault ${home.name}; to have a copy in vault ${options.vault}, restore ${name} to a file and import that there`,
        { volume: name, vault: home.name },
      );
    }
    return await this.naming(home, newName, () => volumes.branch(name, at, newName));
  }

  async *diff(name: string, from: Moment, to: Moment): AsyncGenerator<DiffRange, void, undefined> {
    yield* this.of(name).diff(name, from, to);
  }

  bookmarks(name: string): Bookmark[] {
    return this.of(name).bookmarks(name);
  }

  async bookmark(name: string, bookmarkName: string, at: Moment, note: string): Promise<Bookmark> {
    return await this.of(name).bookmark(name, bookmarkName, at, note);
  }

  async removeBookmark(name: string, bookmarkName: string): Promise<void> {
    await this.of(name).removeBookmark(name, bookmarkName);
  }

  async timeline(name: string, range: Parameters<Volumes["timeline"]>[1]): Promise<Timeline> {
    return await this.of(name).timeline(name, range);
  }

  async flushPoints(name: string, range: Parameters<Volumes["flushPoints"]>[1]) {
    return await this.of(name).flushPoints(name, range);
  }

  async retention(name: string): ReturnType<Volumes["retention"]> {
    return await this.of(name).retention(name);
  }

  async setRetention(name: string, policy: RetentionPolicy | null): Promise<void> {
    await this.of(name).setRetention(name, policy);
  }

  async setLock(name: string, lockMicros: number): Promise<void> {
    await this.of(name).setLock(name, lockMicros);
  }

  holds(name: string): Hold[] {
    return this.of(name).holds(name);
  }

  async hold(name: string, holdName: string, at: Moment, note: string): Promise<Hold> {
    return await this.of(name).hold(name, holdName, at, note);
  }

  async releaseHold(name: string, holdName: string): Promise<void> {
    await this.of(name).releaseHold(name, holdName);
  }

  async newestAt(name: string, time: Micros): ReturnType<Volumes["newestAt"]> {
    return await this.of(name).newestAt(name, time);
  }

  async candidates(name: string, ...rest: Tail<Volumes["candidates"]>): ReturnType<Volumes["candidates"]> {
    return await this.of(name).candidates(name, ...rest);
  }

  async activity(name: string, ...rest: Tail<Volumes["activity"]>): ReturnType<Volumes["activity"]> {
    return await this.of(name).activity(name, ...rest);
  }

  async thin(name: string, ...rest: Tail<Volumes["thin"]>): ReturnType<Volumes["thin"]> {
    return await this.of(name).thin(name, ...rest);
  }

  async wouldFree(name: string, ...rest: Tail<Volumes["wouldFree"]>): ReturnType<Volumes["wouldFree"]> {
    return await this.of(name).wouldFree(name, ...rest);
  }

  async noteTime(): Promise<void> {
    for (const home of this.homes.all()) await home.volumes?.noteTime();
  }

  /** The volumes of the vault that holds a volume. @throws not_found; conflict, unavailable: the vault is closed */
  private of(name: string): Volumes {
    return openVolumesOf(this.homeOf(name), name);
  }

  private homeOf(name: string): VolumeHome {
    const homes = this.homes.all();
    // An open vault knows what it holds; what is remembered of a closed one may be out of date.
    const holds = (home: VolumeHome): boolean => home.holds(name);
    const home = homes.find((each) => each.volumes && holds(each)) ?? homes.find(holds);
    if (!home) throw unknownVolume(name, this.list());
    return home;
  }

  private homeNamed(vault: string): VolumeHome {
    const homes = this.homes.all();
    const home = homes.find((each) => each.name === vault);
    if (home) return home;
    const known = homes.map((each) => each.name).join(", ");
    throw new SternwayError("not_found", `there is no vault ${vault}; there are: ${known}`, { vault });
  }

  /** Gives a name to a new volume, once across all vaults. */
  private async naming(home: VolumeHome, name: string, make: () => Promise<VolumeInfo>): Promise<VolumeInfo> {
    const owner = this.homes.all().find((each) => each.holds(name));
    if (owner || this.coming.has(name)) {
      const where =
        (owner ?? home).name === home.name ? "" : ` in vault ${owner!.name}: names are given once per appliance`;
      throw new SternwayError("conflict", `there is a volume ${name} already${where}`, { volume: name });
    }
    this.coming.add(name);
    try {
      await this.homes.reserve(home.name, name);
      return await make();
    } finally {
      this.coming.delete(name);
      await this.homes.settle(home.name, name);
    }
  }
}

/** The parameters after a volume's name. */
type Tail<Method extends (name: string, ...rest: never[]) => unknown> = Method extends (
  name: string,
  ...rest: infer Rest
) => unknown
  ? Rest
  : never;

function openVolumesOf(home: VolumeHome, volume?: string): Volumes {
  if (!home.volumes) throw home.closedError(volume);
  return home.volumes;
}

/** The same device, counted as a reader of its vault until it is closed. */
function counted(home: VolumeHome, device: PastDevice): PastDevice {
  let isOpen = true;
  home.readers++;
  return {
    moment: device.moment,
    sizeBytes: device.sizeBytes,
    read: (offset, length, into) => device.read(offset, length, into),
    extents: (offset, length) => device.extents(offset, length),
    async close() {
      if (isOpen) home.readers--;
      assert(home.readers >= 0, "no more readers left a vault than came");
      isOpen = false;
      await device.close();
    },
  };
}
