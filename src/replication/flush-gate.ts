/**
 * Where answers to flushes wait for synchronous tiers. A tier that is away, or is being brought up, is not waited for; one that goes away while somebody
 * waits lets them go. One that says nothing at all is not waited for longer than a client would bear, though it takes minutes until so many tries of it have failed.
 */
import type { Clock } from "../base/clock.ts";
import type { Lsn } from "../base/units.ts";

/** A tier as far as flushes are concerned. */
export interface FlushTier {
  /** Flushes are answered only when this tier has them, too. */
  holdsFlushes: boolean;
  /** Everything up to here can be had from it. */
  reached: number;
  /** Asks for what is durable here to be sent. */
  send(): void;
  /** It has kept a flush waiting for too long: none waits for it until it has caught up. */
  stall(waitedMs: number): void;
}

/** Disks of virtual machines are given up after 30 s (Linux' SCSI layer) and more. */
const WAIT_MS_MAX = 10_000;

export class FlushGate {
  private readonly clock: Clock;
  private readonly tiers: () => readonly FlushTier[];
  private readonly newestLsn: () => number;
  private waiters: { lsn: Lsn; resolve: () => void }[] = [];
  private isOpen = false;

  /** @param newestLsn - the newest LSN that is durable here */
  constructor(clock: Clock, tiers: () => readonly FlushTier[], newestLsn: () => number) {
    this.clock = clock;
    this.tiers = tiers;
    this.newestLsn = newestLsn;
  }

  /** Resolves when every synchronous tier that is online has everything up to `flushed`. */
  async pass(flushed: Lsn): Promise<void> {
    // After a crash LSNs are skipped: they are nothing's, and come nowhere.
    const target = Math.min(flushed, this.newestLsn()) as Lsn;
    if (this.isReached(target)) return;
    const reached = new Promise<void>((resolve) => this.waiters.push({ lsn: target, resolve }));
    for (const tier of this.tiers()) if (tier.holdsFlushes) tier.send();
    const timer = this.clock.timer(WAIT_MS_MAX, () => this.giveUp(target));
    try {
      await reached;
    } finally {
      timer.cancel();
    }
  }

  /** Lets go those whose LSN was reached; to be called whenever a tier has more, or is waited for no more. */
  release(): void {
    const waiting = this.waiters;
    this.waiters = [];
    for (const waiter of waiting) {
      if (this.isReached(waiter.lsn)) waiter.resolve();
      else this.waiters.push(waiter);
    }
  }

  /** Nobody waits from now on. */
  open(): void {
    this.isOpen = true;
    this.release();
  }

  private giveUp(target: Lsn): void {
    for (const tier of this.tiers()) {
      if (tier.holdsFlushes && tier.reached < target) tier.stall(WAIT_MS_MAX);
    }
    this.release();
  }

  private isReached(target: Lsn): boolean {
    return this.isOpen || this.tiers().every((tier) => !tier.holdsFlushes || tier.reached >= target);
  }
}
