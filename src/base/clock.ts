/**
 * Time comes in through this door alone in rooms 0 to 4, so that a simulation can own it.
 */
import { micros, type Micros } from "./units.ts";

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock; may step in either direction. */
  wall(): Micros;
  /** Monotonic microseconds since an arbitrary start. */
  monotonic(): number;
  /** Calls `fire` once after at least `delayMs`. */
  timer(delayMs: number, fire: () => void): Timer;
  /** Resolves after at least `delayMs`. */
  sleep(delayMs: number): Promise<void>;
}

export const systemClock: Clock = {
  wall: () => micros(Math.round((performance.timeOrigin + performance.now()) * 1000)),
  monotonic: () => Math.round(performance.now() * 1000),
  timer(delayMs, fire) {
    const handle = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
};
