/** When a tier is to be brought up: one with a schedule at its times and when somebody asks, any other whenever something is new. */
import type { Clock } from "../base/clock.ts";
import { nextRun } from "../tiers/schedule.ts";
import type { TierSettings } from "./ledger.ts";

export class DueTime {
  readonly isScheduled: boolean;
  private readonly clock: Clock;
  private readonly schedule: string | undefined;
  private readonly zone: string;
  /** Wall time; undefined: when something is new. */
  private dueAt: number | undefined;
  private isAsked = false;

  /** @param zone - IANA name; whose hours a schedule means */
  constructor(clock: Clock, { mode, schedule }: TierSettings, zone: string) {
    this.clock = clock;
    this.isScheduled = mode === "scheduled";
    this.schedule = schedule;
    this.zone = zone;
  }

  /** It is due now. */
  ask(): void {
    this.isAsked = true;
  }

  /** It was brought up, or is watched from now on: the next time counts. */
  done(): void {
    this.isAsked = false;
    const { schedule, zone } = this;
    this.dueAt = this.isScheduled && schedule !== undefined ? nextRun(schedule, this.clock.wall(), zone) : undefined;
  }

  get isDue(): boolean {
    return !this.isScheduled || this.isAsked || this.untilMs === 0;
  }

  /** Milliseconds until the schedule says so; 0: now. */
  get untilMs(): number {
    return this.dueAt === undefined ? 0 : Math.max(0, (this.dueAt - this.clock.wall()) / 1000);
  }
}
