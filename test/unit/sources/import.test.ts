import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasDeviceAddon } from "../../../src/base/descriptor.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { importDevice, inspectSource } from "../../../src/sources/import.ts";
import { ImageDevice } from "../restore/image-device.ts";

const MIB = 2 ** 20;
let dir = "";
let source = "";

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "sternway-import-"));
  source = join(dir, "disk.img");
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

function writeSource(sizeBytes: number, ranges: readonly [offset: number, length: number][]): Uint8Array {
  const fd = fs.openSync(source, "w");
  fs.ftruncateSync(fd, sizeBytes);
  const random = seededRandom(11);
  for (const [offset, length] of ranges) fs.writeSync(fd, random.bytes(length), 0, length, offset);
  fs.closeSync(fd);
  return fs.readFileSync(source);
}

describe("importDevice()", () => {
  test("copies a sparse file, ends with one flush, and sends no holes", async () => {
    const bytes = writeSource(33 * MIB, [
      [0, 8192],
      [5 * MIB - 4096, 12_288],
      [20 * MIB, 3 * MIB],
      [33 * MIB - 4096, 4096],
    ]);
    const target = new ImageDevice(33 * MIB);
    const report = await importDevice({ source, target, blank: true });
    expect(Buffer.compare(target.bytes, bytes)).toBe(0);
    expect(target.flushes).toBe(1);
    expect(target.cleared).toBe(0);
    expect(report.sizeBytes).toBe(33 * MIB);
    expect(report.sentBytes).toBe(8192 + 12_288 + 3 * MIB + 4096);
  });

  test("skips long runs of written zeroes and keeps short ones with their neighbours", async () => {
    const content = new Uint8Array(4 * MIB);
    content.fill(1, 0, 4096);
    content.fill(2, 4096 + 32_768, 4096 + 32_768 + 4096);
    content.fill(3, 2 * MIB, 2 * MIB + 4096);
    fs.writeFileSync(source, content);
    const target = new ImageDevice(4 * MIB);
    const report = await importDevice({ source, target, blank: true });
    expect(Buffer.compare(target.bytes, content)).toBe(0);
    expect(report.sentBytes).toBe(4096 + 32_768 + 4096 + 4096);
  });

  test("replaces what a used volume held, past the source's end too", async () => {
    const bytes = writeSource(5 * MIB, [[MIB, MIB]]);
    const target = new ImageDevice(8 * MIB);
    target.bytes.fill(0xee);
    await importDevice({ source, target, blank: false });
    expect(Buffer.compare(target.bytes.subarray(0, 5 * MIB), bytes)).toBe(0);
    expect(target.bytes.subarray(5 * MIB).every((byte) => byte === 0)).toBe(true);
  });

  test("takes a source whose size is no multiple of a sector", async () => {
    const content = seededRandom(3).bytes(MIB + 700);
    fs.writeFileSync(source, content);
    const { volumeBytes } = inspectSource(source);
    expect(volumeBytes).toBe(MIB + 1024);
    const target = new ImageDevice(volumeBytes);
    await importDevice({ source, target, blank: false });
    expect(Buffer.compare(target.bytes.subarray(0, MIB + 700), content)).toBe(0);
    expect(target.bytes.subarray(MIB + 700).every((byte) => byte === 0)).toBe(true);
  });

  test("refuses a target that is too small before it writes", async () => {
    writeSource(2 * MIB, [[0, 4096]]);
    const target = new ImageDevice(MIB);
    await expect(importDevice({ source, target, blank: true })).rejects.toMatchObject({ kind: "invalid" });
    expect(target.writes).toBe(0);
  });

  test("hands on a failing write and does not flush", async () => {
    writeSource(4 * MIB, [[0, 4 * MIB]]);
    const target = new ImageDevice(4 * MIB);
    target.fault = (_, offset) => {
      if (offset === 2 * MIB) throw new SternwayError("unavailable", "no room", { code: "ENOSPC" });
    };
    await expect(importDevice({ source, target, blank: true })).rejects.toMatchObject({ facts: { code: "ENOSPC" } });
    expect(target.flushes).toBe(0);
  });

  test("counts progress up to the whole", async () => {
    writeSource(9 * MIB, [[MIB, 3 * MIB]]);
    let last = { doneBytes: 0, totalBytes: 1 };
    await importDevice({
      source,
      target: new ImageDevice(9 * MIB),
      blank: true,
      onProgress: (progress) => {
        expect(progress.doneBytes).toBeGreaterThanOrEqual(last.doneBytes);
        last = progress;
      },
    });
    expect(last.doneBytes).toBe(last.totalBytes);
  });

  test("reads little of a file of 1 TiB that is almost all hole", async () => {
    if (!hasDeviceAddon) return;
    writeSource(0, []);
    fs.truncateSync(source, 2 ** 40);
    const target = new ImageDevice(4096);
    const huge = new Proxy(target, { get: (of, key) => (key === "sizeBytes" ? 2 ** 40 : Reflect.get(of, key)) });
    expect((await importDevice({ source, target: huge, blank: true })).sentBytes).toBe(0);
  });
});

describe("inspectSource()", () => {
  test("tells what is missing, empty or neither file nor device", () => {
    expect(() => inspectSource(join(dir, "none"))).toThrow("there is no");
    expect(() => inspectSource(dir)).toThrow("neither");
    fs.writeFileSync(source, "");
    expect(() => inspectSource(source)).toThrow("empty");
  });
});
