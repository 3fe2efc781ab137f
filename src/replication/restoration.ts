/**
 * Sealed files that are missing or damaged on this machine, brought back from tiers: one when somebody meets it, or all of them after the vault was taken over.
 * A file that this machine's disk does not take is read from the tiers from then on.
 */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { isSternwayError } from "../base/errors.ts";
import { sealedFiles, type SealedFile } from "../vault/sealed-files.ts";
import type { Vault } from "../vault/vault.ts";
import { objectName } from "./objects.ts";
import type { ReadCache } from "./read-cache.ts";
import type { TierReads } from "./tier-reads.ts";

export interface RestorationOptions {
  disk: Disk;
  clock: Clock;
  /** The vault's folder. */
  dir: string;
  reads: TierReads;
  cache: ReadCache;
  /** Told of each file that was brought back. */
  onRestored: (file: SealedFile) => void;
}

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;

export class Restoration {
  private readonly options: RestorationOptions;
  private readonly distrusted = new Set<string>();
  private readonly coming = new Map<string, Promise<boolean>>();
  private vault: Vault | undefined;
  /** Of the manifests up to this number, by path: a reader of an older version may still ask for what the newest does not name. */
  private readonly files = { number: 0, byPath: new Map<string, SealedFile>() };

  constructor(options: RestorationOptions) {
    this.options = options;
  }

  /** The vault is open: its manifest says what belongs to it. */
  follow(vault: Vault): void {
    this.vault = vault;
  }

  /** What the manifest says of a path beneath the vault's folder. */
  lookUp(path: string): SealedFile | undefined {
    const manifest = this.vault?.sealing.manifest;
    if (!manifest) return undefined;
    const { files } = this;
    if (files.number !== manifest.number) {
      files.number = manifest.number;
      for (const file of sealedFiles(manifest)) files.byPath.set(file.path, file);
    }
    return files.byPath.get(path);
  }

  /** The file on this machine is damaged and could not be replaced. */
  isDistrusted(path: string): boolean {
    return this.distrusted.has(path);
  }

  /** Brings a file back, once for all who wait for it. @returns false: no tier has a sound copy that could be had now */
  restore(file: SealedFile): Promise<boolean> {
    const known = this.coming.get(file.path);
    if (known) return known;
    const coming = this.bring(file).finally(() => this.coming.delete(file.path));
    this.coming.set(file.path, coming);
    return coming;
  }

  /** Brings all files that are not here. @param isStopping - ends it early @returns false: it was ended */
  async bringAll(vault: Vault, isStopping: () => boolean): Promise<boolean> {
    const { disk, dir, clock, cache } = this.options;
    let pauseMs = PAUSE_MS_MIN;
    for (;;) {
      let missing = 0;
      for (const file of sealedFiles(vault.sealing.manifest)) {
        if (isStopping()) return false;
        if ((await disk.sizeOf(`${dir}/${file.path}`)) === file.sizeBytes) continue;
        if (await this.restore(file)) {
          // What is open reads from the tier still, and would fail when that goes away.
          await vault.restorer.renew(file);
          await cache.forget(objectName(file));
        } else missing++;
      }
      if (missing === 0) return true;
      if (isStopping()) return false;
      await clock.sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
    }
  }

  private async bring(file: SealedFile): Promise<boolean> {
    const { disk, dir, reads, onRestored } = this.options;
    try {
      if (!(await reads.copyTo(disk, `${dir}/${file.path}`, file))) return false;
      this.distrusted.delete(file.path);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      // This machine's disk does not take it. It can be read from there all the same.
      this.distrusted.add(file.path);
    }
    onRestored(file);
    return true;
  }
}
