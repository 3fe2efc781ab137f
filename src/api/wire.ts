/** The engine's facts in the contract's words. */
import { formatTime, micros } from "../base/units.ts";
import type { WireBookmark, WireMoment, WireTimeline, WireVolume } from "../contract/contract.ts";
import type { Bookmark, ResolvedMoment, Timeline, VolumeInfo } from "../volume/volumes.ts";

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

function wireKept({ everyWriteFrom, points }: NonNullable<Timeline["kept"]>): NonNullable<WireTimeline["kept"]> {
  return {
    everyWriteFrom: { lsn: everyWriteFrom.lsn, time: formatTime(everyWriteFrom.time) },
    points: points.map(({ lsn, time, why }) => ({ lsn, time: formatTime(micros(time)), why })),
  };
}

export function wireTimeline(timeline: Timeline): WireTimeline {
  return {
    from: formatTime(timeline.from),
    to: formatTime(timeline.to),
    buckets: timeline.buckets.map((bucket) => ({
      ...bucket,
      from: formatTime(bucket.from),
      to: formatTime(bucket.to),
    })),
    marks: timeline.marks.map((mark) => ({ ...mark, time: formatTime(mark.time) })),
    ...(timeline.kept === undefined ? {} : { kept: wireKept(timeline.kept) }),
  };
}
