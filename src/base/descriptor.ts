/**
 * Files and block devices of this machine by plain descriptor numbers: what import and restore stand on; and who connected to a socket.
 *
 * Never FileHandle: the finalizer of a forgotten one closes whatever file has its number by then. Errors are
 * SternwayErrors with `facts.code`, the errno's name. Where data lies, and how to clear a range, comes from the addon
 * `native/device.c`; without it (no C compiler was there) everything counts as data and clearing is left to the caller.
 */
import * as fs from "node:fs";
import { SternwayError, isSternwayError, type ErrorKind } from "./errors.ts";

interface DeviceAddon {
  seekData(fd: number, offset: number): number;
  seekHole(fd: number, offset: number): number;
  deviceSize(fd: number): number;
  /** Absent: the addon was built from an older source. */
  peerCredentials?(fd: number): PeerProcess;
  zeroDevice(fd: number, offset: number, length: number): Promise<void>;
  punchFile(fd: number, offset: number, length: number): Promise<void>;
}

const addon = loadAddon();

function loadAddon(): DeviceAddon | undefined {
  try {
    // A literal path, so that a compiled executable embeds the addon.
    return require("../../native/device.node") as DeviceAddon;
  } catch {
    // Not built on this machine: the fallbacks below give the same results with more reading and writing.
    return undefined;
  }
}

/** True when holes can be found and ranges cleared without transferring zeroes. */
export const hasDeviceAddon: boolean = addon !== undefined;

/** The process that connected to a unix socket, as the kernel knew it at that moment. */
export interface PeerProcess {
  /** 0: it lives in a name space of processes that this one does not see. It may have ended since, and its number be another's. */
  pid: number;
  uid: number;
  gid: number;
}

/** True when {@link peerCredentials} can answer. */
export const knowsPeers: boolean = addon?.peerCredentials !== undefined;

/** Who connected to a unix socket (SO_PEERCRED, unix(7)). @returns undefined: it cannot be told, so it is nobody */
export function peerCredentials(fd: number): PeerProcess | undefined {
  try {
    return addon?.peerCredentials?.(fd);
  } catch (error) {
    // The socket is closed already, or is none of this machine's.
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

const ERROR_KINDS: Record<string, ErrorKind> = {
  ENOENT: "not_found",
  ENOTDIR: "not_found",
  ENXIO: "not_found",
  ENODEV: "not_found",
  EEXIST: "conflict",
  EBUSY: "conflict",
  ETXTBSY: "conflict",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  EINVAL: "invalid",
  EISDIR: "invalid",
  ENAMETOOLONG: "invalid",
};

/** The errno's name of an error of the operating system, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (isSternwayError(error)) return typeof error.facts["code"] === "string" ? error.facts["code"] : undefined;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}

/** Turns an error of the operating system into one of ours. @param doing - "cannot open /dev/sdb" */
export function systemError(error: unknown, doing: string): SternwayError {
  if (isSternwayError(error)) return error;
  const code = errnoOf(error) ?? "UNKNOWN";
  return new SternwayError(ERROR_KINDS[code] ?? "unavailable", `${doing}: ${code}`, { code }, { cause: error });
}

/** Opens a path. The caller closes the descriptor. @throws the errno's kind, with the path in its message */
export function openDescriptor(path: string, flags: number, mode = 0o600): number {
  try {
    return fs.openSync(path, flags, mode);
  } catch (error) {
    throw systemError(error, `cannot open ${path}`);
  }
}

export function closeDescriptor(fd: number): void {
  fs.closeSync(fd);
}

/**
 * Reads until `into` is full or the end.
 * @param enough - stop once this much was read: a direct read of a file's last, shorter block must not go on from there,
 *   because its offset would no longer be aligned
 * @returns bytes read
 */
export async function readDescriptor(
  fd: number,
  into: Uint8Array,
  offset: number,
  path: string,
  enough: number = into.length,
): Promise<number> {
  let done = 0;
  while (done < enough) {
    const got = await new Promise<number>((resolve, reject) => {
      fs.read(fd, into, done, into.length - done, offset + done, (error, count) =>
        error ? reject(systemError(error, `cannot read ${path} at ${offset + done}`)) : resolve(count),
      );
    });
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Writes all of `data`; the caller must not change it meanwhile. Durable after {@link syncDescriptor}. */
export async function writeDescriptor(fd: number, data: Uint8Array, offset: number, path: string): Promise<void> {
  let done = 0;
  while (done < data.length) {
    done += await new Promise<number>((resolve, reject) => {
      fs.write(fd, data, done, data.length - done, offset + done, (error, count) =>
        error ? reject(systemError(error, `cannot write ${path} at ${offset + done}`)) : resolve(count),
      );
    });
  }
}

/** Appends to a stream (a pipe, standard output), whose position is its own. */
export async function writeStream(fd: number, data: Uint8Array, path: string): Promise<void> {
  let done = 0;
  while (done < data.length) {
    done += await new Promise<number>((resolve, reject) => {
      fs.write(fd, data, done, data.length - done, null, (error, count) =>
        error ? reject(systemError(error, `cannot write ${path}`)) : resolve(count),
      );
    });
  }
}

/** Makes earlier finished writes durable. After an error nothing is known about any of them. */
export function syncDescriptor(fd: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(fd, (error) => (error ? reject(systemError(error, `cannot sync ${path}`)) : resolve()));
  });
}

/** What a path is: its kind decides how it may be written. */
export interface PathFacts {
  kind: "missing" | "file" | "device" | "other";
  /** 0 for what is missing or neither file nor device. */
  sizeBytes: number;
  /** Bytes that a file takes on its file system. */
  allocatedBytes: number;
  /** Identity: device and inode, or the device's own number. */
  id: string;
}

/** Looks at a path, following links. @throws the errno's kind, except for a missing path */
export function inspectPath(path: string): PathFacts {
  let stat: fs.Stats;
  try {
    stat = fs.statSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { kind: "missing", sizeBytes: 0, allocatedBytes: 0, id: "" };
    throw systemError(error, `cannot look at ${path}`);
  }
  if (stat.isFile()) {
    const id = `inode ${stat.dev}:${stat.ino}`;
    return { kind: "file", sizeBytes: stat.size, allocatedBytes: stat.blocks * 512, id };
  }
  if (stat.isBlockDevice()) {
    const number = deviceNumber(stat.rdev);
    return { kind: "device", sizeBytes: deviceSize(path, number), allocatedBytes: 0, id: `device ${number}` };
  }
  return { kind: "other", sizeBytes: 0, allocatedBytes: 0, id: "" };
}

/** `MAJOR:MINOR`, as /sys/dev/block names devices (the kernel's encoding of dev_t in 64 bits). */
function deviceNumber(rdev: number): string {
  const wide = BigInt(rdev);
  const major = ((wide >> 8n) & 0xfffn) | ((wide >> 32n) & ~0xfffn);
  const minor = (wide & 0xffn) | ((wide >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffffffffn}`;
}

function deviceSize(path: string, number: string): number {
  if (addon !== undefined) {
    const fd = openDescriptor(path, fs.constants.O_RDONLY);
    try {
      return addon.deviceSize(fd);
    } catch (error) {
      throw systemError(error, `cannot tell the size of ${path}`);
    } finally {
      fs.closeSync(fd);
    }
  }
  try {
    // sysfs counts sectors of 512 bytes whatever the device's own sector size is.
    return Number(fs.readFileSync(`/sys/dev/block/${number}/size`, "utf8").trim()) * 512;
  } catch (error) {
    throw systemError(error, `cannot tell the size of ${path}`);
  }
}

/**
 * The next stretch of data in `[offset, end)` of a file or device, or undefined when only a hole follows. File systems
 * report holes in their own block size; a device, and a file system that knows no holes, is data throughout.
 */
export function nextData(fd: number, offset: number, end: number): { start: number; end: number } | undefined {
  if (offset >= end) return undefined;
  if (addon === undefined) return { start: offset, end };
  try {
    const start = addon.seekData(fd, offset);
    if (start < 0 || start >= end) return undefined;
    const hole = addon.seekHole(fd, start);
    return { start, end: hole < 0 ? end : Math.min(hole, end) };
  } catch (error) {
    // A device or file system without SEEK_DATA answers EINVAL or ESPIPE: all of it counts as data.
    const code = errnoOf(error);
    if (code === "EINVAL" || code === "ESPIPE" || code === "EOPNOTSUPP" || code === "ENOSYS")
      return { start: offset, end };
    throw systemError(error, "cannot look for data");
  }
}

/**
 * Makes a range read as zeroes without transferring them.
 * @returns false where the machine cannot: write zeroes instead
 */
export async function clearRange(
  fd: number,
  kind: "file" | "device",
  offset: number,
  length: number,
  path: string,
): Promise<boolean> {
  if (addon === undefined) return false;
  try {
    await (kind === "device" ? addon.zeroDevice(fd, offset, length) : addon.punchFile(fd, offset, length));
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "EOPNOTSUPP" || code === "EINVAL" || code === "ENOSYS" || code === "ENOTTY") return false;
    throw systemError(error, `cannot clear ${path} at ${offset}`);
  }
}

const ZERO_PAGE = new Uint8Array(64 * 1024);

/** True when all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let offset = 0; offset < bytes.length; offset += ZERO_PAGE.length) {
    const part = bytes.subarray(offset, offset + ZERO_PAGE.length);
    if (Buffer.compare(part, part.length === ZERO_PAGE.length ? ZERO_PAGE : ZERO_PAGE.subarray(0, part.length)) !== 0)
      return false;
  }
  return true;
}
