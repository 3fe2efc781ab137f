/**
 * A place that comes and goes: an ext4 file system in a file, mounted on a folder, as a disk on a cable or a network share would be. While it is not mounted, the
 * bare folder beneath shows whatever was written to it by mistake. Needs root.
 */
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execute, succeed } from "./daemon-process.ts";
import { attachFile, type AttachedExport } from "./e2e-mounts.ts";

/** What {@link TierMount} needs of the machine. */
export const TIER_MOUNT_TOOLS = ["root", "losetup", "mount", "umount", "mkfs.ext4"] as const;

const MIB = 2 ** 20;

export class TierMount implements AsyncDisposable {
  /** The mount point. */
  readonly dir: string;
  readonly #disk: AttachedExport;
  #isMounted = false;

  private constructor(dir: string, disk: AttachedExport) {
    this.dir = dir;
    this.#disk = disk;
  }

  /** @param folder - scratch, ours alone */
  static async make(folder: string, sizeMib: number): Promise<TierMount> {
    const image = join(folder, "share.img");
    const dir = join(folder, "share");
    mkdirSync(dir);
    writeFileSync(image, "");
    truncateSync(image, sizeMib * MIB);
    await succeed(["mkfs.ext4", "-q", "-F", image]);
    const mount = new TierMount(dir, await attachFile(image));
    await mount.mount();
    return mount;
  }

  get url(): string {
    return `file://${this.dir}`;
  }

  async mount(): Promise<void> {
    await succeed(["mount", this.#disk.device, this.dir]);
    this.#isMounted = true;
  }

  /** As if the cable was pulled: files that are open stay readable, and the path is the bare folder at once. */
  async unmountLazily(): Promise<void> {
    await succeed(["umount", "-l", this.dir]);
    this.#isMounted = false;
  }

  /** What lies in the folder as it is now. */
  list(): string[] {
    return readdirSync(this.dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isMounted) await execute(["umount", "-l", this.dir]);
    await this.#disk[Symbol.asyncDispose]();
  }
}
