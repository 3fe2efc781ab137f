/**
 * Retention of one vault's volumes: policies, locks, holds, and the horizon. What may go is decided above (`retention/`); what must not is
 * guarded here, in the same turn of the event loop as the mark that would let go of it, so that no bookmark, branch, reader or lock can
 * come between.
 *
 * A mark `thinned` says what is kept from then on. Reading is refused for everything else at once; the vault drops what the durable mark
 * does not need when it merges and collects.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { formatTime, lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import { needsOf } from "../vault/needs.ts";
import { Registry, type KeptPoint, type RetentionPolicy, type VolumeRecord } from "../vault/registry.ts";
import type { Vault } from "../vault/vault.ts";
import { findCandidates, spansWithin } from "./candidates.ts";
import { horizonOf, isKept, keptPoints, requireKept } from "./kept-moments.ts";
import { POINTS_MAX, RETENTION_MICROS_MAX, type Candidate, type Hold, type RetentionState } from "./retention.ts";
import { spansOf } from "./timeline.ts";
import { VaultTime } from "./vault-time.ts";

/** Holds of one volume: each keeps a whole state readable, so hundreds are a mistake. */
const HOLDS_MAX = 256;
/** Points of one mark: what a policy keeps, and as many again that a lock keeps of an earlier one. 200 KB at the most. */
const LISTED_MAX = 2 * POINTS_MAX;
/** One of each is kept per so long. */
const RHYTHM_MICROS = [
  ["hourly", 3600e6],
  ["daily", 86_400e6],
  ["weekly", 604_800e6],
  // The shortest month: at most so many are kept.
  ["monthly", 28 * 86_400e6],
] as const;

export class RetentionDesk {
  readonly time: VaultTime;
  private readonly vault: Vault;
  private readonly clock: Clock;
  /** At which moments devices are open, and how many, by volume. */
  private readonly readers = new Map<number, Map<number, { time: Micros; count: number }>>();

  constructor(vault: Vault, clock: Clock) {
    this.vault = vault;
    this.clock = clock;
    this.time = new VaultTime(vault, clock);
  }

  async state(record: VolumeRecord): Promise<RetentionState> {
    const horizon = lsn(horizonOf(record));
    const time = await this.vault.history.timeAt(horizon, this.clock.wall());
    const lockMicros = record.lockMicros ?? 0;
    return {
      ...(record.policy === undefined ? {} : { policy: { ...record.policy } }),
      horizon: { lsn: horizon, time: micros(Math.max(time ?? record.createdAt, record.createdAt)) },
      points: (record.kept?.points ?? []).map((point) => ({ ...point })),
      lockMicros,
      ...(lockMicros === 0 ? {} : { lockedFrom: lsn(this.lockFloor(record)) }),
      now: this.time.now,
      clockAheadMicros: this.time.aheadMicros,
    };
  }

  async setPolicy(find: () => VolumeRecord, policy: RetentionPolicy | null): Promise<void> {
    if (policy) checkPolicy(policy);
    await this.vault.mark(() => ({ kind: "retention-set", volume: find().id, policy, time: this.clock.wall() }));
  }

  async setLock(find: () => VolumeRecord, lockMicros: number): Promise<void> {
    if (!Number.isSafeInteger(lockMicros) || lockMicros <= 0 || lockMicros > RETENTION_MICROS_MAX) {
      throw new SternwayError("invalid", "a lock lasts for more than nothing and at most 100 years");
    }
    // A note first: what is there by now begins to count as old from here on, not from the next note.
    await this.time.note();
    await this.vault.mark(() => {
      const record = find();
      if (lockMicros < (record.lockMicros ?? 0)) {
        throw new SternwayError(
          "conflict",
          `volume ${record.name} is locked for ${days(record.lockMicros ?? 0)}: a lock can be lengthened, and shortened by nobody`,
          { volume: record.name, lockMicros: record.lockMicros ?? 0 },
        );
      }
      return { kind: "lock-set", volume: record.id, lockMicros, time: this.clock.wall() };
    });
  }

  holds(record: VolumeRecord): Hold[] {
    return (record.holds ?? []).map((hold) => ({ ...hold }));
  }

  async hold(find: () => VolumeRecord, name: string, at: { lsn: Lsn; time: Micros }, note: string): Promise<Hold> {
    await this.vault.mark(() => {
      const record = find();
      const held = record.holds ?? [];
      if (held.some((hold) => hold.name === name)) {
        throw new SternwayError("conflict", `volume ${record.name} has a hold ${name} already: choose another name`);
      }
      if (held.length >= HOLDS_MAX) {
        throw new SternwayError("conflict", `volume ${record.name} has ${HOLDS_MAX} holds, the most there may be`);
      }
      requireKept(record, at.lsn, `lsn ${at.lsn}`);
      return { kind: "held", volume: record.id, name, lsn: at.lsn, at: at.time, time: this.clock.wall(), note };
    });
    return this.holds(find()).find((hold) => hold.name === name)!;
  }

  async releaseHold(find: () => VolumeRecord, name: string): Promise<void> {
    await this.vault.mark(() => {
      const record = find();
      const hold = record.holds?.find((each) => each.name === name);
      if (!hold) {
        const known = (record.holds ?? []).map((each) => each.name).join(", ");
        throw new SternwayError(
          "not_found",
          `volume ${record.name} has no hold ${name}: ${known === "" ? "it has none" : `it has ${known}`}`,
          { volume: record.name },
        );
      }
      this.checkUnlocked(record, hold.lsn, `hold ${name} cannot be released`);
      return { kind: "hold-released", volume: record.id, name, time: this.clock.wall() };
    });
  }

  async newestAt(time: Micros): Promise<{ lsn: Lsn; time: Micros } | undefined> {
    const at = await this.vault.history.lsnAt(time);
    if (at === undefined) return undefined;
    return { lsn: lsn(at), time: micros((await this.vault.history.timeAt(at, this.clock.wall())) ?? time) };
  }

  async candidates(record: VolumeRecord, edges: readonly Micros[], from: Lsn, before: Lsn): Promise<Candidate[]> {
    return await findCandidates(
      this.vault.history,
      spansWithin(spansOf(record), from, before),
      edges,
      this.clock.wall(),
    );
  }

  async activity(record: VolumeRecord, from: Lsn, before: Lsn): Promise<{ writes: number; writtenBytes: number }> {
    const spans = spansWithin(spansOf(record), from, before);
    if (spans.length === 0) return { writes: 0, writtenBytes: 0 };
    const [tally] = await this.vault.history.tally(spans, [0, Number.MAX_SAFE_INTEGER], this.clock.wall());
    return { writes: tally?.writes ?? 0, writtenBytes: tally?.writtenBytes ?? 0 };
  }

  async thin(find: () => VolumeRecord, horizonLsn: Lsn, points: readonly KeptPoint[]): Promise<KeptPoint[]> {
    await this.vault.mark(() => {
      const record = find();
      this.checkThinning(record, horizonLsn, points);
      return {
        kind: "thinned",
        volume: record.id,
        horizonLsn,
        points: this.withReaders(record, horizonLsn, points),
        time: this.clock.wall(),
      };
    });
    return (find().kept?.points ?? []).map((point) => ({ ...point }));
  }

  /** What nobody would need any more, beside what nobody needs already. @returns undefined: it cannot be counted now */
  async wouldFree(record: VolumeRecord, horizonLsn: Lsn, points: readonly KeptPoint[]): Promise<number | undefined> {
    const state = this.vault.registry.toState();
    state.volumes[record.id - 1]!.kept = { horizonLsn, points: [...points] };
    try {
      const { wouldBeFreedBytes } = await this.vault.space(needsOf(new Registry(state), this.vault.lastLsn));
      return wouldBeFreedBytes;
    } catch (error) {
      // A vault that is read-only, or counts for somebody else: the plan is good without the figure.
      if (isSternwayError(error, "unavailable") || isSternwayError(error, "conflict")) return undefined;
      throw error;
    }
  }

  /** Notes that a device is open at a moment, which stays readable until `close`. @returns close, to be called once */
  reading(record: VolumeRecord, { lsn: at, time }: { lsn: Lsn; time: Micros }): () => void {
    requireKept(record, at, `lsn ${at}`);
    const moments = this.readers.get(record.id) ?? new Map<number, { time: Micros; count: number }>();
    this.readers.set(record.id, moments);
    const open = moments.get(at) ?? { time, count: 0 };
    moments.set(at, open);
    open.count++;
    return () => {
      open.count--;
      assert(open.count >= 0, "no more devices are closed than were opened");
      if (open.count === 0) moments.delete(at);
    };
  }

  /** @throws conflict: the volume holds anything that is younger than its lock, or that is held */
  checkDeletable(record: VolumeRecord, lastLsn: Lsn): void {
    this.checkUnlocked(record, lastLsn, "it cannot be deleted");
    const held = (record.holds ?? []).map((hold) => hold.name).join(", ");
    if (held === "") return;
    throw new SternwayError("conflict", `volume ${record.name} cannot be deleted: release its holds first (${held})`, {
      volume: record.name,
    });
  }

  /** @throws conflict: the moment is younger than the lock */
  checkUnlocked(record: VolumeRecord, at: Lsn, what: string): void {
    const lockMicros = record.lockMicros ?? 0;
    if (lockMicros === 0 || at <= this.lockFloor(record)) return;
    const left = this.time.untilOfAge(at, lockMicros);
    const until = formatTime(micros(Math.floor(this.clock.wall() + left)));
    throw new SternwayError(
      "conflict",
      `volume ${record.name}: ${what} while it is locked: nothing younger than ${days(lockMicros)} may go, by anybody. ` +
        `This is locked for ${days(left)} more of running time: until ${until}, if the appliance is not switched off`,
      { volume: record.name, lockMicros, lockedUntil: until },
    );
  }

  /** The newest LSN that may become the horizon by the lock. */
  private lockFloor(record: VolumeRecord): number {
    return this.time.newestOfAge(record.lockMicros ?? 0);
  }

  /** The laws of thinning. The planner keeps them too: this is for all who may call. */
  private checkThinning(record: VolumeRecord, horizonLsn: Lsn, points: readonly KeptPoint[]): void {
    const refuse = (message: string): never => {
      throw new SternwayError("conflict", `volume ${record.name} is not thinned: ${message}`, { volume: record.name });
    };
    const horizon = horizonOf(record);
    const known = new Set(keptPoints(record).map((point) => point.lsn));
    if (!Number.isSafeInteger(horizonLsn) || horizonLsn < horizon) refuse(`its horizon ${horizon} does not move back`);
    if (horizonLsn > this.vault.lastLsn) refuse(`LSN ${horizonLsn} is not written yet`);
    if (points.length > LISTED_MAX) refuse(`${points.length} points are more than ${LISTED_MAX}`);
    for (const [i, point] of points.entries()) {
      if (i > 0 && point.lsn <= points[i - 1]!.lsn) refuse("its points are out of order");
      if (point.lsn >= horizonLsn) refuse(`point ${point.lsn} lies behind the horizon ${horizonLsn}`);
      if (point.lsn < horizon && !known.has(point.lsn)) refuse(`point ${point.lsn} is not there any more`);
    }
    if ((record.lockMicros ?? 0) === 0) return;
    const floor = this.lockFloor(record);
    if (horizonLsn > Math.max(floor, horizon)) {
      refuse(`LSN ${floor} is the newest that its lock of ${days(record.lockMicros ?? 0)} lets go of`);
    }
    const wanted = new Set(points.map((point) => point.lsn));
    for (const { lsn: at } of record.kept?.points ?? []) {
      if (at > floor && !wanted.has(at)) refuse(`its lock keeps the point ${at}`);
    }
  }

  /** Adds the moments that somebody reads and that would go. */
  private withReaders(record: VolumeRecord, horizonLsn: Lsn, points: readonly KeptPoint[]): KeptPoint[] {
    const kept = new Map(points.map((point) => [point.lsn, point]));
    for (const [at, { time }] of this.readers.get(record.id) ?? []) {
      // A device may still be open at a moment whose bookmark was removed: what was let go of does not come back.
      if (!isKept(record, at)) continue;
      if (at < horizonLsn && !kept.has(at)) kept.set(at, { lsn: at, time, why: "open" });
    }
    return [...kept.values()].sort((a, b) => a.lsn - b.lsn);
  }
}

/** @throws invalid */
function checkPolicy(policy: RetentionPolicy): void {
  const parts = [
    ["all", policy.allMicros] as const,
    ...RHYTHM_MICROS.map(([name]) => [name, policy[`${name}Micros`]] as const),
  ];
  for (const [name, length] of parts) {
    if (Number.isSafeInteger(length) && length >= 0 && length <= RETENTION_MICROS_MAX) continue;
    throw new SternwayError("invalid", `"${name}" of a retention policy must be from nothing to 100 years`);
  }
  let points = 0;
  for (const [name, every] of RHYTHM_MICROS) {
    const length = policy[`${name}Micros`];
    if (length === 0) continue;
    if (length <= policy.allMicros) {
      throw new SternwayError(
        "invalid",
        `${name} points for ${days(length)} add nothing: every write is kept for ${days(policy.allMicros)} already`,
      );
    }
    points += Math.ceil(length / every) + 1;
  }
  if (points <= POINTS_MAX) return;
  throw new SternwayError(
    "invalid",
    `this policy would keep ${points} points, and a volume keeps at most ${POINTS_MAX}: shorten the finer parts`,
    { points, pointsMax: POINTS_MAX },
  );
}

/** A length of time in words: `30 days`, `2 days 3 hours`, `5 seconds`. */
export function days(length: number): string {
  let rest = Math.ceil(length / 1e6);
  const words: string[] = [];
  for (const [size, word] of [
    [86_400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ] as const) {
    const amount = Math.floor(rest / size);
    rest %= size;
    if (amount > 0) words.push(`${amount} ${word}${amount === 1 ? "" : "s"}`);
  }
  return words.length === 0 ? "no time" : words.slice(0, 2).join(" ");
}
