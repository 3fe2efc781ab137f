/** Waiting that can be given up, and then leaves neither a timer nor a listener behind. */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";

/** What calls fail with whose signal was aborted; facts.aborted tells it from a failure of the place. */
export const givenUp = (what: string): SternwayError =>
  new SternwayError("unavailable", `${what} was given up`, { aborted: true });

/** Resolves after `delayMs`, or at once when the signal is aborted: the caller looks which it was. */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const timer = clock.timer(delayMs, end);
  signal?.addEventListener("abort", end);
  try {
    await promise;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", end);
  }
}

/** Settles as `work` does, or resolves to `otherwise` when the signal is aborted first; `work` goes on, and what it ends with is then nobody's. */
export async function unlessAborted<Result, Other>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
  otherwise: Other,
): Promise<Result | Other> {
  if (!signal) return await work;
  const { promise, resolve } = Promise.withResolvers<Other>();
  const end = (): void => resolve(otherwise);
  if (signal.aborted) end();
  signal.addEventListener("abort", end);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** A signal that is aborted when one of several is; to be disposed of, or it would be listened for as long as the longest-lived of them is there. */
export class LinkedSignal {
  readonly signal: AbortSignal;
  private readonly sources: readonly AbortSignal[];
  private readonly end: () => void;

  constructor(...sources: (AbortSignal | undefined)[]) {
    const controller = new AbortController();
    this.signal = controller.signal;
    this.sources = sources.filter((source) => source !== undefined);
    this.end = () => controller.abort();
    if (this.sources.some(({ aborted }) => aborted)) controller.abort();
    for (const source of this.sources) source.addEventListener("abort", this.end);
  }

  [Symbol.dispose](): void {
    for (const source of this.sources) source.removeEventListener("abort", this.end);
  }
}
