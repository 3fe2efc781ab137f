import { expect, test } from "bun:test";
import fc from "fast-check";
import { blockStatus, planRead } from "../../../src/nbd/device-answers.ts";
import { MemoryDevice } from "../../support/memory-device.ts";

const BLOCKS = 256;

const layout = fc.array(fc.record({ kind: fc.nat({ max: 2 }), blocks: fc.integer({ min: 1, max: 40 }) }), {
  maxLength: 20,
});

function deviceOf(runs: { kind: number; blocks: number }[], extentsAtOnce: number): MemoryDevice {
  const device = new MemoryDevice(BLOCKS * 4096, { extentsAtOnce });
  let at = 0;
  for (const { kind, blocks } of runs) {
    device.kinds.fill(kind, at, at + blocks);
    at += blocks;
  }
  return device;
}

test("planRead() covers the range exactly, and calls only holes and zeroes holes", async () => {
  await fc.assert(
    fc.asyncProperty(
      layout,
      fc.integer({ min: 1, max: 9 }),
      fc.nat({ max: 2047 }),
      fc.nat({ max: 2047 }),
      async (runs, atOnce, a, b) => {
        const device = deviceOf(runs, atOnce);
        const [offset, end] = [Math.min(a, b) * 512, (Math.max(a, b) + 1) * 512];
        let at = offset;
        for (const piece of await planRead(device, offset, end - offset)) {
          expect(piece.offset).toBe(at);
          expect(piece.length).toBeGreaterThan(0);
          if (piece.hole)
            for (let i = at; i < at + piece.length; i += 512) expect(device.kinds[Math.floor(i / 4096)]).not.toBe(2);
          at += piece.length;
        }
        expect(at).toBe(end);
      },
    ),
  );
});

test("blockStatus() tells each block's state from the start of the range, without gaps", async () => {
  await fc.assert(
    fc.asyncProperty(
      layout,
      fc.integer({ min: 1, max: 9 }),
      fc.nat({ max: 2047 }),
      fc.boolean(),
      async (runs, atOnce, start, onlyOne) => {
        const device = deviceOf(runs, atOnce);
        const descriptors = await blockStatus(device, start * 512, (2048 - start) * 512, onlyOne);
        expect(descriptors.length).toBeGreaterThan(0);
        if (onlyOne) expect(descriptors.length).toBe(2);
        let at = start * 512;
        for (let i = 0; i < descriptors.length; i += 2) {
          const end = at + descriptors[i]!;
          for (; at < end; at += 512) expect(descriptors[i + 1]).toBe([3, 2, 0][device.kinds[Math.floor(at / 4096)]!]!);
        }
        expect(at).toBeLessThanOrEqual(BLOCKS * 4096);
        if (!onlyOne) expect(at).toBe(BLOCKS * 4096);
      },
    ),
  );
});

test("a device that tells no extents is an error, and one that tells nonsense is read as data", async () => {
  const device = new MemoryDevice(2 ** 20);
  device.extents = async () => [];
  await expect(planRead(device, 0, 4096)).rejects.toThrow("no extents");
  await expect(blockStatus(device, 0, 4096, false)).rejects.toThrow("no extents");
  device.extents = async () => [
    { offset: 0, length: 65536, kind: "hole" },
    { offset: 99999, length: 1, kind: "hole" },
  ];
  expect(await planRead(device, 0, 2 ** 20)).toEqual([
    { offset: 0, length: 65536, hole: true },
    { offset: 65536, length: 2 ** 20 - 65536, hole: false },
  ]);
});
