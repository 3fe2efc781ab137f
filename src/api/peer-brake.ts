/**
 * Slows down whoever shows wrong credentials: each failure from one address is answered later than the one before, from 100 ms to 10 s. It is a brake on noise and
 * on load, not what keeps anybody out, which 256 random bits do; the right credentials are never made to wait, since many may share an address.
 *
 * Bounded: so many addresses, the one that failed longest ago forgotten first, and so many answers that wait; beyond, nothing is answered at all.
 */
import type { Clock } from "../base/clock.ts";

const FIRST_MS = 100;
const LAST_MS = 10_000;
const ADDRESSES_MAX = 1024;
const WAITING_MAX = 32;
/** An address that gave no cause for so long starts anew. */
const FORGET_MICROS = 600e6;

export class PeerBrake {
  private readonly clock: Clock;
  /** In the order of their last failure. */
  private readonly failures = new Map<string, { count: number; at: number }>();
  private waiting = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Notes a failure and waits, unless the client goes away. @returns false: too many wait already, so this one is to be broken off */
  async failed(address: string, gone: AbortSignal): Promise<boolean> {
    const now = this.clock.monotonic();
    const before = this.failures.get(address);
    const count = before === undefined || now - before.at > FORGET_MICROS ? 1 : before.count + 1;
    this.failures.delete(address);
    this.failures.set(address, { count, at: now });
    if (this.failures.size > ADDRESSES_MAX) {
      for (const oldest of this.failures.keys()) {
        this.failures.delete(oldest);
        break;
      }
    }
    if (this.waiting >= WAITING_MAX) return false;
    this.waiting++;
    try {
      await this.pause(Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(count - 1, 16)), gone);
    } finally {
      this.waiting--;
    }
    return true;
  }

  private async pause(delayMs: number, gone: AbortSignal): Promise<void> {
    if (gone.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    const timer = this.clock.timer(delayMs, end);
    gone.addEventListener("abort", end);
    await promise;
    timer.cancel();
    gone.removeEventListener("abort", end);
  }
}
