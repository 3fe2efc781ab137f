/**
 * Finds encryption in place in what the writes of one volume are like. Pure: it is fed slices of some seconds in the order of their LSNs and knows no clock,
 * so a trace gives the same answer every time.
 *
 * What gives encryption away is blocks that *turn*: they held data that compresses, and are overwritten in place by new data that looks random. Much
 * else writes random-looking data, but to empty places (a copied film, a restored archive), over random-looking data (a disk that was always encrypted), or
 * as copies of blocks that are known (restoring a backup, defragmenting). So two things are asked of a window of time:
 *
 * - *enough*: so many blocks turned, above a floor and well above what is usual for this volume;
 * - *mostly*: of all data written meanwhile, a large share turned. Upgrades and databases turn some blocks among many that do not.
 *
 * What it cannot tell from encryption: random-looking data that lands on places which held compressible files and were never trimmed, when little else is
 * written. What is usual for the volume, and people's word that it was them, raise the floor there.
 *
 * The score is the lesser of the two, each as a part of what is needed; an alarm begins at 1. Of the last minute, as many of the newest slices are taken as look
 * worst: an attack must not hide behind what was written just before it. For an attack that goes slowly the same is done with a quarter of an hour, and a higher floor.
 */
import { Baseline, type BaselineState } from "./baseline.ts";

export const SENSITIVITIES = ["off", "low", "normal", "high"] as const;
export type Sensitivity = (typeof SENSITIVITIES)[number];

/** What the detector goes by of one slice; counts are blocks, times microseconds of the wall clock. */
export interface Observation {
  from: number;
  to: number;
  firstLsn: number;
  lastLsn: number;
  flushLsn: number;
  fresh: number;
  duplicate: number;
  turned: number;
  turnedLsn: number;
  flushBefore: number;
  /** Over what is not known: says nothing for or against. */
  unknown: number;
}

/** The last moment before the first suspicious overwrite. */
export interface Moment {
  lsn: number;
  /** A flush was answered there. */
  isFlushPoint: boolean;
}

export interface Suspicion {
  before: Moment;
  /** Of the first suspicious overwrite: its LSN, and the wall time of its slice. */
  firstLsn: number;
  from: number;
  /** When it was recognised: the end of the slice that made it certain. */
  at: number;
  /** Blocks that turned since then. */
  turned: number;
  /** Of all data written meanwhile, 0 to 1. */
  share: number;
}

export type Finding =
  | { kind: "alarm"; suspicion: Suspicion }
  /** It goes on. */
  | { kind: "more"; turned: number; perMinute: number }
  | { kind: "over"; at: number };

interface Rule {
  /** Blocks that turned. */
  turnedMin: number;
  /** Their share of the data written. */
  shareMin: number;
}

const MINUTE = 60e6;
/** How far back slices are looked at, and how many times the floor is asked for so far back. */
const SOON_MICROS = MINUTE;
const SLOW_MICROS = 15 * MINUTE;
const SLOW_TIMES = 4;
/** 8, 2 and 1 MiB of data that turned. */
const RULES: Record<Exclude<Sensitivity, "off">, Rule> = {
  low: { turnedMin: 2048, shareMin: 0.65 },
  normal: { turnedMin: 512, shareMin: 0.5 },
  high: { turnedMin: 256, shareMin: 0.3 },
};
/** So many times what is usual is unusual … */
const USUAL_FACTOR = 4;
/** … but what is usual raises the floor so many times at the most, or somebody with patience could teach it anything. */
const USUAL_TIMES_MAX = 8;
const TOLERATED_FACTOR = 1.5;
/** An alarm ends when the score stayed below this … */
const CALM_SCORE = 0.25;
/** … for so long. */
const CALM_MICROS = 10 * MINUTE;
/** Of the data written in a minute: blocks that turn count as usual in full from here on, and less below. */
const LEARN_SHARE = 0.4;
/** Minutes with a higher score are not learned. */
const LEARN_SCORE_MAX = 0.5;
/** 180 slices last a quarter of an hour; there are more when stretches fill within a slice's time. */
const SLICES_MAX = 4096;
/** Data of a slice that holds less is no sign of how an attack began: single blocks turn every day. */
const BEGIN_SHARE = 0.2;
const BEGIN_TURNED_MIN = 8;

interface Minute {
  minute: number;
  turned: number;
  written: number;
  score: number;
}

/** What survives a restart. */
export interface DetectorState {
  baseline: BaselineState;
  lastFlush: number;
  /** An alarm is under way since this time. */
  alarmFrom?: number;
}

export class Detector {
  readonly baseline: Baseline;
  sensitivity: Sensitivity;
  /** 0, calm, to 1, an alarm. */
  score = 0;
  private readonly slices: (Observation & { lastFlush: number })[] = [];
  private lastFlush: number;
  private alarmFrom: number | undefined;
  /** When the score was last above what counts as calm. */
  private restlessAt = 0;
  private current: Minute | undefined;
  /** The most that turned in a minute of the present or last alarm. */
  private peak = 0;

  constructor(sensitivity: Sensitivity = "normal", state?: DetectorState) {
    this.sensitivity = sensitivity;
    this.baseline = new Baseline(state?.baseline);
    this.lastFlush = state?.lastFlush ?? 0;
    this.alarmFrom = state?.alarmFrom;
    this.restlessAt = state?.alarmFrom ?? 0;
  }

  get isAlarmed(): boolean {
    return this.alarmFrom !== undefined;
  }

  toState(): DetectorState {
    return {
      baseline: this.baseline.toState(),
      lastFlush: this.lastFlush,
      ...(this.alarmFrom === undefined ? {} : { alarmFrom: this.alarmFrom }),
    };
  }

  /** Takes over the next slice. @returns what it found out, if anything */
  observe(slice: Observation): Finding | undefined {
    const kept = { ...slice, lastFlush: this.lastFlush };
    if (slice.flushLsn > 0) this.lastFlush = slice.flushLsn;
    this.slices.push(kept);
    while (this.slices[0]!.to < slice.to - SLOW_MICROS || this.slices.length > SLICES_MAX) this.slices.shift();
    const { score, since } = this.judge(slice.to);
    this.score = score;
    this.noteMinute(slice, score);
    if (score >= CALM_SCORE) this.restlessAt = slice.to;
    if (this.alarmFrom !== undefined) return this.goOn(slice);
    if (score < 1) return undefined;
    this.alarmFrom = slice.to;
    const suspicion = this.suspicionOf(since, slice.to);
    this.peak = this.perMinute(slice.to);
    return { kind: "alarm", suspicion };
  }

  /** Nothing was written for a while: the score falls, and an alarm may end. @param now - wall time */
  rest(now: number): Finding | undefined {
    this.score = this.judge(now).score;
    if (this.score >= CALM_SCORE) this.restlessAt = Math.max(this.restlessAt, this.slices.at(-1)?.to ?? 0);
    return this.calm(now);
  }

  /** Somebody did it and meant it. Ends the alarm. */
  tolerate(turnedPerMinute: number, now: number): void {
    this.baseline.tolerate(Math.max(turnedPerMinute, this.peak), now);
    this.forget();
  }

  /** Ends the alarm; what was written so far gives rise to no other one. */
  forget(): void {
    this.alarmFrom = undefined;
    this.slices.length = 0;
    this.score = 0;
    this.peak = 0;
  }

  private goOn(slice: Observation): Finding | undefined {
    const over = this.calm(slice.to);
    if (over) return over;
    if (slice.turned === 0) return undefined;
    const perMinute = this.perMinute(slice.to);
    this.peak = Math.max(this.peak, perMinute);
    return { kind: "more", turned: slice.turned, perMinute };
  }

  private calm(now: number): Finding | undefined {
    if (this.alarmFrom === undefined || now - this.restlessAt < CALM_MICROS) return undefined;
    this.forget();
    return { kind: "over", at: now };
  }

  /** @returns besides, how far back an attack may have begun */
  private judge(now: number): { score: number; since: number } {
    const best = { score: 0, since: now };
    if (this.sensitivity === "off") return best;
    const rule = RULES[this.sensitivity];
    const usual = Math.min(this.baseline.usualTurned * USUAL_FACTOR, rule.turnedMin * USUAL_TIMES_MAX);
    const needed = Math.max(rule.turnedMin, usual, this.baseline.toleratedAt(now) * TOLERATED_FACTOR);
    let turned = 0;
    let written = 0;
    for (let i = this.slices.length - 1; i >= 0; i--) {
      const slice = this.slices[i]!;
      const age = now - slice.to;
      if (age > SLOW_MICROS) break;
      turned += slice.turned;
      written += writtenOf(slice);
      if (slice.turned === 0) continue;
      const isSlow = age > SOON_MICROS;
      const enough = turned / (needed * (isSlow ? SLOW_TIMES : 1));
      const score = Math.min(1, enough, turned / written / rule.shareMin);
      if (score <= best.score) continue;
      best.score = score;
      best.since = now - (isSlow ? SLOW_MICROS : SOON_MICROS);
    }
    return best;
  }

  /** Blocks that turned in the last minute. */
  private perMinute(now: number): number {
    let turned = 0;
    for (let i = this.slices.length - 1; i >= 0 && this.slices[i]!.to >= now - MINUTE; i--)
      turned += this.slices[i]!.turned;
    return turned;
  }

  /** Begins with the first slice of the window that looks like it: too early a moment costs some work, too late a one is encrypted. */
  private suspicionOf(sinceAt: number, at: number): Suspicion {
    const inWindow = this.slices.filter((slice) => slice.to >= sinceAt && slice.turned > 0);
    const looksLikeIt = (slice: Observation): boolean =>
      slice.turned >= BEGIN_TURNED_MIN && slice.turned >= writtenOf(slice) * BEGIN_SHARE;
    const first = inWindow.find(looksLikeIt) ?? inWindow[0]!;
    const flush = first.flushBefore || first.lastFlush;
    const since = this.slices.slice(this.slices.indexOf(first));
    const turned = since.reduce((sum, slice) => sum + slice.turned, 0);
    const written = since.reduce((sum, slice) => sum + writtenOf(slice), 0);
    return {
      // Without a flush before it, the moment just before the write: as after a power cut.
      before: flush > 0 ? { lsn: flush, isFlushPoint: true } : { lsn: first.turnedLsn - 1, isFlushPoint: false },
      firstLsn: first.turnedLsn,
      from: first.from,
      at,
      turned,
      share: turned / Math.max(1, written),
    };
  }

  private noteMinute(slice: Observation, score: number): void {
    const minute = Math.floor(slice.to / MINUTE);
    if (this.current && this.current.minute !== minute) {
      const { turned, written } = this.current;
      // Blocks that turn among many that do not are no habit of what an alarm looks for.
      const weight = Math.min(1, turned / Math.max(1, written) / LEARN_SHARE);
      const isUsual = this.current.score < LEARN_SCORE_MAX && this.alarmFrom === undefined;
      if (isUsual) this.baseline.learn(Math.round(turned * weight), written);
      this.current = undefined;
    }
    this.current ??= { minute, turned: 0, written: 0, score: 0 };
    this.current.turned += slice.turned;
    this.current.written += writtenOf(slice);
    this.current.score = Math.max(this.current.score, score);
  }
}

/** Data of which it is known what it was written over. */
const writtenOf = ({ fresh, duplicate, unknown }: Observation): number => Math.max(0, fresh + duplicate - unknown);
