import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { BLOCK_SIZE, lsn, micros } from "../../../src/base/units.ts";
import type { DiffRange, Moment } from "../../../src/volume/volumes.ts";
import { all } from "../../support/world.ts";
import { MIB, story } from "./volume-story.ts";

const at = (n: number): Moment => ({ kind: "lsn", lsn: lsn(n) });

/** Checks form: aligned, sorted, merged, within. */
function wellFormed(ranges: readonly DiffRange[], sizeBytes: number): void {
  let end = -1;
  for (const { offset, length } of ranges) {
    expect(offset % BLOCK_SIZE).toBe(0);
    expect(length).toBeGreaterThan(0);
    expect(offset).toBeGreaterThan(end);
    end = offset + length;
  }
  expect(end).toBeLessThanOrEqual(sizeBytes);
}

describe("Volumes.diff()", () => {
  test("names what was written between two moments, and nothing for a moment and itself", () =>
    story(1, async ({ volumes, put, vault }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await put("a", 3, 1);
      await put("a", 4, 1);
      const last = await put("a", 9, 1);
      for (const isSealed of [false, true]) {
        if (isSealed) await vault.seal();
        expect(await all(volumes.diff("a", at(first), at(last)))).toEqual([
          { offset: 3 * BLOCK_SIZE, length: 2 * BLOCK_SIZE },
          { offset: 9 * BLOCK_SIZE, length: BLOCK_SIZE },
        ]);
        expect(await all(volumes.diff("a", at(last), at(first)))).toEqual(
          await all(volumes.diff("a", at(first), at(last))),
        );
        expect(await all(volumes.diff("a", at(last), at(last)))).toEqual([]);
      }
    }));

  test("names nothing between holes and zeroes, and the new end of a volume that grew", () =>
    story(2, async ({ volumes, using, vault, put }) => {
      await volumes.create("a", MIB);
      const start = vault.lastLsn;
      await using("a", (device) => Promise.resolve(device.writeZeroes(0, MIB, false, false)));
      const zeroed = vault.lastLsn;
      expect(await all(volumes.diff("a", at(start), at(zeroed)))).toEqual([]);
      await volumes.resize("a", MIB + 512);
      await put("a", 0, 1);
      await using("a", (device) => Promise.resolve(device.write(MIB, new Uint8Array(512).fill(1), false)));
      expect(await all(volumes.diff("a", at(zeroed), { kind: "now" }))).toEqual([
        { offset: 0, length: BLOCK_SIZE },
        { offset: MIB, length: 512 },
      ]);
    }));

  test("never misses a difference, across rollbacks, branches and seals", async () => {
    for (let seed = 1; seed <= 8; seed++) {
      await story(100 + seed, async ({ volumes, put, read, vault, using }) => {
        const random = seededRandom(seed);
        const size = 32 * BLOCK_SIZE;
        await volumes.create("origin", size);
        for (let i = 0; i < 8; i++) await put("origin", random.below(32), 1 + random.below(200));
        await volumes.branch("origin", { kind: "now" }, "a");
        const created = volumes.get("a").createdLsn;
        const moments: number[] = [created];
        for (let step = 0; step < 30; step++) {
          const dice = random.below(10);
          if (dice === 0) await volumes.rollback("a", at(moments[random.below(moments.length)]!));
          else if (dice === 1) await vault.seal();
          else if (dice === 2) {
            await using("a", (device) =>
              Promise.resolve(device.trim(random.below(16) * BLOCK_SIZE, 8 * BLOCK_SIZE, false)),
            );
          } else await put("a", random.below(32), 1 + random.below(200));
          moments.push(vault.lastLsn);
        }
        for (let pair = 0; pair < 15; pair++) {
          const [from, to] = [moments[random.below(moments.length)]!, moments[random.below(moments.length)]!];
          const ranges = await all(volumes.diff("a", at(from), at(to)));
          wellFormed(ranges, size);
          const [before, after] = [await read("a", `lsn:${from}`), await read("a", `lsn:${to}`)];
          for (const { offset, length } of ranges) after.set(before.subarray(offset, offset + length), offset);
          expect(after).toEqual(before);
        }
      });
    }
  });
});

describe("Volumes.timeline()", () => {
  test("adds up to what was written, at any zoom, sealed or not", () =>
    story(10, async ({ volumes, vault, using, sim }) => {
      await volumes.create("a", MIB);
      await volumes.create("noise", MIB);
      let written = 0;
      let cleared = 0;
      let writes = 0;
      let flushes = 0;
      const random = seededRandom(10);
      const device = await volumes.openLive("a");
      for (let i = 0; i < 60; i++) {
        const blocks = 1 + random.below(4);
        if (i % 7 === 0) {
          await device.trim(0, blocks * BLOCK_SIZE, false);
          cleared += blocks * BLOCK_SIZE;
        } else {
          await device.write(random.below(100) * BLOCK_SIZE, new Uint8Array(blocks * BLOCK_SIZE).fill(i), false);
          written += blocks * BLOCK_SIZE;
        }
        writes++;
        await using("noise", (other) => Promise.resolve(other.write(0, new Uint8Array(BLOCK_SIZE), false)));
        if (i % 5 === 0) {
          await device.flush();
          flushes++;
        }
        if (i === 30) await volumes.rollback("a", { kind: "now" }, { force: true });
        if (i % 20 === 19) await vault.seal();
        await sim.clock.sleep(random.below(50));
      }
      await device.close();
      const to = micros(sim.clock.wall() + 1);
      for (const isSealed of [false, true]) {
        if (isSealed) await vault.seal();
        for (const bucketCount of [1, 7, 100, 1000]) {
          const { buckets, from } = await volumes.timeline("a", { bucketCount, to });
          const sum = (pick: (bucket: (typeof buckets)[number]) => number): number =>
            buckets.reduce((total, bucket) => total + pick(bucket), 0);
          expect({
            writes: sum((bucket) => bucket.writes),
            written: sum((bucket) => bucket.writtenBytes),
            cleared: sum((bucket) => bucket.clearedBytes),
            flushes: sum((bucket) => bucket.flushPoints),
          }).toEqual({ writes, written, cleared, flushes });
          expect(buckets).toHaveLength(bucketCount);
          expect(buckets[0]!.from).toBe(from);
          expect(buckets.at(-1)!.to).toBe(to);
          expect(buckets.every((bucket, i) => i === 0 || bucket.from === buckets[i - 1]!.to)).toBe(true);
        }
      }
    }));

  test("shows the marks of the range in order", () =>
    story(11, async ({ volumes, put, sim }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await sim.clock.sleep(10);
      await volumes.resize("a", 2 * MIB);
      await sim.clock.sleep(10);
      await volumes.bookmark("a", "b", { kind: "now" }, "");
      await sim.clock.sleep(10);
      const middle = sim.clock.wall();
      await sim.clock.sleep(10);
      await volumes.rollback("a", at(first));
      const { marks } = await volumes.timeline("a", { bucketCount: 10 });
      expect(marks.map(({ kind, detail }) => [kind, detail])).toEqual([
        ["created", "1 MiB"],
        ["resized", "2 MiB"],
        ["bookmark", "b"],
        ["rolled-back", `to lsn ${first}`],
      ]);
      expect((await volumes.timeline("a", { bucketCount: 1, from: middle })).marks.map((mark) => mark.kind)).toEqual([
        "rolled-back",
      ]);
      expect((await volumes.timeline("a", { bucketCount: 1, to: middle })).marks).toHaveLength(3);
    }));

  test("refuses a range that is none and a number of intervals out of bounds", () =>
    story(12, async ({ volumes, sim }) => {
      await volumes.create("a", MIB);
      const now = sim.clock.wall();
      for (const range of [
        { bucketCount: 0 },
        { bucketCount: 10_001 },
        { bucketCount: 1.5 },
        { bucketCount: 1, from: now, to: now },
        { bucketCount: 1, from: micros(now + 5), to: now },
      ]) {
        const error = await volumes.timeline("a", range).catch((cause: unknown) => cause);
        expect(error).toMatchObject({ kind: "invalid" });
      }
    }));
});

describe("Volumes.flushPoints()", () => {
  test("gives them oldest first, after an LSN, up to a limit, across seals and rollbacks", () =>
    story(20, async ({ volumes, vault, using, put }) => {
      await volumes.create("a", MIB);
      const points: number[] = [];
      for (let i = 0; i < 12; i++) {
        await put("a", i, i + 1);
        points.push(await using("a", (device) => device.flush()));
        if (i === 4) await volumes.rollback("a", at(points[2]!));
        if (i % 5 === 4) await vault.seal();
      }
      const list = async (after: number, limit: number): Promise<number[]> =>
        (await volumes.flushPoints("a", { after: lsn(after), limit })).map((point) => point.lsn);
      expect(await list(0, 100)).toEqual(points);
      expect(await list(points[3]!, 100)).toEqual(points.slice(4));
      expect(await list(points[3]! - 1, 2)).toEqual(points.slice(3, 5));
      expect(await list(points.at(-1)!, 5)).toEqual([]);
    }));

  test("every one of them reads what had been written before it", () =>
    story(21, async ({ volumes, using, put, read }) => {
      await volumes.create("a", MIB);
      for (let i = 1; i <= 6; i++) {
        await put("a", 0, i);
        await using("a", (device) => device.flush());
      }
      const points = await volumes.flushPoints("a", { after: lsn(0), limit: 10 });
      expect(points).toHaveLength(6);
      for (const [i, point] of points.entries()) {
        expect((await read("a", `lsn:${point.lsn}`))[0]).toBe(i + 1);
        expect((await volumes.resolve("a", { kind: "lsn", lsn: point.lsn })).flushPoint).toBe(true);
      }
    }));
});
