import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../../src/base/device.ts";
import { BlockSource, SteadyLoad } from "../../../scripts/benchmark/tiers-load.ts";

const BLOCK = 4096;
const MIB = 2 ** 20;

/** Takes everything, and counts it. */
function countingDevice(): WritableDevice & { written: number; flushes: number } {
  const nothing = (): Promise<never> => Promise.reject(new Error("a load only writes"));
  return {
    written: 0,
    flushes: 0,
    sizeBytes: 64 * MIB,
    write(offset, data) {
      if (offset % data.length !== 0 || offset + data.length > this.sizeBytes) throw new Error(`written at ${offset}`);
      this.written += data.length;
      return undefined;
    },
    async flush() {
      this.flushes++;
      return await Promise.resolve(0 as Awaited<ReturnType<WritableDevice["flush"]>>);
    },
    trim: nothing,
    writeZeroes: nothing,
    read: nothing,
    extents: nothing,
    close: () => Promise.resolve(),
  };
}

describe("BlockSource", () => {
  test("fill() never gives a block twice, over more than all it has made", () => {
    const source = new BlockSource();
    const request = new Uint8Array(MIB);
    const seen = new Set<bigint>();
    for (let filled = 0; filled < 16; filled++) {
      source.fill(request);
      for (let at = 0; at < MIB; at += BLOCK) seen.add(Bun.hash.xxHash64(request.subarray(at, at + BLOCK)));
    }
    expect(seen.size).toBe((16 * MIB) / BLOCK);
  });

  test("fill() gives half blocks that do not compress and half that compress like text", () => {
    const request = new Uint8Array(MIB);
    new BlockSource().fill(request);
    const sizes = Array.from(
      { length: MIB / BLOCK },
      (_, i) => Bun.gzipSync(request.slice(i * BLOCK, (i + 1) * BLOCK)).length,
    );
    expect(sizes.filter((size) => size >= BLOCK).length).toBe(sizes.length / 2);
    const text = sizes.filter((size) => size < BLOCK);
    expect(Math.max(...text)).toBeLessThan(BLOCK * 0.7);
    expect(Math.min(...text)).toBeGreaterThan(BLOCK * 0.2);
  });
});

describe("SteadyLoad", () => {
  test("writes within the device, at the rate it was given and no faster, and flushes at its end", async () => {
    const device = countingDevice();
    const source = new BlockSource();
    const started = performance.now();
    const load = new SteadyLoad(device, source, 20e6);
    while (load.writtenBytes < 5 * MIB) await Bun.sleep(1);
    await load.end();
    const seconds = (performance.now() - started) / 1000;
    expect(device.written).toBe(load.writtenBytes);
    // One request may go beyond what is due.
    expect(load.writtenBytes).toBeLessThanOrEqual(20e6 * seconds + 64 * BLOCK);
    // A machine that stalls leaves much due at once.
    expect(device.flushes).toBe(1 + Math.floor(load.writtenBytes / (4 * MIB)));
  });
});
