/** Sizes over time as a chart: lines on one axis of bytes, which begins at zero so that a small change does not look like a large one. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatSize } from "../../../base/units.ts";
import { paletteOf } from "./strip-drawing.ts";
import { ticksOf } from "./ticks.ts";
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

const HEIGHT = 190;
/** Steps of the axis: powers of two, as sizes are read. */
const BYTE_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);

export function BytesChart({ label, times, lines, from, to, zone }: BytesChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  // What the chart is made of; its values come later and make no new one.
  const shape = lines.map(({ name, tone }) => `${name}:${tone}`).join();

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const made = new uPlot(optionsOf(element, lines, zone), [[], ...lines.map(() => [])], element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = undefined;
    };
  }, [zone, shape]);

  useEffect(() => {
    chart.current?.setData([times.map((time) => time / 1e6), ...lines.map(({ values }) => [...values])], false);
    const most = Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
    chart.current?.setScale("x", { min: from / 1e6, max: to / 1e6 });
    chart.current?.setScale("y", { min: 0, max: most * 1.1 });
  }, [times, lines, from, to, zone, shape]);

  return <div ref={place} class="series-chart" role="img" aria-label={label} />;
}

function optionsOf(element: HTMLElement, lines: readonly BytesLine[], zone: string): uPlot.Options {
  const palette = paletteOf(element);
  const axis = {
    stroke: palette.quiet,
    grid: { stroke: palette.line, width: 1 },
    ticks: { stroke: palette.line },
    font: `12px ${palette.font}`,
  };
  const ticks = (chart: uPlot): ReturnType<typeof ticksOf> => {
    const { min = null, max = null } = chart.scales["x"] ?? {};
    if (min === null || max === null || max <= min) return [];
    return ticksOf({ from: min * 1e6, to: max * 1e6 }, chart.bbox.width / devicePixelRatio, zone);
  };
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { auto: false } },
    axes: [
      {
        ...axis,
        splits: (chart) => ticks(chart).map((tick) => tick.time / 1e6),
        values: (chart) => ticks(chart).map((tick) => tick.label),
      },
      { ...axis, size: 78, incrs: BYTE_STEPS, values: (_, splits) => splits.map((value) => formatSize(value)) },
    ],
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
