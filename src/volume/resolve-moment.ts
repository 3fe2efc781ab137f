/**
 * From moments as people write them to LSNs of one volume's history.
 */
import { SternwayError } from "../base/errors.ts";
import { formatTime, lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import type { VolumeRecord } from "../vault/registry.ts";
import type { Vault } from "../vault/vault.ts";
import { keptAtOrBefore, notKept, requireKept } from "./kept-moments.ts";
import type { Moment } from "./volumes.ts";

/**
 * The LSN of a moment of a volume. @param now - wall time
 * @throws not_found: before its history, in the future, let go of by retention, or no such bookmark
 */
export async function lsnOfMoment(vault: Vault, record: VolumeRecord, moment: Moment, now: Micros): Promise<Lsn> {
  switch (moment.kind) {
    case "now":
      return vault.lastLsn;
    case "bookmark": {
      const bookmark = record.bookmarks.find((candidate) => candidate.name === moment.name);
      if (!bookmark) throw noBookmark(record, moment.name);
      return bookmark.lsn;
    }
    case "lsn":
      if (moment.lsn > vault.lastLsn) {
        throw new SternwayError("not_found", `lsn ${moment.lsn} lies in the future: the newest is ${vault.lastLsn}`);
      }
      return requireKept(record, inHistory(record, moment.lsn, `lsn ${moment.lsn}`), `lsn ${moment.lsn}`);
    case "time":
      return await lsnAtTime(vault, record, moment.time, now);
    case "age":
      return await lsnAtTime(vault, record, micros(now - moment.ageMicros), now);
  }
}

async function lsnAtTime(vault: Vault, record: VolumeRecord, time: Micros, now: Micros): Promise<Lsn> {
  if (time > now) {
    throw new SternwayError("not_found", `${formatTime(time)} lies in the future: it is ${formatTime(now)}`);
  }
  const at = (await vault.history.lsnAt(time)) ?? 0;
  // The record that dates the creation is written a little after the time that it tells.
  const found = inHistory(
    record,
    lsn(time >= record.createdAt ? Math.max(at, record.createdLsn) : at),
    formatTime(time),
  );
  // Where not every write is kept any more, the newest moment that is stands for what came after it.
  const kept = keptAtOrBefore(record, found);
  if (kept === undefined) throw notKept(record, found, formatTime(time));
  return kept;
}

/** @throws not_found: before the volume's history, naming its oldest moment */
function inHistory(record: VolumeRecord, at: Lsn, text: string): Lsn {
  if (at >= record.createdLsn) return at;
  const oldest = `lsn:${record.createdLsn} (${formatTime(record.createdAt)})`;
  throw new SternwayError(
    "not_found",
    `${text} lies before the history of volume ${record.name}: its oldest moment is ${oldest}`,
    {
      volume: record.name,
      oldestLsn: record.createdLsn,
      oldestTime: formatTime(record.createdAt),
    },
  );
}

export function noBookmark(record: VolumeRecord, name: string): SternwayError {
  const known = record.bookmarks.map((bookmark) => bookmark.name).join(", ");
  const hint = known === "" ? "it has none" : `it has ${known}`;
  return new SternwayError("not_found", `volume ${record.name} has no bookmark ${name}: ${hint}`, {
    volume: record.name,
  });
}
