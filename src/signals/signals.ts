/**
 * The door of the room: signals of ransomware. Each open vault is watched (vault-watch.ts); here is what people ask: alarms, series, how sensitive a volume is.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { micros, type Micros } from "../base/units.ts";
import type { Alarm, Catalog, CatalogEvent } from "../catalog/catalog.ts";
import type { Log } from "../observe/log.ts";
import type { Vault } from "../vault/vault.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Sensitivity } from "./detector.ts";
import { bucketsOf, type SignalBucket } from "./series.ts";
import { VaultWatch } from "./vault-watch.ts";

export type { Sensitivity } from "./detector.ts";
export type { SignalBucket } from "./series.ts";
export type { SealedWrites, VaultWatch } from "./vault-watch.ts";

export interface SignalsOptions {
  catalog: Pick<Catalog, "signals">;
  clock: Clock;
  log: Log;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
  /** Counts an alarm. */
  onAlarm: () => void;
}

/** An alarm with the volume's name of today; without one its vault is closed, or it was deleted. */
export type NamedAlarm = Omit<Alarm, "vault" | "volume"> & { volume: string | undefined; vault: string | undefined };

export interface VolumeSignals {
  sensitivity: Sensitivity;
  /** 0, calm, to 1, an alarm. */
  score: number;
  from: Micros;
  to: Micros;
  buckets: SignalBucket[];
  /** Of the time asked for, newest first. */
  alarms: NamedAlarm[];
}

const HOUR = 3600e6;
/** Sums by the minute are kept for so long. */
const FINE_MICROS = 7 * 86_400e6;
const ALARMS_SHOWN_MAX = 100;

export class Signals {
  private readonly options: SignalsOptions;
  /** By name of the vault. */
  private readonly watches = new Map<string, VaultWatch>();

  constructor(options: SignalsOptions) {
    this.options = options;
  }

  /** Watches an open vault until the watch is stopped, which is to be before the vault is. */
  watch(vault: Vault, name: string, volumes: Volumes): VaultWatch {
    const { catalog, clock, log, tell, onAlarm } = this.options;
    const watch = new VaultWatch({
      vault,
      name,
      volumes,
      catalog,
      clock,
      log: log.child({ vault: name }),
      tell,
      onAlarm,
      onStop: (stopped) => {
        if (this.watches.get(name) === stopped) this.watches.delete(name);
      },
    });
    this.watches.set(name, watch);
    return watch;
  }

  /** How suspicious a volume is, 0 to 1; undefined: it is not watched. */
  scoreOf(volume: string): number | undefined {
    const found = this.find(volume);
    return found && found.watch.scoreOf(found.number);
  }

  /** Newest first. @param page.before - only ids below it */
  alarms(page: { before?: number | undefined; limit: number }): NamedAlarm[] {
    return this.options.catalog.signals.alarms(page).map((alarm) => this.named(alarm));
  }

  /** @throws not_found */
  alarm(id: number): NamedAlarm {
    return this.named(this.kept(id));
  }

  /**
   * Notes what somebody says an alarm was; who looks again may say otherwise.
   * @param answer.verdict - `mine`: it was meant, and as much of it is no reason for another alarm for 30 days
   * @throws not_found
   */
  acknowledge(id: number, answer: { by: string; verdict: "mine" | "attack" | "unclear"; note: string }): NamedAlarm {
    const alarm = this.kept(id);
    const now = micros(this.options.clock.wall());
    const { by, verdict, note } = answer;
    const isOver = verdict === "mine" && alarm.endedAt === null;
    this.options.catalog.signals.changeAlarm(id, {
      acknowledgedAt: now,
      acknowledgedBy: by,
      verdict,
      note,
      ...(isOver ? { endedAt: now } : {}),
    });
    const watch = [...this.watches.values()].find((each) => each.nameOf(alarm) !== undefined);
    if (verdict === "mine") watch?.tolerate(alarm.volume, alarm.perMinute);
    else if (alarm.verdict === "mine") watch?.distrust(alarm.volume);
    return this.alarm(id);
  }

  /**
   * @param range - default: the last day
   * @throws not_found: no such volume, or its vault is not open for writing
   */
  series(volume: string, range: { from?: Micros; to?: Micros; bucketCount: number }): VolumeSignals {
    const { watch, number } = this.watched(volume);
    const now = this.options.clock.wall();
    const to = range.to ?? micros(now);
    const from = range.from ?? micros(to - 24 * HOUR);
    if (from >= to) throw new SternwayError("invalid", "from must be before to");
    const { signals } = this.options.catalog;
    const id = watch.idOf(number);
    const fine = from >= now - FINE_MICROS;
    // What began before the first interval may reach into it.
    const rows = signals.series(id, { from: micros(from - (fine ? 60e6 : HOUR) + 1), to, fine });
    return {
      sensitivity: watch.sensitivityOf(number),
      score: watch.scoreOf(number),
      from,
      to,
      buckets: bucketsOf(rows, from, to, range.bucketCount),
      alarms: signals.alarmsOf(id, { from, to, limit: ALARMS_SHOWN_MAX }).map((alarm) => this.named(alarm)),
    };
  }

  /** @throws not_found; unavailable: it could not be kept */
  setSensitivity(volume: string, sensitivity: Sensitivity): void {
    const { watch, number } = this.watched(volume);
    watch.setSensitivity(number, sensitivity);
  }

  private kept(id: number): Alarm {
    const alarm = this.options.catalog.signals.alarm(id);
    if (!alarm)
      throw new SternwayError("not_found", `there is no alarm ${id}; GET /v1/alarms lists them`, { alarm: id });
    return alarm;
  }

  private named({ vault: vaultId, volume: number, ...alarm }: Alarm): NamedAlarm {
    for (const watch of this.watches.values()) {
      const volume = watch.nameOf({ vault: vaultId, volume: number });
      if (volume !== undefined) return { ...alarm, volume, vault: watch.name };
    }
    return { ...alarm, volume: undefined, vault: undefined };
  }

  private watched(volume: string): { watch: VaultWatch; number: number } {
    const found = this.find(volume);
    if (found) return found;
    throw new SternwayError("not_found", `volume ${volume} is not watched: its vault is not open for writing`, {
      volume,
    });
  }

  private find(volume: string): { watch: VaultWatch; number: number } | undefined {
    for (const watch of this.watches.values()) {
      const number = watch.numberOf(volume);
      if (number !== undefined) return { watch, number };
    }
    return undefined;
  }
}
