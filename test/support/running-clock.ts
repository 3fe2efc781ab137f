/**
 * Time as this process lives it: a turn of its event loop counts for 10 ms at the most, however long the machine let it wait. Where a test shares its process with
 * what it tests, and a limit of milliseconds must tell a hang from an answer, a machine that stalls for a second would else look like the hang.
 */
import { systemClock, type Clock, type Timer } from "../../src/base/clock.ts";
import type { Micros } from "../../src/base/units.ts";

const TICK_MS = 5;
const TURN_MS_MAX = 10;

/** Goes on only while one of its timers waits; without any, each look at it counts as a turn. */
export class RunningClock implements Clock {
  /** Its pace against real time. Below 1 it is patient, where what works depends on other processes that may be slow. */
  pace = 1;
  #nowMicros = 0;
  #lookedAtMs = performance.now();
  #ticker: ReturnType<typeof setInterval> | undefined;
  readonly #timers = new Set<{ dueMicros: number; fire: () => void }>();

  wall(): Micros {
    return systemClock.wall();
  }

  monotonic(): number {
    const now = performance.now();
    this.#nowMicros += Math.min(now - this.#lookedAtMs, TURN_MS_MAX) * 1000 * this.pace;
    this.#lookedAtMs = now;
    return Math.round(this.#nowMicros);
  }

  timer(delayMs: number, fire: () => void): Timer {
    const timer = { dueMicros: this.monotonic() + delayMs * 1000, fire };
    this.#timers.add(timer);
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
    return { cancel: () => this.#remove(timer) };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer(delayMs, resolve);
    });
  }

  #tick(): void {
    const now = this.monotonic();
    for (const timer of [...this.#timers]) {
      // One that fired before it in this turn may have cancelled it.
      if (timer.dueMicros > now || !this.#timers.has(timer)) continue;
      this.#remove(timer);
      timer.fire();
    }
  }

  #remove(timer: { dueMicros: number; fire: () => void }): void {
    this.#timers.delete(timer);
    if (this.#timers.size > 0) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }
}
