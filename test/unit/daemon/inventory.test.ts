import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountHolding, parseMountInfo, readBlockDevices } from "../../../src/daemon/inventory.ts";
import { readDiskUsage } from "../../../src/daemon/disk-usage.ts";

const MOUNTINFO = `22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
40 22 0:35 /sub /srv/my\\040data rw - btrfs /dev/sdb rw,compress
41 22 254:1 /x /srv rw - ext4 /dev/vda1 rw
broken line
`;

const sys = mkdtempSync(join(tmpdir(), "sternway-sys-"));
afterAll(() => rmSync(sys, { recursive: true, force: true }));
function put(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(sys, "block", name)), { recursive: true });
    writeFileSync(join(sys, "block", name), `${text}\n`);
  }
}

test("parseMountInfo() reads devices, types and paths with spaces, and skips what it does not know", () => {
  const mounts = parseMountInfo(MOUNTINFO);
  expect(mounts).toHaveLength(4);
  expect(mounts[2]).toEqual({ device: "0:35", source: "/dev/sdb", path: "/srv/my data", fsType: "btrfs" });
  expect(parseMountInfo("")).toEqual([]);
});

test("mountHolding() finds the deepest mount above a path", () => {
  const mounts = parseMountInfo(MOUNTINFO);
  expect(mountHolding("/srv/my data/vault", mounts)?.fsType).toBe("btrfs");
  expect(mountHolding("/srv/my database", mounts)?.path).toBe("/srv");
  expect(mountHolding("/var", mounts)?.path).toBe("/");
  expect(mountHolding("/", mounts)?.path).toBe("/");
  expect(mountHolding("/x", [])).toBeUndefined();
});

test("readBlockDevices() lists disks with partitions and mounts, and leaves out what is no disk", async () => {
  put({
    "vda/size": "2097152",
    "vda/dev": "254:0",
    "vda/removable": "0",
    "vda/ro": "0",
    "vda/queue/rotational": "1",
    "vda/queue/logical_block_size": "512",
    "vda/serial": "S1",
    "vda/vda1/size": "2048",
    "vda/vda1/dev": "254:1",
    "sdb/size": "4096",
    "sdb/dev": "8:16",
    "sdb/removable": "1",
    "sdb/ro": "1",
    "sdb/device/model": "  Flash Disk  ",
    "sdb/queue/logical_block_size": "4096",
    "loop0/size": "0",
    "zram0/size": "8",
    "cciss!c0d0/size": "16",
    "cciss!c0d0/dev": "104:0",
  });
  const usage = { source: "/dev/vda1", mountPath: "/", sizeBytes: 100, usedBytes: 60, freeBytes: 40 };
  const disks = await readBlockDevices(sys, parseMountInfo(MOUNTINFO), [usage]);
  expect(disks.map((disk) => disk.name)).toEqual(["cciss!c0d0", "sdb", "vda"]);
  expect(disks[0]).toMatchObject({ path: "/dev/cciss/c0d0", sizeBytes: 8192, logicalBlockBytes: 512 });
  expect(disks[1]).toMatchObject({ model: "Flash Disk", removable: true, readOnly: true, logicalBlockBytes: 4096 });
  expect(disks[1]!.mounts).toEqual([{ path: "/srv/my data", fsType: "btrfs" }]);
  expect(disks[2]).toMatchObject({ sizeBytes: 2 ** 30, rotational: true, serial: "S1", mounts: [] });
  expect(disks[2]!.partitions).toEqual([
    {
      name: "vda1",
      path: "/dev/vda1",
      sizeBytes: 2 ** 20,
      mounts: [
        { path: "/", fsType: "ext4", sizeBytes: 100, usedBytes: 60, freeBytes: 40 },
        { path: "/srv", fsType: "ext4" },
      ],
    },
  ]);
});

/** A mount that hangs keeps df for as long, and tests of such run beside this one. */
const WAIT_MS = 30_000;

describe("readDiskUsage()", () => {
  test("tells the root file system's size, used and free bytes, for two askers at once", async () => {
    const [first, second] = await Promise.all([readDiskUsage(WAIT_MS), readDiskUsage(WAIT_MS)]);
    expect(first.error).toBeUndefined();
    expect(second).toEqual(first);
    const root = first.usages!.find((usage) => usage.mountPath === "/")!;
    expect(root.sizeBytes).toBeGreaterThan(0);
    expect(root.usedBytes + root.freeBytes).toBeLessThanOrEqual(root.sizeBytes);
    expect((await readDiskUsage(WAIT_MS)).error).toBeUndefined();
  });

  test("what df complains of does not reach the log, and is told", async () => {
    const dir = mkdtempSync(join(tmpdir(), "sternway-df-"));
    const complaint = "df: /mnt: Transport endpoint is not connected";
    const complaining = `#!/bin/sh\necho '${complaint}' >&2\nexec ${Bun.which("df")} "$@"\n`;
    writeFileSync(join(dir, "df"), complaining, { mode: 0o755 });
    const usagePath = fileURLToPath(new URL("../../../src/daemon/disk-usage.ts", import.meta.url));
    const asking = `import { readDiskUsage } from ${JSON.stringify(usagePath)};
      const { usages, complaint } = await readDiskUsage(${WAIT_MS});
      console.log(JSON.stringify({ some: usages.length > 0, complaint }));`;
    const asker = Bun.spawn([process.execPath, "-e", asking], {
      env: { ...process.env, PATH: `${dir}:${process.env["PATH"]}` },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([asker.stdout.text(), asker.stderr.text()]);
    rmSync(dir, { recursive: true });
    expect(err).toBe("");
    // The machine may have mounts of its own that df complains of.
    expect(JSON.parse(out)).toEqual({ some: true, complaint: expect.stringContaining(complaint) });
  });
});
