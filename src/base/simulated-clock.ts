/**
 * A clock that a simulation owns: time passes only as its scheduler takes steps. The wall clock can be stepped in either direction,
 * as an administrator or a time server would; the monotonic clock and the timers do not notice.
 */
import type { Clock, Timer } from "./clock.ts";
import { micros, type Micros } from "./units.ts";

/** What a simulated clock needs of its scheduler. */
export interface Scheduler {
  readonly nowMicros: number;
  schedule(delayMicros: number, fire: () => void): Timer;
}

/** 2026-01-01T00:00:00Z: any fixed start will do; this one makes times in logs look like times. */
const STARTS_AT = micros(1_767_225_600_000_000);

export class SimulatedClock implements Clock {
  readonly #scheduler: Scheduler;
  #wallOffset: number;

  /** @param startsAt - wall time now; default 2026-01-01T00:00:00Z */
  constructor(scheduler: Scheduler, startsAt: Micros = STARTS_AT) {
    this.#scheduler = scheduler;
    this.#wallOffset = startsAt - scheduler.nowMicros;
  }

  wall(): Micros {
    return micros(this.#wallOffset + this.#scheduler.nowMicros);
  }

  monotonic(): number {
    return this.#scheduler.nowMicros;
  }

  timer(delayMs: number, fire: () => void): Timer {
    return this.#scheduler.schedule(Math.max(0, Math.round(delayMs * 1000)), fire);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer(delayMs, resolve);
    });
  }

  /** Steps the wall clock by `byMicros`; negative goes back. */
  stepWall(byMicros: number): void {
    this.#wallOffset += byMicros;
  }
}
