/**
 * Samples every hour what vaults store and volumes receive, and warns when space will end soon. What is needed of what is stored is counted once a day, since
 * that reads a vault's whole map. Volumes of encrypted vaults are not sampled one by one: the catalog is no place for their names.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { isSternwayError } from "../base/errors.ts";
import { inTurns } from "../base/turns.ts";
import { formatSize, formatTime, micros, type Micros } from "../base/units.ts";
import type { CatalogEvent, GrowthSample, GrowthTable } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import type { VolumeTotals } from "../observe/metrics.ts";
import { FORECAST_WARN_DAYS, forecastOf, type Forecast } from "../report/report.ts";

/** What is known of a vault at this moment; a fact that is not known is left out. */
export interface VaultReading {
  vault: string;
  storedBytes?: number | undefined;
  freeBytes?: number | undefined;
  totalBytes?: number | undefined;
}

export interface GrowthTaskOptions {
  growth: GrowthTable;
  clock: Clock;
  log: Log;
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
  /** Of open vaults. */
  vaults(): VaultReading[];
  /** What of a vault's stored bytes some volume needs. @throws conflict, unavailable: it cannot be counted now */
  liveBytes(vault: string): Promise<number>;
  /** Since the start. */
  totals(): VolumeTotals[];
  /** Its name must not be kept. */
  isSecret(volume: string): boolean;
  reserveBytes: number;
}

const INTERVAL_MS = 3_600_000;
/** The free space is read by then. */
const FIRST_MS = 30_000;
const DAY = 86_400e6;
/** Samples of volumes that are kept at once. */
const PART = 32;
/** Of the days at which it warns: more must be left before the warning ends, so that it does not flap. */
const BACK = 1.25;

export class GrowthTask {
  private readonly options: GrowthTaskOptions;
  private readonly counted = new Map<string, number>();
  private readonly forecasts = new Map<string, Forecast>();
  private readonly warned = new Set<string>();
  private timer: Timer | undefined;
  private isStopped = false;

  constructor(options: GrowthTaskOptions) {
    this.options = options;
  }

  start(): void {
    this.rest(FIRST_MS);
  }

  /** Keeps what was written since the last sample. A vault's count that is under way is not waited for: it ends when the vault does. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timer?.cancel();
    await this.keepVolumes(this.options.clock.wall());
  }

  /** Days until space ends, by vault; only of those where it does. */
  daysLeft(): { vault: string; daysLeft: number }[] {
    return [...this.forecasts].flatMap(([vault, forecast]) =>
      forecast.kind === "ends" ? [{ vault, daysLeft: forecast.daysLeft }] : [],
    );
  }

  private rest(delayMs: number): void {
    if (this.isStopped) return;
    this.timer = this.options.clock.timer(delayMs, () => {
      void this.sample().finally(() => this.rest(INTERVAL_MS));
    });
  }

  /** Takes a sample now. Never rejects. */
  async sample(): Promise<void> {
    const { clock, growth } = this.options;
    const now = clock.wall();
    const readings = this.options.vaults();
    const ofVaults: GrowthSample[] = [];
    for (const { vault, storedBytes, freeBytes, totalBytes } of readings) {
      const liveBytes = await this.liveBytes(vault, now);
      const facts = { storedBytes: storedBytes ?? null, freeBytes: freeBytes ?? null, totalBytes: totalBytes ?? null };
      ofVaults.push({ time: now, kind: "vault", name: vault, ...facts, liveBytes, writtenBytes: null });
    }
    if (this.isStopped) return;
    await this.keepVolumes(now);
    this.guarded(() => {
      growth.add(ofVaults);
      this.forecasts.clear();
      for (const { vault, freeBytes } of readings) this.forecast(vault, freeBytes ?? 0, now);
    });
  }

  /** A sample takes a tenth of a millisecond, and there may be ten thousand: clients are answered in between. */
  private async keepVolumes(now: Micros): Promise<void> {
    const { growth, clock } = this.options;
    const samples = this.volumeSamples(now);
    const parts = Array.from({ length: Math.ceil(samples.length / PART) }, (_, i) =>
      samples.slice(i * PART, (i + 1) * PART),
    );
    await inTurns(parts, (part) => this.guarded(() => growth.add(part)), clock);
  }

  /** What was written since the last time. */
  private volumeSamples(now: Micros): GrowthSample[] {
    const samples: GrowthSample[] = [];
    const totals = this.options.totals();
    for (const { volume, writtenBytes: total } of totals) {
      const writtenBytes = total - (this.counted.get(volume) ?? 0);
      this.counted.set(volume, total);
      // Less than before: another volume has the name by now.
      const written = writtenBytes < 0 ? total : writtenBytes;
      if (written === 0 || this.options.isSecret(volume)) continue;
      const none = { storedBytes: null, liveBytes: null, freeBytes: null, totalBytes: null };
      samples.push({ time: now, kind: "volume", name: volume, ...none, writtenBytes: written });
    }
    const there = new Set(totals.map(({ volume }) => volume));
    for (const volume of this.counted.keys()) if (!there.has(volume)) this.counted.delete(volume);
    return samples;
  }

  /** Once a day; null when it was counted today, or cannot be. */
  private async liveBytes(vault: string, now: Micros): Promise<number | null> {
    const { growth, log } = this.options;
    const today = micros(Math.floor(now / DAY) * DAY);
    try {
      const range = { from: today, to: micros(now + 1) };
      const [sample] = growth.samples({ kind: "vault", name: vault, rhythm: "day", ...range });
      // The first sample of a day leaves it out: a start has more urgent work.
      if (!sample || sample.liveBytes !== null || this.isStopped) return null;
      return await this.options.liveBytes(vault);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      log.debug({ vault, err: error }, "what is needed of a vault could not be counted; it is tried again in an hour");
      return null;
    }
  }

  private forecast(vault: string, freeBytes: number, now: Micros): void {
    const { growth, reserveBytes, tell } = this.options;
    const forecast = forecastOf(growth, vault, now, reserveBytes);
    this.forecasts.set(vault, forecast);
    if (forecast.kind === "not-enough-data") return;
    const daysLeft = forecast.kind === "ends" ? forecast.daysLeft : Number.POSITIVE_INFINITY;
    if (forecast.kind === "ends" && daysLeft < FORECAST_WARN_DAYS && !this.warned.has(vault)) {
      this.warned.add(vault);
      const day = formatTime(forecast.at).slice(0, 10);
      const message = `where vault ${vault} lies, ${formatSize(freeBytes)} are free and ${formatSize(forecast.bytesPerDay)} go a day: space ends on ${day}, in ${daysLeft.toFixed(1)} days`;
      tell({ level: "warning", kind: "space-forecast", subject: vault, message });
    }
    if (daysLeft > FORECAST_WARN_DAYS * BACK && this.warned.delete(vault)) {
      const message = `where vault ${vault} lies, space lasts for more than ${FORECAST_WARN_DAYS} days again`;
      tell({ level: "info", kind: "space-forecast-back", subject: vault, message });
    }
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.options.log.warn({ err: error }, "a sample of growth could not be kept");
    }
  }
}
