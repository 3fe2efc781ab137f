/**
 * The machine's own disk: the disk interface over plain descriptors and the callback calls of `fs`. Never FileHandle: the finalizer of
 * a forgotten one closes a descriptor that by then belongs to somebody else (Bun issue 43733).
 *
 * A write-through file has two descriptors: a buffered one to read, and one with O_DIRECT|O_DSYNC to write, measured at twice the rate of
 * write and fdatasync for synced appends. The kernel drops cached pages under a direct write, so the buffered one sees finished writes. Where
 * the file system refuses O_DIRECT (EINVAL at the open or at a write) the file falls back to write and fdatasync.
 *
 * After an error of sync nothing is known of earlier writes (Linux marks failed pages clean); nothing is retried here.
 */
import * as fs from "node:fs";
import { allocateAligned, assertWriteThrough } from "./aligned.ts";
import { assert } from "./assert.ts";
import { diskError } from "./disk-errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

const { O_CREAT, O_DIRECT, O_DIRECTORY, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR } = fs.constants;

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_EXCL,
  write: O_RDWR,
  "write-through": O_RDWR,
};

/** Vault files belong to the daemon alone: they hold the contents of disks. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** What /sys counts block devices in, whatever their sector size. */
const SYSFS_SECTOR_SIZE = 512;

export class RealDisk implements Disk {
  #descriptorCount = 0;

  /** Descriptors open through this disk now: 0 when everything was closed. */
  get descriptorCount(): number {
    return this.#descriptorCount;
  }

  async open(path: string, mode: OpenMode): Promise<RealFile> {
    const op = mode === "create" ? "create" : "open";
    const descriptor = await this.#openDescriptor(path, OPEN_FLAGS[mode], op);
    let direct: number | undefined;
    if (mode === "write-through") {
      try {
        direct = await this.#openDescriptor(path, O_RDWR | O_DIRECT | O_DSYNC, op);
      } catch (error) {
        if (codeOf(error) !== "EINVAL") {
          await this.#closeDescriptor(descriptor, path);
          throw error;
        }
      }
    }
    return new RealFile(path, mode, descriptor, direct, (each) => this.#closeDescriptor(each, path));
  }

  async list(dir: string): Promise<string[]> {
    try {
      const names = await call<string[]>("list", dir, (done) => fs.readdir(dir, done));
      return names.sort();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  async sizeOf(path: string): Promise<number | undefined> {
    let stats: fs.Stats;
    try {
      stats = await call<fs.Stats>("sizeOf", path, (done) => fs.stat(path, done));
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
    return stats.isDirectory() ? undefined : sizeFromStats(stats, path);
  }

  async mkdir(dir: string): Promise<void> {
    await call("mkdir", dir, (done) => fs.mkdir(dir, { recursive: true, mode: DIRECTORY_MODE }, done));
  }

  async rename(from: string, to: string): Promise<void> {
    await call<void>("rename", from, (done) => fs.rename(from, to, done));
  }

  async link(from: string, to: string): Promise<void> {
    await call<void>("link", to, (done) => fs.link(from, to, done));
  }

  async remove(path: string): Promise<void> {
    try {
      await call<void>("remove", path, (done) => fs.unlink(path, done));
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }

  async syncDir(dir: string): Promise<void> {
    const descriptor = await this.#openDescriptor(dir, O_RDONLY | O_DIRECTORY, "syncDir");
    try {
      await call<void>("syncDir", dir, (done) => fs.fsync(descriptor, done));
    } finally {
      await this.#closeDescriptor(descriptor, dir);
    }
  }

  async space(dir: string): Promise<{ freeBytes: number; totalBytes: number }> {
    const stats = await call<fs.StatsFs>("space", dir, (done) => fs.statfs(dir, done));
    // bavail, not bfree: the blocks kept for root are not ours to plan with.
    return { freeBytes: stats.bavail * stats.bsize, totalBytes: stats.blocks * stats.bsize };
  }

  allocate(sizeBytes: number): Uint8Array {
    return allocateAligned(sizeBytes);
  }

  async #openDescriptor(path: string, flags: number, op: string): Promise<number> {
    const descriptor = await call<number>(op, path, (done) => fs.open(path, flags, FILE_MODE, done));
    this.#descriptorCount++;
    return descriptor;
  }

  async #closeDescriptor(descriptor: number, path: string): Promise<void> {
    this.#descriptorCount--;
    await call<void>("close", path, (done) => fs.close(descriptor, done));
  }
}

/** The machine's disk. */
export const realDisk = new RealDisk();

export class RealFile implements DiskFile {
  readonly path: string;
  readonly #mode: OpenMode;
  readonly #descriptor: number;
  /** O_DIRECT|O_DSYNC; undefined where the file was not opened so or the file system refuses it. */
  #direct: number | undefined;
  /** A refused direct descriptor: it stays open until close(), as other writes may be using it. */
  #refused: number | undefined;
  readonly #closeDescriptor: (descriptor: number) => Promise<void>;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    path: string,
    mode: OpenMode,
    descriptor: number,
    direct: number | undefined,
    closeDescriptor: (descriptor: number) => Promise<void>,
  ) {
    this.path = path;
    this.#mode = mode;
    this.#descriptor = descriptor;
    this.#direct = direct;
    this.#closeDescriptor = closeDescriptor;
  }

  /** How writes reach the medium: `buffered` until sync(), `direct`, or `fdatasync` where O_DIRECT is refused. May change from direct to fdatasync at the first write. */
  get writing(): "buffered" | "direct" | "fdatasync" {
    if (this.#mode !== "write-through") return "buffered";
    return this.#direct === undefined ? "fdatasync" : "direct";
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#use(async () => {
      let done = 0;
      while (done < into.length) {
        const count = await call<number>("read", this.path, (callback) =>
          fs.read(this.#descriptor, into, done, into.length - done, offset + done, callback),
        );
        if (count === 0) break;
        done += count;
      }
      return done;
    });
  }

  write(data: Uint8Array, offset: number): Promise<void> {
    return this.#use(async () => {
      assert(this.#mode !== "read", `${this.path} is open for reading only`);
      if (this.#mode !== "write-through") return await this.#writeAll(this.#descriptor, data, offset);
      assertWriteThrough(data, offset);
      const direct = this.#direct;
      if (direct !== undefined) {
        try {
          return await this.#writeAll(direct, data, offset);
        } catch (error) {
          // Some file systems take O_DIRECT at the open and refuse it at the write. Nothing was written then.
          if (codeOf(error) !== "EINVAL") throw error;
          this.#refused = direct;
          this.#direct = undefined;
        }
      }
      await this.#writeAll(this.#descriptor, data, offset);
      await call<void>("sync", this.path, (done) => fs.fdatasync(this.#descriptor, done));
    });
  }

  sync(): Promise<void> {
    // fdatasync covers the size too; fsync would only add a journal commit for the times.
    return this.#use(() => call<void>("sync", this.path, (done) => fs.fdatasync(this.#descriptor, done)));
  }

  size(): Promise<number> {
    return this.#use(async () => {
      const stats = await call<fs.Stats>("size", this.path, (done) => fs.fstat(this.#descriptor, done));
      return sizeFromStats(stats, this.path);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    try {
      await this.#closeDescriptor(this.#descriptor);
    } finally {
      const direct = this.#direct ?? this.#refused;
      if (direct !== undefined) await this.#closeDescriptor(direct);
    }
  }

  async #writeAll(descriptor: number, data: Uint8Array, offset: number): Promise<void> {
    let done = 0;
    while (done < data.length) {
      const count = await call<number>("write", this.path, (callback) =>
        fs.write(descriptor, data, done, data.length - done, offset + done, callback),
      );
      // The kernel may take less; taking nothing without an error would loop for ever.
      if (count === 0) throw diskError("EIO", "write", this.path);
      done += count;
    }
  }

  async #use<T>(act: () => Promise<T>): Promise<T> {
    assert(this.#closing === undefined, `${this.path} is open`);
    this.#inFlight++;
    try {
      return await act();
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#idle?.();
    }
  }
}

/** One call of `fs` as a promise, its error mapped. */
function call<T>(
  op: string,
  path: string,
  start: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null || error === undefined) resolve(value as T);
      else reject(diskError(error.code ?? "EIO", op, path, error));
    });
  });
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "facts" in error ? (error as { facts: Record<string, unknown> }).facts["code"] : undefined;

/** fstat gives 0 for a block device: its size is in /sys. */
async function sizeFromStats(stats: fs.Stats, path: string): Promise<number> {
  if (!stats.isBlockDevice()) return stats.size;
  const { major, minor } = deviceNumber(stats.rdev);
  const sysfs = `/sys/dev/block/${major}:${minor}/size`;
  const text = await call<string>("size", path, (done) => fs.readFile(sysfs, "utf8", done));
  return Number(text) * SYSFS_SECTOR_SIZE;
}

/** Takes apart a device number of stat. */
export function deviceNumber(device: number): { major: number; minor: number } {
  // Linux's dev_t in userspace: 8 bits of minor, 12 of major, 12 more of minor (major goes on above 2^44: no device is there).
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
