/**
 * The time of one request: it ends when nothing moves for the idle limit, when far too little moves over all, when its caller gives it up, or when the store is closed.
 * Waiting for a source of ours (a slow disk, a bandwidth limit) is not the endpoint's time and is left out.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { givenUp } from "../waiting.ts";

/** An endpoint that drips a byte now and then makes progress forever: over all it has this many idle limits, and a second more for each so many bytes. */
const TOTAL_IDLE_LIMITS = 20;
const BYTES_PER_SECOND_MIN = 8192;

export class Transfer implements Disposable {
  private readonly controller = new AbortController();
  private readonly ended = Promise.withResolvers<never>();
  private readonly clock: Clock;
  private readonly what: string;
  private readonly idleLimitMs: number;
  private readonly signals: readonly AbortSignal[];
  private readonly give: () => void;
  private timer: Timer | undefined;
  private isHeld = false;
  private movedAt: number;
  private countedAt: number;
  private spentMs = 0;
  private allowedMs: number;

  /** @param what - begins the message of its end @param signals - any of which ends it */
  constructor(clock: Clock, what: string, idleLimitMs: number, signals: readonly AbortSignal[]) {
    this.clock = clock;
    this.what = what;
    this.idleLimitMs = idleLimitMs;
    this.allowedMs = idleLimitMs * TOTAL_IDLE_LIMITS;
    this.movedAt = this.countedAt = clock.monotonic();
    // Whoever runs something learns of the end there; between two such calls nobody listens.
    this.ended.promise.catch(() => undefined);
    this.give = () => this.end(givenUp(what));
    this.signals = signals;
    for (const signal of signals) {
      if (signal.aborted) this.give();
      signal.addEventListener("abort", this.give);
    }
    this.arm();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Settles as the work does, or rejects as soon as the transfer ends, even if the work then never settles. */
  async run<Result>(work: Promise<Result>): Promise<Result> {
    return await Promise.race([work, this.ended.promise]);
  }

  moved(bytes: number): void {
    this.movedAt = this.clock.monotonic();
    this.allowedMs += (bytes * 1000) / BYTES_PER_SECOND_MIN;
  }

  /** Waits for something that is not the endpoint's. */
  async held<Result>(work: Promise<Result>): Promise<Result> {
    this.count();
    this.isHeld = true;
    this.timer?.cancel();
    try {
      return await work;
    } finally {
      this.isHeld = false;
      this.movedAt = this.countedAt = this.clock.monotonic();
      this.arm();
    }
  }

  /** Ends what is still under way; nothing is left behind. */
  [Symbol.dispose](): void {
    for (const signal of this.signals) signal.removeEventListener("abort", this.give);
    this.end(givenUp(this.what));
  }

  private arm(): void {
    if (this.signal.aborted) return;
    const idleMs = (this.clock.monotonic() - this.movedAt) / 1000;
    const leftMs = Math.min(this.idleLimitMs - idleMs, this.allowedMs - this.spentMs);
    this.timer = this.clock.timer(Math.max(1, Math.ceil(leftMs)), () => this.look());
  }

  private look(): void {
    if (this.isHeld) return;
    this.count();
    const idleMs = (this.countedAt - this.movedAt) / 1000;
    if (idleMs >= this.idleLimitMs) this.end(this.tooLong(`nothing moved for ${this.idleLimitMs / 1000} s`));
    else if (this.spentMs >= this.allowedMs) this.end(this.tooLong(`too little moved in ${this.spentMs / 1000} s`));
    else this.arm();
  }

  private count(): void {
    const now = this.clock.monotonic();
    this.spentMs += (now - this.countedAt) / 1000;
    this.countedAt = now;
  }

  private end(error: SternwayError): void {
    if (this.signal.aborted) return;
    this.timer?.cancel();
    this.controller.abort(error);
    this.ended.reject(error);
  }

  private readonly tooLong = (why: string): SternwayError =>
    new SternwayError("unavailable", `${this.what}: ${why}`, { code: "ETIMEDOUT" });
}
