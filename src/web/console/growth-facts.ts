/** Growth as the console shows it: series for charts, and sentences. Pure. */
import type { WireForecast, WireGrowth } from "../../contract/growth.ts";
import { formatSize, localTime } from "./words.ts";

export type VaultGrowth = WireGrowth["vaults"][number];

export interface GrowthSeries {
  /** In microseconds since 1970. */
  times: number[];
  stored: (number | null)[];
  live: (number | null)[];
  free: (number | null)[];
}

export function seriesOf({ points }: VaultGrowth): GrowthSeries {
  return {
    times: points.map(({ time }) => Date.parse(time) * 1000),
    stored: points.map(({ storedBytes }) => storedBytes ?? null),
    live: points.map(({ liveBytes }) => liveBytes ?? null),
    free: points.map(({ freeBytes }) => freeBytes ?? null),
  };
}

/**
 * What changed from the first known figure to the last: `4 GiB were stored when last counted, 1 GiB more than at the beginning`. In the past, because figures
 * are taken each hour while other pages show the present. Undefined while there is none.
 */
export function changeSentence({ points }: VaultGrowth): string | undefined {
  const stored = points.flatMap(({ storedBytes }) => (storedBytes === undefined ? [] : [storedBytes]));
  const [first] = stored;
  const last = stored.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const begun = `${formatSize(last)} were stored when last counted`;
  if (stored.length === 1) return `${begun}.`;
  if (last === first) return `${begun}, as at the beginning of this time.`;
  return `${begun}, ${formatSize(Math.abs(last - first))} ${last > first ? "more" : "less"} than at the beginning of this time.`;
}

/** The range in which space ends; undefined where there is nothing to say beyond how long it lasts. @param zone - default: the browser's */
export function endsSentence(forecast: WireForecast, zone?: string): string | undefined {
  if (forecast.kind !== "ends" || forecast.daysLeft > 5 * 365) return undefined;
  const { at, earliest, latest } = forecast;
  const day = (time: string): string => localTime(time, zone).replace(/, \d\d:.*$/, "");
  const range =
    latest === undefined
      ? `${day(earliest)} at the earliest, and perhaps never`
      : day(earliest) === day(latest)
        ? undefined
        : `between ${day(earliest)} and ${day(latest)} by how much single days differ`;
  return `It would end on ${day(at)}${range === undefined ? "" : `; ${range}`}.`;
}
