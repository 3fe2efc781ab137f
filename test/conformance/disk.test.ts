/** The contract of disk.ts, run on the machine's disk and on the simulated one. */
import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish, readWhole, type Disk } from "../../src/base/disk.ts";
import { isSternwayError, type ErrorKind } from "../../src/base/errors.ts";
import { RealDisk } from "../../src/base/real-disk.ts";
import { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { Simulation } from "../../src/base/simulation.ts";

interface Subject {
  name: string;
  /** Runs a body on a fresh, empty directory; afterwards nothing may be open. */
  on(body: (disk: Disk, dir: string) => Promise<void>): Promise<void>;
}

const scratch = fs.mkdtempSync(join(tmpdir(), "sternway-disk-"));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

const subjects: Subject[] = [
  {
    name: "RealDisk",
    async on(body) {
      const disk = new RealDisk();
      await body(disk, fs.mkdtempSync(join(scratch, "case-")));
      expect(disk.descriptorCount).toBe(0);
    },
  },
  {
    name: "SimulatedDisk",
    async on(body) {
      const simulation = new Simulation(7);
      const disk = new SimulatedDisk(simulation);
      await simulation.run(async () => {
        await disk.mkdir("/case");
        await body(disk, "/case");
      });
      expect(disk.openFileCount).toBe(0);
    },
  },
];

async function failure(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure");
}

async function expectKind(work: Promise<unknown>, kind: ErrorKind, code: string): Promise<void> {
  const error = await failure(work);
  if (!isSternwayError(error)) throw error;
  expect({ kind: error.kind, code: error.facts["code"] }).toEqual({ kind, code });
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);

async function put(disk: Disk, path: string, content: string): Promise<void> {
  const file = await disk.open(path, "create");
  await file.write(bytesOf(content), 0);
  await file.close();
}

for (const { name, on } of subjects) {
  describe(name, () => {
    test("open() creates only what does not exist and opens only what does", () =>
      on(async (disk, dir) => {
        for (const mode of ["read", "write", "write-through"] as const) {
          await expectKind(disk.open(`${dir}/a`, mode), "not_found", "ENOENT");
        }
        await put(disk, `${dir}/a`, "x");
        await expectKind(disk.open(`${dir}/a`, "create"), "conflict", "EEXIST");
        await expectKind(disk.open(`${dir}/none/a`, "create"), "not_found", "ENOENT");
        await expectKind(disk.open(`${dir}/a/b`, "create"), "unavailable", "ENOTDIR");
        await expectKind(disk.open(dir, "write"), "unavailable", "EISDIR");
      }));

    test("write() and read() keep bytes at any offset, with zeroes between", () =>
      on(async (disk, dir) => {
        const file = await disk.open(`${dir}/a`, "create");
        await file.write(bytesOf("hello"), 10_000);
        await file.write(bytesOf("J"), 10_000);
        await file.write(new Uint8Array(0), 90_000);
        expect(await file.size()).toBe(10_005);
        const into = new Uint8Array(20_000).fill(9);
        expect(await file.read(into, 0)).toBe(10_005);
        expect(into.subarray(0, 10_000).every((byte) => byte === 0)).toBe(true);
        expect(text(into.subarray(10_000, 10_005))).toBe("Jello");
        expect(into[10_005]).toBe(9);
        await file.sync();
        await file.close();
        expect(await disk.sizeOf(`${dir}/a`)).toBe(10_005);
      }));

    test("read() is short only at the end of the file", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "0123456789");
        const file = await disk.open(`${dir}/a`, "read");
        expect(await file.read(new Uint8Array(4), 8)).toBe(2);
        expect(await file.read(new Uint8Array(4), 10)).toBe(0);
        expect(await file.read(new Uint8Array(4), 99)).toBe(0);
        expect((await failure(file.write(new Uint8Array(1), 0))) instanceof Error).toBe(true);
        await file.close();
      }));

    test("write-through writes are seen by reads and need alignment", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "x".repeat(10_000));
        const file = await disk.open(`${dir}/a`, "write-through");
        const data = disk.allocate(8192).fill(65);
        await file.write(data, 4096);
        expect(await file.size()).toBe(12_288);
        const into = new Uint8Array(12_288);
        expect(await file.read(into, 0)).toBe(12_288);
        expect(into.subarray(4096).every((byte) => byte === 65)).toBe(true);
        expect(into[4095]).toBe(120);
        for (const [bytes, offset] of [
          [data, 512],
          [data.subarray(0, 512), 0],
          [data.subarray(512, 4608), 0],
        ] as const) {
          expect(String(await failure(file.write(bytes, offset)))).toContain("assertion failed");
        }
        await file.close();
      }));

    test("many operations in flight all finish, each with its own bytes", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "");
        const file = await disk.open(`${dir}/a`, "write-through");
        const indexes = Array.from({ length: 64 }, (_, index) => index);
        await Promise.all(indexes.map((index) => file.write(disk.allocate(4096).fill(index), index * 4096)));
        await Promise.all(
          indexes.map(async (index) => {
            const into = new Uint8Array(4096);
            expect(await file.read(into, index * 4096)).toBe(4096);
            expect(into.every((byte) => byte === index)).toBe(true);
          }),
        );
        await file.close();
      }));

    test("close() waits for operations in flight, is idempotent, and ends the file", () =>
      on(async (disk, dir) => {
        const file = await disk.open(`${dir}/a`, "create");
        let written = 0;
        const chunk = new Uint8Array(100_000).fill(1);
        const writes = Array.from({ length: 64 }, (_, index) =>
          file.write(chunk, index * chunk.length).then(() => written++),
        );
        const closing = file.close();
        await file.close();
        expect(written).toBe(64);
        await Promise.all([...writes, closing]);
        expect(String(await failure(file.size()))).toContain("is open");
        expect(await disk.sizeOf(`${dir}/a`)).toBe(6_400_000);
      }));

    test("list() and sizeOf() tell what is there", () =>
      on(async (disk, dir) => {
        expect(await disk.list(`${dir}/none`)).toEqual([]);
        expect(await disk.sizeOf(`${dir}/none`)).toBeUndefined();
        await put(disk, `${dir}/b`, "12");
        await put(disk, `${dir}/B`, "123");
        await disk.mkdir(`${dir}/a/deep/er`);
        await disk.mkdir(`${dir}/a/deep`);
        expect(await disk.list(dir)).toEqual(["B", "a", "b"]);
        expect(await disk.list(`${dir}/a`)).toEqual(["deep"]);
        expect(await disk.sizeOf(`${dir}/B`)).toBe(3);
        expect(await disk.sizeOf(`${dir}/a`)).toBeUndefined();
        expect(await disk.sizeOf(`${dir}/b/x`)).toBeUndefined();
        await expectKind(disk.list(`${dir}/b`), "unavailable", "ENOTDIR");
        await expectKind(disk.mkdir(`${dir}/b`), "conflict", "EEXIST");
        await expectKind(disk.mkdir(`${dir}/b/x`), "unavailable", "ENOTDIR");
      }));

    test("rename() replaces, and keeps open files open", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "new");
        await put(disk, `${dir}/b`, "old");
        await disk.mkdir(`${dir}/sub`);
        const old = await disk.open(`${dir}/b`, "read");
        await disk.rename(`${dir}/a`, `${dir}/b`);
        expect(text(await readWhole(disk, `${dir}/b`))).toBe("new");
        const into = new Uint8Array(3);
        await old.read(into, 0);
        expect(text(into)).toBe("old");
        await old.close();
        await disk.rename(`${dir}/b`, `${dir}/sub/c`);
        await disk.rename(`${dir}/sub/c`, `${dir}/sub/c`);
        expect(await disk.list(`${dir}/sub`)).toEqual(["c"]);
        await disk.rename(`${dir}/sub`, `${dir}/moved`);
        expect(text(await readWhole(disk, `${dir}/moved/c`))).toBe("new");
        await expectKind(disk.rename(`${dir}/a`, `${dir}/z`), "not_found", "ENOENT");
        await expectKind(disk.rename(`${dir}/moved/c`, `${dir}/none/c`), "not_found", "ENOENT");
        await expectKind(disk.rename(`${dir}/moved`, `${dir}/moved/in`), "unavailable", "EINVAL");
        await disk.mkdir(`${dir}/other`);
        await expectKind(disk.rename(`${dir}/moved/c`, `${dir}/other`), "unavailable", "EISDIR");
        await expectKind(disk.rename(`${dir}/other`, `${dir}/moved`), "unavailable", "ENOTEMPTY");
        await expectKind(disk.rename(`${dir}/other`, `${dir}/moved/c`), "unavailable", "ENOTDIR");
        await disk.rename(`${dir}/moved`, `${dir}/other`);
        expect(await disk.list(dir)).toEqual(["other"]);
      }));

    test("link() gives a second name, and replaces nothing", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "one");
        await put(disk, `${dir}/b`, "two");
        await disk.link(`${dir}/a`, `${dir}/c`);
        await expectKind(disk.link(`${dir}/a`, `${dir}/b`), "conflict", "EEXIST");
        await expectKind(disk.link(`${dir}/none`, `${dir}/d`), "not_found", "ENOENT");
        await disk.remove(`${dir}/a`);
        expect(text(await readWhole(disk, `${dir}/c`))).toBe("one");
        expect(text(await readWhole(disk, `${dir}/b`))).toBe("two");
        expect(await disk.list(dir)).toEqual(["b", "c"]);
      }));

    test("remove() takes a name away, and fine where there is none", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/a`, "1");
        await disk.remove(`${dir}/a`);
        await disk.remove(`${dir}/a`);
        expect(await disk.list(dir)).toEqual([]);
        await disk.mkdir(`${dir}/d`);
        await expectKind(disk.remove(`${dir}/d`), "unavailable", "EISDIR");
      }));

    test("syncDir() takes directories", () =>
      on(async (disk, dir) => {
        await disk.syncDir(dir);
        await expectKind(disk.syncDir(`${dir}/none`), "not_found", "ENOENT");
        await put(disk, `${dir}/a`, "1");
        await expectKind(disk.syncDir(`${dir}/a`), "unavailable", "ENOTDIR");
      }));

    test("space() and allocate() give what the contract says", () =>
      on(async (disk, dir) => {
        const { freeBytes, totalBytes } = await disk.space(dir);
        expect(freeBytes).toBeGreaterThan(0);
        expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
        for (const size of [0, 512, 4096, 5000, 1 << 20]) {
          const bytes = disk.allocate(size);
          expect(bytes.length).toBe(size);
          expect(bytes.every((byte) => byte === 0)).toBe(true);
        }
      }));

    test("publish() writes all parts, replaces, and leaves nothing beside", () =>
      on(async (disk, dir) => {
        await put(disk, `${dir}/m.tmp`, "left over by a crash");
        await publish(disk, `${dir}/m`, [bytesOf("one "), bytesOf("two")]);
        expect(text(await readWhole(disk, `${dir}/m`))).toBe("one two");
        await publish(disk, `${dir}/m`, []);
        expect((await readWhole(disk, `${dir}/m`)).length).toBe(0);
        expect(await disk.list(dir)).toEqual(["m"]);
      }));

    test("readWhole() of a missing file is not_found", () =>
      on((disk, dir) => expectKind(readWhole(disk, `${dir}/none`), "not_found", "ENOENT")));
  });
}
