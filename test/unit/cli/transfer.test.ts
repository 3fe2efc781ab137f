import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../../src/base/random.ts";
import { openCliFixture } from "./cli-fixture.ts";

const MIB = 2 ** 20;
let dir = "";

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "sternway-transfer-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

/** A disk image of 9 MiB with 2 MiB of data. */
function writeImage(name: string, seed: number): Uint8Array {
  const bytes = new Uint8Array(9 * MIB);
  bytes.set(seededRandom(seed).bytes(2 * MIB), 3 * MIB);
  fs.writeFileSync(join(dir, name), bytes);
  return bytes;
}

describe("sternway import and restore", () => {
  test("carry an image in, an older moment out, and the present to another file", async () => {
    await using fixture = await openCliFixture();
    const first = writeImage("web1.img", 1);
    const imported = await fixture.run("import", join(dir, "web1.img"), "--bookmark", "first");
    expect(imported).toMatchObject({ code: 0, err: "created volume web1, 9 MiB\n" });
    expect(imported.out).toContain("9 MiB, of which 2 MiB data");

    const second = writeImage("other.img", 2);
    const again = await fixture.run("import", join(dir, "other.img"), "web1");
    expect(again.code).toBe(0);
    const before = /before is (web1@lsn:\d+)/.exec(again.out)?.[1] ?? "";

    for (const [moment, bytes] of [
      ["web1@bookmark:first", first],
      [before, first],
      ["web1", second],
    ] as const) {
      const target = join(dir, `${moment}.out`);
      const restored = await fixture.run("restore", moment, "--to", target);
      expect([moment, restored.code, restored.err]).toEqual([moment, 0, ""]);
      expect(restored.out).toContain("verified by reading it back");
      expect(Buffer.compare(fs.readFileSync(target), bytes)).toBe(0);
    }
    expect(fixture.volumes.get("web1").attached).toBe(0);
    // The daemon closes a past device when it has read the client's goodbye.
    while (fixture.volumes.openCount() > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test("import says which volume is missing with --no-create, and creates nothing", async () => {
    await using fixture = await openCliFixture();
    writeImage("web1.img", 1);
    expect((await fixture.run("import", join(dir, "web1.img"), "--no-create")).code).toBe(3);
    expect(fixture.volumes.list()).toEqual([]);
  });

  test("import refuses a volume that a client holds, unless forced", async () => {
    await using fixture = await openCliFixture();
    writeImage("web1.img", 1);
    await fixture.volumes.create("web1", 9 * MIB);
    const device = await fixture.volumes.openLive("web1");
    expect((await fixture.run("import", join(dir, "web1.img"))).code).toBe(4);
    expect((await fixture.run("import", join(dir, "web1.img"), "--force")).code).toBe(0);
    await device.close();
  });

  test("restore reports as JSON, and refuses an existing target without --fresh", async () => {
    await using fixture = await openCliFixture();
    const bytes = writeImage("web1.img", 1);
    await fixture.run("import", join(dir, "web1.img"));
    const target = join(dir, "out.img");
    const report = JSON.parse((await fixture.run("restore", "web1", "--to", target, "--json")).out);
    expect(report).toMatchObject({
      volume: "web1",
      sizeBytes: 9 * MIB,
      dataBytes: 2 * MIB,
      moment: { flushPoint: true },
    });
    expect((await fixture.run("restore", "web1", "--to", target)).code).toBe(4);
    expect((await fixture.run("restore", "web1", "--to", target, "--fresh")).code).toBe(0);
    expect(Buffer.compare(fs.readFileSync(target), bytes)).toBe(0);
  });

  test("restore ends with 6 when the volume's blocks are damaged", async () => {
    await using fixture = await openCliFixture();
    writeImage("web1.img", 1);
    await fixture.run("import", join(dir, "web1.img"));
    fixture.volumes.damageAt(4 * MIB);
    const { code, err } = await fixture.run("restore", "web1", "--to", join(dir, "out.img"));
    expect(code).toBe(6);
    expect(err).toContain("sternway check");
  });

  test("progress is printed with --progress, and stays away from standard output", async () => {
    await using fixture = await openCliFixture();
    writeImage("web1.img", 1);
    await fixture.run("import", join(dir, "web1.img"));
    const { out, err } = await fixture.run("restore", "web1", "--to", join(dir, "out.img"), "--progress", "--json");
    expect(err).toMatch(/^copying +2 MiB of 2 MiB {2}100%/m);
    expect(err).toMatch(/^verifying 9 MiB of 9 MiB {2}100%/m);
    expect(JSON.parse(out).volume).toBe("web1");
  });
});
