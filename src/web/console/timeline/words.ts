/** The timeline in words: for the panel beside the strip, for its table, and for screen readers. */
import { formatSize } from "../../../base/units.ts";
import { retainedAt, type KeptFacts, type Mark, type MarkKind, type Retained, type StripFacts } from "./facts.ts";
import { agoText, localText, precisionOf, several, zoneText } from "./time.ts";
import { spanOf, type View } from "./view.ts";

/** A moment that somebody chose. */
export interface Choice {
  /** Microseconds. */
  time: number;
  /** Exact, where a flush point, bookmark or LSN was chosen; a time otherwise means the last write at or before it. */
  lsn?: number;
}

/** The moment as the API takes it. */
export function choiceText(choice: Choice, wireTime: (time: number) => string): string {
  return choice.lsn === undefined ? wireTime(choice.time) : `lsn:${choice.lsn}`;
}

export const MARK_WORDS: Record<MarkKind, string> = {
  created: "created",
  resized: "resized",
  "rolled-back": "rolled back",
  bookmark: "bookmark",
  hold: "hold",
  alarm: "alarm",
};

export function markText(mark: Mark, hasSeveral: boolean): string {
  const detail = mark.detail === "" ? "" : ` ${mark.detail}`;
  return `${MARK_WORDS[mark.kind]}${detail}${hasSeveral && mark.volume !== "" ? ` (${mark.volume})` : ""}`;
}

const RETAINED_WORDS: Record<Retained, string> = {
  before: "before this history began",
  points: "only kept points can be had here",
  expiring: "every write can be had, but not for much longer",
  "every-write": "every write can be had",
  ahead: "still to come",
};

export function retainedText(kind: Retained): string {
  return RETAINED_WORDS[kind];
}

/** What a screen reader says of the handle. */
export function handleText(choice: Choice, view: View, zone: string, now: number, kept: KeptFacts | undefined): string {
  const time = localText(choice.time, zone, precisionOf(spanOf(view)));
  const what = kept === undefined ? "" : `, ${RETAINED_WORDS[retainedAt(kept, choice.time, now)]}`;
  return `${time} ${zoneText(choice.time, zone)}, ${agoText(choice.time, now)}${what}`;
}

/** One interval: `1,204 writes, 4.7 MiB, 12 flush points`. */
export function intervalText(facts: StripFacts, index: number): string {
  const writes = facts.writes[index] ?? 0;
  if (writes === 0 && (facts.flushPoints[index] ?? 0) === 0) return "no writes";
  const cleared = facts.clearedBytes[index] ?? 0;
  return [
    several(writes, "write"),
    `${formatSize(facts.writtenBytes[index] ?? 0)} written`,
    cleared === 0 ? undefined : `${formatSize(cleared)} cleared`,
    several(facts.flushPoints[index] ?? 0, "flush point"),
  ]
    .filter((part) => part !== undefined)
    .join(", ");
}

export interface FactRow {
  key: string;
  from: number;
  to: number;
  /** `writes` for intervals, else the mark's kind. */
  kind: "writes" | MarkKind;
  text: string;
  lsn: number;
}

/**
 * The strip as rows of a table, oldest first: quiet intervals left out, neighbours joined until there are at most `rowsMax`, marks between.
 */
export function factRows(facts: StripFacts, view: View, rowsMax: number): FactRow[] {
  const { grid } = facts;
  const first = Math.max(0, Math.ceil((view.from - grid.from) / grid.width));
  const end = Math.min(grid.count, Math.floor((view.to - grid.from) / grid.width));
  const share = Math.max(1, Math.ceil((end - first) / rowsMax));
  const rows: FactRow[] = [];
  for (let i = first; i < end; i += share) {
    const joined = joinedFacts(facts, i, Math.min(end, i + share));
    if (joined.writes[0] === 0 && joined.flushPoints[0] === 0) continue;
    const from = grid.from + i * grid.width;
    const to = grid.from + Math.min(end, i + share) * grid.width;
    rows.push({
      key: `writes-${from}`,
      from,
      to,
      kind: "writes",
      text: intervalText(joined, 0),
      lsn: joined.lastLsns[0]!,
    });
  }
  const volumes = new Set(facts.marks.map((mark) => mark.volume));
  for (const [i, mark] of facts.marks.entries()) {
    if (mark.time < view.from || mark.time >= view.to) continue;
    const { time, kind, lsn } = mark;
    rows.push({ key: `mark-${i}-${time}`, from: time, to: time, kind, text: markText(mark, volumes.size > 1), lsn });
  }
  return rows.sort((a, b) => a.from - b.from || a.to - b.to);
}

function joinedFacts(facts: StripFacts, from: number, end: number): StripFacts {
  const sum = (values: Float64Array): Float64Array =>
    Float64Array.of(values.subarray(from, end).reduce((total, value) => total + value, 0));
  return {
    grid: { from: facts.grid.from + from * facts.grid.width, to: 0, width: 0, count: 1 },
    writes: sum(facts.writes),
    writtenBytes: sum(facts.writtenBytes),
    clearedBytes: sum(facts.clearedBytes),
    flushPoints: sum(facts.flushPoints),
    lastLsns: Float64Array.of(facts.lastLsns.subarray(from, end).reduce((most, lsn) => Math.max(most, lsn), 0)),
    marks: [],
  };
}
