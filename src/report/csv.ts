/**
 * Reports as CSV (RFC 4180): a title line and a table for each section, an empty line between them. Values are plain: bytes and counts as numbers, times RFC
 * 3339. A spreadsheet takes a cell that begins with certain characters for a formula, and names and messages are written by others: such text gets an
 * apostrophe before it. Numbers of ours are left as they are.
 */
import { oneLine } from "../base/html.ts";
import type { ReportCell, WireReport } from "../contract/reports.ts";

/** What begins a formula, also after blanks that a program may trim; full-width forms are taken for the plain ones by some. */
const FORMULA = /^\s*[=+\-@\uFF0B\uFF0D\uFF1D\uFF20]/;
/** Spreadsheets take no more in a cell than 32,767. */
const CELL_LENGTH_MAX = 8_000;

export function csvReport(report: WireReport): string {
  const head = [
    [report.title, report.appliance],
    ["from", report.from],
    ["to", report.to],
    ["made", report.madeAt],
  ];
  const findings = report.findings.map(({ level, text }) => [level, text]);
  const parts = [head, [["findings"], ["level", "text"], ...findings]];
  for (const { title, columns, rows, left } of report.sections) {
    parts.push([
      [title],
      columns.map((column) => column.key),
      ...rows.map((row) => columns.map(({ key }) => row[key] ?? null)),
      ...(left === undefined || left === 0 ? [] : [[`${left} more are not listed`]]),
    ] as string[][]);
  }
  return parts.map((lines) => lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("")).join("\r\n");
}

/** One value as a cell. */
export function csvCell(value: ReportCell): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = oneLine(value, CELL_LENGTH_MAX);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
