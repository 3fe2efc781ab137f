/** What charts over time share: their life in the page, the axis of time with the strip's own marks, and the axis of bytes. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatSize } from "../../../base/units.ts";
import { paletteOf, type Palette } from "./strip-drawing.ts";
import { ticksOf } from "./ticks.ts";

const HEIGHT = 190;
/** Steps of an axis of bytes: powers of two, as sizes are read. */
const BYTE_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** What a chart is made of; its size is its place's. */
export type ChartOptions = Omit<uPlot.Options, "width" | "height">;

export interface ChartFrame {
  palette: Palette;
  /** Too narrow for a second axis. */
  isNarrow: boolean;
  /** What every axis looks like. */
  axis: uPlot.Axis;
  timeAxis: uPlot.Axis;
  byteAxis: uPlot.Axis;
}

/**
 * Keeps a chart in a place of the page, as wide as that.
 * @param optionsIn - what it is made of
 * @param shape - a change of it makes the chart anew; its values come later and make no new one
 * @param fill - gives it its values and ranges
 * @param values - a change of one fills it again
 * @returns for the element that holds it
 */
export function useTimeChart(
  zone: string,
  optionsIn: (frame: ChartFrame) => ChartOptions,
  shape: string,
  fill: (chart: uPlot) => void,
  values: readonly unknown[],
) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const options = optionsIn(frameOf(element, zone));
    const size = { width: Math.max(200, element.clientWidth), height: HEIGHT };
    const made = new uPlot({ ...size, ...options }, [[], ...options.series.slice(1).map(() => [])], element);
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
    if (chart.current) fill(chart.current);
  }, [...values, zone, shape]);
  return place;
}

function frameOf(element: HTMLElement, zone: string): ChartFrame {
  const palette = paletteOf(element);
  const axis: uPlot.Axis = {
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
    palette,
    isNarrow: element.clientWidth < 520,
    axis,
    timeAxis: {
      ...axis,
      splits: (chart) => ticks(chart).map((tick) => tick.time / 1e6),
      values: (chart) => ticks(chart).map((tick) => tick.label),
    },
    byteAxis: { ...axis, size: 78, incrs: BYTE_STEPS, values: (_, splits) => splits.map((value) => formatSize(value)) },
  };
}
