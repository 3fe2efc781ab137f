/**
 * What happened when: sealed chronicles, and behind them the rows of what is not sealed yet.
 */
import { isSternwayError } from "../../base/errors.ts";
import type { Turn } from "../../base/turns.ts";
import type { ChronicleBuilder } from "./chronicle-builder.ts";
import type { ChronicleRow } from "./chronicle-format.ts";
import { emptyTally, type ChronicleTally } from "./chronicle-reader.ts";
import type { ChronicleRecord } from "../manifest.ts";
import type { ChronicleSet } from "../open-set.ts";

/** So many take some 20 µs: between them it is looked whether the turn is over. */
const LIVE_ROWS_PER_LOOK = 1_024;

export interface FlushPoint {
  lsn: number;
  time: number;
}

/** A strand's part in a volume's past: LSNs `(afterLsn, throughLsn]`. */
export interface StrandSpan {
  strand: number;
  afterLsn: number;
  throughLsn: number;
}

export class History {
  private readonly set: ChronicleSet;
  private readonly live: ChronicleBuilder;
  /** Oldest first. */
  private sealed: readonly ChronicleRecord[] = [];
  /** Those who may be reading chronicles that are replaced meanwhile. */
  private readonly reading = new Set<Promise<unknown>>();

  constructor(set: ChronicleSet, live: ChronicleBuilder) {
    this.set = set;
    this.live = live;
  }

  /** Takes over what a manifest says is sealed. @param retired - lets go of what was replaced, when nobody reads it any more */
  update(sealed: readonly ChronicleRecord[], retired?: () => void): void {
    this.sealed = sealed;
    if (retired) void Promise.allSettled(this.reading).then(retired);
  }

  /** Resolves when those who read now have ended. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.reading);
  }

  /** Another file lies in a chronicle's place now: whoever asks next reads that. */
  async renew(id: number): Promise<void> {
    await this.set.renew(id, () => this.idle());
  }

  /** The newest LSN with a time of at most `time`; undefined before the first. */
  lsnAt(time: number): Promise<number | undefined> {
    return this.pinned(() => this.findLsnAt(time));
  }

  private async findLsnAt(time: number): Promise<number | undefined> {
    const { rows } = this.live;
    let highest: number | undefined;
    for (const row of rows) {
      if (row.time > time) break;
      highest = Math.max(highest ?? 0, row.lastLsn);
    }
    if (highest !== undefined) return highest;
    const record = this.sealed.findLast((chronicle) => chronicle.firstTime <= time);
    return record && (await (await this.set.open(record)).lsnAt(time));
  }

  /** The time of the newest group that begins at or before an LSN; undefined before the first. `now` dates the group that is still open. */
  timeAt(lsn: number, now: number): Promise<number | undefined> {
    return this.pinned(() => this.findTimeAt(lsn, now));
  }

  private async findTimeAt(lsn: number, now: number): Promise<number | undefined> {
    if (this.live.openRows.some((row) => row.firstLsn <= lsn)) return now;
    const live = this.live.rows.findLast((row) => row.firstLsn <= lsn);
    if (live) return live.time;
    const record = this.sealed.findLast((chronicle) => chronicle.firstLsn <= lsn);
    if (!record) return undefined;
    try {
      return await (await this.set.open(record)).timeAt(lsn);
    } catch (error) {
      // Time is a label: a moment stays readable when its chronicle is damaged. The manifest knows when that began.
      if (!isLost(error)) throw error;
      return record.firstTime;
    }
  }

  /**
   * Sums of some strands' spans over intervals.
   * @param edges - ascending; interval i is `[edges[i], edges[i + 1])`
   * @param turn - ends between two pages when it is over; without it all is done in one
   */
  tally(spans: readonly StrandSpan[], edges: readonly number[], now: number, turn?: Turn): Promise<ChronicleTally[]> {
    return this.pinned(() => this.sum(spans, edges, now, turn));
  }

  private async sum(
    spans: readonly StrandSpan[],
    edges: readonly number[],
    now: number,
    turn: Turn | undefined,
  ): Promise<ChronicleTally[]> {
    const tallies = edges.slice(1).map(emptyTally);
    // Taken together: what is sealed meanwhile would else be missed, or counted twice.
    const liveRows = this.liveRows(edges[0]!, edges.at(-1)!, now);
    for (const record of this.sealed) {
      if (record.lastTime < edges[0]! || record.firstTime >= edges.at(-1)!) continue;
      const reader = await this.set.open(record);
      for (const span of spans) await reader.tally({ ...span, edges }, tallies, turn);
    }
    let interval = -1;
    for (const [i, row] of liveRows.entries()) {
      if (turn && i % LIVE_ROWS_PER_LOOK === 0 && turn.isOver) await turn.next();
      if (!isWithin(spans, row)) continue;
      // Times rise from row to row, and most rows lie in the interval of the one before.
      const isSame = interval >= 0 && row.time >= edges[interval]! && row.time < edges[interval + 1]!;
      if (!isSame) interval = intervalOf(edges, row.time);
      const tally = tallies[interval];
      if (!tally) continue;
      tally.writes += row.writes;
      tally.writtenBytes += row.writtenBytes;
      tally.clearedBytes += row.clearedBytes;
      if (row.flushLsn > 0) tally.flushPoints++;
      tally.lastLsn = Math.max(tally.lastLsn, row.lastLsn);
    }
    return tallies;
  }

  /** Flush points of a span, oldest first, at most `limit`. */
  flushPoints(span: StrandSpan, limit: number): Promise<FlushPoint[]> {
    return this.pinned(() => this.findFlushPoints(span, limit));
  }

  private async findFlushPoints(span: StrandSpan, limit: number): Promise<FlushPoint[]> {
    const points: FlushPoint[] = [];
    const live = this.live.rows.slice();
    const take = (row: ChronicleRow): void => {
      if (row.strand !== span.strand || row.flushLsn <= span.afterLsn || row.flushLsn > span.throughLsn) return;
      points.push({ lsn: row.flushLsn, time: row.time });
    };
    for (const record of this.sealed) {
      if (points.length >= limit) break;
      if (record.lastLsn <= span.afterLsn || record.firstLsn > span.throughLsn) continue;
      const reader = await this.set.open(record);
      for await (const row of reader.rows({ ...span, flushPoints: true })) {
        take(row);
        if (points.length >= limit) break;
      }
    }
    for (const row of live) if (points.length < limit && row.flushLsn > 0) take(row);
    return points;
  }

  /** Flush points of a span, newest first, at most `limit`. */
  flushPointsBack(span: StrandSpan, limit: number): Promise<FlushPoint[]> {
    return this.pinned(() => this.findFlushPointsBack(span, limit));
  }

  private async findFlushPointsBack(span: StrandSpan, limit: number): Promise<FlushPoint[]> {
    const points: FlushPoint[] = [];
    const { sealed } = this;
    const take = (row: ChronicleRow): boolean => {
      if (row.strand !== span.strand || row.flushLsn <= span.afterLsn || row.flushLsn > span.throughLsn) return false;
      return points.push({ lsn: row.flushLsn, time: row.time }) >= limit;
    };
    for (const row of this.live.rows.toReversed()) if (row.flushLsn > 0 && take(row)) return points;
    for (const record of sealed.toReversed()) {
      if (record.lastLsn <= span.afterLsn || record.firstLsn > span.throughLsn) continue;
      const reader = await this.set.open(record);
      for await (const row of reader.rows({ ...span, flushPoints: true }, true)) if (take(row)) return points;
    }
    return points;
  }

  /** Whether a flush was answered for a strand exactly at an LSN. */
  async isFlushPoint(strand: number, lsn: number): Promise<boolean> {
    if (this.live.openRows.some((row) => row.strand === strand && row.flushLsn === lsn)) return true;
    try {
      return (await this.flushPoints({ strand, afterLsn: lsn - 1, throughLsn: lsn }, 1)).length > 0;
    } catch (error) {
      // Not known to be one: what it reads as does not depend on it.
      if (!isLost(error)) throw error;
      return false;
    }
  }

  /** The newest write and flush of a span; undefined when it holds none. Pages tell; the flush may be an older one of its page. */
  lastOf(span: StrandSpan): Promise<{ lsn: number; flushLsn: number; time: number } | undefined> {
    return this.pinned(() => this.findLast(span));
  }

  private async findLast(span: StrandSpan): Promise<{ lsn: number; flushLsn: number; time: number } | undefined> {
    const live = this.live.rows.findLast((row) => row.strand === span.strand);
    if (live) return { lsn: live.lastLsn, flushLsn: live.flushLsn, time: live.time };
    for (const record of this.sealed.toReversed()) {
      if (record.lastLsn <= span.afterLsn || record.firstLsn > span.throughLsn) continue;
      const reader = await this.set.open(record);
      let last: { lsn: number; flushLsn: number; time: number } | undefined;
      const page = reader.pages({ strand: span.strand }).at(-1);
      if (!page) continue;
      for await (const row of reader.rows({ strand: span.strand, afterLsn: page.firstLsn - 1 })) {
        last = { lsn: row.lastLsn, flushLsn: row.flushLsn, time: row.time };
      }
      if (last) return last;
    }
    return undefined;
  }

  private async pinned<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = work();
    this.reading.add(result);
    try {
      return await result;
    } finally {
      this.reading.delete(result);
    }
  }

  /** Those with a time in `[from, to)`. Under synced writes there are tens of thousands, and who looks at last week wants none of them. */
  private liveRows(from: number, to: number, now: number): ChronicleRow[] {
    const { rows, openRows } = this.live;
    const found = rows.slice(firstAt(rows, from), firstAt(rows, to));
    if (now >= from && now < to) for (const row of openRows) found.push({ ...row, time: now });
    return found;
  }
}

/** The index of the first row at or after a time. Times never fall from row to row. */
function firstAt(rows: readonly ChronicleRow[], time: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows[middle]!.time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isWithin(spans: readonly StrandSpan[], { strand, firstLsn }: ChronicleRow): boolean {
  for (const span of spans)
    if (span.strand === strand && firstLsn > span.afterLsn && firstLsn <= span.throughLsn) return true;
  return false;
}

/** A chronicle that is damaged or missing. */
function isLost(error: unknown): boolean {
  return isSternwayError(error, "corrupt") || isSternwayError(error, "not_found");
}

/** The interval that holds a time; −1 or past the last when none does. */
function intervalOf(edges: readonly number[], time: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
