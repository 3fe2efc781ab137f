/** What was stored and written in a range, and when space ends. Also what the API shows of it outside of a report. */
import { formatTime, micros, type Micros } from "../base/units.ts";
import type { GrowthRow, GrowthTable } from "../catalog/catalog.ts";
import type { WireForecast, WireGrowth } from "../contract/growth.ts";
import type { ReportCell } from "../contract/reports.ts";
import { FORECAST_WINDOW, forecastSpace, type Forecast } from "./forecast.ts";
import { section, timeCell, type Body, type Finding } from "./parts.ts";
import type { Range, ReportSources } from "./sources.ts";

const DAY = 86_400e6;
/** Up to so long a range is shown by the hour; hours are kept for 90 days. */
const HOURLY_MAX = 14 * DAY;
/** When people have to do something: an order and a delivery take that long. */
export const FORECAST_WARN_DAYS = 14;

const rhythmOf = ({ from, to }: Range): "hour" | "day" => (to - from <= HOURLY_MAX ? "hour" : "day");

/** When space ends where a vault lies. */
export function forecastOf(growth: GrowthTable, vault: string, now: Micros, reserveBytes: number): Forecast {
  const from = micros(now - FORECAST_WINDOW);
  const rows = growth.samples({ kind: "vault", name: vault, rhythm: "hour", from, to: micros(now + 1) });
  const readings = rows.flatMap(({ time, freeBytes }) => (freeBytes === null ? [] : [{ time, freeBytes }]));
  return forecastSpace(readings, now, reserveBytes);
}

export function wireForecast(forecast: Forecast): WireForecast {
  if (forecast.kind !== "ends") return forecast;
  const { at, earliest, latest, daysLeft, ...rest } = forecast;
  return {
    ...rest,
    at: formatTime(at),
    daysLeft: Math.round(daysLeft * 10) / 10,
    earliest: formatTime(earliest),
    ...(latest === undefined ? {} : { latest: formatTime(latest) }),
  };
}

/** @param vaults - of which a forecast is wanted; samples of others, which are gone, are shown too */
export function growthOf(
  sources: Pick<ReportSources, "growth" | "now" | "reserveBytes">,
  range: Range,
  vault?: string,
): WireGrowth {
  const rhythm = rhythmOf(range);
  const { growth, now, reserveBytes } = sources;
  const ofVaults = byName(growth.samples({ kind: "vault", name: vault, rhythm, ...range }));
  const ofVolumes = byName(growth.samples({ kind: "volume", rhythm, ...range }));
  return {
    from: formatTime(range.from),
    to: formatTime(range.to),
    rhythm,
    vaults: [...ofVaults].map(([name, rows]) => ({
      vault: name,
      points: rows.map(({ time, storedBytes, liveBytes, freeBytes, totalBytes }) => ({
        time: formatTime(time),
        ...known({ storedBytes, liveBytes, freeBytes, totalBytes }),
      })),
      forecast: wireForecast(forecastOf(growth, name, now(), reserveBytes)),
    })),
    volumes: [...ofVolumes].map(([volume, rows]) => ({
      volume,
      points: rows.map(({ time, writtenBytes }) => ({ time: formatTime(time), writtenBytes: writtenBytes ?? 0 })),
    })),
  };
}

function known<Facts extends Record<string, number | null>>(facts: Facts): { [Key in keyof Facts]?: number } {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null)) as {
    [Key in keyof Facts]?: number;
  };
}

function byName(rows: readonly GrowthRow[]): Map<string, GrowthRow[]> {
  const names = new Map<string, GrowthRow[]>();
  for (const row of rows) {
    const before = names.get(row.name);
    if (before) before.push(row);
    else names.set(row.name, [row]);
  }
  return names;
}

export async function growthReport(sources: ReportSources, range: Range): Promise<Body> {
  const { growth } = sources;
  const rhythm = rhythmOf(range);
  const ofVaults = byName(growth.samples({ kind: "vault", rhythm, ...range }));
  const ofVolumes = byName(growth.samples({ kind: "volume", rhythm, ...range }));
  const findings: Finding[] = [];
  const vaults = [...ofVaults].map(([name, rows]) => vaultRow(sources, name, rows, findings));
  const volumes = [...ofVolumes]
    .map(([volume, rows]) => ({ volume, writtenBytes: rows.reduce((sum, row) => sum + (row.writtenBytes ?? 0), 0) }))
    .sort((a, b) => b.writtenBytes - a.writtenBytes);
  if (findings.length === 0 && vaults.some(({ bytesPerDay }) => bytesPerDay !== null))
    findings.push({ level: "good", text: `No space ends within ${FORECAST_WARN_DAYS} days.` });
  if (findings.length === 0)
    findings.push({ level: "warning", text: "There is not enough data yet to say when space ends." });
  return {
    findings,
    sections: [
      section(
        "Vaults",
        [
          ["vault", "Vault", "text"],
          ["storedBytes", "Stored", "bytes"],
          ["grownBytes", "Grown by", "bytes"],
          ["liveBytes", "Needed by volumes", "bytes"],
          ["freeBytes", "Free", "bytes"],
          ["totalBytes", "Of", "bytes"],
          ["bytesPerDay", "Free space shrinks a day by", "bytes"],
          ["endsAt", "Space ends", "time"],
          ["earliest", "At the earliest", "time"],
          ["latest", "At the latest", "time"],
          ["note", "Forecast", "text"],
        ],
        vaults,
        {
          about: "Forecasts go by the last 28 days, whatever the range.",
          charts: [
            { title: "Stored", series: seriesOf(ofVaults, "storedBytes") },
            { title: "Free", series: seriesOf(ofVaults, "freeBytes") },
          ],
        },
      ),
      section(
        "Written by clients",
        [
          ["volume", "Volume", "text"],
          ["writtenBytes", "Written", "bytes"],
        ],
        volumes,
        {
          about: "Volumes of encrypted vaults are not recorded one by one.",
          charts: [
            {
              title: `Written in a${rhythm === "hour" ? "n hour" : " day"}`,
              series: seriesOf(ofVolumes, "writtenBytes"),
            },
          ],
        },
      ),
    ],
  };
}

function seriesOf(rows: ReadonlyMap<string, readonly GrowthRow[]>, key: "storedBytes" | "freeBytes" | "writtenBytes") {
  return [...rows].map(([name, points]) => ({
    name,
    points: points.flatMap((row): [number, number][] => {
      const bytes = row[key];
      return bytes === null ? [] : [[row.time / 1e6, bytes]];
    }),
  }));
}

function vaultRow(
  sources: Pick<ReportSources, "growth" | "now" | "reserveBytes">,
  vault: string,
  rows: readonly GrowthRow[],
  findings: Finding[],
): Record<string, ReportCell> {
  const stored = rows.flatMap(({ storedBytes }) => (storedBytes === null ? [] : [storedBytes]));
  const last = rows.at(-1);
  const newest = (key: "liveBytes" | "freeBytes" | "totalBytes"): number | null =>
    rows.findLast((row) => row[key] !== null)?.[key] ?? null;
  const forecast = forecastOf(sources.growth, vault, sources.now(), sources.reserveBytes);
  if (forecast.kind === "ends" && forecast.daysLeft < FORECAST_WARN_DAYS)
    findings.push({
      level: forecast.daysLeft < FORECAST_WARN_DAYS / 4 ? "bad" : "warning",
      text: `Where vault ${vault} lies, space ends in ${forecast.daysLeft.toFixed(1)} days if it goes on as in the last weeks.`,
    });
  return {
    vault,
    storedBytes: last?.storedBytes ?? stored.at(-1) ?? null,
    grownBytes: stored.length < 2 ? null : stored.at(-1)! - stored[0]!,
    liveBytes: newest("liveBytes"),
    freeBytes: newest("freeBytes"),
    totalBytes: newest("totalBytes"),
    bytesPerDay: forecast.kind === "not-enough-data" ? null : forecast.bytesPerDay,
    endsAt: forecast.kind === "ends" ? timeCell(forecast.at) : null,
    earliest: forecast.kind === "ends" ? timeCell(forecast.earliest) : null,
    latest: forecast.kind === "ends" ? timeCell(forecast.latest) : null,
    note: forecastNote(forecast),
  };
}

function forecastNote(forecast: Forecast): string {
  switch (forecast.kind) {
    case "not-enough-data":
      return `not enough data: ${forecast.haveDays} of ${forecast.needDays} days`;
    case "not-growing":
      return "space does not shrink";
    case "ends":
      return `${forecast.daysLeft.toFixed(1)} days left`;
  }
}
