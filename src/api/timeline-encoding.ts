/**
 * A timeline as the JSON of its answer, made in short turns. A strip asks for 1,200 intervals with each step of zooming, and disks are answered on the same thread: made at once,
 * as objects and then as text, that was most of what a step cost, and no disk was answered meanwhile.
 */
import { formatTime, micros } from "../base/units.ts";
import type { WireTimeline } from "../contract/contract.ts";
import type { Timeline, TimelineBucket } from "../volume/volumes.ts";

/** Intervals between two turns of others: some 50 µs. */
export const BUCKETS_PER_TURN = 200;

/** What stands after the times of an interval in which nothing happened, as in most of them when one looks closely. */
const NOTHING = countsText({ writes: 0, writtenBytes: 0, clearedBytes: 0, flushPoints: 0, lastLsn: 0 });

/**
 * The JSON of a {@link WireTimeline} in UTF-8: the same bytes as of the text that JSON.stringify makes of one.
 * @param timeline - nobody changes it until the promise has resolved
 * @param pause - resolves when others had their turn; asked for after every {@link BUCKETS_PER_TURN} intervals, and before the first
 */
export async function encodeTimeline(timeline: Timeline, pause: () => Promise<void>): Promise<Uint8Array<ArrayBuffer>> {
  const { buckets, marks, kept } = timeline;
  const encoder = new TextEncoder();
  const parts = [
    encoder.encode(`{"from":"${formatTime(timeline.from)}","to":"${formatTime(timeline.to)}","buckets":[`),
  ];
  for (let start = 0; start < buckets.length; start += BUCKETS_PER_TURN) {
    await pause();
    // Encoded here and now: text that was put together is laid out when it is first read, which for all of it would be the longest turn.
    parts.push(encoder.encode(bucketsText(buckets, start, Math.min(buckets.length, start + BUCKETS_PER_TURN))));
  }
  await pause();
  const rest = {
    marks: marks.map((mark) => ({ ...mark, time: formatTime(mark.time) })),
    ...(kept === undefined ? {} : { kept: wireKept(kept) }),
  } satisfies Omit<WireTimeline, "from" | "to" | "buckets">;
  parts.push(encoder.encode(`],${JSON.stringify(rest).slice(1)}`));
  return Buffer.concat(parts);
}

function bucketsText(buckets: readonly TimelineBucket[], start: number, end: number): string {
  let text = "";
  let edge = Number.NaN;
  let edgeText = "";
  for (let i = start; i < end; i++) {
    const bucket = buckets[i]!;
    const fromText = bucket.from === edge ? edgeText : formatTime(bucket.from);
    edge = bucket.to;
    edgeText = formatTime(bucket.to);
    text += `${i === 0 ? "" : ","}{"from":"${fromText}","to":"${edgeText}",${isEmpty(bucket) ? NOTHING : countsText(bucket)}`;
  }
  return text;
}

type Counts = Omit<TimelineBucket, "from" | "to" | "lastLsn"> & { lastLsn: number };

function isEmpty({ writes, writtenBytes, clearedBytes, flushPoints, lastLsn }: Counts): boolean {
  return writes === 0 && writtenBytes === 0 && clearedBytes === 0 && flushPoints === 0 && lastLsn === 0;
}

function countsText({ writes, writtenBytes, clearedBytes, flushPoints, lastLsn }: Counts): string {
  return `"writes":${writes},"writtenBytes":${writtenBytes},"clearedBytes":${clearedBytes},"flushPoints":${flushPoints},"lastLsn":${lastLsn}}`;
}

function wireKept({ everyWriteFrom, points }: NonNullable<Timeline["kept"]>): NonNullable<WireTimeline["kept"]> {
  return {
    everyWriteFrom: { lsn: everyWriteFrom.lsn, time: formatTime(everyWriteFrom.time) },
    points: points.map(({ lsn, time, why }) => ({ lsn, time: formatTime(micros(time)), why })),
  };
}
