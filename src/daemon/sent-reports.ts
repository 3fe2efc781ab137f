/**
 * Reports that schedules send. A span is the whole days before this one, by the clock of the appliance's zone, so that one report begins where the one before
 * ended, whenever it runs.
 */
import { micros, type Micros } from "../base/units.ts";
import { inZone } from "../base/zone.ts";
import type { StoredTask } from "../catalog/catalog.ts";
import type { ReportSpan } from "../contract/reports.ts";
import type { Notifier } from "../notify/notify.ts";
import { makeReport, reportMail, type Range, type ReportSources } from "../report/report.ts";

const LENGTHS: Record<ReportSpan, Temporal.DurationLike> = {
  day: { days: 1 },
  week: { weeks: 1 },
  month: { months: 1 },
};

/** The whole days before today's beginning. */
export function spanBefore(span: ReportSpan, now: Micros, zone: string): Range {
  const today = inZone(now, zone).toPlainDate();
  const begin = (day: Temporal.PlainDate): Micros => micros(day.toZonedDateTime(zone).epochMilliseconds * 1000);
  return { from: begin(today.subtract(LENGTHS[span])), to: begin(today) };
}

/** Makes a report and queues it for its channel. @returns what was done, in words @throws not_found: no such channel */
export async function sendReportOf(
  { report: kind, span, channel }: Omit<Extract<StoredTask, { kind: "report" }>, "kind">,
  notifier: Notifier,
  sources: () => Promise<ReportSources>,
): Promise<string> {
  notifier.directory.channel(channel);
  const from = await sources();
  const report = await makeReport(kind, spanBefore(span, from.now(), from.zone), from);
  notifier.sendReport(channel, reportMail(report, from.zone));
  return `the report ${kind} of the last ${span} is on its way through channel ${channel}`;
}
