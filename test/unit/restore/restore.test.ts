import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternwayError } from "../../../src/base/errors.ts";
import { pieces } from "../../../src/restore/pieces.ts";
import { restoreTo, type RestoreOptions, type RestoreSource } from "../../../src/restore/restore.ts";
import { sidecarPath } from "../../../src/restore/sidecar.ts";
import { streamTo } from "../../../src/restore/stream.ts";
import { ImageDevice } from "./image-device.ts";

const MIB = 2 ** 20;
let dir = "";
let target = "";

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "sternway-restore-"));
  target = join(dir, "disk.img");
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

/** 41 MiB and an odd end: data across piece borders, in single sectors and at both ends. */
function sampleDevice(): ImageDevice {
  const size = 41 * MIB + 1536;
  return new ImageDevice(size).fill(7, [
    { offset: 0, length: 512 },
    { offset: 3 * MIB, length: 6 * MIB },
    { offset: 20 * MIB + 4096, length: 8192 },
    { offset: 28 * MIB, length: 4 * MIB },
    { offset: size - 512, length: 512 },
  ]);
}

const sourceOf = (device: ImageDevice, lsn = 17): RestoreSource => ({ device, vault: "v1", volume: "web1", lsn });
const restore = (device: ImageDevice, options: Partial<RestoreOptions> = {}) =>
  restoreTo({ source: sourceOf(device), target, ...options });

async function kindOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SternwayError);
  return (error as SternwayError).kind;
}

describe("restoreTo()", () => {
  test("gives a file with the same bytes, sparse, verified, without a sidecar left", async () => {
    const device = sampleDevice();
    const report = await restore(device);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
    expect(report).toMatchObject({ kind: "file", sizeBytes: device.sizeBytes, resumedBytes: 0 });
    expect(report.copiedBytes).toBe(report.dataBytes);
    expect(report.verified).not.toBe("skipped");
    expect(fs.existsSync(sidecarPath(target))).toBe(false);
    expect(fs.statSync(target).blocks * 512).toBeLessThan(12 * MIB);
  });

  test("reads no holes", async () => {
    const device = sampleDevice();
    const report = await restore(device);
    expect(device.readBytes).toBe(report.dataBytes);
  });

  test("goes on after a failure without reading again what is done", async () => {
    const device = sampleDevice();
    device.fault = (_, offset) => {
      if (offset >= 28 * MIB) throw new SternwayError("unavailable", "the connection broke");
    };
    expect(await kindOf(restore(device, { inFlight: 1 }))).toBe("unavailable");
    expect(fs.existsSync(sidecarPath(target))).toBe(true);
    device.fault = () => {};
    device.readBytes = 0;
    const report = await restore(device);
    expect(report.resumedBytes).toBe(512 + 6 * MIB + 8192);
    expect(device.readBytes).toBe(report.dataBytes - report.resumedBytes);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("goes on after an interruption by its signal", async () => {
    const device = sampleDevice();
    const abort = new AbortController();
    device.fault = (_, offset) => {
      if (offset >= 20 * MIB) abort.abort();
    };
    await expect(restore(device, { inFlight: 1, signal: abort.signal })).rejects.toThrow();
    device.fault = () => {};
    const report = await restore(device);
    expect(report.resumedBytes).toBeGreaterThan(6 * MIB);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("survives a torn tail of its sidecar", async () => {
    const device = sampleDevice();
    device.fault = (_, offset) => {
      if (offset >= 28 * MIB) throw new SternwayError("unavailable", "the connection broke");
    };
    expect(await kindOf(restore(device, { inFlight: 1 }))).toBe("unavailable");
    const sidecar = sidecarPath(target);
    const bytes = fs.readFileSync(sidecar);
    fs.writeFileSync(sidecar, bytes.subarray(0, bytes.length - 24));
    device.fault = () => {};
    await restore(device);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("refuses to go on with another moment, and starts over with fresh", async () => {
    const device = sampleDevice();
    device.fault = (_, offset) => {
      if (offset >= 28 * MIB) throw new SternwayError("unavailable", "the connection broke");
    };
    expect(await kindOf(restore(device))).toBe("unavailable");
    device.fault = () => {};
    const other = new ImageDevice(device.sizeBytes).fill(8, [{ offset: 12 * MIB, length: MIB }]);
    expect(await kindOf(restoreTo({ source: sourceOf(other, 18), target }))).toBe("conflict");
    await restoreTo({ source: sourceOf(other, 18), target, fresh: true });
    expect(Buffer.compare(fs.readFileSync(target), other.bytes)).toBe(0);
  });

  test("refuses to go on when the target was replaced", async () => {
    const device = sampleDevice();
    device.fault = (_, offset) => {
      if (offset >= 28 * MIB) throw new SternwayError("unavailable", "the connection broke");
    };
    expect(await kindOf(restore(device))).toBe("unavailable");
    device.fault = () => {};
    fs.renameSync(target, `${target}.old`);
    fs.copyFileSync(`${target}.old`, target);
    expect(await kindOf(restore(device))).toBe("conflict");
  });

  test("refuses a file that exists, and leaves it alone", async () => {
    fs.writeFileSync(target, "somebody's letters");
    expect(await kindOf(restore(sampleDevice()))).toBe("conflict");
    expect(fs.readFileSync(target, "utf8")).toBe("somebody's letters");
  });

  test("refuses a directory as target", async () => {
    expect(await kindOf(restoreTo({ source: sourceOf(sampleDevice()), target: dir }))).toBe("invalid");
  });

  test("refuses a target without room before it copies anything", async () => {
    const device = new ImageDevice(4 * MIB);
    device.extents = async (offset, length) => [{ offset, length, kind: "data" }];
    const huge = new Proxy(device, { get: (of, key) => (key === "sizeBytes" ? 15 * 2 ** 40 : Reflect.get(of, key)) });
    const error = await restore(huge).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "unavailable", facts: { code: "ENOSPC" } });
    expect(device.reads).toBe(0);
  });

  test("finds and repairs bytes that the target lost before the end", async () => {
    const device = sampleDevice();
    let damaged = false;
    const damage = (progress: { phase: string }): void => {
      if (progress.phase !== "verify" || damaged) return;
      damaged = true;
      // Something else writes into the file between copying and verifying.
      const fd = fs.openSync(target, "r+");
      fs.writeSync(fd, new Uint8Array(4096).fill(1), 0, 4096, 29 * MIB);
      fs.fsyncSync(fd);
      fs.closeSync(fd);
    };
    const error = await restore(device, { inFlight: 1, onProgress: damage }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "corrupt", facts: { pieces: 1 } });
    device.readBytes = 0;
    await restore(device);
    expect(device.readBytes).toBe(4 * MIB);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("hands on that the source is damaged", async () => {
    const device = sampleDevice();
    device.fault = () => {
      throw new SternwayError("corrupt", "pack 3 is damaged");
    };
    expect(await kindOf(restore(device))).toBe("corrupt");
  });

  test("takes a source whose answers about extents are short", async () => {
    const device = sampleDevice();
    device.extentsMax = 65_536;
    await restore(device);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("counts progress up to the whole", async () => {
    const seen: Record<string, { doneBytes: number; totalBytes: number }> = {};
    await restore(sampleDevice(), { onProgress: (progress) => (seen[progress.phase] = progress) });
    expect(seen["copy"]!.doneBytes).toBe(seen["copy"]!.totalBytes);
    expect(seen["verify"]!.doneBytes).toBe(seen["verify"]!.totalBytes);
  });
});

describe("pieces()", () => {
  test("refuses extents with a gap, which would become zeroes", async () => {
    const device = sampleDevice();
    device.extents = async (offset) => [{ offset: offset + 512, length: 512, kind: "data" }];
    const walk = async (): Promise<void> => {
      for await (const piece of pieces(device)) expect(piece.index).toBeGreaterThanOrEqual(0);
    };
    expect(await kindOf(walk())).toBe("corrupt");
  });
});

describe("streamTo()", () => {
  test("writes the whole image in order, zeroes included", async () => {
    const device = sampleDevice();
    const fd = fs.openSync(target, "w");
    expect(await streamTo({ device, fd, inFlight: 3 })).toBe(device.sizeBytes);
    fs.closeSync(fd);
    expect(Buffer.compare(fs.readFileSync(target), device.bytes)).toBe(0);
  });

  test("fails with the source's error and leaves nothing unhandled", async () => {
    const device = sampleDevice();
    device.fault = () => {
      throw new SternwayError("corrupt", "pack 3 is damaged");
    };
    const fd = fs.openSync(target, "w");
    expect(await kindOf(streamTo({ device, fd }))).toBe("corrupt");
    fs.closeSync(fd);
  });
});
