/**
 * When a journal file is to be closed before it is full, so that what it holds is looked at: signals come from sealing, and a volume that is written to slowly
 * would be sealed every five minutes only, while an alarm is worth little after that.
 *
 * Each early seal makes a small pack, a layer and a chronicle, so they are rationed: a dozen in a row, then one every five minutes, which is at most twice
 * as many as come by themselves. While a volume is suspicious they are not counted.
 */

/** What is waited for at the most, once there is enough to look at. */
const WAIT_MICROS = 20e6;
/** Less is no attack worth a pack: it is sealed in its time. */
export const UNSEALED_MIN = 4 * 2 ** 20;
const RATION_MAX = 12;
const RATION_MICROS = 300e6;

export class SealSooner {
  private ration = RATION_MAX;
  private rationedAt: number;
  /** Since when there has been something unsealed; undefined: nothing. */
  private since: number | undefined;

  /** @param now - monotonic microseconds, as in {@link isDue} */
  constructor(now: number) {
    this.rationedAt = now;
  }

  /**
   * To be asked every few seconds.
   * @param unsealedBytes - written since the last file was closed
   * @returns true: close the file now; it counts as closed
   */
  isDue(now: number, unsealedBytes: number, isSuspicious: boolean): boolean {
    const earned = Math.floor((now - this.rationedAt) / RATION_MICROS);
    if (earned > 0) {
      this.ration = Math.min(RATION_MAX, this.ration + earned);
      this.rationedAt += earned * RATION_MICROS;
    }
    if (unsealedBytes === 0) {
      this.since = undefined;
      return false;
    }
    this.since ??= now;
    if (unsealedBytes < UNSEALED_MIN || now - this.since < WAIT_MICROS) return false;
    if (!isSuspicious && this.ration === 0) return false;
    if (!isSuspicious) this.ration--;
    this.since = undefined;
    return true;
  }
}
