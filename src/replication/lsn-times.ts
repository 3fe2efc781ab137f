/** When LSNs became durable here: how far a tier lags behind, in time. Bounded: of what is long ago, fewer times are kept. */
import type { Clock } from "../base/clock.ts";

const SPACING_MICROS = 50_000;
const TIMES_MAX = 4096;

export class LsnTimes {
  private readonly clock: Clock;
  /** Ascending; the first LSN that was durable at a time. */
  private times: { lsn: number; micros: number }[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Everything up to here is durable now. */
  note(lsn: number): void {
    const micros = this.clock.monotonic();
    const last = this.times.at(-1);
    if (last && lsn <= last.lsn) return;
    if (last && micros - last.micros < SPACING_MICROS) {
      // What comes within one span counts from its beginning: a lag is never told too small.
      last.lsn = lsn;
      return;
    }
    this.times.push({ lsn, micros });
    if (this.times.length > TIMES_MAX) {
      const half = this.times.length / 2;
      // What lies between two times that are kept counts from the later one: by a spacing too little, and the oldest stays.
      this.times = this.times.filter((_, i) => i >= half || i % 2 === 0);
    }
  }

  /** How long the oldest LSN beyond `reached` has been durable here, in microseconds; 0: there is none. */
  ageBeyond(reached: number): number {
    const oldest = this.times.find(({ lsn }) => lsn > reached);
    return oldest ? Math.max(0, this.clock.monotonic() - oldest.micros) : 0;
  }

  /** Nobody asks for what lies before `reached` any more. */
  forgetThrough(reached: number): void {
    const at = this.times.findIndex(({ lsn }) => lsn > reached);
    if (at > 0) this.times.splice(0, at);
    else if (at < 0) this.times.length = 0;
  }
}
