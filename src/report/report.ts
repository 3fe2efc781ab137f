/**
 * The door of the room: reports of any stretch of time, as JSON, CSV or a page. Everything comes from the catalog and from what the appliance answers now; a
 * report changes nothing and is kept nowhere.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime, micros, parseDuration, parseTime, type Micros } from "../base/units.ts";
import type { ReportFormat, ReportKind, WireReport } from "../contract/reports.ts";
import { complianceReport } from "./compliance.ts";
import { csvReport } from "./csv.ts";
import { growthReport } from "./growth.ts";
import { pageReport } from "./page.ts";
import { protectionReport } from "./protection.ts";
import { restoresReport } from "./restores.ts";
import type { Range, ReportSources } from "./sources.ts";
import type { Body, Finding } from "./parts.ts";
import { verificationReport } from "./verification.ts";

export { FORECAST_WARN_DAYS, forecastOf, growthOf } from "./growth.ts";
export type { Forecast } from "./forecast.ts";
export type { AccountFact, Range, ReportSources } from "./sources.ts";

/** Each with its title and what it is about. */
export const REPORTS: Record<
  ReportKind,
  { title: string; about: string; make: (sources: ReportSources, range: Range) => Promise<Body> }
> = {
  protection: {
    title: "Protection",
    about: "How far back each volume goes, which tiers kept their objectives, and the gaps.",
    make: protectionReport,
  },
  restores: { title: "Restores", about: "Restores, imports, rollbacks and branches.", make: restoresReport },
  verification: {
    title: "Verification",
    about: "Scrubs, checks, verified tiers, and what they found.",
    make: verificationReport,
  },
  growth: { title: "Growth", about: "What was stored and written, and when space ends.", make: growthReport },
  compliance: {
    title: "Compliance",
    about: "Retention, locks, holds, encryption, and who can get in.",
    make: complianceReport,
  },
};

const DAY = 86_400e6;
/** Longer than anything is kept. */
const RANGE_MAX = 10 * 366 * DAY;
const WORST: readonly Finding["level"][] = ["bad", "warning", "good"];

/**
 * A range as people write it.
 * @param span - its length where `from` is left out, microseconds
 * @throws invalid: a time that cannot be read, or an end before the beginning
 */
export function rangeOf(
  wanted: { from?: string | undefined; to?: string | undefined },
  now: Micros,
  span: number = DAY,
): Range {
  const to = instantOf(wanted.to ?? "now", now);
  const from = wanted.from === undefined ? micros(to - span) : instantOf(wanted.from, now);
  if (from >= to || to - from > RANGE_MAX)
    throw new SternwayError(
      "invalid",
      `from ${formatTime(from)} to ${formatTime(to)} is no range: it must end after it begins, within ten years`,
    );
  return { from, to };
}

function instantOf(text: string, now: Micros): Micros {
  if (text === "now") return now;
  const age = text.startsWith("-") ? parseDuration(text.slice(1)) : undefined;
  const time = age === undefined ? parseTime(text) : micros(now - age);
  if (time !== undefined && time >= 0) return time;
  throw new SternwayError(
    "invalid",
    `"${text}" is no time: use an RFC 3339 time with a zone, an age such as -7d, or now`,
  );
}

/** Makes a report. What cannot be had of a closed vault is said in it. */
export async function makeReport(kind: ReportKind, range: Range, sources: ReportSources): Promise<WireReport> {
  const { title, make } = REPORTS[kind];
  const { findings, sections } = await make(sources, range);
  if (sources.leftOut !== undefined) findings.push({ level: "warning", text: sources.leftOut });
  return {
    kind,
    title,
    appliance: sources.appliance,
    version: sources.version,
    from: formatTime(range.from),
    to: formatTime(range.to),
    madeAt: formatTime(sources.now()),
    findings: findings.sort((a, b) => WORST.indexOf(a.level) - WORST.indexOf(b.level)),
    sections,
  };
}

/** @param zone - by whose clock a page shows times */
export function renderReport(report: WireReport, format: ReportFormat, zone: string): string {
  switch (format) {
    case "json":
      return JSON.stringify(report);
    case "csv":
      return csvReport(report);
    case "html":
      return pageReport(report, zone);
  }
}

/** A report as a notification: a page as the mail's body, the tables as CSV beside it. */
export function reportMail(report: WireReport, zone: string) {
  const days = `${report.from.slice(0, 10)} to ${report.to.slice(0, 10)}`;
  const lines = report.findings.map(({ level, text }) => `${level.toUpperCase()}: ${text}`);
  return {
    subject: `${report.title}, ${days}`,
    text: [`${report.title} of ${report.appliance}, ${days}`, ...lines, "The tables are attached as CSV."].join("\n\n"),
    html: renderReport(report, "html", zone),
    attachments: [
      {
        name: `sternway-${report.kind}-${report.to.slice(0, 10)}.csv`,
        type: "text/csv",
        content: renderReport(report, "csv", zone),
      },
    ],
    data: report,
  };
}
