import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { restoreTo } from "../../../src/restore/restore.ts";
import { sidecarPath } from "../../../src/restore/sidecar.ts";
import { describeWith } from "../../support/require-tool.ts";
import { ImageDevice } from "./image-device.ts";

const MIB = 2 ** 20;
let dir = "";
let device = "";

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString().trim();
}

describeWith(["root", "losetup", "mkfs.ext4"], "restoreTo() on a block device", () => {
  beforeEach(() => {
    dir = fs.mkdtempSync(join(tmpdir(), "sternway-target-"));
    const backing = join(dir, "backing");
    fs.writeFileSync(backing, new Uint8Array(24 * MIB).fill(0xaa));
    device = run("losetup", "-f", "--show", backing);
  });
  afterEach(() => {
    run("losetup", "-d", device);
    fs.rmSync(dir, { recursive: true, force: true });
    fs.rmSync(sidecarPath(device), { force: true });
  });

  const image = (): ImageDevice =>
    new ImageDevice(18 * MIB).fill(5, [
      { offset: 0, length: 4096 },
      { offset: 9 * MIB, length: 2 * MIB },
    ]);
  const sourceOf = (source: ImageDevice) => ({ device: source, vault: "v1", volume: "web1", lsn: 3 });

  test("writes data, clears holes, and leaves what lies past the image", async () => {
    const source = image();
    const report = await restoreTo({ source: sourceOf(source), target: device });
    expect(report.kind).toBe("device");
    const bytes = fs.readFileSync(device);
    expect(Buffer.compare(bytes.subarray(0, 18 * MIB), source.bytes)).toBe(0);
    expect(bytes.subarray(18 * MIB).every((byte) => byte === 0xaa)).toBe(true);
    expect(bytes.length).toBe(24 * MIB);
    expect(fs.existsSync(sidecarPath(device))).toBe(false);
  });

  test("refuses a device that is too small, before it writes", async () => {
    const big = new ImageDevice(25 * MIB).fill(5, [{ offset: 0, length: 4096 }]);
    await expect(restoreTo({ source: sourceOf(big), target: device })).rejects.toMatchObject({
      kind: "invalid",
      facts: { targetBytes: 24 * MIB, neededBytes: 25 * MIB },
    });
    expect(fs.readFileSync(device)[0]).toBe(0xaa);
  });

  test("refuses a mounted device and says where it is mounted", async () => {
    run("mkfs.ext4", "-q", device);
    const mountPoint = join(dir, "mnt");
    fs.mkdirSync(mountPoint);
    run("mount", device, mountPoint);
    try {
      await expect(restoreTo({ source: sourceOf(image()), target: device })).rejects.toMatchObject({
        kind: "conflict",
        message: expect.stringContaining(mountPoint),
      });
    } finally {
      run("umount", mountPoint);
    }
  });

  test("refuses a file on which a loop device stands", async () => {
    const backing = join(dir, "backing");
    await expect(restoreTo({ source: sourceOf(image()), target: backing, fresh: true })).rejects.toMatchObject({
      kind: "conflict",
      message: expect.stringContaining(device),
    });
  });
});
