import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../../src/base/device.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { BLOCK_SIZE, lsn } from "../../../src/base/units.ts";
import { noise } from "../../support/world.ts";
import { MIB, story } from "./volume-story.ts";

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe("LiveVolume: writes", () => {
  test("a write that begins and ends inside blocks changes nothing beside it", () =>
    story(1, async ({ volumes, using, read, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, filled(4 * BLOCK_SIZE, 1), false);
        for (const isSealed of [false, true]) {
          if (isSealed) await vault.seal();
          await device.write(512, filled(512, 2), false);
          await device.write(BLOCK_SIZE + 1024, filled(2 * BLOCK_SIZE, 3), false);
          const expected = filled(4 * BLOCK_SIZE, 1);
          expected.fill(2, 512, 1024).fill(3, BLOCK_SIZE + 1024, 3 * BLOCK_SIZE + 1024);
          expect(await device.read(0, 4 * BLOCK_SIZE)).toEqual(expected);
        }
      });
      expect((await read("a", "now", 0, 4 * BLOCK_SIZE))[512]).toBe(2);
    }));

  test("concurrent writes of parts of one block all stay", () =>
    story(2, async ({ volumes, using }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        const work: Promise<unknown>[] = [];
        for (let round = 0; round < 3; round++) {
          for (let sector = 0; sector < 8; sector++) {
            work.push(Promise.resolve(device.write(sector * 512, filled(512, 10 * round + sector + 1), false)));
          }
        }
        await Promise.all(work);
        const block = await device.read(0, BLOCK_SIZE);
        expect(Array.from({ length: 8 }, (_, i) => block[i * 512]!)).toEqual([21, 22, 23, 24, 25, 26, 27, 28]);
      });
    }));

  test("a whole-block write beside a merge of the same block loses neither order nor bytes", () =>
    story(3, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, filled(BLOCK_SIZE, 1), false);
        await vault.seal();
        // The merge reads from disk; the whole write comes while it waits, and must not be lost under it.
        const merge = device.write(512, filled(512, 2), false);
        const whole = device.write(0, filled(BLOCK_SIZE, 3), false);
        const other = device.write(BLOCK_SIZE, filled(BLOCK_SIZE, 4), false);
        await Promise.all([merge, whole, other]);
        expect(await device.read(0, BLOCK_SIZE)).toEqual(filled(BLOCK_SIZE, 3));
        expect(await device.read(BLOCK_SIZE, BLOCK_SIZE)).toEqual(filled(BLOCK_SIZE, 4));
      });
    }));

  test("every version of a block that was written in parts stays readable", () =>
    story(4, async ({ volumes, using, read, vault }) => {
      await volumes.create("a", MIB);
      const lsns: number[] = [];
      await using("a", async (device) => {
        for (let sector = 0; sector < 8; sector++) {
          await device.write(sector * 512, filled(512, sector + 1), false);
          lsns.push(vault.lastLsn);
        }
      });
      for (const isSealed of [false, true]) {
        if (isSealed) await vault.seal();
        for (const [i, at] of lsns.entries()) {
          const block = await read("a", `lsn:${at}`, 0, BLOCK_SIZE);
          expect(Array.from({ length: 8 }, (_, n) => block[n * 512]!)).toEqual(
            [1, 2, 3, 4, 5, 6, 7, 8].map((n) => (n <= i + 1 ? n : 0)),
          );
        }
      }
    }));

  test("a write larger than a journal group arrives whole, from any offset", () =>
    story(5, async ({ volumes, using, read, vault }) => {
      await volumes.create("a", 8 * MIB);
      const data = noise(5, 700);
      await using("a", async (device) => {
        await device.write(512 * 3, data.subarray(0, data.length - 1024), false);
        await device.flush();
        expect(await device.read(512 * 3, data.length - 1024)).toEqual(data.subarray(0, data.length - 1024));
      });
      await vault.seal();
      const all = await read("a");
      expect(all.subarray(512 * 3, 512 * 3 + data.length - 1024)).toEqual(data.subarray(0, data.length - 1024));
      expect(all.subarray(0, 512 * 3)).toEqual(new Uint8Array(512 * 3));
      expect(all.subarray(512 * 3 + data.length - 1024).every((byte) => byte === 0)).toBe(true);
    }));

  test("takes its own copy: what the caller does to the buffer afterwards changes nothing", () =>
    story(6, async ({ volumes, using }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        const data = filled(BLOCK_SIZE, 1);
        expect(device.write(0, data, false)).toBeUndefined();
        data.fill(9);
        expect(await device.read(0, BLOCK_SIZE)).toEqual(filled(BLOCK_SIZE, 1));
      });
    }));

  test.each([
    [-512, 512],
    [100, 512],
    [0, 100],
    [0, 0],
    [MIB, 512],
    [MIB - 512, 1024],
  ])("refuses %d + %d", (offset, length) =>
    story(7, async ({ volumes, using }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        const invalid = expect.objectContaining({ kind: "invalid" });
        expect(() => device.write(offset, new Uint8Array(length), false)).toThrow(invalid);
        expect(() => device.read(offset, length)).toThrow(invalid);
        expect(() => device.trim(offset, length, false)).toThrow(invalid);
        expect(() => device.extents(offset, length)).toThrow(invalid);
      });
    }),
  );
});

describe("LiveVolume: trims and zeroes", () => {
  test("an unaligned trim zeroes what it covers and nothing else, and makes holes of whole blocks", () =>
    story(20, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, filled(8 * BLOCK_SIZE, 1), false);
        await device.trim(512, 4 * BLOCK_SIZE, false);
        const expected = filled(8 * BLOCK_SIZE, 1);
        expected.fill(0, 512, 512 + 4 * BLOCK_SIZE);
        for (const isSealed of [false, true]) {
          if (isSealed) await vault.seal();
          expect(await device.read(0, 8 * BLOCK_SIZE)).toEqual(expected);
          expect(await device.extents(0, 8 * BLOCK_SIZE)).toEqual([
            { offset: 0, length: BLOCK_SIZE, kind: "data" },
            { offset: BLOCK_SIZE, length: 3 * BLOCK_SIZE, kind: "hole" },
            { offset: 4 * BLOCK_SIZE, length: 4 * BLOCK_SIZE, kind: "data" },
          ]);
        }
      });
    }));

  test("writeZeroes() keeps its place allocated unless it may become a hole", () =>
    story(21, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.writeZeroes(0, BLOCK_SIZE, false, false);
        await device.writeZeroes(BLOCK_SIZE, BLOCK_SIZE, true, false);
        for (const isSealed of [false, true]) {
          if (isSealed) await vault.seal();
          expect((await device.extents(0, 2 * BLOCK_SIZE)).map((extent) => extent.kind)).toEqual(["zero", "hole"]);
        }
      });
    }));

  test("a block of zeroes that was written reads as zeroes and is no hole", () =>
    story(22, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, filled(BLOCK_SIZE, 0), false);
        await vault.seal();
        expect((await device.extents(0, BLOCK_SIZE))[0]!.kind).not.toBe("hole");
        expect(await device.read(0, BLOCK_SIZE)).toEqual(filled(BLOCK_SIZE, 0));
        expect(vault.sealing.manifest.packs).toEqual([]);
      });
    }));

  test("a trim of terabytes is quick, and older moments keep what was there", () =>
    story(23, async ({ volumes, using, read, vault }) => {
      await volumes.create("a", 2 ** 44);
      await using("a", async (device) => {
        await device.write(2 ** 43, filled(BLOCK_SIZE, 7), false);
        const before = vault.lastLsn;
        await device.trim(0, 2 ** 44, false);
        for (const isSealed of [false, true]) {
          if (isSealed) await vault.seal();
          expect((await device.read(2 ** 43, 512))[0]).toBe(0);
          expect((await read("a", `lsn:${before}`, 2 ** 43, 512))[0]).toBe(7);
          const extents: { kind: string }[] = [];
          for (let offset = 0; offset < 2 ** 44;) {
            const part = await device.extents(offset, 2 ** 44 - offset);
            extents.push(...part);
            offset = part.at(-1)!.offset + part.at(-1)!.length;
            if (extents.length > 10_000) break;
            if (offset > 2 ** 33) break;
          }
          expect(new Set(extents.map((extent) => extent.kind))).toEqual(new Set(["hole"]));
        }
      });
    }));
});

describe("LiveVolume: flushes", () => {
  test("flush() makes durable what any connection had answered before it, and names a flush point", () =>
    story(30, async ({ volumes, vault }) => {
      await volumes.create("a", MIB);
      await volumes.create("b", MIB);
      const [a1, a2, b] = [
        await volumes.openLive("a"),
        await volumes.openLive("a"),
        await volumes.openLive("b"),
      ] as WritableDevice[];
      await a1!.write(0, filled(BLOCK_SIZE, 1), false);
      await b!.write(0, filled(BLOCK_SIZE, 2), false);
      const last = vault.lastLsn;
      const point = await a2!.flush();
      expect(vault.journal.durableLsn).toBeGreaterThanOrEqual(last);
      expect(point).toBeGreaterThan(last);
      expect(volumes.get("a").lastFlushLsn).toBe(point);
      expect((await volumes.flushPoints("a", { after: lsn(0), limit: 10 })).map((entry) => entry.lsn)).toEqual([point]);
      expect(await volumes.flushPoints("b", { after: lsn(0), limit: 10 })).toEqual([]);
      for (const device of [a1!, a2!, b!]) await device.close();
    }));

  test("a flush without a write since the last one takes no LSN", () =>
    story(31, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        await device.write(0, filled(BLOCK_SIZE, 1), false);
        await device.flush();
        const last = vault.lastLsn;
        for (let i = 0; i < 5; i++) await device.flush();
        expect(vault.lastLsn).toBe(last);
      });
    }));

  test("a write with FUA is durable when it is answered; whole, partial, trim and zeroes", () =>
    story(32, async ({ volumes, using, vault }) => {
      await volumes.create("a", MIB);
      await using("a", async (device) => {
        const durable = async (work: Promise<void> | undefined): Promise<void> => {
          expect(work).toBeDefined();
          const last = vault.lastLsn;
          await work;
          expect(vault.journal.durableLsn).toBeGreaterThanOrEqual(last);
          expect(vault.journal.durableLsn).toBe(vault.lastLsn);
        };
        await durable(device.write(0, filled(BLOCK_SIZE, 1), true));
        await durable(device.write(512, filled(512, 1), true));
        await durable(device.trim(BLOCK_SIZE, BLOCK_SIZE, true));
        await durable(device.writeZeroes(0, BLOCK_SIZE, false, true));
      });
    }));
});

test("a volume under random writes, trims, flushes and seals reads like a plain array, now and at every moment kept", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    await story(1000 + seed, async ({ volumes, using, read, vault }) => {
      const random = seededRandom(seed);
      const size = 64 * BLOCK_SIZE;
      await volumes.create("a", size);
      const model = new Uint8Array(size);
      const kept: { lsn: number; bytes: Uint8Array }[] = [];
      await using("a", async (device) => {
        for (let step = 1; step <= 60; step++) {
          const offset = random.below(size / 512) * 512;
          const length = Math.min(size - offset, (1 + random.below(24)) * 512);
          switch (random.below(8)) {
            case 0:
              await device.trim(offset, length, random.below(2) === 0);
              model.fill(0, offset, offset + length);
              break;
            case 1:
              await device.writeZeroes(offset, length, random.below(2) === 0, false);
              model.fill(0, offset, offset + length);
              break;
            case 2:
              if (random.below(3) === 0) await vault.seal();
              else await device.flush();
              break;
            default: {
              const data = filled(length, 1 + random.below(255));
              await device.write(offset, data, false);
              model.set(data, offset);
            }
          }
          expect(await device.read(offset, length)).toEqual(model.slice(offset, offset + length));
          if (random.below(3) === 0) kept.push({ lsn: vault.lastLsn, bytes: model.slice() });
        }
      });
      for (const { lsn: at, bytes } of kept) expect(await read("a", `lsn:${at}`)).toEqual(bytes);
      await vault.seal();
      for (const { lsn: at, bytes } of kept) expect(await read("a", `lsn:${at}`)).toEqual(bytes);
      expect(await read("a")).toEqual(model);
    });
  }
}, 20_000);
