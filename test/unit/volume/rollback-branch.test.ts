import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE, lsn } from "../../../src/base/units.ts";
import { failure, MIB, story, tags } from "./volume-story.ts";

describe("Volumes: rollback", () => {
  test("sets the present back, keeps what was, and can itself be rolled back", () =>
    story(30, async ({ volumes, put, read, vault }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      const second = await put("a", 0, 2);
      const back = await volumes.rollback("a", { kind: "lsn", lsn: lsn(first) });
      expect((await read("a"))[0]).toBe(1);
      expect((await read("a", `lsn:${second}`))[0]).toBe(2);
      await put("a", 1, 3);
      expect(tags(await read("a")).slice(0, 2)).toEqual([1, 3]);
      const undone = await volumes.rollback("a", { kind: "lsn", lsn: lsn(back.lsn - 1) });
      expect(tags(await read("a")).slice(0, 2)).toEqual([2, 0]);
      // And the undo: back to what had been written after the first rollback.
      await volumes.rollback("a", { kind: "lsn", lsn: lsn(undone.lsn - 1) });
      expect(tags(await read("a")).slice(0, 2)).toEqual([1, 3]);
      await vault.seal();
      expect(tags(await read("a")).slice(0, 2)).toEqual([1, 3]);
      expect((await read("a", `lsn:${second}`))[0]).toBe(2);
      expect(tags(await read("a", `lsn:${undone.lsn}`)).slice(0, 2)).toEqual([2, 0]);
    }));

  test("brings back the size of that moment", () =>
    story(31, async ({ volumes, put, read }) => {
      await volumes.create("a", MIB);
      const small = await put("a", 255, 1);
      await volumes.resize("a", 2 * MIB);
      await put("a", 300, 2);
      await volumes.rollback("a", { kind: "lsn", lsn: lsn(small) });
      expect(volumes.get("a").sizeBytes).toBe(MIB);
      expect((await read("a")).length).toBe(MIB);
      // Growing again must not show what the undone future had written there.
      await volumes.resize("a", 2 * MIB);
      expect(tags(await read("a"))[300]).toBe(0);
    }));

  test("hides what was written past the end of the smaller volume before it grew", () =>
    story(32, async ({ volumes, put, read }) => {
      await volumes.create("a", 2 * MIB);
      await put("a", 400, 7);
      await volumes.resize("a", MIB);
      const shrunk = volumes.get("a").lastLsn;
      await volumes.resize("a", 2 * MIB);
      await volumes.rollback("a", { kind: "lsn", lsn: shrunk });
      await volumes.resize("a", 2 * MIB);
      expect(tags(await read("a"))[400]).toBe(0);
    }));

  test("is refused while a client is attached; forced, the client goes on writing to the new present", () =>
    story(33, async ({ volumes, put, read }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await put("a", 0, 2);
      const device = await volumes.openLive("a");
      const to = { kind: "lsn", lsn: lsn(first) } as const;
      expect(await failure(volumes.rollback("a", to))).toMatchObject({ kind: "conflict" });
      await volumes.rollback("a", to, { force: true });
      expect((await device.read(0, 512))[0]).toBe(1);
      await device.write(BLOCK_SIZE, new Uint8Array(BLOCK_SIZE).fill(5), false);
      await device.close();
      expect(tags(await read("a")).slice(0, 2)).toEqual([1, 5]);
    }));

  test("writes little, however much changed", () =>
    story(34, async ({ volumes, vault, using }) => {
      await volumes.create("a", 8 * MIB);
      const start = vault.lastLsn;
      await using("a", async (device) => {
        await device.write(0, new Uint8Array(8 * MIB).fill(1), false);
        await device.flush();
      });
      const before = vault.journal.groupBytes;
      await volumes.rollback("a", { kind: "lsn", lsn: start });
      expect(vault.journal.groupBytes - before).toBeLessThan(64 * 1024);
    }));
});

describe("Volumes: branch", () => {
  test("starts as its origin at a moment, and neither sees what the other writes later", () =>
    story(40, async ({ volumes, put, read, vault }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await put("a", 0, 2);
      const info = await volumes.branch("a", { kind: "lsn", lsn: lsn(first) }, "b");
      expect(info).toMatchObject({ name: "b", sizeBytes: MIB, origin: { volume: "a", lsn: lsn(first) } });
      for (const isSealed of [false, true]) {
        if (isSealed) await vault.seal();
        expect((await read("b"))[0]).toBe(1);
        await put("b", 1, 10 + Number(isSealed));
        await put("a", 2, 20 + Number(isSealed));
        expect(tags(await read("b")).slice(0, 3)).toEqual([1, 10 + Number(isSealed), 0]);
        expect(tags(await read("a")).slice(0, 3)).toEqual([2, 0, 20 + Number(isSealed)]);
      }
    }));

  test("a branch of a branch, from before that one's own writes, reads through both", () =>
    story(41, async ({ volumes, put, read, vault }) => {
      await volumes.create("a", MIB);
      await put("a", 0, 1);
      await volumes.branch("a", { kind: "now" }, "b");
      const early = volumes.get("b").createdLsn;
      await put("b", 1, 2);
      await volumes.branch("b", { kind: "now" }, "c");
      await volumes.branch("b", { kind: "lsn", lsn: early }, "d");
      await put("c", 2, 3);
      await put("a", 0, 9);
      await put("b", 1, 9);
      await volumes.delete("b");
      await vault.seal();
      expect(tags(await read("c")).slice(0, 3)).toEqual([1, 2, 3]);
      expect(tags(await read("d")).slice(0, 3)).toEqual([1, 0, 0]);
      expect(tags(await read("a")).slice(0, 3)).toEqual([9, 0, 0]);
    }));

  test("refuses a bad or taken name, and a moment out of history", () =>
    story(42, async ({ volumes }) => {
      await volumes.create("a", MIB);
      const now = { kind: "now" } as const;
      expect(await failure(volumes.branch("a", now, "a"))).toMatchObject({ kind: "conflict" });
      expect(await failure(volumes.branch("a", now, "no/no"))).toMatchObject({ kind: "invalid" });
      expect(await failure(volumes.branch("a", { kind: "lsn", lsn: lsn(0) }, "b"))).toMatchObject({
        kind: "not_found",
      });
      expect(volumes.list().map((info) => info.name)).toEqual(["a"]);
    }));

  test("has a history that begins with itself", () =>
    story(43, async ({ volumes, put }) => {
      await volumes.create("a", MIB);
      const before = await put("a", 0, 1);
      await volumes.branch("a", { kind: "now" }, "b");
      expect(await failure(volumes.resolve("b", { kind: "lsn", lsn: lsn(before) }))).toMatchObject({
        kind: "not_found",
      });
    }));
});

describe("Volumes: bookmarks", () => {
  test("of now are durable flush points of what was written before", () =>
    story(50, async ({ volumes, put, read, vault }) => {
      await volumes.create("a", MIB);
      await put("a", 0, 1);
      const bookmark = await volumes.bookmark("a", "b", { kind: "now" }, "why");
      expect(bookmark).toMatchObject({ name: "b", note: "why" });
      expect(vault.journal.durableLsn).toBeGreaterThanOrEqual(bookmark.lsn);
      expect((await volumes.resolve("a", { kind: "bookmark", name: "b" })).flushPoint).toBe(true);
      await put("a", 0, 2);
      expect((await read("a", "bookmark:b"))[0]).toBe(1);
    }));

  test("of a past moment name that", () =>
    story(51, async ({ volumes, put, read }) => {
      await volumes.create("a", MIB);
      const first = await put("a", 0, 1);
      await put("a", 0, 2);
      expect((await volumes.bookmark("a", "b", { kind: "lsn", lsn: lsn(first) }, "")).lsn).toBe(lsn(first));
      expect((await read("a", "bookmark:b"))[0]).toBe(1);
    }));

  test("are refused when the name is taken or bad, or the note too long; another volume may use the name", () =>
    story(52, async ({ volumes }) => {
      await volumes.create("a", MIB);
      await volumes.create("b", MIB);
      const now = { kind: "now" } as const;
      await volumes.bookmark("a", "x", now, "");
      expect(await failure(volumes.bookmark("a", "x", now, ""))).toMatchObject({ kind: "conflict" });
      expect(await failure(volumes.bookmark("a", "no/no", now, ""))).toMatchObject({ kind: "invalid" });
      expect(await failure(volumes.bookmark("a", "y", now, "n".repeat(1025)))).toMatchObject({ kind: "invalid" });
      await volumes.bookmark("b", "x", now, "");
      expect(volumes.bookmarks("a")).toHaveLength(1);
    }));

  test("can be removed once", () =>
    story(53, async ({ volumes }) => {
      await volumes.create("a", MIB);
      await volumes.bookmark("a", "x", { kind: "now" }, "");
      await volumes.removeBookmark("a", "x");
      expect(volumes.bookmarks("a")).toEqual([]);
      expect(await failure(volumes.removeBookmark("a", "x"))).toMatchObject({ kind: "not_found" });
    }));
});
