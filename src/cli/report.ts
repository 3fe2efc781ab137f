/** `sternway report KIND`: a report of a day, a week or any time, on the screen, into a file, or through a notification channel. */
import { writeFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";
import { formatSize } from "../base/units.ts";
import {
  REPORT_FORMATS,
  REPORT_KINDS,
  type ReportCell,
  type ReportFormat,
  type ReportKind,
  type WireReport,
} from "../contract/reports.ts";
import { examples, invocation, type Context } from "./context.ts";
import { count, showSeconds, showTime, table } from "./text.ts";

interface ReportOptions {
  from?: string;
  to?: string;
  format?: ReportFormat;
  out?: string;
  send?: string;
}

export function registerReport(program: Command, context: Context): void {
  examples(
    program
      .command("report")
      .description(`what there is to show: ${REPORT_KINDS.join(", ")}`)
      .argument("<kind>", "one of these", kindArgument)
      .option("--from <time>", "RFC 3339 or an age such as -7d (default: a day before --to)")
      .option("--to <time>", "default: now")
      .option("--format <format>", "json, csv, or html (default: text)", formatArgument)
      .option("--out <file>", "write it there; a new file")
      .option("--send <channel>", "send it through a notification channel instead")
      .action(async (kind: ReportKind, options: ReportOptions, command: Command) => {
        const run = invocation(context, command);
        const { from, to, out, send } = options;
        const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
        if (send !== undefined) {
          await run.client().sendReport(kind, send, range);
          run.print({ queued: kind, channel: send }, `the report is on its way through channel ${send}\n`);
          return;
        }
        const format = options.format ?? (run.json ? "json" : undefined);
        const text =
          format === undefined
            ? reportText(await run.client().report(kind, range))
            : await run.client().reportText(kind, format, range);
        if (out === undefined) run.terminal.out(text.endsWith("\n") ? text : `${text}\n`);
        else {
          // Names of disks and accounts are nobody else's; and what is there is not written over.
          writeFileSync(out, text, { mode: 0o600, flag: "wx" });
          run.terminal.err(`wrote ${out}\n`);
        }
      }),
    "sternway report protection",
    "sternway report growth --from -7d --format html --out growth.html",
    "sternway report compliance --from 2026-11-01T00:00:00Z --format csv",
    "sternway report protection --from -7d --send ops",
  );
}

function reportText({ title, appliance, from, to, findings, sections }: WireReport): string {
  const parts = [`${title} of ${appliance}, ${showTime(from)} to ${showTime(to)}\n`];
  parts.push(
    findings
      .map(({ level, text }) => `${level === "good" ? "good" : level === "bad" ? "BAD" : "look"}: ${text}\n`)
      .join(""),
  );
  for (const { title: heading, columns, rows, left } of sections) {
    const body =
      rows.length === 0
        ? "none\n"
        : table(
            columns.map((column) => ({
              title: column.title,
              align: ["bytes", "count", "seconds", "percent"].includes(column.type) ? "right" : "left",
            })),
            rows.map((row) => columns.map(({ key, type }) => showCell(row[key] ?? null, type))),
          );
    parts.push(`${heading}\n${body}${left === undefined ? "" : `${count(left, "row")} more\n`}`);
  }
  return parts.join("\n");
}

function showCell(value: ReportCell, type: string): string {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return type === "time" ? showTime(value) : value;
  if (type === "bytes") return formatSize(value);
  if (type === "seconds") return showSeconds(value);
  return type === "percent" ? `${value}%` : value.toLocaleString("en-US");
}

function kindArgument(text: string): ReportKind {
  const kind = REPORT_KINDS.find((each) => each === text);
  if (kind !== undefined) return kind;
  throw new InvalidArgumentError(`It must be one of ${REPORT_KINDS.join(", ")}.`);
}

function formatArgument(text: string): ReportFormat {
  const format = REPORT_FORMATS.find((each) => each === text);
  if (format !== undefined) return format;
  throw new InvalidArgumentError(`It must be one of ${REPORT_FORMATS.join(", ")}.`);
}
