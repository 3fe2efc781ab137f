import { afterAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceNumber, RealDisk, RealFile } from "../../../src/base/real-disk.ts";

const scratch = fs.mkdtempSync(join(tmpdir(), "sternway-real-disk-"));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

const descriptorsOf = (path: string): string[] =>
  fs.readdirSync("/proc/self/fd").filter((each) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${each}`) === path;
    } catch {
      // The descriptor of the listing itself is gone by now.
      return false;
    }
  });

test("open() gives plain descriptors and close() gives all of them back to the kernel", async () => {
  const disk = new RealDisk();
  const path = join(scratch, "count");
  const file = await disk.open(path, "create");
  const through = await disk.open(path, "write-through");
  expect(disk.descriptorCount).toBe(descriptorsOf(path).length);
  expect(disk.descriptorCount).toBeGreaterThanOrEqual(2);
  await Promise.all([file.close(), through.close(), through.close()]);
  expect(disk.descriptorCount).toBe(0);
  expect(descriptorsOf(path)).toEqual([]);
});

test("writing tells how writes reach the medium", async () => {
  const disk = new RealDisk();
  const path = join(scratch, "mode");
  const file = await disk.open(path, "create");
  expect(file.writing).toBe("buffered");
  const through = await disk.open(path, "write-through");
  await through.write(disk.allocate(4096).fill(1), 0);
  // Which of the two depends on the file system of the temporary folder.
  expect(["direct", "fdatasync"]).toContain(through.writing);
  await Promise.all([file.close(), through.close()]);
});

test("a write-through file falls back to fdatasync when the file system refuses the direct write", async () => {
  const path = join(scratch, "refused");
  fs.writeFileSync(path, "");
  const buffered = fs.openSync(path, "r+");
  // The kernel answers EINVAL to a write of zero bytes' value here: what a file system without O_DIRECT does at the first write.
  const refusing = fs.openSync("/proc/self/oom_score_adj", "r+");
  const closed: number[] = [];
  const file = new RealFile(path, "write-through", buffered, refusing, async (descriptor) => {
    closed.push(descriptor);
    fs.closeSync(descriptor);
  });
  expect(file.writing).toBe("direct");
  const data = new RealDisk().allocate(8192).fill(65);
  await Promise.all([file.write(data, 0), file.write(data, 8192)]);
  expect(file.writing).toBe("fdatasync");
  await file.write(data, 16_384);
  expect(fs.readFileSync(path, "latin1")).toBe("A".repeat(24_576));
  await file.close();
  expect(new Set(closed)).toEqual(new Set([buffered, refusing]));
  expect(closed.length).toBe(2);
});

test("errors carry errno, operation and path", async () => {
  const disk = new RealDisk();
  const path = join(scratch, "none");
  await expect(disk.open(path, "read")).rejects.toMatchObject({
    kind: "not_found",
    facts: { code: "ENOENT", op: "open", path },
  });
  const full = await disk.open("/dev/full", "write");
  await expect(full.write(new Uint8Array(10), 0)).rejects.toMatchObject({
    kind: "unavailable",
    facts: { code: "ENOSPC" },
  });
  await full.close();
});

test("deviceNumber() takes apart device numbers as stat gives them", () => {
  expect(deviceNumber(0x801)).toEqual({ major: 8, minor: 1 });
  expect(deviceNumber(0x10fe07)).toEqual({ major: 0xfe, minor: 0x107 });
});

const blockDevice = fs
  .readdirSync("/sys/class/block")
  .map((name) => `/dev/${name}`)
  .find((path) => {
    try {
      fs.accessSync(path, fs.constants.R_OK);
      return fs.statSync(path).isBlockDevice();
    } catch {
      // Not every device has a node that we may read.
      return false;
    }
  });

test.skipIf(blockDevice === undefined)("size() of a block device is the kernel's figure", async () => {
  const disk = new RealDisk();
  const path = blockDevice ?? "";
  const name = path.slice("/dev/".length);
  const expected = Number(fs.readFileSync(`/sys/class/block/${name}/size`, "utf8")) * 512;
  expect(await disk.sizeOf(path)).toBe(expected);
  const file = await disk.open(path, "read");
  expect(await file.size()).toBe(expected);
  await file.close();
});
