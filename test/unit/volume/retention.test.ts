/** Retention on a real vault in a simulated world: what is kept, what a lock forbids, and what no clock can change. */
import { describe, expect, test } from "bun:test";
import { lsn, micros } from "../../../src/base/units.ts";
import { applyRetention, planRetention } from "../../../src/retention/retention.ts";
import { parsePolicy } from "../../../src/retention/policy.ts";
import { all } from "../../support/world.ts";
import { MIB, story, tags, type Story } from "./volume-story.ts";

const HOUR_MS = 3_600_000;
const HOUR = HOUR_MS * 1000;
const DAY = 24 * HOUR;
const UTC = { zone: "UTC" };

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no error",
    (error: unknown) => error,
  );

/** Writes a block each hour, some with a flush, and notes the time as the appliance does. @returns the LSN of each hour's last operation */
async function hours(
  { volumes, using, sim, vault }: Story,
  name: string,
  count: number,
  noteTime = true,
): Promise<number[]> {
  const ends: number[] = [];
  for (let i = 0; i < count; i++) {
    await using(name, async (device) => {
      await device.write(0, new Uint8Array(4096).fill(i + 1), false);
      if (i % 2 === 0) await device.flush();
    });
    ends.push(vault.lastLsn);
    await sim.clock.sleep(HOUR_MS);
    if (noteTime) await volumes.noteTime();
  }
  return ends;
}

describe("Volumes: retention", () => {
  test("applyRetention() keeps every write that is young, and one point of each hour before that", () =>
    story(1, async (told) => {
      const { volumes, read, vault } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 12);
      await volumes.setRetention("v", parsePolicy({ all: "4h", hourly: "7h" }));
      const plan = await planRetention(volumes, "v", UTC);
      expect(plan).toMatchObject({ lockHolds: false, goingPoints: [] });
      expect(plan.writes).toBeGreaterThan(5);
      expect((await volumes.retention("v")).points).toEqual([]);
      const done = await applyRetention(volumes, "v", UTC);
      expect(done.points.map((point) => point.why)).toEqual(["hourly", "hourly"]);
      await vault.collect();
      for (const [i, end] of ends.entries()) {
        const isKept = end >= done.to.lsn || done.points.some((point) => point.lsn === end);
        if (isKept) expect(tags(await read("v", `lsn:${end}`))[0]).toBe(i + 1);
        else expect(await failure(read("v", `lsn:${end}`))).toMatchObject({ kind: "not_found" });
      }
      // It is noon: the state at 8 o'clock, written at 7, is the horizon, and of the hours from 5 on each has its point.
      expect([...done.points, done.to].map((point) => ends.indexOf(point.lsn))).toEqual([5, 6, 7]);
      expect((await volumes.timeline("v", { bucketCount: 1 })).kept).toMatchObject({
        everyWriteFrom: { lsn: done.to.lsn },
      });
    }));

  test("what a clock set forward by ten years would expire stays, and comes due as time really passes", () =>
    story(2, async (told) => {
      const { volumes, sim } = told;
      await volumes.create("v", MIB);
      await volumes.noteTime();
      await hours(told, "v", 6);
      await volumes.setRetention("v", parsePolicy({ all: "24h" }));
      await volumes.setLock("v", 24 * HOUR);
      sim.clock.stepWall(3653 * DAY);
      await hours(told, "v", 1);
      const plan = await planRetention(volumes, "v", UTC);
      expect(plan.to).toEqual(plan.from);
      expect(plan.clockAheadMicros).toBeGreaterThan(3652 * DAY);
      // Twice as fast at the most, and the lock not even that.
      for (let i = 0; i < 16; i++) await hours(told, "v", 1);
      const later = await planRetention(volumes, "v", UTC);
      expect(later.to).toEqual(later.from);
      expect(later.lockHolds).toBe(true);
      for (let i = 0; i < 6; i++) await hours(told, "v", 1);
      const due = await applyRetention(volumes, "v", UTC);
      expect(due.to.lsn).toBeGreaterThan(due.from.lsn);
    }));

  test("a lock keeps deletion, bookmarks, holds and thinning away from what is young, whoever asks", () =>
    story(3, async (told) => {
      const { volumes, vault } = told;
      await volumes.create("v", MIB);
      await hours(told, "v", 3);
      await volumes.bookmark("v", "mark", { kind: "now" }, "");
      await volumes.hold("v", "held", { kind: "now" }, "for the court");
      await volumes.setLock("v", 30 * DAY);
      const conflict = { kind: "conflict" };
      expect(await failure(volumes.delete("v", { force: true }))).toMatchObject(conflict);
      expect(await failure(volumes.removeBookmark("v", "mark"))).toMatchObject(conflict);
      expect(await failure(volumes.releaseHold("v", "held"))).toMatchObject({
        kind: "conflict",
        message: expect.stringContaining("locked for 30 days more"),
      });
      expect(await failure(volumes.thin("v", { horizonLsn: vault.lastLsn, points: [] }))).toMatchObject(conflict);
      expect(await failure(volumes.setLock("v", 29 * DAY))).toMatchObject(conflict);
      expect(await failure(volumes.setLock("v", 0))).toMatchObject({ kind: "invalid" });
      await volumes.setLock("v", 31 * DAY);
      expect(volumes.holds("v")).toMatchObject([{ name: "held", note: "for the court" }]);
      expect(volumes.get("v").name).toBe("v");
    }));

  test("a lock ends by the time that the vault was open: time off does not count, nor does a clock set meanwhile", () =>
    story(4, async (told) => {
      const { volumes, vault, sim, open } = told;
      await volumes.create("v", MIB);
      await hours(told, "v", 2);
      await volumes.setLock("v", 10 * HOUR);
      await vault.stop();
      sim.clock.stepWall(400 * DAY);
      await sim.clock.sleep(100 * HOUR_MS);
      const again = await open();
      expect(await failure(again.volumes.delete("v"))).toMatchObject({ kind: "conflict" });
      await sim.clock.sleep(8 * HOUR_MS);
      expect(await failure(again.volumes.delete("v"))).toMatchObject({ kind: "conflict" });
      await again.volumes.noteTime();
      await sim.clock.sleep(10 * HOUR_MS);
      await again.volumes.delete("v");
      expect(again.volumes.list()).toEqual([]);
    }));

  test("bookmarks, holds and open devices stay readable behind the horizon; a closed one goes with the next thinning", () =>
    story(5, async (told) => {
      const { volumes, read, vault } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 8);
      await volumes.bookmark("v", "b", { kind: "lsn", lsn: lsn(ends[1]!) }, "");
      await volumes.hold("v", "h", { kind: "lsn", lsn: lsn(ends[2]!) }, "");
      const device = await volumes.openAt("v", { kind: "lsn", lsn: lsn(ends[3]!) });
      await volumes.setRetention("v", parsePolicy({ all: "1h" }));
      const done = await applyRetention(volumes, "v", UTC);
      expect(done.points).toMatchObject([{ lsn: ends[3]!, why: "open" }]);
      await vault.collect();
      expect((await device.read(0, 512))[0]).toBe(4);
      expect(tags(await read("v", "bookmark:b"))[0]).toBe(2);
      expect(tags(await read("v", `lsn:${ends[2]!}`))[0]).toBe(3);
      await device.close();
      await applyRetention(volumes, "v", UTC);
      expect(await failure(read("v", `lsn:${ends[3]!}`))).toMatchObject({ kind: "not_found" });
      expect(await failure(volumes.branch("v", { kind: "lsn", lsn: lsn(ends[3]!) }, "w"))).toMatchObject({
        kind: "not_found",
      });
      expect(await failure(volumes.hold("v", "late", { kind: "lsn", lsn: lsn(ends[3]!) }, ""))).toMatchObject({
        kind: "not_found",
      });
      expect(volumes.holds("v")).toHaveLength(1);
      expect(await failure(volumes.delete("v", { force: true }))).toMatchObject({ kind: "conflict" });
      await volumes.releaseHold("v", "h");
      expect(await failure(read("v", `lsn:${ends[2]!}`))).toMatchObject({ kind: "not_found" });
      expect(await failure(volumes.releaseHold("v", "h"))).toMatchObject({ kind: "not_found" });
    }));

  test("thin() refuses a horizon that moves back, and points that are gone, out of order or out of place", () =>
    story(6, async (told) => {
      const { volumes } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 5);
      const point = (at: number) => ({ lsn: at, time: micros(at), why: "daily" as const });
      const thin = (horizon: number, ...points: number[]) =>
        failure(volumes.thin("v", { horizonLsn: lsn(horizon), points: points.map(point) }));
      expect(await thin(ends[3]!, ends[1]!)).toBe("no error");
      const conflict = { kind: "conflict" };
      expect(await thin(ends[2]!)).toMatchObject(conflict);
      expect(await thin(ends[3]!, ends[0]!)).toMatchObject(conflict);
      expect(await thin(ends[4]!, ends[3]!, ends[1]!)).toMatchObject(conflict);
      expect(await thin(ends[3]!, ends[3]!)).toMatchObject(conflict);
      expect(await thin(ends[4]! + 1000)).toMatchObject(conflict);
      expect(await thin(ends[4]!, ends[1]!, ends[3]!)).toBe("no error");
    }));

  test("setRetention() refuses parts that add nothing and more points than a mark holds", () =>
    story(7, async ({ volumes }) => {
      await volumes.create("v", MIB);
      const set = (policy: Parameters<typeof parsePolicy>[0]) =>
        failure(volumes.setRetention("v", parsePolicy(policy)));
      expect(await set({ all: "48h", hourly: "24h" })).toMatchObject({ kind: "invalid" });
      expect(await set({ all: "48h", hourly: "1y" })).toMatchObject({ kind: "invalid", facts: { pointsMax: 1500 } });
      expect(await set({ all: "48h", hourly: "14d", daily: "8w", weekly: "1y", monthly: "10y" })).toBe("no error");
      expect((await volumes.retention("v")).policy).toMatchObject({ allMicros: 48 * HOUR });
      await volumes.setRetention("v", null);
      expect((await volumes.retention("v")).policy).toBeUndefined();
    }));

  test("policies, locks, holds and the ledger of time survive a restart", () =>
    story(8, async (told) => {
      const { volumes, vault, open } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 6);
      await volumes.hold("v", "h", { kind: "lsn", lsn: lsn(ends[0]!) }, "note");
      await volumes.setRetention("v", parsePolicy({ all: "1h", hourly: "3h" }));
      const done = await applyRetention(volumes, "v", UTC);
      await volumes.setLock("v", HOUR);
      const before = await volumes.retention("v");
      await vault.stop();
      const again = (await open()).volumes;
      const after = await again.retention("v");
      expect({ ...after, now: 0, clockAheadMicros: 0 }).toEqual({ ...before, now: micros(0), clockAheadMicros: 0 });
      expect(after.points).toEqual(done.points);
      expect(again.holds("v")).toMatchObject([{ name: "h", lsn: ends[0] }]);
    }));

  test("a branch keeps the moment that it came from, though its parent lets it go", () =>
    story(9, async (told) => {
      const { volumes, vault, read } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 5);
      await volumes.branch("v", { kind: "lsn", lsn: lsn(ends[0]!) }, "w");
      await volumes.setRetention("v", parsePolicy({ all: "1h" }));
      await applyRetention(volumes, "v", UTC);
      await vault.collect();
      expect(tags(await read("w"))[0]).toBe(1);
      await volumes.delete("v");
      await vault.collect();
      expect(tags(await read("w"))[0]).toBe(1);
      expect(await all(volumes.diff("w", { kind: "now" }, { kind: "now" }))).toEqual([]);
    }));

  test("the moment of a horizon becomes a point when the horizon moves on", () =>
    story(11, async (told) => {
      const { volumes } = told;
      await volumes.create("v", MIB);
      const ends = await hours(told, "v", 6, false);
      await volumes.setRetention("v", parsePolicy({ all: "3h", hourly: "6h" }));
      expect((await applyRetention(volumes, "v", UTC)).to.lsn).toBe(lsn(ends[2]!));
      ends.push(...(await hours(told, "v", 2, false)));
      const later = await applyRetention(volumes, "v", UTC);
      expect(later.to.lsn).toBe(lsn(ends[4]!));
      // Of the hour that the horizon stands in, the write before its flush is the best so far.
      expect(later.points.map((point) => point.lsn)).toEqual([ends[2]!, ends[3]!, ends[4]! - 1]);
    }));

  test("candidates() finds the newest of thousands of flush points, and writes where there are none", () =>
    story(10, async (told) => {
      const { volumes, using, sim, vault } = told;
      await volumes.create("v", MIB);
      const from = vault.lastLsn;
      const start = sim.clock.wall();
      const newest: number[] = [];
      for (const [round, flushes] of [0, 3000, 0, 5].entries()) {
        await using("v", async (device) => {
          for (let i = 0; i < flushes; i++) await device.flush();
        });
        if (flushes > 0) newest.push(vault.lastLsn);
        await using("v", async (device) => {
          await device.write(0, new Uint8Array(4096).fill(round + 1), false);
        });
        if (flushes === 0) newest.push(vault.lastLsn);
        await sim.clock.sleep(HOUR_MS);
      }
      const edges = [0, 1, 2, 3, 4].map((hour) => micros(start + hour * HOUR));
      const found = await volumes.candidates("v", edges, { from: lsn(from), before: lsn(vault.lastLsn + 1) });
      expect(found.map((candidate) => candidate.flushPoint)).toEqual([false, true, false, true]);
      expect(found.map((candidate) => candidate.lsn as number)).toEqual(newest);
    }));
});
