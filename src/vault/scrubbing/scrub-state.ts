/**
 * How far the scrub has come: one small file, `scrub` in the vault's folder, published after each object.
 *
 *     line 1   XXH64 of line 2 with seed 0, 16 hex digits
 *     line 2   {@link ScrubState} as JSON
 *
 * It may be lost or damaged at any time: then the cycle begins anew, which costs reading and nothing else. It names objects by number only.
 */
import { publish, readWhole, type Disk } from "../../base/disk.ts";
import { isSternwayError } from "../../base/errors.ts";
import { hashText, xxh64 } from "../../base/hash.ts";

export type ScrubPart = "packs" | "layers" | "chronicles" | "searching";
export const SCRUB_PARTS: readonly ScrubPart[] = ["packs", "layers", "chronicles", "searching"];

/** What a cycle, or a part of one, came to. */
export interface ScrubTotals {
  objects: number;
  bytes: number;
  /** Damaged places. */
  findings: number;
  /** Blocks that were brought back. */
  restored: number;
}

export interface ScrubState extends ScrubTotals {
  format: 1;
  /** Counts from 1. */
  cycle: number;
  /** Wall time, microseconds. */
  startedAt: number;
  part: ScrubPart;
  /** Objects of the part with numbers below this one are still to be looked at. */
  below: number;
  /** The cycle before, when it came to its end. */
  last?: ScrubTotals & { startedAt: number; endedAt: number };
}

const fileName = (dir: string): string => `${dir}/scrub`;
const checkOf = (json: string): string => hashText(xxh64(new TextEncoder().encode(json), 0n));

/** @returns undefined when there is none that can be trusted @throws unavailable */
export async function loadScrubState(disk: Disk, dir: string): Promise<ScrubState | undefined> {
  let text: string;
  try {
    text = new TextDecoder().decode(await readWhole(disk, fileName(dir)));
  } catch (error) {
    if (isSternwayError(error, "not_found") || (isSternwayError(error) && error.facts["code"] === "EIO"))
      return undefined;
    throw error;
  }
  const json = text.slice(17);
  if (text.slice(0, 16) !== checkOf(json)) return undefined;
  const state = JSON.parse(json) as ScrubState;
  return state.format === 1 ? state : undefined;
}

/** Durable when it resolves. @throws unavailable */
export async function saveScrubState(disk: Disk, dir: string, state: ScrubState): Promise<void> {
  const json = JSON.stringify(state);
  await publish(disk, fileName(dir), [new TextEncoder().encode(`${checkOf(json)}\n${json}`)]);
}
