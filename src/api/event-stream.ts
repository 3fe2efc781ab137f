/**
 * The lines of a job as server-sent events (HTML Living Standard, 9.2). Pulled: a client that reads slowly holds nothing up and gets what is still kept when it
 * comes back. A comment now and then shows both sides that the connection lives, since without anything to send a client that went away is not noticed.
 */
import type { Clock } from "../base/clock.ts";
import type { JobLines } from "./job-lines.ts";

export const HEARTBEAT_MS = 15_000;
/** Lines that come fast are gathered for so long; people do not see the difference. */
const HOLD_MS = 50;
const BATCH_MAX = 500;

export interface JobEventsOptions {
  /** Absent: nothing is known but how it ended. */
  lines: JobLines | undefined;
  /** Go on after this event; 0 for all. */
  after: number;
  /** Data of the event `end`, asked for when it has come. */
  end: () => string;
  clock: Clock;
  /** Aborted when the client is gone. */
  signal: AbortSignal;
  /** Told once, when nobody reads any more. */
  onClose: () => void;
}

/** Ends after the event `end`. */
export function jobEventStream({
  lines,
  after,
  end,
  clock,
  signal,
  onClose,
}: JobEventsOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let last = after;
  let isOpen = true;
  const close = (): void => {
    if (isOpen) onClose();
    isOpen = false;
  };
  const gone = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

  /** The next text to send; undefined: nothing came for as long as a client may be left without a sign. */
  async function next(): Promise<string | undefined> {
    const found = lines?.after(last, BATCH_MAX) ?? [];
    if (found.length > 0) {
      last = found.at(-1)?.id ?? last;
      return found.map(({ id, name, data }) => `id: ${id}\nevent: ${name}\ndata: ${data}\n\n`).join("");
    }
    if (!lines || lines.endId !== undefined) {
      close();
      return `id: ${lines?.endId ?? last + 1}\nevent: end\ndata: ${end()}\n\n`;
    }
    const isChanged = await within(lines.changed(), HEARTBEAT_MS);
    if (isChanged && lines.endId === undefined) await within(gone, HOLD_MS);
    return isChanged ? await next() : undefined;
  }

  /** Whether a promise comes in time, or the client goes. */
  async function within(promise: Promise<void>, delayMs: number): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const timer = clock.timer(delayMs, () => late.resolve(false));
    try {
      return await Promise.race([promise.then(() => true), gone.then(() => false), late.promise]);
    } finally {
      timer.cancel();
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const text = await next();
        controller.enqueue(encoder.encode(text ?? ": the job goes on\n\n"));
        if (!isOpen || signal.aborted) {
          close();
          controller.close();
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
