/** So many at a time: whoever comes later waits in order, and not without bound. */
import { SternwayError } from "../../base/errors.ts";
import { givenUp } from "../waiting.ts";

interface Waiter {
  go: () => void;
  fail: (error: SternwayError) => void;
}

export class Lane {
  private running = 0;
  private readonly slots: number;
  private readonly waitingMax: number;
  private readonly waiters = new Set<Waiter>();

  /** @param waitingMax - more are refused with `unavailable` */
  constructor(slots: number, waitingMax: number) {
    this.slots = slots;
    this.waitingMax = waitingMax;
  }

  async run<Result>(what: string, signal: AbortSignal | undefined, work: () => Promise<Result>): Promise<Result> {
    if (this.running < this.slots) this.running++;
    else await this.turn(what, signal);
    try {
      return await work();
    } finally {
      this.pass();
    }
  }

  /** What waits fails. */
  clear(error: SternwayError): void {
    for (const waiter of this.waiters) waiter.fail(error);
  }

  /** Resolves with a slot that another gave back. */
  private async turn(what: string, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw givenUp(what);
    if (this.waiters.size >= this.waitingMax) {
      throw new SternwayError("unavailable", `${what}: ${this.waitingMax} others wait already`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { go: resolve, fail: reject };
    const onAbort = (): void => reject(givenUp(what));
    signal?.addEventListener("abort", onAbort);
    this.waiters.add(waiter);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.waiters.delete(waiter);
    }
  }

  private pass(): void {
    const [next] = this.waiters;
    if (!next) {
      this.running--;
      return;
    }
    this.waiters.delete(next);
    next.go();
  }
}
