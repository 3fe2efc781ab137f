/** The pause of whoever has nothing to do: it ends after a time, when something comes in, and for good when it is over. */
import type { Clock, Timer } from "../base/clock.ts";

/** A due time far away is looked at again now and then: clocks are set. */
const REST_MS_MAX = 60_000;

export class Rest {
  /** Tells whether something came in while nobody rested. */
  wakeCount = 0;
  private readonly clock: Clock;
  private wakers: (() => void)[] = [];
  private isOver = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  wake(): void {
    this.wakeCount++;
    for (const resolve of this.wakers.splice(0)) resolve();
  }

  /** Nobody rests any more. */
  end(): void {
    this.isOver = true;
    this.wake();
  }

  async wait(delayMs: number): Promise<void> {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.wakers.push(resolve);
      timer = this.clock.timer(Math.min(delayMs, REST_MS_MAX), resolve);
      if (this.isOver) resolve();
    });
    timer?.cancel();
  }
}
