/** A small chart of bytes over time, as SVG inside a page: drawn once, without a script. */
import { html, type Html } from "../base/html.ts";
import { formatSize } from "../base/units.ts";
import type { ReportSection } from "../contract/reports.ts";

type Chart = NonNullable<ReportSection["charts"]>[number];

const WIDTH = 720;
const HEIGHT = 180;
const LEFT = 80;
const BOTTOM = 24;
const TOP = 8;
/** Told apart without colour too: each has dashes of its own. */
const LINES = [
  ["#1f5f8b", "none"],
  ["#8a5200", "6 3"],
  ["#2c6e49", "2 2"],
  ["#7a2e8e", "8 3 2 3"],
] as const;
/** More lines than that cannot be told apart. */
const SERIES_MAX = LINES.length;
const TICKS = 3;

export function chart({ title, series }: Chart, zone: string): Html {
  const shown = series.filter(({ points }) => points.length > 1).slice(0, SERIES_MAX);
  const points = shown.flatMap((each) => each.points);
  if (points.length === 0) return html`<p class="quiet">${title}: not enough samples for a chart.</p>`;
  const from = Math.min(...points.map(([time]) => time));
  const to = Math.max(...points.map(([time]) => time), from + 1);
  const most = Math.max(...points.map(([, bytes]) => bytes), 1);
  const x = (time: number): number => LEFT + ((time - from) / (to - from)) * (WIDTH - LEFT - 8);
  const y = (bytes: number): number => TOP + (1 - bytes / most) * (HEIGHT - TOP - BOTTOM);
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => (most * i) / TICKS);
  const day = (time: number): string =>
    Temporal.Instant.fromEpochMilliseconds(time * 1000)
      .toZonedDateTimeISO(zone)
      .toPlainDate()
      .toString();
  return html`<figure>
    <figcaption>${title}</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}: ${shown.map(({ name }) => name).join(", ")}">
      ${ticks.map((bytes) => html`<line x1="${LEFT}" x2="${WIDTH - 8}" y1="${y(bytes).toFixed(1)}" y2="${y(bytes).toFixed(1)}" stroke="#dfe5ea" /><text x="${LEFT - 8}" y="${(y(bytes) + 4).toFixed(1)}" text-anchor="end" font-size="11" fill="#51606e">${formatSize(Math.round(bytes))}</text>`)}
      <text x="${LEFT}" y="${HEIGHT - 6}" font-size="11" fill="#51606e">${day(from)}</text>
      <text x="${WIDTH - 8}" y="${HEIGHT - 6}" text-anchor="end" font-size="11" fill="#51606e">${day(to)}</text>
      ${shown.map((each, i) => {
        const [color, dashes] = LINES[i] ?? LINES[0];
        const path = each.points.map(([time, bytes]) => `${x(time).toFixed(1)},${y(bytes).toFixed(1)}`).join(" ");
        return html`<polyline
          points="${path}"
          fill="none"
          stroke="${color}"
          stroke-width="1.8"
          stroke-dasharray="${dashes}"
        />`;
      })}
    </svg>
    <p class="quiet">
      ${shown.map((each, i) => html`<svg width="28" height="8" style="width:28px" aria-hidden="true"><line x1="0" x2="28" y1="4" y2="4" stroke="${LINES[i]![0]}" stroke-width="2" stroke-dasharray="${LINES[i]![1]}" /></svg> ${each.name} &nbsp; `)}${series.length > shown.length ? `${series.length - shown.length} more are in the table or have too few samples` : ""}
    </p>
  </figure>`;
}
