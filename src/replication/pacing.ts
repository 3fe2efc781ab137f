/**
 * Keeps an eye on how far tiers lag, several times a second: has tails sent that are due, tells who lags beyond its RPO, and slows writers while more waits for a
 * tier than may (law 8).
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Vault } from "../vault/vault.ts";
import type { LsnTimes } from "./lsn-times.ts";
import type { Link, TierLinks } from "./tier-links.ts";

export interface PacingOptions {
  clock: Clock;
  links: TierLinks;
  times: LsnTimes;
  /** It lags, or is within its RPO again. */
  onLag: (link: Link, lagSeconds: number) => void;
}

/** A MiB written takes so much longer when a backlog is at its bound: half a MiB a second passes. */
const DRAG_MS_MAX = 2_000;
const LOOK_MS = 250;

export class Pacing {
  private readonly options: PacingOptions;
  private timer: Timer | undefined;

  constructor(options: PacingOptions) {
    this.options = options;
  }

  /** Goes on until {@link stop}. */
  start(vault: Vault): void {
    this.look();
    this.pace(vault);
    this.timer = this.options.clock.timer(LOOK_MS, () => this.start(vault));
  }

  stop(): void {
    this.timer?.cancel();
  }

  private look(): void {
    const { links, times } = this.options;
    let slowest = Number.MAX_SAFE_INTEGER;
    for (const link of links.all) {
      const { copy, settings } = link;
      if (!copy) continue;
      slowest = Math.min(slowest, copy.lastReached);
      if (settings.mode === "scheduled") continue;
      const { lagSeconds } = copy;
      // Half of it may pass before, and the way there takes its time.
      if (copy.state === "online" && lagSeconds > settings.rpoSeconds / 2) copy.send();
      this.noteLag(link, lagSeconds);
    }
    times.forgetThrough(slowest);
  }

  /** Writers are slowed the more the longer, so that they come to go at the tier's pace. */
  private pace(vault: Vault): void {
    let share = 0;
    for (const { lagBytes, settings } of this.options.links.copies) {
      if (settings.backlogBytesMax !== undefined) share = Math.max(share, lagBytes / settings.backlogBytesMax);
    }
    const over = Math.min(1, Math.max(0, share * 2 - 1));
    vault.dragMsPerMiB = over * over * DRAG_MS_MAX;
  }

  private noteLag(link: Link, lagSeconds: number): void {
    const isLagging = lagSeconds > link.settings.rpoSeconds;
    if (isLagging === link.isLagging) return;
    link.isLagging = isLagging;
    this.options.onLag(link, lagSeconds);
  }
}
