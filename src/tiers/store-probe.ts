/** What a store must do, tried out on an empty place before anything relies on it: an endpoint that ignores conditions would let two writers in. */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { bytesSource, type ObjectStore } from "./store.ts";

export const PROBE_FOLDER = "probe";
const PROBE = `${PROBE_FOLDER}/conditions`;

/** Leaves nothing behind. @throws invalid: says what the place does not do */
export async function probeStore(store: ObjectStore, signal?: AbortSignal): Promise<void> {
  const first = new TextEncoder().encode("0123456789");
  const second = new TextEncoder().encode("abcdefghij");
  await store.remove(PROBE, signal);
  try {
    await store.put(PROBE, bytesSource(first), { ifAbsent: true, signal });
    if (!(await isRefused(store, second, signal))) {
      throw unfit(
        store,
        "replaces an object although it was asked to create it only if absent: two writers could not be kept apart there",
      );
    }
    const [whole, part] = [
      await store.get(PROBE, { signal }),
      await store.get(PROBE, { offset: 3, length: 4, signal }),
    ];
    if (Buffer.compare(whole, first) !== 0) throw unfit(store, "gives back other bytes than were stored");
    if (Buffer.compare(part, first.subarray(3, 7)) !== 0) throw unfit(store, "does not give ranges of objects");
    await store.remove(PROBE, signal);
    // At the same time, no more than one of two may win.
    const race = await Promise.allSettled(
      [first, second].map((bytes) => store.put(PROBE, bytesSource(bytes), { ifAbsent: true, signal })),
    );
    const winners = race.filter(({ status }) => status === "fulfilled").length;
    if (winners > 1) throw unfit(store, `let ${winners} of two puts create one object at the same time`);
  } finally {
    await store.remove(PROBE, signal);
  }
}

async function isRefused(store: ObjectStore, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await store.put(PROBE, bytesSource(bytes), { ifAbsent: true, signal });
    return false;
  } catch (error) {
    if (isSternwayError(error, "conflict")) return true;
    throw error;
  }
}

const unfit = (store: ObjectStore, what: string): SternwayError =>
  new SternwayError("invalid", `${store.url} cannot be a tier: it ${what}`);
