/** What the kinds of reports share: rows that are bounded, times as text, and facts that may not be to be had. */
import { errorText, isSternwayError } from "../base/errors.ts";
import { formatTime, type Micros } from "../base/units.ts";
import type { ReportCell, ReportSection, WireReport } from "../contract/reports.ts";
import type { Range } from "./sources.ts";

export type Finding = WireReport["findings"][number];
export interface Body {
  findings: Finding[];
  sections: ReportSection[];
}

/** A table of a report; a page of more is read by nobody, and a mail must go through. */
const ROWS_MAX = 1_000;
/** Events and jobs that a report looks at. */
export const EVENTS_MAX = 20_000;
/** Since the appliance was new. */
export const BEGINNING = 0 as Micros;

export function section(
  title: string,
  columns: readonly (readonly [key: string, title: string, type: ReportSection["columns"][number]["type"]])[],
  rows: readonly Record<string, ReportCell>[],
  more: Pick<ReportSection, "about" | "charts"> = {},
): ReportSection {
  const left = rows.length - ROWS_MAX;
  return {
    title,
    ...more,
    columns: columns.map(([key, columnTitle, type]) => ({ key, title: columnTitle, type })),
    rows: rows.slice(0, ROWS_MAX),
    ...(left > 0 ? { left } : {}),
  };
}

export const timeCell = (time: Micros | number | undefined): string | null =>
  time === undefined ? null : formatTime(time as Micros);

export const secondsOf = ({ from, to }: Range): number => Math.round((to - from) / 1e4) / 100;

/** A fact, or why it cannot be had. */
export async function had<Fact>(
  work: () => Fact | Promise<Fact>,
): Promise<{ fact: Fact } | { fact?: never; why: string }> {
  try {
    return { fact: await work() };
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return { why: errorText(error) };
  }
}

/** `1 volume`, `3 volumes`. */
export const count = (amount: number, one: string): string => `${amount} ${one}${amount === 1 ? "" : "s"}`;
