/**
 * Retention of volumes in memory, by the naive replay of a log: nothing is ever forgotten, only what is kept is written down. Locks count
 * by the fake's own clock.
 */
import { SternwayError } from "../../src/base/errors.ts";
import { lsn, micros, type Lsn, type Micros } from "../../src/base/units.ts";
import type { Candidate, Hold, KeptPoint, RetentionPolicy, VolumeRetention } from "../../src/volume/retention.ts";

/** What it needs to know of a volume's past. */
export interface FakeHistory {
  createdLsn: Lsn;
  createdAt: Micros;
  log: readonly { lsn: Lsn; time: Micros; kind: string; length: number }[];
}

interface Kept {
  policy?: RetentionPolicy;
  horizonLsn: Lsn;
  points: KeptPoint[];
  holds: Hold[];
  lockMicros: number;
}

/** @param find - throws not_found */
export function createFakeRetention(
  find: (name: string) => FakeHistory,
  now: () => Micros,
): VolumeRetention & { addHold(name: string, hold: Hold): void } {
  const kept = new WeakMap<FakeHistory, Kept>();
  const of = (name: string): Kept => {
    const volume = find(name);
    const found = kept.get(volume) ?? { horizonLsn: volume.createdLsn, points: [], holds: [], lockMicros: 0 };
    kept.set(volume, found);
    return found;
  };
  const within = (name: string, { from, before }: { from: Lsn; before: Lsn }) =>
    find(name).log.filter((entry) => entry.lsn >= from && entry.lsn < before);
  const newest = (name: string, time: Micros) => find(name).log.findLast((entry) => entry.time <= time);
  const lockedFrom = (name: string): Lsn => newest(name, micros(now() - of(name).lockMicros))?.lsn ?? lsn(0);

  return {
    async retention(name) {
      const { policy, horizonLsn, points, lockMicros } = of(name);
      const time = find(name).log.find((entry) => entry.lsn === horizonLsn)?.time ?? find(name).createdAt;
      return {
        ...(policy === undefined ? {} : { policy }),
        horizon: { lsn: horizonLsn, time },
        points,
        lockMicros,
        ...(lockMicros === 0 ? {} : { lockedFrom: lockedFrom(name) }),
        now: now(),
        clockAheadMicros: 0,
      };
    },
    async setRetention(name, policy) {
      if (policy === null) delete of(name).policy;
      else of(name).policy = policy;
    },
    async setLock(name, lockMicros) {
      if (lockMicros < of(name).lockMicros) throw new SternwayError("conflict", "a lock can be shortened by nobody");
      of(name).lockMicros = lockMicros;
    },
    holds: (name) => [...of(name).holds],
    addHold: (name, hold) => void of(name).holds.push(hold),
    async releaseHold(name, holdName) {
      const { holds } = of(name);
      const index = holds.findIndex((hold) => hold.name === holdName);
      if (index < 0) throw new SternwayError("not_found", `there is no hold ${holdName}`);
      holds.splice(index, 1);
    },
    async newestAt(name, time) {
      const entry = newest(name, time);
      return entry && { lsn: entry.lsn, time: entry.time };
    },
    async candidates(name, edges, lsns) {
      const entries = within(name, lsns);
      return edges.slice(1).flatMap((to, i): Candidate[] => {
        const inside = entries.filter((entry) => entry.time >= edges[i]! && entry.time < to);
        const best = inside.findLast((entry) => entry.kind === "flush") ?? inside.at(-1);
        return best ? [{ lsn: best.lsn, time: best.time, flushPoint: best.kind === "flush" }] : [];
      });
    },
    async activity(name, lsns) {
      const writes = within(name, lsns).filter((entry) => ["write", "trim", "zero"].includes(entry.kind));
      return { writes: writes.length, writtenBytes: writes.reduce((sum, entry) => sum + entry.length, 0) };
    },
    async thin(name, { horizonLsn, points }) {
      Object.assign(of(name), { horizonLsn, points: [...points] });
      return [...points];
    },
    wouldFree: async (name, { horizonLsn }) =>
      within(name, { from: of(name).horizonLsn, before: horizonLsn })
        .filter((entry) => entry.kind === "write")
        .reduce((sum, entry) => sum + entry.length, 0),
    async noteTime() {},
  };
}
