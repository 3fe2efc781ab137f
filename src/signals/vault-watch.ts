/**
 * Watches the volumes of one open vault: takes over what the sealer measured, asks the detector of each volume, raises alarms, keeps the series, has the
 * sealer learn what it does not know, and has files closed sooner where there is something to look at. All of it runs beside the answering path: a few sums
 * for each sealed stretch, and a look every five seconds.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { isSternwayError } from "../base/errors.ts";
import { inTurns } from "../base/turns.ts";
import { lsn, micros, type Lsn } from "../base/units.ts";
import { countsOf } from "../base/write-counts.ts";
import type { SignalSums, SignalVolume } from "../catalog/catalog.ts";
import { areasOf, learnAreas, unsealedAfter } from "../vault/content/content-survey.ts";
import type { StrandAreas, StrandWrites, WriteSlice } from "../vault/content/content-survey.ts";
import type { Vault } from "../vault/vault.ts";
import { raiseAlarm, type AlarmParts } from "./alarm.ts";
import { isBaselineState } from "./baseline.ts";
import { Detector, SENSITIVITIES, type DetectorState, type Finding, type Sensitivity } from "./detector.ts";
import { SealSooner, UNSEALED_MIN } from "./seal-sooner.ts";

const LOOK_MS = 5_000;
/** What is usual changes slowly; the last minutes of it may be lost. */
const KEEP_MICROS = 300e6;
/** Strands and areas that wait to be learned; what does not fit is told of again by the next stretch. */
const WANTED_MAX = 4096;
/** Strands that are looked up at one look: ten thousand at once would hold up clients right after a start. */
const SURVEYED_MAX = 64;
/** Sums of a stretch's strands that wait to be kept, each for half a millisecond. What does not fit is missing in the series, and nowhere else. */
const UNKEPT_MAX = 20_000;

/** What the sealer tells of a stretch. */
export interface SealedWrites {
  writes: readonly StrandWrites[];
  strange: readonly StrandAreas[];
}

export interface VaultWatchOptions extends AlarmParts {
  vault: Vault;
  /** As the appliance calls it. */
  name: string;
  clock: Clock;
  /** Counts an alarm. */
  onAlarm: () => void;
  /** Told when it is stopped. */
  onStop: (watch: VaultWatch) => void;
}

interface Watched {
  detector: Detector;
  /** The newest alarm, while it goes on. */
  alarm: number | undefined;
  turned: number;
  isChanged: boolean;
}

export class VaultWatch {
  readonly name: string;
  private readonly options: VaultWatchOptions;
  private readonly vaultId: string;
  /** By number of the volume. */
  private readonly watched = new Map<number, Watched>();
  private readonly sooner: SealSooner;
  /** Strands whose areas were asked for as a whole. */
  private readonly surveyed = new Set<number>();
  private wanted: StrandAreas[] = [];
  private hasRoom = true;
  private closedLsn: Lsn;
  private keptAt: number;
  private timer: Timer | undefined;
  private isStopped = false;
  /** Alarms are raised and areas learned one after another. */
  private raising: Promise<void> = Promise.resolve();
  private learning: Promise<void> | undefined;
  /** What the series do not have yet, oldest first. */
  private unkept: { of: SignalVolume; sums: SignalSums[] }[] = [];
  /** Sums and states are kept one after another, in turns with everything else. */
  private keeping: Promise<void> = Promise.resolve();

  constructor(options: VaultWatchOptions) {
    this.options = options;
    this.name = options.name;
    this.vaultId = options.vault.sealing.manifest.vault;
    this.sooner = new SealSooner(options.clock.monotonic());
    this.closedLsn = options.vault.sealing.manifest.sealed.lsn as Lsn;
    this.keptAt = options.clock.monotonic();
    this.look();
  }

  /** Takes over what a sealed stretch held. */
  sealed({ writes, strange }: SealedWrites): void {
    if (this.isStopped) return;
    const { registry } = this.options.vault;
    for (const { strand, slices } of writes) {
      const volume = registry.strands()[strand - 1]?.volume;
      const record = volume === undefined ? undefined : registry.byId(volume);
      if (!record || record.deletedLsn !== undefined) continue;
      const watched = this.of(record.id);
      for (const slice of slices) this.found(record.id, watched.detector.observe(slice));
      watched.isChanged = true;
      if (this.unkept.length < UNKEPT_MAX) this.unkept.push({ of: this.idOf(record.id), sums: slices.map(sumsOf) });
    }
    this.keepInTurns(this.takeUnkept(), ({ of, sums }) => this.options.catalog.signals.addSeries(of, sums));
    this.want(strange);
  }

  /** The number of a volume, if this vault has it. */
  numberOf(volume: string): number | undefined {
    return this.options.vault.registry.find(volume)?.id;
  }

  /** The name of a volume that exists. */
  nameOf(of: SignalVolume): string | undefined {
    if (of.vault !== this.vaultId) return undefined;
    const record = this.options.vault.registry.byId(of.volume);
    return record?.deletedLsn === undefined ? record?.name : undefined;
  }

  idOf(volume: number): SignalVolume {
    return { vault: this.vaultId, volume };
  }

  scoreOf(volume: number): number {
    return this.watched.get(volume)?.detector.score ?? 0;
  }

  sensitivityOf(volume: number): Sensitivity {
    return this.of(volume).detector.sensitivity;
  }

  /** @throws unavailable: the catalog cannot keep it */
  setSensitivity(volume: number, sensitivity: Sensitivity): void {
    const watched = this.of(volume);
    watched.detector.sensitivity = sensitivity;
    this.options.catalog.signals.putState(this.idOf(volume), sensitivity, watched.detector.toState());
  }

  /** Somebody says that an alarm was theirs: what turned then is no reason for another one. */
  tolerate(volume: number, turnedPerMinute: number): void {
    const watched = this.of(volume);
    watched.detector.tolerate(turnedPerMinute, this.options.clock.wall());
    watched.alarm = undefined;
    this.keep(volume, watched);
  }

  /** What was said to be theirs was not. */
  distrust(volume: number): void {
    const watched = this.of(volume);
    watched.detector.baseline.distrust();
    this.keep(volume, watched);
  }

  /** Resolves when what was found has become alarms. For tests and the stop. */
  async settled(): Promise<void> {
    await this.raising;
    await this.learning;
    await this.keeping;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    this.timer?.cancel();
    this.wanted = [];
    await this.settled();
    this.keepChanged();
    await this.keeping;
    this.options.onStop(this);
  }

  private look(): void {
    const { vault, clock } = this.options;
    this.surveyNewStrands();
    for (const [volume, { detector }] of this.watched) this.found(volume, detector.rest(clock.wall()));
    const now = clock.monotonic();
    this.closedLsn = lsn(Math.max(this.closedLsn, vault.sealing.manifest.sealed.lsn));
    const isSuspicious = [...this.watched.values()].some(({ detector }) => detector.score > 0.2);
    // What waits to be sealed is on its way already.
    if (
      vault.sealing.backlog === 0 &&
      this.sooner.isDue(now, unsealedAfter(vault, this.closedLsn, UNSEALED_MIN), isSuspicious)
    ) {
      this.closedLsn = vault.lastLsn;
      vault.journal.rotate();
    }
    if (now - this.keptAt >= KEEP_MICROS) {
      this.keptAt = now;
      this.keepChanged();
    }
    this.timer = clock.timer(LOOK_MS, () => this.look());
  }

  /** What a strand held before this start is learned once, for all that it holds. */
  private surveyNewStrands(): void {
    const { vault } = this.options;
    let count = 0;
    for (const record of vault.registry.volumes()) {
      const { strand } = record.strands.at(-1)!;
      if (this.surveyed.has(strand)) continue;
      if (count++ >= SURVEYED_MAX || this.wanted.length >= WANTED_MAX) return;
      this.surveyed.add(strand);
      if (this.hasRoom) this.want([areasOf(vault, strand)]);
    }
  }

  private want(areas: readonly StrandAreas[]): void {
    for (const each of areas) if (this.wanted.length < WANTED_MAX && each.areas.length > 0) this.wanted.push(each);
    if (this.wanted.length === 0 || this.learning || this.isStopped) return;
    this.learning = this.learn().finally(() => {
      this.learning = undefined;
      this.want([]);
    });
  }

  private async learn(): Promise<void> {
    const areas = this.wanted.shift();
    if (!areas) return;
    try {
      this.hasRoom = await learnAreas(this.options.vault, [areas]);
    } catch (error) {
      if (!isSternwayError(error) || error.kind === "internal") throw error;
      if (!this.isStopped)
        this.options.log.warn({ err: error }, "what blocks held before could not be learned; signals see less for it");
    }
  }

  private of(volume: number): Watched {
    let watched = this.watched.get(volume);
    if (!watched) this.watched.set(volume, (watched = this.load(volume)));
    return watched;
  }

  private load(volume: number): Watched {
    const { signals } = this.options.catalog;
    const id = this.idOf(volume);
    const kept = this.guarded(() => signals.state(id));
    const sensitivity = SENSITIVITIES.find((each) => each === kept?.sensitivity) ?? "normal";
    const state = kept?.state as DetectorState | undefined;
    const isUsable = isBaselineState(state?.baseline) && Number.isSafeInteger(state?.lastFlush);
    const detector = new Detector(sensitivity, isUsable ? state : undefined);
    const [alarm] = detector.isAlarmed ? (this.guarded(() => signals.openAlarms(id)) ?? []) : [];
    return { detector, alarm: alarm?.id, turned: alarm?.turned ?? 0, isChanged: false };
  }

  private found(volume: number, finding: Finding | undefined): void {
    if (!finding) return;
    this.raising = this.raising.then(async () => {
      const watched = this.of(volume);
      switch (finding.kind) {
        case "alarm": {
          const name = this.nameOf(this.idOf(volume));
          if (name === undefined) return;
          this.options.onAlarm();
          watched.turned = finding.suspicion.turned;
          watched.alarm = await raiseAlarm(this.options, this.idOf(volume), name, finding.suspicion).catch(
            (error: unknown) => {
              // The volume went meanwhile, or its vault stops.
              if (!isSternwayError(error)) throw error;
              this.options.log.error({ err: error, volume: name }, "an alarm could not be raised");
              return undefined;
            },
          );
          this.keep(volume, watched);
          return;
        }
        case "more":
          watched.turned += finding.turned;
          this.change(watched, { turned: watched.turned, perMinute: finding.perMinute });
          return;
        case "over": {
          this.change(watched, { endedAt: micros(finding.at) });
          watched.alarm = undefined;
          const name = this.nameOf(this.idOf(volume));
          if (name === undefined) return;
          const message = `volume ${name}: nothing more seems to be encrypted in place; what happened before has not gone away by that`;
          this.options.tell({ level: "info", kind: "ransomware-over", subject: name, message });
          this.keep(volume, watched);
          return;
        }
      }
    });
  }

  private change({ alarm }: Watched, change: Parameters<AlarmParts["catalog"]["signals"]["changeAlarm"]>[1]): void {
    if (alarm !== undefined) this.guarded(() => this.options.catalog.signals.changeAlarm(alarm, change));
  }

  private keepChanged(): void {
    const { registry } = this.options.vault;
    this.keepInTurns(this.watched, ([volume, watched]) => {
      if (registry.byId(volume)?.deletedLsn !== undefined) {
        this.watched.delete(volume);
        this.options.catalog.signals.forgetState(this.idOf(volume));
      } else if (watched.isChanged) this.keep(volume, watched);
    });
  }

  private *takeUnkept(): Generator<{ of: SignalVolume; sums: SignalSums[] }> {
    const taken = this.unkept;
    this.unkept = [];
    yield* taken;
  }

  private keepInTurns<Item>(items: Iterable<Item>, keep: (item: Item) => void): void {
    const { clock } = this.options;
    this.keeping = this.keeping.then(() => inTurns(items, (item) => this.guarded(() => keep(item)), clock));
  }

  private keep(volume: number, watched: Watched): void {
    watched.isChanged = false;
    const { sensitivity } = watched.detector;
    this.guarded(() =>
      this.options.catalog.signals.putState(this.idOf(volume), sensitivity, watched.detector.toState()),
    );
  }

  /** A catalog that fails costs what it should have kept, and nothing else. */
  private guarded<Result>(work: () => Result): Result | undefined {
    try {
      return work();
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      this.options.log.warn({ err: error }, "the catalog did not take signals");
      return undefined;
    }
  }
}

function sumsOf(slice: WriteSlice): SignalSums {
  return { time: micros(slice.from), ...countsOf(slice) };
}
