/** A wait that can be ended early. One at a time. */
import type { Clock } from "../../base/clock.ts";

export class Pause {
  private readonly clock: Clock;
  private endNow: (() => void) | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Resolves after so many milliseconds, or when it is ended. */
  async wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.clock.timer(ms, resolve);
      this.endNow = () => {
        timer.cancel();
        resolve();
      };
    });
    this.endNow = undefined;
  }

  /** Ends the wait at hand, if there is one. */
  end(): void {
    this.endNow?.();
  }
}
