/**
 * Streams of JSON lines. Pulled: a client that reads slowly slows the source; one that goes away stops it. The first
 * item is awaited before the answer starts, so that a request that cannot begin gets its proper status; what fails later
 * becomes a last line `failed`, since the status is gone by then.
 */
import type { Log } from "../observe/log.ts";
import { problemFrom } from "./problems.ts";

/** Lines are gathered to about this much, so that a million short ones do not cost a million chunks … */
const CHUNK_LENGTH = 32_768;
/** … but never held back for longer than this: progress is for people who wait. */
const HOLD_MS = 50;

/** @throws what the source throws before its first item */
export async function lineStream(source: AsyncGenerator<object>, log: Log): Promise<ReadableStream<Uint8Array>> {
  let pending: Promise<IteratorResult<object>> | undefined = Promise.resolve(await source.next());
  const encoder = new TextEncoder();

  /** The next chunk of text, and whether it is the last. */
  async function gather(): Promise<{ text: string; last: boolean }> {
    let text = "";
    const deadline = performance.now() + HOLD_MS;
    while (text.length < CHUNK_LENGTH) {
      pending ??= source.next();
      const result = text === "" ? await pending : await within(pending, deadline - performance.now());
      if (result === undefined) break;
      pending = undefined;
      if (result.done) return { text, last: true };
      text += `${JSON.stringify(result.value)}\n`;
    }
    return { text, last: false };
  }

  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { text, last } = await gather();
        if (text !== "") controller.enqueue(encoder.encode(text));
        if (last) controller.close();
      } catch (error) {
        log.error({ err: error }, "a stream of lines failed");
        controller.enqueue(encoder.encode(`${JSON.stringify({ line: "failed", problem: problemFrom(error) })}\n`));
        controller.close();
      }
    },
    async cancel() {
      // The generator's finally blocks release what it holds; what it throws while stopping has nobody to go to.
      pending?.catch((error: unknown) => log.debug({ err: error }, "a stream of lines failed while it was stopped"));
      await source.return(undefined).catch((error: unknown) => {
        log.warn({ err: error }, "a stream of lines could not be stopped cleanly");
      });
    },
  });
}

/** The promise's value, or undefined when it takes longer. */
async function within<Value>(promise: Promise<Value>, delayMs: number): Promise<Value | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, delayMs));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
