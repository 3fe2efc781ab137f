/** One folder of a vault with the tiers behind it: the disk that the vault is opened on, and what brings back its files. */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import type { Vault } from "../vault/vault.ts";
import type { ReadCache } from "./read-cache.ts";
import { Restoration } from "./restoration.ts";
import { TieredDisk } from "./tiered-disk.ts";
import type { TierReads } from "./tier-reads.ts";

export interface VaultDiskOptions {
  home: Disk;
  clock: Clock;
  dir: string;
  reads: TierReads;
  cache: ReadCache;
  /** Told of each file that was brought back. */
  onRestored: (file: SealedFile) => void;
  /** Not all sealed files are in the folder, and that is no damage. */
  isPartial: () => boolean;
}

export class VaultDisk {
  /** What the vault is to be opened on. */
  readonly disk: Disk;
  private readonly restoration: Restoration;

  constructor({ home, clock, dir, reads, cache, onRestored, isPartial }: VaultDiskOptions) {
    this.restoration = new Restoration({ disk: home, clock, dir, reads, cache, onRestored });
    const lookUp = (path: string): SealedFile | undefined => this.restoration.lookUp(path);
    const isDistrusted = (path: string): boolean => this.restoration.isDistrusted(path);
    this.disk = new TieredDisk({ home, dir, reads, cache, lookUp, isDistrusted, isPartial });
  }

  /** The vault is open: its manifest says what belongs to it. */
  follow(vault: Vault): void {
    this.restoration.follow(vault);
  }

  /** Brings back a sealed file that is damaged or missing in the folder. */
  readonly restoreFile = (file: SealedFile): Promise<boolean> => this.restoration.restore(file);

  /** Brings all files that are not here. @param isStopping - ends it early @returns false: it was ended */
  async bringAll(vault: Vault, isStopping: () => boolean): Promise<boolean> {
    return await this.restoration.bringAll(vault, isStopping);
  }
}
