/** What was written over the part of history that the strip shows, as a chart with figures: bytes and writes, and how well it compressed where that is known. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatSize } from "../../../base/units.ts";
import { shownIntervals, type StripFacts } from "./facts.ts";
import type { Measured } from "./signals.ts";
import { paletteOf } from "./strip-drawing.ts";
import { ticksOf } from "./ticks.ts";
import { localText } from "./time.ts";
import type { View } from "./view.ts";

export interface SeriesChartProps {
  facts: StripFacts;
  view: View;
  zone: string;
  /** How well what was written compressed, where the appliance measured it; in order. */
  compressibility?: readonly Measured[];
}

const HEIGHT = 190;

export function SeriesChart({ facts, view, zone, compressibility }: SeriesChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const hasShares = compressibility !== undefined && compressibility.length > 0;

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const made = new uPlot(optionsOf(element, zone, hasShares), [[], [], []], element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = undefined;
    };
  }, [zone, hasShares]);

  useEffect(() => {
    chart.current?.setData(seriesOf(facts, view, hasShares ? compressibility : undefined), false);
    chart.current?.setScale("x", { min: view.from / 1e6, max: view.to / 1e6 });
  }, [facts, view, compressibility, zone, hasShares]);

  return (
    <div
      ref={place}
      class="series-chart"
      role="img"
      aria-label={`Bytes and writes per interval, from ${facts.grid.count} intervals; the list below has the figures`}
    />
  );
}

function seriesOf(facts: StripFacts, view: View, measured: readonly Measured[] | undefined): uPlot.AlignedData {
  const { grid } = facts;
  const [first, end] = shownIntervals(grid, view);
  const times: number[] = [];
  const bytes: number[] = [];
  const writes: number[] = [];
  for (let i = first; i < end; i++) {
    times.push((grid.from + i * grid.width) / 1e6);
    bytes.push(facts.writtenBytes[i]!);
    writes.push(facts.writes[i]!);
  }
  if (!measured) return [times, bytes, writes];
  let at = 0;
  const shares = times.map((seconds) => {
    const time = seconds * 1e6;
    while (at < measured.length && measured[at]!.end <= time) at++;
    const here = measured[at];
    return here && here.time <= time ? here.share * 100 : null;
  });
  return [times, bytes, writes, shares];
}

/** Steps of an axis of bytes: powers of two, as sizes are read. */
const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

function optionsOf(element: HTMLElement, zone: string, hasShares: boolean): uPlot.Options {
  const palette = paletteOf(element);
  const isNarrow = element.clientWidth < 520;
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
  const stepped = uPlot.paths.stepped!({ align: 1 });
  const written: uPlot.Series = {
    label: "written",
    stroke: palette.accent,
    width: 1.5,
    paths: stepped,
    fill: palette.accentSoft,
    points: { show: false },
    value: (_, value) => (value === null ? "" : formatSize(value)),
  };
  const writes: uPlot.Series = {
    label: "writes",
    scale: "writes",
    stroke: palette.quiet,
    width: 1,
    paths: stepped,
    points: { show: false },
  };
  const shares: uPlot.Series = {
    label: "compressed by, %",
    scale: "share",
    stroke: palette.warn,
    width: 1.5,
    points: { show: false },
  };
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    legend: { live: !isNarrow },
    scales: { x: { time: true }, writes: {}, share: { range: [0, 100] } },
    axes: [
      {
        ...axis,
        splits: (chart) => ticks(chart).map((tick) => tick.time / 1e6),
        values: (chart) => ticks(chart).map((tick) => tick.label),
      },
      {
        ...axis,
        size: 78,
        incrs: BYTE_STEPS,
        values: (_, splits) => splits.map((value) => formatSize(value)),
      },
      {
        ...axis,
        scale: "writes",
        side: 1,
        size: 60,
        show: !isNarrow,
        grid: { show: false },
        values: (_, splits) => splits.map((value) => value.toLocaleString("en-US")),
      },
    ],
    series: [
      { value: (_, seconds) => (seconds === null ? "" : localText(seconds * 1e6, zone, "millisecond")) },
      written,
      writes,
      ...(hasShares ? [shares] : []),
    ],
  };
}
