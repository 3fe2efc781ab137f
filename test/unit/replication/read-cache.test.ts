import { describe, expect, test } from "bun:test";
import { ReadCache } from "../../../src/replication/read-cache.ts";
import { inWorld } from "../../support/world.ts";

const bytesOf = (tag: number, length = 1000): Uint8Array => new Uint8Array(length).fill(tag);

describe("ReadCache", () => {
  test("piece() asks once, for all who wait and for those who come later, also after a restart", () =>
    inWorld(1, async ({ disk }) => {
      const cache = new ReadCache(disk, "/cache", 10_000);
      let asked = 0;
      const fetch = async (): Promise<Uint8Array> => {
        asked++;
        return bytesOf(7);
      };
      const both = await Promise.all([cache.piece("packs/a", 0, fetch), cache.piece("packs/a", 0, fetch)]);
      expect(both).toEqual([bytesOf(7), bytesOf(7)]);
      expect(await cache.piece("packs/a", 0, fetch)).toEqual(bytesOf(7));
      const again = new ReadCache(disk, "/cache", 10_000);
      expect(await again.piece("packs/a", 0, fetch)).toEqual(bytesOf(7));
      expect(asked).toBe(1);
      expect(again.sizeBytes).toBe(cache.sizeBytes);
    }));

  test("a piece that is damaged or torn is fetched again", () =>
    inWorld(2, async ({ disk }) => {
      const cache = new ReadCache(disk, "/cache", 10_000);
      await cache.piece("packs/a", 3, async () => bytesOf(1));
      disk.flipBit("/cache/packs/a/3", 500);
      expect(await cache.piece("packs/a", 3, async () => bytesOf(2))).toEqual(bytesOf(2));
      expect(await cache.piece("packs/a", 3, async () => bytesOf(3))).toEqual(bytesOf(2));
    }));

  test("the oldest go when it is full, and it never holds more than its bound", () =>
    inWorld(3, async ({ disk }) => {
      const cache = new ReadCache(disk, "/cache", 5_000);
      let asked = 0;
      const piece = (index: number): Promise<Uint8Array> =>
        cache.piece("packs/a", index, async () => {
          asked++;
          return bytesOf(index);
        });
      for (let index = 0; index < 10; index++) {
        await piece(index);
        await piece(0);
        expect(cache.sizeBytes).toBeLessThanOrEqual(5_000);
      }
      expect(asked).toBe(10);
      await piece(1);
      expect(asked).toBe(11);
    }));

  test("a disk that takes nothing is no cache, and no error", () =>
    inWorld(4, async ({ disk }) => {
      disk.inject({ effect: "ENOSPC", operations: ["create", "write"], times: Infinity });
      const cache = new ReadCache(disk, "/cache", 10_000);
      expect(await cache.piece("packs/a", 0, async () => bytesOf(1))).toEqual(bytesOf(1));
      expect(await cache.piece("packs/a", 0, async () => bytesOf(2))).toEqual(bytesOf(2));
    }));

  test("forget() lets go of one object alone", () =>
    inWorld(5, async ({ disk }) => {
      const cache = new ReadCache(disk, "/cache", 10_000);
      await cache.piece("packs/a", 0, async () => bytesOf(1));
      await cache.piece("packs/ab", 0, async () => bytesOf(2));
      await cache.forget("packs/a");
      expect(await cache.piece("packs/a", 0, async () => bytesOf(3))).toEqual(bytesOf(3));
      expect(await cache.piece("packs/ab", 0, async () => bytesOf(4))).toEqual(bytesOf(2));
    }));
});
