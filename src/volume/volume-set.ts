/**
 * The volumes of one vault: names, their lives and their histories.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { WritableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn, micros, type Lsn, type Micros, type StrandId } from "../base/units.ts";
import { sizeAt, strandAt, type VolumeRecord } from "../vault/registry.ts";
import type { Vault } from "../vault/vault.ts";
import { diffRanges } from "./diff.ts";
import { requireKept } from "./kept-moments.ts";
import { LiveVolume } from "./live-volume.ts";
import { OpenPastDevice } from "./past-device.ts";
import { lsnOfMoment, noBookmark } from "./resolve-moment.ts";
import type { Candidate, Hold, KeptPoint, RetentionPolicy, RetentionState } from "./retention.ts";
import { flushPointsBefore, flushPointsOf, lastOf, marksOf, timelineOf } from "./timeline.ts";
import { checkName, checkNote, checkSize } from "./volume-checks.ts";
import { RetentionDesk } from "./volume-retention.ts";
import type {
  Bookmark,
  DiffRange,
  Moment,
  PastDevice,
  ResolvedMoment,
  RollbackResult,
  Timeline,
  VolumeInfo,
  Volumes,
} from "./volumes.ts";

const BUCKETS_MAX = 10_000;
const FLUSH_POINTS_MAX = 10_000;

/** @param vaultName - as the appliance calls it */
export async function openVolumes(vault: Vault, clock: Clock, vaultName: string): Promise<Volumes> {
  const set = new VolumeSet(vault, clock, vaultName);
  for (const record of vault.registry.volumes()) set.add(record, await lastOf(vault.history, record));
  return set;
}

class VolumeSet implements Volumes {
  private readonly vault: Vault;
  private readonly clock: Clock;
  private readonly vaultName: string;
  private readonly desk: RetentionDesk;
  private readonly live = new Map<number, LiveVolume>();

  constructor(vault: Vault, clock: Clock, vaultName: string) {
    this.vault = vault;
    this.clock = clock;
    this.vaultName = vaultName;
    this.desk = new RetentionDesk(vault, clock);
  }

  add(record: VolumeRecord, last: { lsn: number; flushLsn: number; time: number }): void {
    const volume = new LiveVolume(this.vault, this.clock, {
      name: record.name,
      id: record.id,
      strand: record.strands.at(-1)!.strand,
      sizeBytes: record.sizes.at(-1)!.sizeBytes,
      lastLsn: lsn(Math.max(last.lsn, record.strands.at(-1)!.fromLsn)),
      lastFlushLsn: lsn(Math.max(last.flushLsn, record.strands.at(-1)!.fromLsn)),
      lastWriteAt: last.time,
    });
    this.live.set(record.id, volume);
  }

  list(): VolumeInfo[] {
    return this.vault.registry.volumes().map((record) => this.info(record));
  }

  get(name: string): VolumeInfo {
    return this.info(this.record(name));
  }

  async create(name: string, sizeBytes: number): Promise<VolumeInfo> {
    checkName(name);
    checkSize(sizeBytes);
    await this.vault.mark(
      () => {
        this.checkFree(name);
        const { nextVolume: volume, nextStrand: strand } = this.vault.registry;
        return { kind: "volume-created", volume, name, sizeBytes, strand, time: this.now() };
      },
      (at) => this.add(this.record(name), { lsn: at, flushLsn: at, time: this.now() }),
    );
    return this.get(name);
  }

  async resize(name: string, sizeBytes: number, options: { force?: boolean } = {}): Promise<VolumeInfo> {
    checkSize(sizeBytes);
    const volume = this.liveOf(name);
    if (sizeBytes < volume.sizeBytes) this.checkDetached(volume, options, "shrink");
    try {
      if (sizeBytes < volume.sizeBytes) await this.clearPast(volume, sizeBytes);
      await this.vault.mark(
        () => {
          this.record(name);
          return { kind: "volume-resized", volume: volume.id, sizeBytes, time: this.now() };
        },
        () => {
          volume.sizeBytes = sizeBytes;
        },
      );
    } catch (error) {
      volume.sizeBytes = this.vault.registry.byId(volume.id)!.sizes.at(-1)!.sizeBytes;
      throw error;
    }
    return this.get(name);
  }

  /** What lies past the new end must read as zeroes should the volume grow again; older moments keep it. */
  private async clearPast(volume: LiveVolume, sizeBytes: number): Promise<void> {
    const before = volume.sizeBytes;
    // First, so that a client that stayed attached cannot write there any more.
    volume.sizeBytes = sizeBytes;
    await volume.clear(sizeBytes, before - sizeBytes, true, true);
  }

  async delete(name: string, options: { force?: boolean } = {}): Promise<void> {
    const volume = this.liveOf(name);
    await this.vault.mark(
      () => {
        this.desk.checkDeletable(this.record(name), volume.lastLsn);
        this.checkDetached(volume, options, "delete");
        return { kind: "volume-deleted", volume: volume.id, time: this.now() };
      },
      () => {
        volume.isDeleted = true;
        this.live.delete(volume.id);
      },
    );
  }

  openLive(name: string): Promise<WritableDevice> {
    const volume = this.liveOf(name);
    this.vault.assertWritable();
    return Promise.resolve(volume.attach());
  }

  async openAt(name: string, moment: Moment): Promise<PastDevice> {
    const record = this.record(name);
    const resolved = await this.resolve(name, moment);
    const strand = strandAt(record, resolved.lsn)!;
    const closed = this.desk.reading(record, resolved);
    return new OpenPastDevice(this.vault, strand, sizeAt(record, resolved.lsn), resolved, closed);
  }

  async resolve(name: string, moment: Moment): Promise<ResolvedMoment> {
    const record = this.record(name);
    const at = await lsnOfMoment(this.vault, record, moment, this.now());
    const strand = strandAt(record, at)!;
    const time = await this.vault.history.timeAt(at, this.now());
    return {
      lsn: at,
      time: micros(Math.max(time ?? record.createdAt, record.createdAt)),
      flushPoint: await this.vault.history.isFlushPoint(strand, at),
    };
  }

  async rollback(name: string, to: Moment, options: { force?: boolean } = {}): Promise<RollbackResult> {
    const volume = this.liveOf(name);
    this.checkDetached(volume, options, "roll back");
    const resolved = await this.resolve(name, to);
    const at = await this.vault.mark(
      () => {
        const record = this.record(name);
        this.checkDetached(volume, options, "roll back");
        requireKept(record, resolved.lsn, `lsn ${resolved.lsn}`);
        return {
          kind: "rolled-back",
          volume: volume.id,
          strand: this.vault.registry.nextStrand,
          parent: { strand: strandAt(record, resolved.lsn)!, lsn: resolved.lsn },
          sizeBytes: sizeAt(record, resolved.lsn),
          time: this.now(),
        };
      },
      // A client that stayed attached writes to the new strand from its next request on.
      (lsnOfRollback) => this.follow(volume, lsnOfRollback),
    );
    return { lsn: at, to: resolved };
  }

  async branch(name: string, at: Moment, newName: string): Promise<VolumeInfo> {
    checkName(newName);
    const resolved = await this.resolve(name, at);
    await this.vault.mark(
      () => {
        const record = this.record(name);
        this.checkFree(newName);
        requireKept(record, resolved.lsn, `lsn ${resolved.lsn}`);
        return {
          kind: "branched",
          volume: this.vault.registry.nextVolume,
          name: newName,
          sizeBytes: sizeAt(record, resolved.lsn),
          strand: this.vault.registry.nextStrand,
          time: this.now(),
          origin: { volume: record.id, strand: strandAt(record, resolved.lsn)!, lsn: resolved.lsn },
        };
      },
      (created) => this.add(this.record(newName), { lsn: created, flushLsn: created, time: this.now() }),
    );
    return this.get(newName);
  }

  async *diff(name: string, from: Moment, to: Moment): AsyncGenerator<DiffRange, void, undefined> {
    const record = this.record(name);
    const sides: { strand: StrandId; lsn: Lsn }[] = [];
    using reading = new DisposableStack();
    for (const moment of [from, to]) {
      const resolved = await this.resolve(name, moment);
      reading.defer(this.desk.reading(record, resolved));
      sides.push({ strand: strandAt(record, resolved.lsn)!, lsn: resolved.lsn });
    }
    const [a, b] = sides as [{ strand: StrandId; lsn: Lsn }, { strand: StrandId; lsn: Lsn }];
    yield* diffRanges(this.vault, a, b, Math.max(sizeAt(record, a.lsn), sizeAt(record, b.lsn)));
  }

  bookmarks(name: string): Bookmark[] {
    return this.record(name).bookmarks.map((bookmark) => ({ ...bookmark }));
  }

  async bookmark(name: string, bookmarkName: string, at: Moment, note: string): Promise<Bookmark> {
    checkName(bookmarkName);
    checkNote(note);
    const resolved = await this.settled(name, at);
    await this.vault.mark(() => {
      const record = this.record(name);
      if (record.bookmarks.some((bookmark) => bookmark.name === bookmarkName)) {
        throw new SternwayError(
          "conflict",
          `volume ${name} has a bookmark ${bookmarkName} already: remove it first or choose another name`,
        );
      }
      const { lsn: moment, time } = resolved;
      requireKept(record, moment, `lsn ${moment}`);
      return {
        kind: "bookmarked",
        volume: record.id,
        name: bookmarkName,
        lsn: moment,
        at: time,
        time: this.now(),
        note,
      };
    });
    return this.bookmarks(name).find((bookmark) => bookmark.name === bookmarkName)!;
  }

  async removeBookmark(name: string, bookmarkName: string): Promise<void> {
    await this.vault.mark(() => {
      const record = this.record(name);
      const bookmark = record.bookmarks.find((each) => each.name === bookmarkName);
      if (!bookmark) throw noBookmark(record, bookmarkName);
      this.desk.checkUnlocked(record, bookmark.lsn, `bookmark ${bookmarkName} cannot be removed`);
      return { kind: "bookmark-removed", volume: record.id, name: bookmarkName, time: this.now() };
    });
  }

  async timeline(name: string, range: { from?: Micros; to?: Micros; bucketCount: number }): Promise<Timeline> {
    const record = this.record(name);
    const { bucketCount } = range;
    const from = range.from ?? record.createdAt;
    const to = range.to ?? micros(this.now() + 1);
    if (!Number.isInteger(bucketCount) || bucketCount < 1 || bucketCount > BUCKETS_MAX) {
      throw new SternwayError("invalid", `a timeline has 1 to ${BUCKETS_MAX} intervals, not ${bucketCount}`);
    }
    if (to <= from)
      throw new SternwayError(
        "invalid",
        `the timeline ends (${formatTime(to)}) before it begins (${formatTime(from)})`,
      );
    const buckets = await timelineOf(this.vault.history, record, from, to, bucketCount, this.clock);
    const marks = marksOf(record).filter((mark) => mark.time >= from && mark.time < to);
    if (!record.kept) return { from, to, buckets, marks };
    const { horizon, points } = await this.desk.state(record);
    return { from, to, buckets, marks, kept: { everyWriteFrom: horizon, points } };
  }

  async flushPoints(
    name: string,
    range: { after: Lsn; limit: number } | { before: Lsn; limit: number },
  ): Promise<{ lsn: Lsn; time: Micros }[]> {
    const record = this.record(name);
    const limit = Math.min(range.limit, FLUSH_POINTS_MAX);
    const { history } = this.vault;
    if ("before" in range) return await flushPointsBefore(history, record, range.before, limit);
    return await flushPointsOf(history, record, range.after, limit);
  }

  async retention(name: string): Promise<RetentionState> {
    return await this.desk.state(this.record(name));
  }

  async setRetention(name: string, policy: RetentionPolicy | null): Promise<void> {
    await this.desk.setPolicy(() => this.record(name), policy);
  }

  async setLock(name: string, lockMicros: number): Promise<void> {
    this.record(name);
    await this.desk.setLock(() => this.record(name), lockMicros);
  }

  holds(name: string): Hold[] {
    return this.desk.holds(this.record(name));
  }

  async hold(name: string, holdName: string, at: Moment, note: string): Promise<Hold> {
    checkName(holdName);
    checkNote(note);
    return await this.desk.hold(() => this.record(name), holdName, await this.settled(name, at), note);
  }

  async releaseHold(name: string, holdName: string): Promise<void> {
    await this.desk.releaseHold(() => this.record(name), holdName);
  }

  async newestAt(name: string, time: Micros): Promise<{ lsn: Lsn; time: Micros } | undefined> {
    this.record(name);
    return await this.desk.newestAt(time);
  }

  async candidates(name: string, edges: readonly Micros[], lsns: { from: Lsn; before: Lsn }): Promise<Candidate[]> {
    return await this.desk.candidates(this.record(name), edges, lsns.from, lsns.before);
  }

  async activity(name: string, lsns: { from: Lsn; before: Lsn }): Promise<{ writes: number; writtenBytes: number }> {
    return await this.desk.activity(this.record(name), lsns.from, lsns.before);
  }

  async thin(name: string, to: { horizonLsn: Lsn; points: readonly KeptPoint[] }): Promise<KeptPoint[]> {
    return await this.desk.thin(() => this.record(name), to.horizonLsn, to.points);
  }

  async wouldFree(name: string, to: { horizonLsn: Lsn; points: readonly KeptPoint[] }): Promise<number | undefined> {
    return await this.desk.wouldFree(this.record(name), to.horizonLsn, to.points);
  }

  async noteTime(): Promise<void> {
    if (this.vault.readOnlyReason === undefined) await this.desk.time.note();
  }

  /** A moment, resolved; the present is made durable first. */
  private async settled(name: string, at: Moment): Promise<{ lsn: Lsn; time: Micros }> {
    if (at.kind !== "now") return await this.resolve(name, at);
    return { lsn: await this.liveOf(name).flush(), time: this.now() };
  }

  private now(): Micros {
    return this.clock.wall();
  }

  private record(name: string): VolumeRecord {
    const record = this.vault.registry.find(name);
    if (!record) throw new SternwayError("not_found", `there is no volume ${name}`, { volume: name });
    return record;
  }

  private liveOf(name: string): LiveVolume {
    const volume = this.live.get(this.record(name).id);
    assert(volume !== undefined, "every volume of the registry has its live side");
    return volume;
  }

  /** Takes over strand and size after a rollback. */
  private follow(volume: LiveVolume, at: Lsn): void {
    const record = this.record(volume.name);
    volume.strand = record.strands.at(-1)!.strand;
    volume.sizeBytes = record.sizes.at(-1)!.sizeBytes;
    volume.lastLsn = at;
    volume.lastFlushLsn = at;
    volume.lastWriteAt = this.now();
  }

  private checkFree(name: string): void {
    if (!this.vault.registry.find(name)) return;
    throw new SternwayError("conflict", `there is a volume ${name} already`, { volume: name });
  }

  private checkDetached(volume: LiveVolume, options: { force?: boolean }, what: string): void {
    if (volume.attached === 0 || options.force === true) return;
    const message = `cannot ${what} volume ${volume.name}: ${volume.attached} client(s) are attached; detach them, or force it`;
    throw new SternwayError("conflict", message, { volume: volume.name, attached: volume.attached });
  }

  private info(record: VolumeRecord): VolumeInfo {
    const volume = this.live.get(record.id);
    const rolledBack = record.strands.findLast((entry) => entry.rolledBackTo !== undefined);
    const origin = record.origin && this.vault.registry.byId(record.origin.volume);
    return {
      name: record.name,
      vault: this.vaultName,
      sizeBytes: record.sizes.at(-1)!.sizeBytes,
      createdAt: record.createdAt,
      createdLsn: record.createdLsn,
      lastLsn: volume?.lastLsn ?? record.createdLsn,
      lastWriteAt: micros(volume?.lastWriteAt ?? record.createdAt),
      lastFlushLsn: volume?.lastFlushLsn ?? record.createdLsn,
      attached: volume?.attached ?? 0,
      bookmarkCount: record.bookmarks.length,
      ...(origin && record.origin ? { origin: { volume: origin.name, lsn: record.origin.lsn } } : {}),
      ...(rolledBack
        ? { rolledBack: { toLsn: rolledBack.rolledBackTo!, atLsn: rolledBack.fromLsn, at: rolledBack.time } }
        : {}),
    };
  }
}
