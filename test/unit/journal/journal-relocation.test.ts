import { describe, expect, test } from "bun:test";
import type { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { lsn } from "../../../src/base/units.ts";
import { PAGE_SIZE } from "../../../src/journal/format.ts";
import { LOCATION_GROUP } from "../../../src/journal/journal.ts";
import { inWorld } from "./journal-story.ts";

describe("Journal: after a failed write", () => {
  const failOnce = (disk: SimulatedDisk, slot = "0000"): void =>
    void disk.inject({ effect: "EIO", operations: ["write-through"], path: new RegExp(`${slot}.journal$`) });

  test("the group moves to a new file, is answered there, and survives a power cut", async () => {
    for (let seed = 200; seed < 220; seed++) {
      await inWorld(seed, async ({ disk, journal, told, write, afterPowerCut, sim }) => {
        write(1);
        await journal.durable(lsn(1));
        // A second file must be there to move to.
        await sim.clock.sleep(50);
        failOnce(disk);
        write(2);
        const pending = journal.durable(lsn(2));
        const waiting = write(3)!;
        await pending;
        expect(told.moved).toMatchObject([{ from: 1, to: 2, fromLsn: 2 }]);
        const { ordinals } = told.moved[0]!;
        const ordinal = ordinals.get(Math.floor(waiting.location / LOCATION_GROUP))!;
        const into = new Uint8Array(PAGE_SIZE);
        await journal.read(2, ordinal * LOCATION_GROUP + (waiting.location % LOCATION_GROUP), into);
        expect(into[0]).toBe(3);
        await journal.durable(lsn(3));
        // Readers that still know the old place find it too.
        into.fill(0);
        await journal.read(1, waiting.location, into);
        expect(into[0]).toBe(3);
        await journal.read(2, ordinal * LOCATION_GROUP + (waiting.location % LOCATION_GROUP), into);
        expect(into[0]).toBe(3);
        // The old file ends with what was durable in it.
        expect(told.closed).toMatchObject([{ fileSequence: 1, groupCount: 1, lastGroupSequence: 1 }]);
        const { entries, result } = await afterPowerCut();
        expect(result.damage).toBeUndefined();
        expect(entries.map((entry) => entry.lsn)).toEqual([1, 2, 3] as never);
      });
    }
  });

  test("the failed file is never used again", () =>
    inWorld(40, async ({ disk, journal, told, write, sim }) => {
      write(1);
      await journal.durable(lsn(1));
      await sim.clock.sleep(50);
      failOnce(disk);
      write(2);
      await journal.durable(lsn(2));
      const failed = told.closed[0]!.slot;
      journal.release(1);
      const used: string[] = [];
      for (let i = 3; i < 12; i++) {
        while (!write(i)) await journal.room();
        await journal.durable(lsn(i));
        journal.rotate();
        const last = told.closed.at(-1)!;
        used.push(last.slot);
        journal.release(last.fileSequence);
      }
      expect(used).toHaveLength(9);
      expect(used).not.toContain(failed);
    }));

  test("it moves on until a file takes it, and waits for one that must be made first", () =>
    inWorld(41, async ({ disk, journal, told, write }) => {
      write(1);
      await journal.durable(lsn(1));
      failOnce(disk, "0000");
      failOnce(disk, "0001");
      write(2);
      await journal.durable(lsn(2));
      expect(told.moved.map(({ from, to }) => [from, to])).toEqual([
        [1, 2],
        [2, 3],
      ]);
      expect(told.closed.map(({ groupCount }) => groupCount)).toEqual([1, 0]);
    }));

  test("it is made a new file even when there are as many as may be: a failed one does not count", () =>
    inWorld(
      43,
      async ({ disk, journal, write, afterPowerCut }) => {
        write(1);
        await journal.durable(lsn(1));
        failOnce(disk);
        write(2);
        await journal.durable(lsn(2));
        expect((await afterPowerCut()).entries).toHaveLength(2);
      },
      { filesMax: 1 },
    ));

  test("the journal fails, answers nobody and keeps what was durable when no file is left", () =>
    inWorld(
      42,
      async ({ disk, journal, write, afterPowerCut }) => {
        write(1);
        await journal.durable(lsn(1));
        disk.inject({ effect: "ENOSPC", operations: ["create"], times: Infinity });
        failOnce(disk);
        write(2);
        await expect(journal.durable(lsn(2))).rejects.toMatchObject({ kind: "unavailable", facts: { code: "EIO" } });
        const room = journal.room();
        await expect(room).rejects.toMatchObject({ kind: "unavailable" });
        await room.catch(() => undefined);
        expect(() => write(3)).toThrow("no other file is free");
        expect(journal.durableLsn).toBe(lsn(1));
        const { entries, result } = await afterPowerCut();
        expect(result.damage).toBeUndefined();
        expect(entries.length).toBeGreaterThanOrEqual(1);
      },
      { filesMax: 1 },
    ));
});
