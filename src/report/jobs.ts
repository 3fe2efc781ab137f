/** Jobs in reports: those of some kinds, and the table that lists them. */
import type { Job } from "../catalog/catalog.ts";
import type { ReportSection } from "../contract/reports.ts";
import { EVENTS_MAX, section, timeCell } from "./parts.ts";
import type { Range, ReportSources } from "./sources.ts";

/** Those that started in the range; oldest first. */
export function jobsOf(sources: ReportSources, range: Range, kinds: readonly string[]): Job[] {
  return sources.jobs({ ...range, limit: EVENTS_MAX }).filter(({ kind }) => kinds.includes(kind));
}

/** @param errorTitle - over the column that says what came of a job beside its state */
export function jobSection(title: string, errorTitle: string, jobs: readonly Job[]): ReportSection {
  return section(
    title,
    [
      ["startedAt", "Started", "time"],
      ["kind", "What", "text"],
      ["subject", "Of", "text"],
      ["askedBy", "Asked by", "text"],
      ["state", "Ended", "text"],
      ["seconds", "Took", "seconds"],
      ["error", errorTitle, "text"],
    ],
    jobs.map(({ startedAt, finishedAt, kind, subject, state, error, askedBy }) => ({
      startedAt: timeCell(startedAt),
      kind,
      subject,
      askedBy,
      state,
      seconds: finishedAt === null ? null : Math.round((finishedAt - startedAt) / 1e4) / 100,
      error,
    })),
  );
}
