import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternwayError } from "../../../src/base/errors.ts";
import { damageMapPath } from "../../../src/restore/damage-map.ts";
import { pastDamage, type LostRange } from "../../../src/restore/past-damage.ts";
import { restoreTo, type RestoreOptions } from "../../../src/restore/restore.ts";
import { ImageDevice } from "./image-device.ts";

const MIB = 2 ** 20;
let dir = "";
let target = "";

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "sternway-past-damage-"));
  target = join(dir, "disk.img");
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

/** 16 MiB and an odd end of data, in which some ranges cannot be read. */
class DamagedDevice extends ImageDevice {
  damaged: { offset: number; length: number }[] = [];
  damagedMap: { offset: number; length: number } | undefined;

  constructor() {
    super(16 * MIB + 1536);
    this.fill(5, [{ offset: 0, length: this.sizeBytes }]);
  }

  override async read(offset: number, length: number): Promise<Uint8Array> {
    const met = this.damaged.find((range) => range.offset < offset + length && offset < range.offset + range.length);
    if (met) throw new SternwayError("corrupt", `damaged at ${met.offset}`);
    return await super.read(offset, length);
  }

  override async extents(offset: number, length: number) {
    const map = this.damagedMap;
    if (map && map.offset < offset + length && offset < map.offset + map.length) {
      throw new SternwayError("corrupt", "a damaged layer");
    }
    return await super.extents(offset, length);
  }

  /** What a restore should give: zeroes where nothing can be read. */
  expected(): Uint8Array {
    const bytes = this.bytes.slice();
    for (const { offset, length } of this.damaged) bytes.fill(0, offset, offset + length);
    return bytes;
  }
}

const DAMAGED = [
  { offset: 8192, length: 4096 },
  { offset: 4 * MIB - 4096, length: 8192 },
  { offset: 16 * MIB, length: 1536 },
];

const restore = (device: ImageDevice, options: Partial<RestoreOptions> = {}) =>
  restoreTo({ source: { device, vault: "v1", volume: "web1", lsn: 17 }, target, ...options });

const mapLines = (): LostRange[] =>
  fs
    .readFileSync(damageMapPath(target), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as LostRange);

describe("pastDamage()", () => {
  test("loses no more than the blocks that cannot be read, wherever a read begins and ends", async () => {
    const device = new DamagedDevice();
    device.damaged = DAMAGED;
    for (const [offset, length] of [
      [0, MIB],
      [512, 8192],
      [8192, 4096],
      [4 * MIB - 512, 1024],
      [15 * MIB, MIB + 1536],
    ] as const) {
      const lost: LostRange[] = [];
      const bytes = await pastDamage(device, (range) => lost.push(range)).read(offset, length);
      expect(Buffer.compare(bytes, device.expected().subarray(offset, offset + length))).toBe(0);
      for (const range of lost) {
        const met = DAMAGED.find((known) => known.offset <= range.offset && range.offset < known.offset + known.length);
        expect(met).toBeDefined();
      }
    }
  });

  test("lets other errors through", async () => {
    const device = new DamagedDevice();
    device.fault = () => {
      throw new SternwayError("unavailable", "gone");
    };
    await expect(pastDamage(device, () => undefined).read(0, 4096)).rejects.toMatchObject({ kind: "unavailable" });
  });
});

describe("restoreTo() past damage", () => {
  test("stops at damage without the option, and leaves no map", async () => {
    const device = new DamagedDevice();
    device.damaged = DAMAGED;
    await expect(restore(device)).rejects.toMatchObject({ kind: "corrupt" });
    expect(fs.existsSync(damageMapPath(target))).toBe(false);
  });

  test("gives everything else, verified, with zeroes and a map of what is missing", async () => {
    const device = new DamagedDevice();
    device.damaged = DAMAGED;
    const report = await restore(device, { pastDamage: true });
    expect(Buffer.compare(fs.readFileSync(target), device.expected())).toBe(0);
    expect(report.verified).not.toBe("skipped");
    expect(report.lost).toEqual({ ranges: 3, bytes: 4096 + 8192 + 1536, map: damageMapPath(target) });
    expect(mapLines().map(({ offset, length }) => ({ offset, length }))).toEqual(DAMAGED);
    expect(mapLines()[0]!.why).toBe("damaged at 8192");
  });

  test("leaves no map when nothing is missing", async () => {
    const report = await restore(new DamagedDevice(), { pastDamage: true });
    expect(report.lost).toBeUndefined();
    expect(fs.existsSync(damageMapPath(target))).toBe(false);
  });

  test("reads what a damaged map cannot tell of", async () => {
    const device = new DamagedDevice();
    device.damagedMap = { offset: 5 * MIB, length: 4096 };
    device.damaged = [{ offset: 5 * MIB, length: 4096 }];
    const report = await restore(device, { pastDamage: true });
    expect(Buffer.compare(fs.readFileSync(target), device.expected())).toBe(0);
    expect(report.lost).toMatchObject({ ranges: 1, bytes: 4096 });
  });

  test("goes on after an interruption with the same map, and forgets losses of pieces that it copies again", async () => {
    const device = new DamagedDevice();
    device.damaged = DAMAGED;
    device.fault = (_kind, offset) => {
      if (offset >= 8 * MIB) throw new SternwayError("unavailable", "gone");
    };
    await expect(restore(device, { pastDamage: true, inFlight: 1 })).rejects.toMatchObject({ kind: "unavailable" });
    expect(mapLines().length).toBeGreaterThan(0);
    await expect(restore(device)).rejects.toMatchObject({ kind: "conflict" });
    device.fault = () => undefined;
    // A torn line, and the loss of a piece that is not done.
    fs.appendFileSync(
      damageMapPath(target),
      `${JSON.stringify({ offset: 12 * MIB, length: 4096, why: "?" })}\n{"offset"`,
    );
    const report = await restore(device, { pastDamage: true });
    expect(report.resumedBytes).toBeGreaterThan(0);
    expect(Buffer.compare(fs.readFileSync(target), device.expected())).toBe(0);
    expect(mapLines().map(({ offset, length }) => ({ offset, length }))).toEqual(DAMAGED);
  });
});
