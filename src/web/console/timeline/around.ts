/**
 * What changed around a moment: how much differs between it and a minute before, and a minute after. Bounded: after so many ranges it says "more than", for a
 * busy minute of a large disk can be millions of them.
 */
import { isSternwayError } from "../../../base/errors.ts";
import { formatSize } from "../../../base/units.ts";
import type { Client } from "../../../contract/client.ts";
import { MINUTE, several, wireTime } from "./time.ts";

const BLOCK_SIZE = 4096;
/** 5,000 lines are half a megabyte, read in well under a second. */
const RANGES_MAX = 5_000;

export interface Change {
  bytes: number;
  ranges: number;
  /** There is more: counting stopped. */
  isMore: boolean;
}

export interface Around {
  /** Between a minute before and the moment; undefined: history begins here. */
  before: Change | undefined;
  /** Between the moment and a minute after, or now. */
  after: Change;
}

/** @param from - a moment @param to - a later one */
export async function countDiff(
  client: Pick<Client, "diff">,
  volume: string,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<Change> {
  const change: Change = { bytes: 0, ranges: 0, isMore: false };
  for await (const line of client.diff(volume, from, to, signal)) {
    if (line.line !== "range") continue;
    change.bytes += line.length;
    change.ranges++;
    if (change.ranges >= RANGES_MAX) return { ...change, isMore: true };
  }
  return change;
}

export interface AroundQuery {
  volume: string;
  lsn: number;
  time: number;
  created: Created;
  now: number;
}

/** Where history begins. */
export interface Created {
  time: number;
  lsn: number;
}

export async function changesAround(
  client: Pick<Client, "diff">,
  { volume, lsn, time, created, now }: AroundQuery,
  signal: AbortSignal,
): Promise<Around> {
  const at = `lsn:${lsn}`;
  const later = time + MINUTE >= now ? "now" : wireTime(time + MINUTE);
  const after = await countDiff(client, volume, at, later, signal);
  if (lsn <= created.lsn) return { before: undefined, after };
  const earlier = time - MINUTE <= created.time ? `lsn:${created.lsn}` : wireTime(time - MINUTE);
  try {
    return { before: await countDiff(client, volume, earlier, at, signal), after };
  } catch (error) {
    // Retention let go of the minute before: there is nothing to compare with.
    if (isSternwayError(error, "not_found")) return { before: undefined, after };
    throw error;
  }
}

/** `12 blocks in 3 places (48 KiB)`. */
export function changeText(change: Change): string {
  if (change.bytes === 0) return "nothing";
  const blocks = Math.ceil(change.bytes / BLOCK_SIZE);
  const text = `${several(blocks, "block")} in ${several(change.ranges, "place")} (${formatSize(change.bytes)})`;
  return change.isMore ? `more than ${text}` : text;
}
