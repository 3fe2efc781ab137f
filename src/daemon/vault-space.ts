/**
 * The free space where vaults lie: one watch per file system, so that vaults which share one do not each cry, and a vault on a disk of its
 * own is watched too.
 */
import { statSync } from "node:fs";
import { watchSpace, type Space, type SpaceLevel, type SpaceWatch } from "./space-watch.ts";

type WatchOptions = Omit<Parameters<typeof watchSpace>[0], "dir">;

const WORSE: readonly SpaceLevel[] = ["enough", "low", "critical"];

export class VaultSpaces {
  private readonly options: WatchOptions;
  private readonly watches = new Map<number, SpaceWatch>();
  private turn: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(options: WatchOptions) {
    this.options = options;
  }

  /** Watches the file systems of these folders, and no others any more. */
  follow(dirs: readonly string[]): Promise<void> {
    // One change at a time, or two would watch one file system twice.
    this.turn = this.turn.then(() => this.change(dirs));
    return this.turn;
  }

  private async change(dirs: readonly string[]): Promise<void> {
    const wanted = new Map<number, string>();
    for (const dir of dirs) {
      const device = deviceOf(dir);
      if (device !== undefined && !wanted.has(device)) wanted.set(device, dir);
    }
    for (const [device, watch] of this.watches) {
      if (wanted.has(device)) continue;
      watch.stop();
      this.watches.delete(device);
    }
    for (const [device, dir] of wanted) {
      if (this.stopped || this.watches.has(device)) continue;
      this.watches.set(device, await watchSpace({ ...this.options, dir }));
    }
  }

  /** The newest reading for a folder; undefined where it is not watched, or its file system did not tell. */
  of(dir: string): Space | undefined {
    const device = deviceOf(dir);
    return device === undefined ? undefined : this.watches.get(device)?.space();
  }

  /** How a folder's file system stands; `enough` where it is not watched. */
  levelOf(dir: string): SpaceLevel {
    const device = deviceOf(dir);
    return (device === undefined ? undefined : this.watches.get(device)?.level()) ?? "enough";
  }

  /** The worst of all. */
  level(): SpaceLevel {
    const levels = [...this.watches.values()].map((watch) => WORSE.indexOf(watch.level()));
    return WORSE[Math.max(0, ...levels)]!;
  }

  /** True when some file system does not tell its free space. */
  get isUnknown(): boolean {
    return [...this.watches.values()].some((watch) => watch.space() === undefined);
  }

  stop(): void {
    this.stopped = true;
    for (const watch of this.watches.values()) watch.stop();
  }
}

function deviceOf(dir: string): number | undefined {
  return statSync(dir, { throwIfNoEntry: false })?.dev;
}
