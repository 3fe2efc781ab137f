import { describe, expect, test } from "bun:test";
import { BUCKETS_PER_TURN, encodeTimeline } from "../../../src/api/timeline-encoding.ts";
import { formatTime, lsn, micros } from "../../../src/base/units.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { timelineSchema } from "../../../src/contract/timeline.ts";
import type { Timeline } from "../../../src/volume/volumes.ts";
import { openApiFixture } from "../../support/api-fixture.ts";

const START = 1_795_296_665_999_000;

/** Some intervals are empty, some have gaps before them, and they cross seconds. */
function timelineOf(count: number): Timeline {
  const random = seededRandom(count);
  let at = START;
  const buckets = Array.from({ length: count }, (_, i) => {
    const from = micros(at + (i % 7 === 6 ? 1_234_567 : 0));
    at = from + 1 + random.below(700_000);
    const some = (below: number): number => (random.below(3) === 0 ? random.below(below) : 0);
    return {
      from,
      to: micros(at),
      writes: some(50),
      writtenBytes: some(2 ** 52),
      clearedBytes: some(2 ** 40),
      flushPoints: some(4),
      lastLsn: lsn(some(2 ** 50)),
    };
  });
  return { from: micros(START), to: micros(at + 1), buckets, marks: [] };
}

/** What the text must be: the contract's object, printed at once. */
function expectedText({ from, to, buckets, marks, kept }: Timeline): string {
  return JSON.stringify({
    from: formatTime(from),
    to: formatTime(to),
    buckets: buckets.map((bucket) => ({ ...bucket, from: formatTime(bucket.from), to: formatTime(bucket.to) })),
    marks: marks.map((mark) => ({ ...mark, time: formatTime(mark.time) })),
    ...(kept === undefined
      ? {}
      : {
          kept: {
            everyWriteFrom: { lsn: kept.everyWriteFrom.lsn, time: formatTime(kept.everyWriteFrom.time) },
            points: kept.points.map(({ lsn: at, time, why }) => ({ lsn: at, time: formatTime(micros(time)), why })),
          },
        }),
  });
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const noPause = async (): Promise<void> => undefined;

describe("encodeTimeline()", () => {
  test.each([0, 1, 2, BUCKETS_PER_TURN - 1, BUCKETS_PER_TURN, BUCKETS_PER_TURN + 1, 1_200])(
    "is to the byte what JSON.stringify() makes of %p intervals",
    async (count) => {
      const timeline = timelineOf(count);
      const text = textOf(await encodeTimeline(timeline, noPause));
      expect(text).toBe(expectedText(timeline));
      expect(timelineSchema.safeParse(JSON.parse(text)).success).toBe(true);
    },
  );

  test("tells marks, whatever they are named, and what is kept", async () => {
    const timeline: Timeline = {
      ...timelineOf(3),
      marks: [
        { kind: "created", time: micros(START), lsn: lsn(1), detail: "1 GiB" },
        { kind: "bookmark", time: micros(START + 5), lsn: lsn(9), detail: 'a "quoted" \\ name\n\u2028 é' },
      ],
      kept: {
        everyWriteFrom: { lsn: lsn(7), time: micros(START + 3) },
        points: [{ lsn: lsn(2), time: micros(START + 1), why: "daily" }],
      },
    };
    expect(textOf(await encodeTimeline(timeline, noPause))).toBe(expectedText(timeline));
  });

  test("lets others have their turn before it begins, every few intervals, and before it puts them together", async () => {
    let pauses = 0;
    await encodeTimeline(timelineOf(3 * BUCKETS_PER_TURN), async () => void pauses++);
    expect(pauses).toBe(4);
  });
});

test("the route answers with it as JSON, tagged like every answer", async () => {
  using api = await openApiFixture();
  await api.volumes.create("web1", 2 ** 20);
  const query = "buckets=700&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z";
  const response = await api.ask(`/v1/volumes/web1/timeline?${query}`);
  const text = await response.text();
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
  expect(timelineSchema.parse(JSON.parse(text)).buckets).toHaveLength(700);
  // Large enough to be hashed elsewhere: both parts of its tag are the hash of all of it.
  expect(text.length).toBeGreaterThan(2 ** 16);
  const hash = new Bun.CryptoHasher("sha256").update(text).digest("base64url").slice(0, 22);
  expect(response.headers.get("etag")).toBe(`"${hash}.${hash}"`);
  const same = await api.ask(`/v1/volumes/web1/timeline?${query}`, {
    headers: { "if-none-match": `"${hash}.${hash}"` },
  });
  expect([same.status, await same.text()]).toEqual([304, ""]);
});
