/** Stretches of time during which something was not as it should be, from the events that begin and end it. Pure. */
import { micros, type Micros } from "../base/units.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { Range } from "./sources.ts";

export interface Span {
  subject: string;
  from: Micros;
  to: Micros;
  /** It goes on at the end of the range. */
  isOpen: boolean;
  /** What was told when it began. */
  why: string;
}

/**
 * Stretches within a range, by when they began.
 * @param events - oldest first, also from before the range, so that what began there is known
 */
export function spansOf(
  events: readonly CatalogEvent[],
  kinds: { begin: readonly string[]; end: readonly string[] },
  range: Range,
): Span[] {
  const open = new Map<string, CatalogEvent>();
  const spans: Span[] = [];
  const close = (began: CatalogEvent, to: Micros, isOpen: boolean): void => {
    if (to <= range.from || began.time >= range.to) return;
    const from = micros(Math.max(began.time, range.from));
    spans.push({ subject: began.subject, from, to: micros(Math.min(to, range.to)), isOpen, why: began.message });
  };
  for (const event of events) {
    const began = open.get(event.subject);
    if (kinds.begin.includes(event.kind) && !began) open.set(event.subject, event);
    if (kinds.end.includes(event.kind) && began) {
      open.delete(event.subject);
      close(began, event.time, event.time > range.to);
    }
  }
  for (const began of open.values()) close(began, range.to, true);
  return spans.sort((a, b) => a.from - b.from);
}

/** How much time of a range spans cover, seconds; overlaps count once. */
export function coveredSeconds(spans: readonly Span[]): number {
  let covered = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    covered += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return covered / 1e6;
}
