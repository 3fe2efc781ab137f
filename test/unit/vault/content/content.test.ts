import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { WritableDevice } from "../../../../src/base/device.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import {
  AREA_BLOCKS,
  CONTENT_DENSE,
  CONTENT_NONE,
  CONTENT_PLAIN,
  CONTENT_UNKNOWN,
  ContentMap,
} from "../../../../src/vault/content/content-map.ts";
import { areasOf, learnAreas, type WriteSlice } from "../../../../src/vault/content/content-survey.ts";
import { looksRandom } from "../../../../src/vault/content/density.ts";
import type { SealProgress } from "../../../../src/vault/sealing/sealing.ts";
import { inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;

/** Blocks of words, each different. */
function text(seed: number, blocks: number): Uint8Array {
  const random = seededRandom(seed);
  const words = ["volume", "moment", "journal", "of", "and", "the", "answer", "strand", "\n"];
  let out = "";
  while (out.length < blocks * BLOCK_SIZE) out += `${words[random.below(words.length)]!} `;
  return new TextEncoder().encode(out).subarray(0, blocks * BLOCK_SIZE);
}

interface Story extends World {
  bed: Awaited<ReturnType<World["open"]>>;
  device: WritableDevice;
  /** Writes, seals, and gives the sums of what was measured. */
  sums(write: () => Promise<void>): Promise<WriteSlice & { slices: number }>;
}

function story(seed: number, tell: (story: Story) => Promise<void>): Promise<void> {
  return inWorld(seed, async (world) => {
    const sealed: SealProgress[] = [];
    const bed = await world.open({ journalFilesMax: 8, onSealed: (progress) => sealed.push(progress) });
    await bed.volumes.create("a", 16 * MIB);
    const device = await bed.volumes.openLive("a");
    const sums = async (write: () => Promise<void>): Promise<WriteSlice & { slices: number }> => {
      sealed.length = 0;
      await write();
      await bed.vault.seal();
      return sumOf(sealed);
    };
    await tell({ ...world, bed, device, sums });
    await device.close();
  });
}

function sumOf(sealed: readonly SealProgress[]): WriteSlice & { slices: number } {
  const slices = sealed.flatMap(({ writes }) => writes.flatMap((each) => each.slices));
  const sum = { slices: slices.length } as WriteSlice & { slices: number };
  for (const key of Object.keys(slices[0] ?? {}) as (keyof WriteSlice)[]) {
    sum[key] = slices.reduce((total, slice) => total + slice[key], 0);
  }
  return sum;
}

describe("looksRandom()", () => {
  test("tells encrypted and compressed blocks from text, zeroes and tables", () => {
    const random = noise(1, 400);
    const count = (bytes: Uint8Array): number => {
      let found = 0;
      for (let at = 0; at < bytes.length; at += BLOCK_SIZE) if (looksRandom(bytes, at)) found++;
      return found;
    };
    expect(count(random)).toBeGreaterThan(390);
    expect(count(Bun.zstdCompressSync(text(1, 2000), { level: 3 }).subarray(0, 100 * BLOCK_SIZE))).toBeGreaterThan(90);
    expect(count(text(2, 400))).toBe(0);
    expect(count(new Uint8Array(BLOCK_SIZE))).toBe(0);
    const table = new Uint8Array(400 * BLOCK_SIZE);
    for (let i = 0; i < table.length; i += 8) new DataView(table.buffer).setFloat64(i, i * 3, true);
    expect(count(table)).toBe(0);
    expect(count(Buffer.from(random.toBase64()).subarray(0, 500 * BLOCK_SIZE))).toBe(0);
  });
});

describe("ContentMap", () => {
  test("keeps what was set, learns only what it did not know, and forgets the area used least", () => {
    const map = new ContentMap(2);
    map.set(1, 5, CONTENT_DENSE);
    expect(map.get(1, 5)).toBe(CONTENT_DENSE);
    expect(map.get(1, 6)).toBe(CONTENT_UNKNOWN);
    expect(map.get(2, 5)).toBe(CONTENT_UNKNOWN);
    expect(map.strangeAreas(9)).toEqual([{ strand: 1, areas: [0] }]);
    map.learn(1, 0, (block) => (block < 8 ? CONTENT_PLAIN : CONTENT_NONE));
    expect([5, 6, 9].map((block) => map.get(1, block))).toEqual([CONTENT_DENSE, CONTENT_PLAIN, CONTENT_NONE]);
    expect(map.strangeAreas(9)).toEqual([]);
    map.clear(1, 4, 3);
    expect([3, 4, 5, 6, 7].map((block) => map.get(1, block))).toEqual([1, 0, 0, 0, 1]);
    map.set(1, AREA_BLOCKS, CONTENT_PLAIN);
    map.get(1, 5);
    map.set(1, 2 * AREA_BLOCKS, CONTENT_PLAIN);
    expect(map.get(1, AREA_BLOCKS)).toBe(CONTENT_UNKNOWN);
    expect(map.get(1, 5)).toBe(CONTENT_NONE);
  });
});

describe("the measure of a sealed stretch", () => {
  test("counts first writes, rewrites, duplicates, and text that turned into noise", () =>
    story(1, async ({ bed, device, sums }) => {
      const first = await sums(() => device.write(0, text(1, 64), false)!);
      // The first look at an area knows nothing of what was there.
      expect(first).toMatchObject({ blocks: 64, fresh: 64, dense: 0, rewrites: 0, turned: 0, unknown: 64 });
      expect(first.storedBytes).toBeLessThan(32 * BLOCK_SIZE);
      await learnAreas(bed.vault, [areasOf(bed.vault, 1)]);
      const firstWrites = await sums(() => device.write(MIB, noise(2, 32), false)!);
      expect(firstWrites).toMatchObject({ blocks: 32, dense: 32, rewrites: 0, overPlain: 0, turned: 0, unknown: 0 });
      expect(firstWrites.storedBytes).toBeGreaterThanOrEqual(32 * BLOCK_SIZE);
      const copied = await sums(() => device.write(2 * MIB, text(1, 64), false)!);
      expect(copied).toMatchObject({ blocks: 64, duplicate: 64, fresh: 0, storedBytes: 0, rewrites: 0 });
      const edited = await sums(() => device.write(0, text(3, 16), false)!);
      expect(edited).toMatchObject({ fresh: 16, rewrites: 16, overPlain: 16, turned: 0 });
      const encrypted = await sums(() => device.write(0, noise(4, 64), false)!);
      expect(encrypted).toMatchObject({ fresh: 64, dense: 64, rewrites: 64, overPlain: 64, turned: 64 });
      // What was encrypted once has nothing more to lose.
      const again = await sums(() => device.write(0, noise(5, 64), false)!);
      expect(again).toMatchObject({ dense: 64, rewrites: 64, overPlain: 0, turned: 0 });
    }));

  test("names the first block that turned and the flush before it", () =>
    story(2, async ({ bed, device, sums }) => {
      await sums(() => device.write(0, text(1, 32), false)!);
      await learnAreas(bed.vault, [areasOf(bed.vault, 1)]);
      let flushed = 0;
      let before = 0;
      const found = await sums(async () => {
        await device.write(0, text(2, 4), false);
        await device.flush();
        flushed = bed.volumes.get("a").lastFlushLsn;
        before = bed.vault.lastLsn;
        await device.write(8 * BLOCK_SIZE, noise(3, 8), false);
        await device.flush();
        await device.write(16 * BLOCK_SIZE, noise(4, 8), false);
      });
      expect(found).toMatchObject({ turned: 16, flushBefore: flushed });
      expect(found.turnedLsn).toBe(before + 1);
    }));

  test("takes trimmed and zeroed blocks for empty, also when large ranges were cleared around the writes", () =>
    story(3, async ({ bed, device, sums }) => {
      await sums(() => device.write(0, text(1, 1024), false)!);
      await learnAreas(bed.vault, [areasOf(bed.vault, 1)]);
      await sums(async () => {
        await device.trim(0, MIB, false);
        await device.write(4 * BLOCK_SIZE, text(2, 4), false);
        await device.write(2 * MIB, text(3, 4), false);
        await device.trim(2 * MIB, MIB, false);
        await device.writeZeroes(3 * MIB, 4 * BLOCK_SIZE, false, false);
      });
      const over = await sums(async () => {
        for (const at of [0, 4 * BLOCK_SIZE, 2 * MIB, 3 * MIB]) await device.write(at, noise(at, 4), false);
      });
      expect(over).toMatchObject({ blocks: 16, rewrites: 4, turned: 4, unknown: 0 });
    }));

  test("divides a stretch into slices of some seconds", () =>
    story(4, async ({ sim, device, sums }) => {
      const found = await sums(async () => {
        for (let second = 0; second < 20; second += 2) {
          await device.write(second * BLOCK_SIZE, text(second, 1), false);
          await device.flush();
          await sim.clock.sleep(2000);
        }
      });
      expect(found.blocks).toBe(10);
      expect(found.slices).toBeGreaterThanOrEqual(3);
      expect(found.slices).toBeLessThanOrEqual(5);
    }));

  test("learns after a restart, and of a branch, what blocks hold", () =>
    inWorld(5, async ({ open }) => {
      const first = await open();
      await first.volumes.create("a", 16 * MIB);
      let device = await first.volumes.openLive("a");
      await device.write(0, text(1, 64), false);
      await device.write(MIB, noise(1, 64), false);
      await device.close();
      await first.vault.seal();
      await first.volumes.branch("a", { kind: "now" }, "b");
      await first.vault.stop();

      const sealed: SealProgress[] = [];
      const { vault, volumes } = await open({ onSealed: (progress) => sealed.push(progress) });
      expect(await learnAreas(vault, [areasOf(vault, 1), areasOf(vault, 2)])).toBe(true);
      for (const name of ["a", "b"]) {
        sealed.length = 0;
        device = await volumes.openLive(name);
        await device.write(0, noise(name.charCodeAt(0), 32), false);
        await device.write(MIB, noise(7, 32), false);
        await device.write(2 * MIB, noise(8, 32), false);
        await device.close();
        await vault.seal();
        expect({ name, ...sumOf(sealed) }).toMatchObject({ name, rewrites: 64, overPlain: 32, turned: 32, unknown: 0 });
      }
    }));

  test("counts a stretch once, although sealing it failed at first", () =>
    inWorld(6, async ({ open, disk, sim }) => {
      const sealed: SealProgress[] = [];
      const { vault, volumes } = await open({ onSealed: (progress) => sealed.push(progress) });
      await volumes.create("a", 16 * MIB);
      const device = await volumes.openLive("a");
      await device.write(0, text(1, 64), false);
      await vault.seal();
      await learnAreas(vault, [areasOf(vault, 1)]);
      sealed.length = 0;
      const fault = disk.inject({ effect: "EIO", operations: ["create"], path: /\.layer\.tmp$/, times: Infinity });
      await device.write(0, noise(1, 64), false);
      await vault.seal();
      fault.heal();
      while (vault.sealing.backlog > 0 || vault.sealing.lastTrouble) await sim.clock.sleep(100);
      expect(sumOf(sealed)).toMatchObject({ turned: 64 });
      await device.close();
    }));
});
