/** A clock that knows how many of its timers have neither fired nor been cancelled: what stops must leave none. */
import type { Clock, Timer } from "../../src/base/clock.ts";
import type { Micros } from "../../src/base/units.ts";

export class CountingClock implements Clock {
  readonly #clock: Clock;
  #timerCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that still wait. */
  get timerCount(): number {
    return this.#timerCount;
  }

  wall(): Micros {
    return this.#clock.wall();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  timer(delayMs: number, fire: () => void): Timer {
    let isWaiting = true;
    const end = (): void => {
      if (isWaiting) this.#timerCount--;
      isWaiting = false;
    };
    this.#timerCount++;
    const timer = this.#clock.timer(delayMs, () => {
      end();
      fire();
    });
    return {
      cancel: () => {
        end();
        timer.cancel();
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer(delayMs, resolve);
    });
  }
}
