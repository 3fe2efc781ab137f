/**
 * A disk that is a map from paths to bytes: for tests of formats, which need many small files and no crashes. Counts what it does, and
 * can fail writes. (Crashes and faults are the simulated disk's.)
 */
import type { Disk, DiskFile, OpenMode } from "../../src/base/disk.ts";
import { SternwayError } from "../../src/base/errors.ts";

export class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();
  openFiles = 0;
  reads = 0;
  /** Bytes of the largest buffer that a read was asked to fill. */
  largestRead = 0;
  /** Writes that still succeed; then the disk is full. */
  writesLeft = Infinity;

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    const known = this.files.get(path);
    if (mode === "create" && known) return Promise.reject(new SternwayError("conflict", `${path} exists`));
    if (mode !== "create" && !known) return Promise.reject(new SternwayError("not_found", `${path} does not exist`));
    if (mode === "create") this.files.set(path, new Uint8Array(0));
    this.openFiles++;
    return Promise.resolve(new MemoryFile(this, path));
  }

  list(dir: string): Promise<string[]> {
    const names = [...this.files.keys()].filter((path) => path.startsWith(`${dir}/`));
    return Promise.resolve(names.map((path) => path.slice(dir.length + 1)).sort());
  }

  sizeOf(path: string): Promise<number | undefined> {
    return Promise.resolve(this.files.get(path)?.length);
  }

  mkdir(): Promise<void> {
    return Promise.resolve();
  }

  rename(from: string, to: string): Promise<void> {
    const bytes = this.files.get(from);
    if (!bytes) return Promise.reject(new SternwayError("not_found", `${from} does not exist`));
    this.files.delete(from);
    this.files.set(to, bytes);
    return Promise.resolve();
  }

  link(from: string, to: string): Promise<void> {
    const bytes = this.files.get(from);
    if (!bytes) return Promise.reject(new SternwayError("not_found", `${from} does not exist`));
    if (this.files.has(to)) return Promise.reject(new SternwayError("conflict", `${to} exists`));
    this.files.set(to, bytes);
    return Promise.resolve();
  }

  remove(path: string): Promise<void> {
    this.files.delete(path);
    return Promise.resolve();
  }

  syncDir(): Promise<void> {
    return Promise.resolve();
  }

  space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return Promise.resolve({ freeBytes: 2 ** 40, totalBytes: 2 ** 40 });
  }

  allocate(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes);
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #disk: MemoryDisk;
  #open = true;

  constructor(disk: MemoryDisk, path: string) {
    this.#disk = disk;
    this.path = path;
  }

  #bytes(): Uint8Array {
    return this.#disk.files.get(this.path) ?? new Uint8Array(0);
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    if (!this.#open) return Promise.reject(new SternwayError("internal", `${this.path} is closed`));
    this.#disk.reads++;
    this.#disk.largestRead = Math.max(this.#disk.largestRead, into.length);
    const part = this.#bytes().subarray(offset, offset + into.length);
    into.set(part);
    return Promise.resolve(part.length);
  }

  write(data: Uint8Array, offset: number): Promise<void> {
    if (this.#disk.writesLeft-- <= 0) {
      return Promise.reject(new SternwayError("unavailable", `${this.path}: no space left`, { code: "ENOSPC" }));
    }
    const old = this.#bytes();
    const bytes = new Uint8Array(Math.max(old.length, offset + data.length));
    bytes.set(old);
    bytes.set(data, offset);
    this.#disk.files.set(this.path, bytes);
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  size(): Promise<number> {
    return Promise.resolve(this.#bytes().length);
  }

  close(): Promise<void> {
    if (this.#open) this.#disk.openFiles--;
    this.#open = false;
    return Promise.resolve();
  }
}
