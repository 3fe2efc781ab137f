/**
 * Which packs collecting should touch: pure decisions over live counts.
 *
 * Giving back the space of a pack costs copying what is live in it. So those with the most dead go first, and those with little are left until
 * more has gathered: at a quarter dead, three bytes are copied for one given back. When that leaves most of what is dead where it is,
 * because it is spread thinly, less must do.
 */
import type { PackRecord } from "../manifest.ts";

const DEAD_SHARE_MIN = 0.25;
/** The least that is ever worth it: nine bytes copied for one. */
const DEAD_SHARE_LEAST = 0.1;

/** What of a pack is live. Bytes are the file's, shared out evenly among the slots that it still holds. */
export interface PackShare {
  record: PackRecord;
  liveSlots: number;
  deadSlots: number;
  deadBytes: number;
  /** 0 to 1. */
  deadShare: number;
}

export function shareOf(record: PackRecord, liveSlots: number): PackShare {
  const held = record.slots - (record.freed ?? 0);
  const deadSlots = Math.max(0, held - liveSlots);
  const deadShare = liveSlots === 0 ? 1 : deadSlots / held;
  return { record, liveSlots, deadSlots, deadBytes: record.sizeBytes * deadShare, deadShare };
}

/** Packs to delete or repack, most dead first. @param shares - of all packs that were surveyed */
export function planCollect(shares: readonly PackShare[]): PackShare[] {
  const storedBytes = sum(shares, ({ record }) => record.sizeBytes);
  const deadBytes = sum(shares, (share) => share.deadBytes);
  const worth = shares.filter(({ deadShare }) => deadShare >= DEAD_SHARE_MIN);
  const leavesMost = sum(worth, (share) => share.deadBytes) < deadBytes / 2;
  const isMuch = deadBytes >= storedBytes * DEAD_SHARE_LEAST;
  const chosen = leavesMost && isMuch ? shares.filter(({ deadShare }) => deadShare >= DEAD_SHARE_LEAST) : worth;
  return chosen.toSorted((a, b) => b.deadShare - a.deadShare || a.record.pack - b.record.pack);
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
