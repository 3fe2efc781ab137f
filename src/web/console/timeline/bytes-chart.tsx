/** Sizes over time as a chart: lines on one axis of bytes, which begins at zero so that a small change does not look like a large one. */
import type uPlot from "uplot";
import { formatSize } from "../../../base/units.ts";
import { useTimeChart, type ChartFrame, type ChartOptions } from "./time-chart.ts";
import { localText } from "./time.ts";

export interface BytesLine {
  name: string;
  tone: "accent" | "good" | "quiet";
  /** In bytes, one per time; null where it is not known. */
  values: readonly (number | null)[];
}

export interface BytesChartProps {
  /** What it shows, for screen readers; the figures belong into words or a table beside it. */
  label: string;
  /** In microseconds since 1970, ascending. */
  times: readonly number[];
  lines: readonly BytesLine[];
  /** The range of the axis, in microseconds. */
  from: number;
  to: number;
  zone: string;
}

export function BytesChart({ label, times, lines, from, to, zone }: BytesChartProps) {
  const place = useTimeChart(
    zone,
    (frame) => optionsOf(frame, lines, zone),
    lines.map(({ name, tone }) => `${name}:${tone}`).join(),
    (chart) => {
      chart.setData([times.map((time) => time / 1e6), ...lines.map(({ values }) => [...values])], false);
      const most = Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
      chart.setScale("x", { min: from / 1e6, max: to / 1e6 });
      chart.setScale("y", { min: 0, max: most * 1.1 });
    },
    [times, lines, from, to],
  );
  return <div ref={place} class="series-chart" role="img" aria-label={label} />;
}

function optionsOf(
  { palette, timeAxis, byteAxis }: ChartFrame,
  lines: readonly BytesLine[],
  zone: string,
): ChartOptions {
  return {
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { auto: false } },
    axes: [timeAxis, byteAxis],
    series: [
      { value: (_, seconds) => (seconds === null ? "–" : localText(seconds * 1e6, zone, "minute")) },
      ...lines.map(({ name, tone }, index): uPlot.Series => ({
        label: name,
        stroke: palette[tone],
        width: 2,
        // Told apart without colours too.
        ...(index === 0 ? {} : { dash: [6, 4] }),
        // What is counted once a day has gaps between its points, which are no gaps in what there was.
        spanGaps: true,
        value: (_, value) => (value === null ? "–" : formatSize(value)),
      })),
    ],
  };
}
