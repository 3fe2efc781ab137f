import { describe, expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { lsn } from "../../../src/base/units.ts";
import { ENTRY_FLUSH, PAGE_SIZE } from "../../../src/journal/format.ts";
import { inWorld } from "./journal-story.ts";

describe("Journal: group commit", () => {
  test("numbers appends from the next LSN, each after the other", () =>
    inWorld(1, async ({ journal, write }) => {
      expect([write(1)?.lsn, write(2)?.lsn, write(3)?.lsn]).toEqual([1, 2, 3]);
      expect(journal.lastLsn).toBe(lsn(3));
      expect(journal.durableLsn).toBe(lsn(0));
    }));

  test("a lone plain write waits for the linger time, then is written", () =>
    inWorld(2, async ({ sim, journal, told, write }) => {
      write(1);
      await sim.clock.sleep(4);
      expect(told.groups).toEqual([]);
      await sim.clock.sleep(10);
      expect(told.groups).toHaveLength(1);
      expect(journal.durableLsn).toBe(lsn(1));
    }));

  test("a flush takes waiting writes along at once, in one group", () =>
    inWorld(3, async ({ journal, told, write }) => {
      write(1);
      write(2);
      expect(journal.append(ENTRY_FLUSH, 1, 0, 0, undefined)).toBe(true);
      const started = journal.durable(lsn(3));
      expect(told.groups).toHaveLength(1);
      await started;
      expect(journal.durableLsn).toBe(lsn(3));
      expect(journal.groupCount).toBe(1);
    }));

  test("enough pages are written without anybody asking", () =>
    inWorld(4, async ({ told, write }) => {
      for (let i = 0; i < 3; i++) write(i);
      expect(told.groups).toHaveLength(0);
      write(3);
      expect(told.groups).toHaveLength(1);
    }));

  test("what comes while a group is being written fills the next one, and its flush waits for that", () =>
    inWorld(5, async ({ journal, told, write }) => {
      write(1);
      const first = journal.durable(lsn(1));
      for (let i = 2; i <= 7; i++) write(i);
      const later = journal.durable(lsn(7));
      expect(told.groups).toHaveLength(1);
      await first;
      expect(journal.durableLsn).toBe(lsn(1));
      await later;
      expect(told.groups.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn])).toEqual([
        [1, 1],
        [2, 7],
      ]);
    }));

  test("a flush of what the group in flight already holds starts no other", () =>
    inWorld(6, async ({ sim, journal, told, write }) => {
      write(1);
      const first = journal.durable(lsn(1));
      write(2);
      await Promise.all([first, journal.durable(lsn(1))]);
      expect(told.groups).toHaveLength(1);
      await sim.clock.sleep(50);
      expect(told.groups).toHaveLength(2);
    }));

  test("a full group takes no more, is written, and makes room", () =>
    inWorld(
      7,
      async ({ journal, told, write }) => {
        for (let i = 0; i < 16; i++) expect(write(i)).toBeDefined();
        expect(told.groups).toHaveLength(0);
        expect(write(16)).toBeUndefined();
        expect(told.groups).toHaveLength(1);
        await journal.room();
        expect(write(16)?.lsn).toBe(17);
      },
      { eagerPages: 100 },
    ));

  test("never gives a group's time backwards when the wall clock steps back", () =>
    inWorld(8, async ({ sim, journal, told, write }) => {
      write(1);
      await journal.durable(lsn(1));
      sim.clock.stepWall(-3600e6);
      write(2);
      await journal.durable(lsn(2));
      expect(told.groups[1]!.wall).toBe(told.groups[0]!.wall);
    }));
});

describe("Journal: durability", () => {
  test("an answered durable() survives a power cut, with everything before it", () =>
    inWorld(20, async ({ journal, write, afterPowerCut }) => {
      for (let i = 1; i <= 6; i++) write(i);
      await journal.durable(lsn(6));
      write(7);
      const { entries, result } = await afterPowerCut();
      expect(result.damage).toBeUndefined();
      expect(entries.slice(0, 6).map((entry) => entry.lsn)).toEqual([1, 2, 3, 4, 5, 6] as never);
    }));

  test("a group that a power cut tears is left out as a whole", async () => {
    let torn = 0;
    for (let seed = 100; seed < 140; seed++) {
      await inWorld(seed, async ({ journal, write, afterPowerCut }) => {
        write(1);
        await journal.durable(lsn(1));
        for (let i = 2; i <= 4; i++) write(i);
        const pending = journal.durable(lsn(4));
        const { entries, result } = await afterPowerCut();
        expect(result.damage).toBeUndefined();
        expect([1, 4]).toContain(entries.length);
        if (entries.length === 1) torn++;
        await pending;
      });
    }
    expect(torn).toBeGreaterThan(0);
  });

  test("read() gives a page from memory while its group waits or is in flight, and from the file after", () =>
    inWorld(21, async ({ journal, write }) => {
      const place = write(7, 2)!;
      const into = new Uint8Array(2 * PAGE_SIZE);
      const check = async (): Promise<void> => {
        into.fill(0);
        await journal.read(place.fileSequence, place.location, into);
        expect(into).toEqual(new Uint8Array(2 * PAGE_SIZE).fill(7));
      };
      await check();
      const pending = journal.durable(lsn(1));
      await check();
      await pending;
      await check();
    }));

  test("stop() makes durable what nobody flushed, and refuses what comes after", () =>
    inWorld(22, async ({ journal, write, afterPowerCut }) => {
      write(1);
      write(2);
      expect(await journal.stop()).toBe(1);
      expect((await afterPowerCut()).entries).toHaveLength(2);
      expect(() => write(3)).toThrow("stopped");
      await expect(journal.room()).rejects.toThrow("stopped");
    }));
});

describe("Journal: files", () => {
  test("rotate() ends a file after its groups are durable, and appends go to another", () =>
    inWorld(30, async ({ journal, told, write }) => {
      write(1);
      journal.rotate();
      expect(told.closed).toEqual([]);
      await journal.durable(lsn(1));
      expect(told.closed).toMatchObject([{ fileSequence: 1, groupCount: 1, lastGroupSequence: 1 }]);
      while (!write(2)) await journal.room();
      expect(told.opened).toEqual([1, 2]);
    }));

  test("rotate() of a file that is not the current one, or holds nothing, does nothing", () =>
    inWorld(31, async ({ journal, told, write }) => {
      journal.rotate();
      write(1);
      journal.rotate(99);
      await journal.durable(lsn(1));
      expect(told.closed).toEqual([]);
      journal.rotate(1);
      expect(told.closed).toHaveLength(1);
    }));

  test("fills file after file, waits when all are full, and goes on when one is released", () =>
    inWorld(32, async ({ journal, told, write }) => {
      let written = 0;
      let waited = false;
      while (!waited) {
        if (write(written & 0xff, 8)) {
          written++;
          continue;
        }
        if (journal.isOutOfFiles && told.closed.length === 3) waited = true;
        else await journal.room();
      }
      expect(journal.fill).toBe(1);
      expect(told.opened).toEqual([1, 2, 3]);
      let isOpen = false;
      const room = journal.room().then(() => (isOpen = true));
      await journal.durable(journal.lastLsn);
      expect(isOpen).toBe(false);
      journal.release(1);
      await room;
      expect(write(1, 8)).toMatchObject({ fileSequence: 4 });
      expect(journal.held().map((file) => file.fileSequence)).toEqual([2, 3, 4]);
    }));

  test("refuse() fails those who wait for a free file with its reason, and nobody once it is lifted", () =>
    inWorld(
      33,
      async ({ journal, told, write }) => {
        const full = new SternwayError("unavailable", "the disk is full", { code: "ENOSPC" });
        // While there is room, nobody is refused.
        journal.refuse(full);
        expect(write(1)).toBeDefined();
        journal.refuse(undefined);
        while (!journal.isOutOfFiles) if (!write(2, 8)) await journal.room();
        await journal.durable(journal.lastLsn);
        const waiting = journal.room();
        journal.refuse(full);
        expect(await waiting.catch((error: unknown) => error)).toBe(full);
        expect(await journal.room().catch((error: unknown) => error)).toBe(full);
        journal.refuse(undefined);
        const later = journal.room();
        journal.release(told.closed[0]!.fileSequence);
        await later;
        expect(write(3)).toBeDefined();
      },
      { filesMax: 1 },
    ));

  test("held() counts the groups that are durable", () =>
    inWorld(34, async ({ journal, write }) => {
      write(1);
      const pending = journal.durable(lsn(1));
      expect(journal.held()).toMatchObject([{ fileSequence: 1, groupCount: 0 }]);
      await pending;
      expect(journal.held()).toMatchObject([{ fileSequence: 1, groupCount: 1 }]);
    }));
});
