/**
 * What is usual for a volume: how many blocks turn from compressible to random-looking in a minute. A histogram of active minutes, whose weight fades, so that
 * old habits are forgotten and a single bad minute moves no quantile.
 *
 * Minutes that are suspicious themselves are not learned, or an attack would become usual while it goes on.
 */

/** A minute in which less was written says nothing. */
const ACTIVE_BLOCKS_MIN = 64;
/** Half of what is known is forgotten after so many active minutes: a day of one that is always busy. */
const HALF_LIFE_MINUTES = 1440;
/** Powers of two from 1 block to 2^24 (64 GiB in a minute). */
const TURNED_BINS = 25;
/** Below it a quantile rests on too few minutes to mean anything. */
const WEIGHT_MIN = 10;
/** Which minutes still count as usual. */
const USUAL_QUANTILE = 0.9;

/** As it is kept; grows with nothing. */
export interface BaselineState {
  turned: number[];
  /** What somebody said was theirs: so many blocks in a minute are no reason for an alarm any more. */
  toleratedTurned: number;
  /** When that was, wall time in microseconds. */
  toleratedAt: number;
}

/** What somebody said was theirs is tolerated for so long. */
const TOLERANCE_MICROS = 30 * 86_400e6;

export class Baseline {
  private readonly state: BaselineState;

  constructor(state?: BaselineState) {
    this.state = state
      ? { ...state, turned: [...state.turned] }
      : { turned: Array.from({ length: TURNED_BINS }, () => 0), toleratedTurned: 0, toleratedAt: 0 };
  }

  /** Takes one minute over. @param weighed - blocks that turned, weighed by their share @param written - blocks of data, zeroes left out */
  learn(weighed: number, written: number): void {
    if (written < ACTIVE_BLOCKS_MIN) return;
    fade(this.state.turned);
    this.state.turned[turnedBin(weighed)]!++;
  }

  /** Somebody did it and meant it. @param turned - the most blocks of it in one minute */
  tolerate(turned: number, at: number): void {
    this.state.toleratedTurned = Math.max(turned, this.toleratedAt(at));
    this.state.toleratedAt = at;
  }

  /** What somebody said was theirs was not. */
  distrust(): void {
    this.state.toleratedTurned = 0;
  }

  /** The most blocks that turn in a usual minute; 0 while too little is known. */
  get usualTurned(): number {
    const bin = quantile(this.state.turned, USUAL_QUANTILE);
    return bin === undefined || bin === 0 ? 0 : 2 ** bin;
  }

  toleratedAt(now: number): number {
    return now - this.state.toleratedAt > TOLERANCE_MICROS ? 0 : this.state.toleratedTurned;
  }

  toState(): BaselineState {
    return { ...this.state, turned: [...this.state.turned] };
  }
}

/** @returns whether kept text is a state that this version can go on with */
export function isBaselineState(value: unknown): value is BaselineState {
  const state = value as Partial<BaselineState> | null;
  return (
    typeof state === "object" &&
    state !== null &&
    Array.isArray(state.turned) &&
    state.turned.length === TURNED_BINS &&
    state.turned.every((weight) => Number.isFinite(weight) && weight >= 0) &&
    Number.isFinite(state.toleratedTurned) &&
    Number.isFinite(state.toleratedAt)
  );
}

const FADE = 0.5 ** (1 / HALF_LIFE_MINUTES);

function fade(weights: number[]): void {
  for (let i = 0; i < weights.length; i++) weights[i]! *= FADE;
}

/** Bin b holds (2^(b-1), 2^b]; bin 0 holds none and one. */
const turnedBin = (turned: number): number => Math.min(TURNED_BINS - 1, Math.ceil(Math.log2(Math.max(1, turned))));

/** The bin at or below which a share of the weight lies; undefined while there is too little. */
function quantile(weights: readonly number[], share: number): number | undefined {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total < WEIGHT_MIN) return undefined;
  let sum = 0;
  return weights.findIndex((weight) => (sum += weight) >= total * share);
}
