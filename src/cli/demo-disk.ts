/**
 * The sample disk of `demo`: an ext4 file system with a few files, put onto a volume in one of two ways, and read back by
 * the file system's own tools.
 *
 * - `mounted`: as root with FUSE: the kernel mounts the volume through NBD and writes like on any disk
 * - `imported`: by anyone: mkfs makes an image out of a folder, and the image is imported
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { SternwayError } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import { importDevice } from "../sources/import.ts";
import { connectBlocks } from "./blocks.ts";
import { mustRun, runTool, toolPath } from "./tool.ts";

export type DemoWay = "mounted" | "imported";

export interface DemoDisk {
  readonly volume: string;
  readonly sizeBytes: number;
  /** The daemon's socket for block data. */
  readonly socketPath: string;
  /** A folder for images and mount points. */
  readonly scratch: string;
  readonly clock: Clock;
}

/** What this machine allows. @throws unavailable: not even an image can be made */
export function demoWay(): DemoWay {
  const lacking = ["mkfs.ext4", "e2fsck", "debugfs"].filter((name) => toolPath(name) === undefined);
  if (lacking.length > 0) {
    throw new SternwayError(
      "unavailable",
      `the demo needs ${lacking.join(", ")}: on Debian, apt-get install e2fsprogs`,
    );
  }
  const mountTools = ["nbdfuse", "losetup", "mount", "umount", "fusermount3"];
  const mountable =
    process.getuid?.() === 0 && fs.existsSync("/dev/fuse") && mountTools.every((name) => toolPath(name) !== undefined);
  return mountable ? "mounted" : "imported";
}

/** Makes the file system and writes the files. Every one of the writes goes through the volume's ordinary path. */
export async function fillDisk(disk: DemoDisk, way: DemoWay, files: Readonly<Record<string, string>>): Promise<void> {
  if (way === "imported") return fillByImport(disk, files);
  await withMount(disk, true, async (folder) => writeFiles(folder, files));
}

/** Changes files on the mounted disk; by import, the whole disk is made anew with the changed files. */
export async function changeFiles(
  disk: DemoDisk,
  way: DemoWay,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  if (way === "imported") return fillByImport(disk, files);
  await withMount(disk, false, async (folder) => writeFiles(folder, files));
}

async function fillByImport(disk: DemoDisk, files: Readonly<Record<string, string>>): Promise<void> {
  const folder = join(disk.scratch, "files");
  const image = join(disk.scratch, "disk.img");
  fs.rmSync(folder, { recursive: true, force: true });
  fs.rmSync(image, { force: true });
  fs.mkdirSync(folder, { recursive: true });
  writeFiles(folder, files);
  await mustRun("mkfs.ext4", "-q", "-F", "-d", folder, image, `${disk.sizeBytes / 1024}k`);
  const target = await connectBlocks(disk.socketPath, disk.volume);
  try {
    await importDevice({ source: image, target, blank: false });
  } finally {
    await target.close();
  }
}

function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) fs.writeFileSync(join(folder, name), content);
}

const MOUNT_MS_MAX = 15_000;
const POLL_MS = 20;

/** Mounts the live volume: NBD to a file by nbdfuse, the file to a device by loop, the device by the kernel; and takes it all down again. */
async function withMount(disk: DemoDisk, format: boolean, work: (folder: string) => Promise<void>): Promise<void> {
  const fuseFolder = join(disk.scratch, "fuse");
  const mountFolder = join(disk.scratch, "mnt");
  fs.mkdirSync(fuseFolder, { recursive: true });
  fs.mkdirSync(mountFolder, { recursive: true });
  await using undo = new AsyncDisposableStack();

  const blockFile = join(fuseFolder, "nbd");
  const uri = `nbd+unix:///${disk.volume}?socket=${encodeURIComponent(disk.socketPath)}`;
  const fuse = Bun.spawn([toolPath("nbdfuse") ?? "nbdfuse", blockFile, uri], {
    detached: true,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  undo.defer(async () => {
    await runTool("fusermount3", "-u", fuseFolder);
    const late = disk.clock.timer(MOUNT_MS_MAX, () => fuse.kill("SIGKILL"));
    await fuse.exited;
    late.cancel();
  });
  for (let waitedMs = 0; !fs.existsSync(blockFile); waitedMs += POLL_MS) {
    if (fuse.exitCode !== null || waitedMs > MOUNT_MS_MAX) {
      const said = fuse.exitCode === null ? "it did not come up in time" : (await fuse.stderr.text()).trim();
      throw new SternwayError("unavailable", `nbdfuse could not attach ${disk.volume}: ${said}`);
    }
    await disk.clock.sleep(POLL_MS);
  }

  const device = (await mustRun("losetup", "--find", "--show", blockFile)).trim();
  undo.defer(async () => void (await mustRun("losetup", "--detach", device)));
  if (format) await mustRun("mkfs.ext4", "-q", "-F", device);
  await mustRun("mount", device, mountFolder);
  undo.defer(async () => void (await mustRun("umount", mountFolder)));
  await work(mountFolder);
  await mustRun("sync", "--file-system", mountFolder);
}

/** Overwrites places all over the live volume with noise, the file system's own structures among them. @returns bytes overwritten */
export async function damageDisk(disk: DemoDisk): Promise<number> {
  const target = await connectBlocks(disk.socketPath, disk.volume);
  const stepBytes = 64 * 1024;
  let bytes = 0;
  try {
    for (let offset = 0; offset < disk.sizeBytes; offset += 4 * 2 ** 20) {
      await target.write(offset, crypto.getRandomValues(new Uint8Array(stepBytes)), false);
      bytes += stepBytes;
    }
    await target.flush();
  } finally {
    await target.close();
  }
  return bytes;
}

export interface DiskState {
  /** What e2fsck says of the file system: clean, or what it found first. */
  clean: boolean;
  verdict: string;
  /** Contents by name; a file that cannot be read is left out. */
  files: Record<string, string>;
}

/** Looks at an image of the disk with the file system's own tools. */
export async function inspectImage(image: string, names: readonly string[]): Promise<DiskState> {
  const check = await runTool("e2fsck", "-f", "-n", image);
  const files: Record<string, string> = {};
  for (const name of names) {
    const dump = `${image}.${name}`;
    await runTool("debugfs", "-R", `dump /${name} ${dump}`, image);
    if (fs.existsSync(dump)) files[name] = fs.readFileSync(dump, "utf8");
    fs.rmSync(dump, { force: true });
  }
  const lines = check.output
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("e2fsck ") && !line.startsWith("Pass "));
  return { clean: check.exitCode === 0, verdict: lines[0]?.trim() ?? "no word from e2fsck", files };
}
