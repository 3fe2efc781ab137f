/**
 * Reports as HTML that stands by itself: one file with its style and its charts in it, no script, nothing from elsewhere, fit for print and for a mail. A
 * policy in its head forbids everything else, for what opens it later.
 */
import { Html, html } from "../base/html.ts";
import { formatSize } from "../base/units.ts";
import type { ReportCell, ReportSection, WireReport } from "../contract/reports.ts";
import { chart } from "./chart.ts";

const STYLE = `:root{color-scheme:light}body{font:14px/1.45 system-ui,sans-serif;color:#1c2733;background:#fff;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .4rem;border-bottom:1px solid #ccd4dc;padding-bottom:.2rem}
p{margin:.3rem 0}.quiet{color:#51606e}table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #e4e9ee;overflow-wrap:anywhere}
th{font-weight:600;color:#3a4754}.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.time{white-space:nowrap;font-variant-numeric:tabular-nums}
ul.findings{list-style:none;padding:0}ul.findings li{padding:.3rem .7rem;margin:.25rem 0;border-left:4px solid}
ul.findings .good{border-color:#2c6e49}ul.findings .warning{border-color:#b26a00}ul.findings .bad{border-color:#a4161a}.bad strong{color:#a4161a}.warning strong{color:#8a5200}.good strong{color:#2c6e49}
figure{margin:1rem 0}figcaption{font-weight:600;font-size:.9rem}svg{width:100%;height:auto}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr,figure{break-inside:avoid}thead{display:table-header-group}}`;

/** @param zone - whose hours are shown beside UTC */
export function pageReport(report: WireReport, zone: string): string {
  const { title, appliance, version, from, to, madeAt, findings, sections } = report;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${title}: ${appliance}</title>
        <style>
          ${STYLE_HTML}
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        <p class="quiet">
          ${appliance}, Sternway ${version}. From ${showTime(from, zone)} to ${showTime(to, zone)}; made
          ${showTime(madeAt, zone)}. Times are those of ${zone}.
        </p>
        <ul class="findings">
          ${findings.map(({ level, text }) => html`<li class="${level}"><strong>${LEVELS[level]}</strong> ${text}</li>`)}
        </ul>
        ${sections.map((section) => sectionOf(section, zone))}
      </body>
    </html> `.text;
}

const STYLE_HTML = new Html(STYLE);

const LEVELS = { good: "Good:", warning: "Look:", bad: "Bad:" } as const;

function sectionOf({ title, about, columns, rows, left, charts }: ReportSection, zone: string): Html {
  const isNumber = (type: string): boolean => ["bytes", "count", "seconds", "percent"].includes(type);
  const classOf = (type: string): string => (isNumber(type) ? "number" : type === "time" ? "time" : "");
  const head = columns.map((column) => html`<th scope="col" class="${classOf(column.type)}">${column.title}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>
        ${columns.map(({ key, type }) => html`<td class="${classOf(type)}">${showCell(row[key] ?? null, type, zone)}</td>`)}
      </tr> `,
  );
  const table =
    rows.length === 0
      ? html`<p class="quiet">None.</p>`
      : html`<table>
          <thead>
            <tr>
              ${head}
            </tr>
          </thead>
          <tbody>
            ${body}
          </tbody>
        </table>`;
  return html`<section>
    <h2>${title}</h2>
    ${about === undefined ? "" : html`<p class="quiet">${about}</p>`} ${(charts ?? []).map((each) => chart(each, zone))}
    ${columns.length === 0 ? "" : table}
    ${left === undefined || left === 0 ? "" : html`<p class="quiet">${left} more are not listed.</p>`}
  </section> `;
}

function showCell(value: ReportCell, type: string, zone: string): string {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return type === "time" ? showTime(value, zone) : value;
  if (type === "bytes") return formatSize(value);
  if (type === "seconds") return showSeconds(value);
  return type === "percent" ? `${value.toFixed(1)}%` : value.toLocaleString("en-US");
}

/** `2026-11-20 21:31:05` by the zone's clock. */
function showTime(text: string, zone: string): string {
  const local = Temporal.Instant.from(text).toZonedDateTimeISO(zone);
  return `${local.toPlainDate().toString()} ${local.toPlainTime().toString({ smallestUnit: "second" })}`;
}

function showSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172_800 ? `${(seconds / 3_600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} d`;
}
