/** The engine's facts in the contract's words. */
import { formatTime } from "../base/units.ts";
import type { WireBookmark, WireMoment, WireVolume } from "../contract/contract.ts";
import type { Bookmark, ResolvedMoment, VolumeInfo } from "../volume/volumes.ts";

export function wireVolume(info: VolumeInfo): WireVolume {
  const { rolledBack, origin, ...rest } = info;
  return {
    ...rest,
    createdAt: formatTime(info.createdAt),
    lastWriteAt: formatTime(info.lastWriteAt),
    ...(origin === undefined ? {} : { origin }),
    ...(rolledBack === undefined ? {} : { rolledBack: { ...rolledBack, at: formatTime(rolledBack.at) } }),
  };
}

export function wireMoment(moment: ResolvedMoment): WireMoment {
  return { lsn: moment.lsn, time: formatTime(moment.time), flushPoint: moment.flushPoint };
}

export function wireBookmark(bookmark: Bookmark): WireBookmark {
  return { ...bookmark, time: formatTime(bookmark.time), createdAt: formatTime(bookmark.createdAt) };
}
