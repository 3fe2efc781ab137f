import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE, formatTime, lsn, micros } from "../../../src/base/units.ts";
import { parseMoment } from "../../../src/volume/moment.ts";
import { all } from "../../support/world.ts";
import { failure, MIB, story, tags } from "./volume-story.ts";

describe("Volumes: lives", () => {
  test("create() makes an empty volume that reads as one hole", () =>
    story(1, async ({ volumes, read }) => {
      const info = await volumes.create("web1", 2 * MIB);
      expect(info).toMatchObject({ name: "web1", sizeBytes: 2 * MIB, attached: 0, bookmarkCount: 0, vault: "default" });
      expect(await read("web1")).toEqual(new Uint8Array(2 * MIB));
      const device = await volumes.openAt("web1", { kind: "now" });
      expect(await device.extents(0, 2 * MIB)).toEqual([{ offset: 0, length: 2 * MIB, kind: "hole" }]);
      await device.close();
    }));

  test.each(["", "-a", ".a", "a/b", "a@b", "a b", "ä", "x".repeat(65)])("create() refuses the name %p", (name) =>
    story(2, async ({ volumes }) => {
      expect(await failure(volumes.create(name, MIB))).toMatchObject({ kind: "invalid" });
      expect(volumes.list()).toEqual([]);
    }),
  );

  test.each([0, -512, 100, 513, 1.5, Number.NaN, 2 ** 44 + 512])("create() refuses the size %p", (size) =>
    story(3, async ({ volumes }) => {
      expect(await failure(volumes.create("v", size))).toMatchObject({ kind: "invalid" });
    }),
  );

  test("create() takes sizes from 512 bytes to 16 TiB, and reads to the very end", () =>
    story(4, async ({ volumes, using }) => {
      await volumes.create("small", 512);
      await volumes.create("large", 2 ** 44);
      for (const name of ["small", "large"]) {
        await using(name, async (device) => {
          const end = device.sizeBytes - 512;
          await device.write(end, new Uint8Array(512).fill(7), false);
          expect(await device.read(end, 512)).toEqual(new Uint8Array(512).fill(7));
          expect(() => device.read(end, 1024)).toThrow(expect.objectContaining({ kind: "invalid" }));
        });
      }
    }));

  test("create() refuses a name that is taken, and allows that of a deleted volume, which starts empty", () =>
    story(5, async ({ volumes, put, read }) => {
      await volumes.create("web1", MIB);
      expect(await failure(volumes.create("web1", MIB))).toMatchObject({ kind: "conflict" });
      await put("web1", 0, 9);
      await volumes.delete("web1");
      expect(volumes.list()).toEqual([]);
      expect(await failure(read("web1"))).toMatchObject({ kind: "not_found" });
      await volumes.create("web1", MIB);
      expect((await read("web1"))[0]).toBe(0);
    }));

  test("two create() of one name at once make one volume", () =>
    story(6, async ({ volumes }) => {
      const results = await Promise.allSettled([volumes.create("a", MIB), volumes.create("a", 2 * MIB)]);
      expect(results.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
      expect(volumes.list()).toHaveLength(1);
    }));

  test("delete() and shrinking are refused while a client is attached, unless forced", () =>
    story(7, async ({ volumes }) => {
      await volumes.create("a", 2 * MIB);
      const device = await volumes.openLive("a");
      const second = await volumes.openLive("a");
      expect(volumes.get("a").attached).toBe(2);
      await second.close();
      await second.close();
      expect(volumes.get("a").attached).toBe(1);
      expect(await failure(volumes.delete("a"))).toMatchObject({ kind: "conflict", facts: { attached: 1 } });
      expect(await failure(volumes.resize("a", MIB))).toMatchObject({ kind: "conflict" });
      await volumes.resize("a", 3 * MIB);
      expect(device.sizeBytes).toBe(3 * MIB);
      await volumes.resize("a", MIB, { force: true });
      expect(() => device.read(MIB, 512)).toThrow(expect.objectContaining({ kind: "invalid" }));
      await volumes.delete("a", { force: true });
      await device.close();
    }));

  test("resize() keeps what is within, reads zeroes where it grew again, and older moments keep all", () =>
    story(8, async ({ volumes, put, read, vault }) => {
      await volumes.create("a", MIB);
      await put("a", 0, 1);
      const before = await put("a", 255, 2);
      await volumes.resize("a", MIB / 2 + 512);
      expect((await read("a")).length).toBe(MIB / 2 + 512);
      await volumes.resize("a", 2 * MIB);
      const grown = await read("a");
      expect([grown.length, grown[0], grown[MIB - 1]]).toEqual([2 * MIB, 1, 0]);
      const old = await read("a", `lsn:${before}`);
      expect([old.length, old[0], old[MIB - 1]]).toEqual([MIB, 1, 2]);
      await vault.seal();
      expect((await read("a", `lsn:${before}`))[MIB - 1]).toBe(2);
      expect((await read("a")).every((byte, at) => at < BLOCK_SIZE || byte === 0)).toBe(true);
    }));

  test("every method says not_found for a volume that is not there", () =>
    story(9, async ({ volumes }) => {
      const now = { kind: "now" } as const;
      const calls: (() => unknown)[] = [
        () => volumes.resize("x", MIB),
        () => volumes.delete("x"),
        () => volumes.openAt("x", now),
        () => volumes.resolve("x", now),
        () => volumes.rollback("x", now),
        () => volumes.branch("x", now, "y"),
        () => all(volumes.diff("x", now, now)),
        () => volumes.bookmark("x", "b", now, ""),
        () => volumes.removeBookmark("x", "b"),
        () => volumes.timeline("x", { bucketCount: 1 }),
        () => volumes.flushPoints("x", { after: lsn(0), limit: 1 }),
      ];
      for (const call of calls) {
        expect(await failure(Promise.resolve().then(call))).toMatchObject({ kind: "not_found" });
      }
      expect(() => volumes.get("x")).toThrow(expect.objectContaining({ kind: "not_found" }));
      expect(() => volumes.bookmarks("x")).toThrow(expect.objectContaining({ kind: "not_found" }));
    }));

  test("what is made is there after a restart, with its newest write and flush", () =>
    story(10, async ({ volumes, vault, using, open }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, new Uint8Array(BLOCK_SIZE).fill(3), false);
        await device.flush();
      });
      await volumes.bookmark("a", "b", { kind: "now" }, "a note");
      const before = volumes.get("a");
      await vault.stop();
      const again = await open();
      const { lastWriteAt, ...facts } = again.volumes.get("a");
      expect(facts).toMatchObject({
        name: "a",
        lastFlushLsn: before.lastFlushLsn,
        bookmarkCount: 1,
      });
      expect(facts.lastLsn).toBeGreaterThanOrEqual(before.lastLsn);
      expect(Math.abs(lastWriteAt - before.lastWriteAt)).toBeLessThan(1e6);
      expect(again.volumes.bookmarks("a")).toMatchObject([{ name: "b", note: "a note" }]);
    }));
});

describe("Volumes: moments", () => {
  test("resolve() finds an LSN, a time, an age, a bookmark and now", () =>
    story(20, async ({ volumes, put, sim, using }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await using("a", (device) => device.flush());
      const marked = await volumes.bookmark("a", "b", { kind: "now" }, "");
      await sim.clock.sleep(10_000);
      const between = sim.clock.wall();
      await sim.clock.sleep(10_000);
      const second = await put("a", 0, 2);
      await using("a", (device) => device.flush());
      expect((await volumes.resolve("a", { kind: "lsn", lsn: lsn(first) })).lsn).toBe(lsn(first));
      expect((await volumes.resolve("a", { kind: "bookmark", name: "b" })).lsn).toBe(marked.lsn);
      const atTime = await volumes.resolve("a", { kind: "time", time: between });
      expect(atTime.lsn).toBeGreaterThanOrEqual(marked.lsn);
      expect(atTime.lsn).toBeLessThan(second);
      expect(atTime.time).toBeLessThanOrEqual(between);
      const aged = await volumes.resolve("a", { kind: "age", ageMicros: sim.clock.wall() - between });
      expect(aged.lsn).toBe(atTime.lsn);
      expect((await volumes.resolve("a", { kind: "now" })).lsn).toBeGreaterThanOrEqual(second);
    }));

  test("resolve() of a time finds the same before and after sealing", () =>
    story(21, async ({ volumes, put, sim, using, vault }) => {
      await volumes.create("a", MIB);
      const times: number[] = [];
      for (let i = 0; i < 20; i++) {
        await put("a", i, i + 1);
        if (i % 3 === 0) await using("a", (device) => device.flush());
        await sim.clock.sleep(100);
        times.push(sim.clock.wall());
        // Nothing more may happen in this very microsecond.
        await sim.clock.sleep(1);
      }
      const resolveAll = (): Promise<number[]> =>
        Promise.all(times.map(async (time) => (await volumes.resolve("a", { kind: "time", time: micros(time) })).lsn));
      const live = await resolveAll();
      expect(live).toEqual(live.toSorted((a, b) => a - b));
      expect(new Set(live).size).toBeGreaterThan(15);
      await vault.seal();
      expect(await resolveAll()).toEqual(live);
    }));

  test("resolve() names the oldest moment for one that lies before", () =>
    story(22, async ({ volumes, sim }) => {
      await volumes.create("first", MIB);
      await sim.clock.sleep(60_000);
      const { createdLsn, createdAt } = await volumes.create("a", MIB);
      for (const moment of ["lsn:0", `lsn:${createdLsn - 1}`, formatTime(micros(createdAt - 30e6)), "-10m"]) {
        const error = await failure(volumes.resolve("a", parseMoment(moment)));
        expect(error).toMatchObject({
          kind: "not_found",
          facts: { oldestLsn: createdLsn, oldestTime: formatTime(createdAt) },
        });
        expect((error as Error).message).toContain(`lsn:${createdLsn}`);
      }
      expect((await volumes.resolve("a", { kind: "lsn", lsn: createdLsn })).lsn).toBe(createdLsn);
    }));

  test("resolve() refuses moments in the future, and bookmarks that do not exist, with those that do", () =>
    story(23, async ({ volumes, vault, sim }) => {
      await volumes.create("a", MIB);
      await volumes.bookmark("a", "good", { kind: "now" }, "");
      const future = [
        { kind: "lsn" as const, lsn: lsn(vault.lastLsn + 1) },
        { kind: "time" as const, time: micros(sim.clock.wall() + 1e6) },
      ];
      for (const moment of future)
        expect(await failure(volumes.resolve("a", moment))).toMatchObject({ kind: "not_found" });
      const error = await failure(volumes.resolve("a", { kind: "bookmark", name: "bad" }));
      expect(error).toMatchObject({ kind: "not_found" });
      expect((error as Error).message).toContain("good");
    }));

  test("resolve() tells flush points from other moments, before and after sealing", () =>
    story(24, async ({ volumes, put, using, vault }) => {
      await volumes.create("a", MIB);
      const plain = await put("a", 0, 1);
      const point = await using("a", (device) => device.flush());
      const later = await put("a", 0, 2);
      for (const isSealed of [false, true]) {
        if (isSealed) await vault.seal();
        const at = async (n: number): Promise<boolean> =>
          (await volumes.resolve("a", { kind: "lsn", lsn: lsn(n) })).flushPoint;
        expect([await at(plain), await at(point), await at(later)]).toEqual([false, true, false]);
      }
    }));

  test("a past device reads the same for ever, also while the present is written and sealed", () =>
    story(25, async ({ volumes, put, vault }) => {
      await volumes.create("a", MIB);
      const lsns: number[] = [];
      for (let i = 1; i <= 12; i++) lsns.push(await put("a", i % 4, i));
      const device = await volumes.openAt("a", { kind: "lsn", lsn: lsn(lsns[5]!) });
      const before = await device.read(0, MIB);
      expect(tags(before).slice(0, 4)).toEqual([4, 5, 6, 3]);
      for (let i = 13; i < 40; i++) {
        await put("a", i % 4, i);
        if (i % 5 === 0) await vault.seal();
      }
      expect(await device.read(0, MIB)).toEqual(before);
      await device.close();
    }));
});
