/** What was written over the part of history that the strip shows, as a chart with figures: bytes and writes, and how well it compressed where that is known. */
import uPlot from "uplot";
import { formatSize } from "../../../base/units.ts";
import { shownIntervals, type StripFacts } from "./facts.ts";
import type { Measured } from "./signals.ts";
import { useTimeChart, type ChartFrame, type ChartOptions } from "./time-chart.ts";
import { localText } from "./time.ts";
import type { View } from "./view.ts";

export interface SeriesChartProps {
  facts: StripFacts;
  view: View;
  zone: string;
  /** How well what was written compressed, where the appliance measured it; in order. */
  compressibility?: readonly Measured[];
}

export function SeriesChart({ facts, view, zone, compressibility }: SeriesChartProps) {
  const hasShares = compressibility !== undefined && compressibility.length > 0;
  const place = useTimeChart(
    zone,
    (frame) => optionsOf(frame, zone, hasShares),
    hasShares ? "with shares" : "without",
    (chart) => {
      chart.setData(seriesOf(facts, view, hasShares ? compressibility : undefined), false);
      chart.setScale("x", { min: view.from / 1e6, max: view.to / 1e6 });
    },
    [facts, view, compressibility],
  );
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

function optionsOf(
  { palette, isNarrow, axis, timeAxis, byteAxis }: ChartFrame,
  zone: string,
  hasShares: boolean,
): ChartOptions {
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
    value: (_, value) => (value === null ? "" : value.toLocaleString("en-US")),
  };
  const shares: uPlot.Series = {
    label: "compressed by",
    scale: "share",
    stroke: palette.warn,
    width: 1.5,
    points: { show: false },
    value: (_, value) => (value === null ? "" : `${Math.round(value)} %`),
  };
  return {
    cursor: { drag: { x: false, y: false } },
    legend: { live: !isNarrow },
    scales: { x: { time: true }, writes: {}, share: { range: [0, 100] } },
    axes: [
      timeAxis,
      byteAxis,
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
