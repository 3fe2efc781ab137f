/**
 * One moment of several volumes. Within a vault that is one LSN for all of them; between vaults, each of which counts its own, it is one time, as exact
 * as a vault dates its writes: to the group in which they were committed, which is some milliseconds.
 *
 * The present is exact everywhere: all vaults are asked in one turn of the event loop, and nothing is written in the middle of a turn.
 */
import { SternwayError } from "../base/errors.ts";
import { micros, type Micros } from "../base/units.ts";
import type { Moment, ResolvedMoment, VolumeInfo, Volumes } from "../volume/volumes.ts";

export interface MachineMoment {
  /** In each vault all volumes are at one LSN. */
  isOne: boolean;
  volumes: { volume: string; vault: string; moment: ResolvedMoment }[];
}

/**
 * Resolves a moment for each volume.
 * @param now - wall time, from which an age counts once for all
 * @throws not_found: a volume has no such moment, or keeps none at it; invalid: an LSN of volumes in several vaults
 */
export async function momentOfAll(
  volumes: Pick<Volumes, "resolve">,
  members: readonly VolumeInfo[],
  moment: Moment,
  now: Micros,
): Promise<MachineMoment> {
  const wanted: Moment = moment.kind === "age" ? { kind: "time", time: micros(now - moment.ageMicros) } : moment;
  const vaults = new Set(members.map(({ vault }) => vault));
  if (wanted.kind === "lsn" && vaults.size > 1) {
    const message = `an LSN belongs to one vault, and these volumes lie in ${[...vaults].join(", ")}: name a time, an age, a bookmark or now`;
    throw new SternwayError("invalid", message, { lsn: wanted.lsn });
  }
  // Started together: what `now` means is read before any of them waits for anything.
  const resolved = await Promise.all(members.map(({ name }) => volumes.resolve(name, wanted)));
  const moments = members.map(({ name, vault }, i) => ({ volume: name, vault, moment: resolved[i]! }));
  const isOne = [...vaults].every((vault) => {
    const lsns = moments.filter((each) => each.vault === vault).map((each) => each.moment.lsn);
    return new Set(lsns).size === 1;
  });
  return { isOne: wanted.kind === "now" || isOne, volumes: moments };
}

/** @throws conflict: the volumes would not be at one moment of a vault, and that was not asked for */
export function requireOne({ isOne, volumes }: MachineMoment, text: string, approximate: boolean | undefined): void {
  if (isOne || approximate === true) return;
  const places = volumes.map(({ volume, moment }) => `${volume} at lsn ${moment.lsn}`).join(", ");
  const message = `at ${text} the volumes are not at one moment: ${places}. Their policies kept different moments, or their bookmarks were made one by one; choose another moment, or ask for the approximate one`;
  throw new SternwayError("conflict", message, { moment: text });
}
