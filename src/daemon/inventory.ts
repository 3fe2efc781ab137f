/**
 * The machine's disks: real block devices from /sys/block, where they are mounted from /proc/self/mountinfo, how full
 * they are from node-disk-info. What cannot be found out is left out and named in `warnings`.
 */
import { readdir, readFile } from "node:fs/promises";
import type { DiskList } from "../contract/contract.ts";
import type { DiskUsage } from "./disk-usage.ts";

type Disk = DiskList["disks"][number];
type Mount = Disk["mounts"][number];

/** A mount with the device it shows, as mountinfo tells it. */
export interface MountEntry {
  /** `MAJOR:MINOR`; of no block device for btrfs and network file systems. */
  device: string;
  source: string;
  path: string;
  fsType: string;
}

/** Sizes in /sys/block count in 512 bytes whatever the device's block size is (kernel: Documentation/block/stat). */
const SYS_SECTOR = 512;
/** Kernel memory that looks like a disk. */
const NOT_DISKS = /^(ram|zram)\d+$/;

/** Parses /proc/self/mountinfo (proc(5)); lines that do not look like it are skipped. */
export function parseMountInfo(text: string): MountEntry[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , device, , path] = left.split(" ");
    const [fsType, source] = right.split(" ");
    if (!device || !path || !fsType) return [];
    return [{ device, source: unescape(source ?? ""), path: unescape(path), fsType }];
  });
}

/** mountinfo writes space, tab, newline and backslash as octal. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The mounts of one device, by number or, where the file system hides it (btrfs), by name. */
function mountsOf(number: string, path: string, mounts: readonly MountEntry[], usages: readonly DiskUsage[]): Mount[] {
  const found = mounts.filter((mount) => mount.device === number || mount.source === path);
  return found.map((mount) => describeMount(mount, usages));
}

export function describeMount(mount: MountEntry, usages: readonly DiskUsage[]): Mount {
  const usage = usages.find((each) => each.mountPath === mount.path);
  const { path, fsType } = mount;
  if (!usage) return { path, fsType };
  return { path, fsType, sizeBytes: usage.sizeBytes, usedBytes: usage.usedBytes, freeBytes: usage.freeBytes };
}

/** The mount that holds a path: the longest mount point above it; of equals, the one mounted last. */
export function mountHolding(path: string, mounts: readonly MountEntry[]): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const mount of mounts) {
    const inside = path === mount.path || path.startsWith(mount.path === "/" ? "/" : `${mount.path}/`);
    if (inside && mount.path.length >= (best?.path.length ?? 0)) best = mount;
  }
  return best;
}

/** All disks with a size. @param sysDir - `/sys`, or a copy in tests */
export async function readBlockDevices(
  sysDir: string,
  mounts: readonly MountEntry[],
  usages: readonly DiskUsage[],
): Promise<Disk[]> {
  const names = (await readdir(`${sysDir}/block`)).filter((name) => !NOT_DISKS.test(name)).sort();
  const disks = await Promise.all(names.map((name) => readDisk(sysDir, name, mounts, usages)));
  return disks.filter((disk) => disk !== undefined);
}

async function readDisk(
  sysDir: string,
  name: string,
  mounts: readonly MountEntry[],
  usages: readonly DiskUsage[],
): Promise<Disk | undefined> {
  const dir = `${sysDir}/block/${name}`;
  const sizeBytes = (await readNumber(`${dir}/size`)) * SYS_SECTOR;
  if (sizeBytes === 0) return undefined;
  const path = devicePath(name);
  const number = (await readText(`${dir}/dev`)) ?? "";
  const model = await readText(`${dir}/device/model`);
  const serial = (await readText(`${dir}/device/serial`)) ?? (await readText(`${dir}/serial`));
  const inside = await readdir(dir);
  const partitions = [];
  for (const part of inside.filter((each) => each.startsWith(name)).sort()) {
    const partDir = `${dir}/${part}`;
    const partNumber = (await readText(`${partDir}/dev`)) ?? "";
    partitions.push({
      name: part,
      path: devicePath(part),
      sizeBytes: (await readNumber(`${partDir}/size`)) * SYS_SECTOR,
      mounts: mountsOf(partNumber, devicePath(part), mounts, usages),
    });
  }
  return {
    name,
    path,
    sizeBytes,
    ...(model ? { model } : {}),
    ...(serial ? { serial } : {}),
    removable: (await readNumber(`${dir}/removable`)) === 1,
    readOnly: (await readNumber(`${dir}/ro`)) === 1,
    rotational: (await readNumber(`${dir}/queue/rotational`)) === 1,
    logicalBlockBytes: (await readNumber(`${dir}/queue/logical_block_size`)) || SYS_SECTOR,
    mounts: mountsOf(number, path, mounts, usages),
    partitions,
  };
}

/** /sys writes `!` where /dev has a folder (`cciss!c0d0`). */
const devicePath = (name: string): string => `/dev/${name.replaceAll("!", "/")}`;

/** Undefined for an attribute that this device does not have. */
async function readText(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text?.trim() || undefined;
}

async function readNumber(path: string): Promise<number> {
  const value = Number(await readText(path));
  return Number.isSafeInteger(value) ? value : 0;
}
