/**
 * Where a restore writes to: a file (sparse) or a block device. Checks that writing there harms nothing that it should
 * not, and hides how each of them clears a range.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import {
  clearRange,
  closeDescriptor,
  errnoOf,
  inspectPath,
  isZero,
  openDescriptor,
  readDescriptor,
  syncDescriptor,
  systemError,
  writeDescriptor,
} from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";

export interface RestoreTarget {
  readonly path: string;
  readonly kind: "file" | "device";
  /** Identity for the sidecar. */
  readonly id: string;
  /** True when everything that was not written reads as zeroes: clearing may be skipped. */
  readonly blank: boolean;
  /** Bytes that the target already takes of its file system. */
  readonly allocatedBytes: number;
  write(data: Uint8Array, offset: number): Promise<void>;
  clear(offset: number, length: number): Promise<void>;
  /** Everything written before is durable when it resolves; for a new file its name too. */
  sync(): Promise<void>;
  close(): void;
}

/** 1 MiB: what a clearing without help from the kernel reads and writes at a time. */
const CLEAR_STEP_BYTES = 2 ** 20;

/**
 * Opens a target for `sizeBytes`.
 * @param mode - `start`: a file is emptied and given the size; `resume`: what is there is kept
 * @throws invalid: neither file nor device, or too small; conflict: mounted, or in use otherwise
 */
export function openTarget(path: string, sizeBytes: number, mode: "start" | "resume"): RestoreTarget {
  const facts = inspectPath(path);
  switch (facts.kind) {
    case "other":
      throw new SternwayError("invalid", `${path} is neither a file nor a block device (use - for standard output)`);
    case "device": {
      if (facts.sizeBytes < sizeBytes) {
        throw new SternwayError(
          "invalid",
          `${path} is too small: it holds ${formatSize(facts.sizeBytes)} (${facts.sizeBytes} bytes), the disk needs ${formatSize(sizeBytes)} (${sizeBytes})`,
          { target: path, targetBytes: facts.sizeBytes, neededBytes: sizeBytes },
        );
      }
      return targetOn(openDevice(path), path, "device", facts.id, { blank: false, allocatedBytes: 0 });
    }
    case "file":
    case "missing": {
      refuseLoopBacked(path);
      // O_EXCL where nothing was: two restores to one new name must not share it.
      const create = facts.kind === "missing" ? fs.constants.O_CREAT | fs.constants.O_EXCL : 0;
      const fd = openDescriptor(path, fs.constants.O_RDWR | create);
      try {
        if (mode === "start") fs.ftruncateSync(fd, 0);
        fs.ftruncateSync(fd, sizeBytes);
        const opened = inspectPath(path);
        const blank = mode === "start";
        return targetOn(fd, path, "file", opened.id, { blank, allocatedBytes: opened.allocatedBytes });
      } catch (error) {
        closeDescriptor(fd);
        throw systemError(error, `cannot give ${path} its size`);
      }
    }
  }
}

/** Refuses a restore that the target's file system has no room for. @throws unavailable, facts.code ENOSPC */
export function checkRoom(target: RestoreTarget, dataBytes: number): void {
  if (target.kind !== "file") return;
  const neededBytes = Math.max(0, dataBytes - target.allocatedBytes);
  const space = fs.statfsSync(dirname(target.path));
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes >= neededBytes) return;
  throw new SternwayError(
    "unavailable",
    `no room for ${target.path}: the data takes ${formatSize(neededBytes)}, its file system has ${formatSize(freeBytes)} free`,
    { code: "ENOSPC", neededBytes, freeBytes },
  );
}

function openDevice(path: string): number {
  try {
    // On a block device O_EXCL means: fail while it is mounted, swapped on or claimed by RAID, LVM or another of us.
    return openDescriptor(path, fs.constants.O_RDWR | fs.constants.O_EXCL);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
    const mount = mountPointOf(path);
    const why =
      mount === undefined ? "a mount, swap, RAID, LVM or another program holds it" : `it is mounted on ${mount}`;
    throw new SternwayError(
      "conflict",
      `${path} is in use: ${why}; release it first`,
      { code: "EBUSY", target: path },
      { cause: error },
    );
  }
}

function mountPointOf(path: string): string | undefined {
  const real = fs.realpathSync(path);
  for (const line of readLines("/proc/self/mounts")) {
    const [source, mountPoint] = line.split(" ");
    // A disk is busy through its partitions too: /dev/sda by /dev/sda1.
    if (source === real || (source?.startsWith(real) === true && /^p?\d+$/.test(source.slice(real.length))))
      return mountPoint;
  }
  return undefined;
}

function refuseLoopBacked(path: string): void {
  let real: string;
  try {
    real = fs.realpathSync(path);
  } catch {
    // Not there yet: no loop device can stand on it.
    return;
  }
  for (const name of fs.readdirSync("/sys/block", { encoding: "utf8" })) {
    if (!name.startsWith("loop") || readLines(`/sys/block/${name}/loop/backing_file`)[0] !== real) continue;
    throw new SternwayError("conflict", `${path} is in use: loop device /dev/${name} stands on it; detach it first`, {
      code: "EBUSY",
      target: path,
    });
  }
}

/** Lines of a small kernel file; none when this kernel or container has no such file. */
function readLines(path: string): string[] {
  try {
    return fs.readFileSync(path, "utf8").split("\n");
  } catch {
    // Absent for a loop device that is free, or without /proc and /sys: the open itself still decides.
    return [];
  }
}

function targetOn(
  fd: number,
  path: string,
  kind: "file" | "device",
  id: string,
  state: { blank: boolean; allocatedBytes: number },
): RestoreTarget {
  return {
    path,
    kind,
    id,
    ...state,
    write: (data, offset) => writeDescriptor(fd, data, offset, path),
    async clear(offset, length) {
      if (await clearRange(fd, kind, offset, length, path)) return;
      const step = new Uint8Array(Math.min(CLEAR_STEP_BYTES, length));
      for (let at = offset; at < offset + length; at += step.length) {
        const part = step.subarray(0, Math.min(step.length, offset + length - at));
        await readDescriptor(fd, part, at, path);
        // Most of a fresh disk is zero already; reading it is cheaper than wearing it.
        if (!isZero(part)) await writeDescriptor(fd, part.fill(0), at, path);
      }
    },
    async sync() {
      await syncDescriptor(fd, path);
      if (kind === "file") await syncDirectory(dirname(path));
    },
    close: () => closeDescriptor(fd),
  };
}

async function syncDirectory(path: string): Promise<void> {
  const fd = openDescriptor(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    await syncDescriptor(fd, path);
  } finally {
    closeDescriptor(fd);
  }
}
