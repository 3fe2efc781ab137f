import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  clearRange,
  hasDeviceAddon,
  inspectPath,
  isZero,
  nextData,
  openDescriptor,
} from "../../../src/base/descriptor.ts";

const MIB = 2 ** 20;
let dir = "";
let path = "";
let fd = -1;

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "sternway-descriptor-"));
  path = join(dir, "file");
  fd = fs.openSync(path, "w+");
});
afterEach(() => {
  fs.closeSync(fd);
  fs.rmSync(dir, { recursive: true, force: true });
});

describe("nextData()", () => {
  test.skipIf(!hasDeviceAddon)("finds data beyond 4 GiB of hole, its end, and the end of the file", () => {
    fs.ftruncateSync(fd, 6 * 2 ** 30);
    fs.writeSync(fd, new Uint8Array(MIB).fill(1), 0, MIB, 5 * 2 ** 30);
    expect(nextData(fd, 0, 6 * 2 ** 30)).toEqual({ start: 5 * 2 ** 30, end: 5 * 2 ** 30 + MIB });
    expect(nextData(fd, 5 * 2 ** 30 + 4096, 5 * 2 ** 30 + 8192)).toEqual({
      start: 5 * 2 ** 30 + 4096,
      end: 5 * 2 ** 30 + 8192,
    });
    expect(nextData(fd, 5 * 2 ** 30 + MIB, 6 * 2 ** 30)).toBeUndefined();
    expect(nextData(fd, 0, 4 * 2 ** 30)).toBeUndefined();
  });

  test("is undefined past the end", () => {
    expect(nextData(fd, 0, 0)).toBeUndefined();
  });
});

describe("clearRange()", () => {
  test.skipIf(!hasDeviceAddon)("makes a hole in a file that reads as zeroes", async () => {
    fs.writeSync(fd, new Uint8Array(4 * MIB).fill(1), 0, 4 * MIB, 0);
    fs.fsyncSync(fd);
    if (!(await clearRange(fd, "file", MIB, 2 * MIB, path))) return;
    const bytes = fs.readFileSync(path);
    expect(bytes.length).toBe(4 * MIB);
    expect(isZero(bytes.subarray(MIB, 3 * MIB))).toBe(true);
    expect(bytes[MIB - 1]).toBe(1);
    expect(bytes[3 * MIB]).toBe(1);
    expect(inspectPath(path).allocatedBytes).toBeLessThan(3 * MIB);
  });

  test.skipIf(!hasDeviceAddon)("says that a file is no device instead of failing", async () => {
    expect(await clearRange(fd, "device", 0, 4096, path)).toBe(false);
  });
});

describe("isZero()", () => {
  test("sees a single byte, wherever it is", () => {
    const bytes = new Uint8Array(200_000);
    expect(isZero(bytes)).toBe(true);
    expect(isZero(bytes.subarray(0, 0))).toBe(true);
    for (const at of [0, 65_535, 65_536, 199_999]) {
      bytes[at] = 1;
      expect(isZero(bytes)).toBe(false);
      bytes[at] = 0;
    }
  });
});

describe("openDescriptor()", () => {
  test("gives the errno's kind, its name, and the path", () => {
    const missing = join(dir, "none");
    let thrown: unknown;
    try {
      openDescriptor(missing, fs.constants.O_RDONLY);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      kind: "not_found",
      facts: { code: "ENOENT" },
      message: expect.stringContaining(missing),
    });
  });
});
