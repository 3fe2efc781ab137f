/**
 * Law 8's order, decided by how full the journal is and how far merging has fallen behind, whichever is worse: first the sealer stores without deduplicating or compressing, then writers are
 * slowed to the rate at which it seals, and only a full journal holds them up (it fills when nothing is sealed for want of merges).
 * Refusing is the vault's, when sealing can't go on at all.
 */
import type { Clock } from "../../base/clock.ts";
import type { SealEffort } from "./sealer-requests.ts";

/** Shares of the journal's files in use. */
const RAW_FROM = 0.75;
const SLOW_FROM = 0.85;
/** Where debt of merges begins to count like a journal filled so far; all of it counts like a full one. */
const DEBT_FROM = 0.7;
/** The rate that is assumed before a first stretch was sealed, and never gone below, in bytes per second. */
const RATE_MIN = 8 * 2 ** 20;
/** A single write is never held up longer than this by slowing. */
const DELAY_MS_MAX = 250;

export class Pressure {
  private readonly clock: Clock;
  private readonly journalFill: () => number;
  private readonly mergeDebt: () => number;
  /** Bytes of payload sealed per second, smoothed. */
  private rate = 0;
  /** When the next slowed write may go, monotonic microseconds. */
  private nextAt = 0;

  /** @param journalFill - share of the journal's files in use @param mergeDebt - 0, none, to 1, nothing may be sealed before a merge */
  constructor(clock: Clock, journalFill: () => number, mergeDebt: () => number) {
    this.clock = clock;
    this.journalFill = journalFill;
    this.mergeDebt = mergeDebt;
  }

  get effort(): SealEffort {
    return this.fill() >= RAW_FROM ? "raw" : "full";
  }

  get isSlowing(): boolean {
    return this.fill() >= SLOW_FROM;
  }

  private fill(): number {
    const debt = this.mergeDebt();
    return Math.max(this.journalFill(), debt === 0 ? 0 : DEBT_FROM + (1 - DEBT_FROM) * debt);
  }

  sealed(bytes: number, micros: number): void {
    const rate = (bytes / Math.max(micros, 1)) * 1e6;
    this.rate = this.rate === 0 ? rate : this.rate * 0.7 + rate * 0.3;
  }

  /** How long a write of so many bytes should wait, in milliseconds; 0 without pressure. */
  delayMs(bytes: number): number {
    if (!this.isSlowing) return 0;
    // From the sealer's whole rate down to half of it when the journal is nearly full.
    const share = 1 - 0.5 * Math.min(1, (this.fill() - SLOW_FROM) / (1 - SLOW_FROM));
    const now = this.clock.monotonic();
    const start = Math.max(now, this.nextAt);
    this.nextAt = start + (bytes / (Math.max(this.rate, RATE_MIN) * share)) * 1e6;
    return Math.min(DELAY_MS_MAX, Math.round((start - now) / 1000));
  }
}
