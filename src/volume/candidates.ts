/**
 * Finds the moments of a volume that are worth keeping, one per interval: its newest flush point, or its newest write where no flush was
 * answered. Chronicles tell how much happened per interval; the newest flush point of one is then looked for from its end backwards,
 * so that an interval of a million flushes costs a few look-ups and not their list.
 */
import { lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import type { FlushPoint, History, StrandSpan } from "../vault/chronicles/history.ts";
import type { Candidate } from "./retention.ts";

/** Flush points of one look-up. */
const LOOK_MAX = 2048;
/** Each further look back covers so many times as much. */
const LOOK_GROWTH = 8;

/** The part of some spans that lies in `[from, before)`. */
export function spansWithin(spans: readonly StrandSpan[], from: Lsn, before: Lsn): StrandSpan[] {
  return spans
    .map((span) => ({
      ...span,
      afterLsn: Math.max(span.afterLsn, from - 1),
      throughLsn: Math.min(span.throughLsn, before - 1),
    }))
    .filter((span) => span.afterLsn < span.throughLsn);
}

/** As {@link VolumeRetention.candidates}. @param spans - within the LSNs that count @param now - dates the group that is still open */
export async function findCandidates(
  history: History,
  spans: readonly StrandSpan[],
  edges: readonly Micros[],
  now: number,
): Promise<Candidate[]> {
  if (spans.length === 0 || edges.length < 2) return [];
  const tallies = await history.tally(spans, edges, now);
  const found: Candidate[] = [];
  for (const [i, tally] of tallies.entries()) {
    if (tally.lastLsn === 0) continue;
    const newest = Math.min(tally.lastLsn, spans.at(-1)!.throughLsn);
    const flush =
      tally.flushPoints === 0 ? undefined : await newestFlush(history, spans, newest, (time) => time >= edges[i]!);
    if (flush) {
      found.push({ lsn: lsn(flush.lsn), time: micros(flush.time), flushPoint: true });
      continue;
    }
    const time = (await history.timeAt(newest, now)) ?? edges[i]!;
    found.push({ lsn: lsn(newest), time: micros(Math.max(time, edges[i]!)), flushPoint: false });
  }
  return found;
}

/** The newest flush point up to an LSN, if its time will do. */
async function newestFlush(
  history: History,
  spans: readonly StrandSpan[],
  throughLsn: number,
  isWanted: (time: number) => boolean,
): Promise<FlushPoint | undefined> {
  for (const span of spans.toReversed()) {
    if (span.afterLsn >= throughLsn) continue;
    const within = { ...span, throughLsn: Math.min(span.throughLsn, throughLsn) };
    const found = await newestFlushOf(history, within);
    if (found) return isWanted(found.time) ? found : undefined;
  }
  return undefined;
}

async function newestFlushOf(history: History, span: StrandSpan): Promise<FlushPoint | undefined> {
  let { throughLsn } = span;
  let width = LOOK_MAX;
  while (throughLsn > span.afterLsn) {
    let afterLsn = Math.max(span.afterLsn, throughLsn - width);
    // Oldest first: when the list is full, the newest lies in the upper part of what was looked at.
    let points = await history.flushPoints({ ...span, afterLsn, throughLsn }, LOOK_MAX);
    let best: FlushPoint | undefined = points.at(-1);
    while (points.length === LOOK_MAX && best) {
      afterLsn = best.lsn;
      const middle = Math.floor((afterLsn + throughLsn) / 2);
      points = middle > afterLsn ? await history.flushPoints({ ...span, afterLsn: middle, throughLsn }, LOOK_MAX) : [];
      if (points.length === 0) {
        throughLsn = Math.max(middle, afterLsn + 1);
        points = await history.flushPoints({ ...span, afterLsn, throughLsn }, LOOK_MAX);
      }
      best = points.at(-1) ?? best;
    }
    if (best) return best;
    throughLsn = afterLsn;
    width *= LOOK_GROWTH;
  }
  return undefined;
}
