/**
 * Long work over layers is done in slices, so that what must not wait (sealing) gets its turn between them. It tells how far it came by
 * calling a {@link Breathe}, and waits when that gives it something to wait for.
 */
import type { RunSink } from "./layer-merge.ts";

/** Called with how many entries were passed since the last call. @returns what to wait for before going on; undefined: go on */
export type Breathe = (entries: number) => Promise<void> | undefined;

/** Waits if it is time to. */
export async function breatheAfter(breathe: Breathe | undefined, entries: number): Promise<void> {
  const pause = breathe?.(entries);
  if (pause) await pause;
}

/** A sink that breathes after what it passed on. */
export function breathing(sink: RunSink, breathe: Breathe | undefined): RunSink {
  if (!breathe) return sink;
  return {
    appendRun(run, from, to) {
      const taken = sink.appendRun(run, from, to);
      if (taken) return taken.then(() => breatheAfter(breathe, to - from));
      return breathe(to - from);
    },
  };
}
