/**
 * A vault's disk with its tiers behind it: a sealed file that is not on this machine, or cannot be read here, is read from a tier, piece by piece, through the
 * cache. Everything else (journal, manifests, identity) is on this machine alone. The rest of the engine needs to know nothing of it.
 */
import type { Disk, DiskFile, OpenMode } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import { objectName } from "./objects.ts";
import { CACHE_PIECE_BYTES, type ReadCache } from "./read-cache.ts";
import type { TierReads } from "./tier-reads.ts";

export interface TieredDiskOptions {
  home: Disk;
  /** The vault's folder. */
  dir: string;
  reads: TierReads;
  cache: ReadCache;
  /** What the manifest says of a path beneath the folder; undefined: no sealed file of its. */
  lookUp: (path: string) => SealedFile | undefined;
  /** The file on this machine is damaged and could not be replaced. */
  isDistrusted: (path: string) => boolean;
  /** Not all sealed files are on this machine yet, and that is no damage. */
  isPartial: () => boolean;
}

export class TieredDisk implements Disk {
  private readonly options: TieredDiskOptions;
  private readonly prefix: string;

  constructor(options: TieredDiskOptions) {
    this.options = options;
    this.prefix = `${options.dir}/`;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const { home, isDistrusted } = this.options;
    if (mode !== "read" || !this.isSealed(path)) return await home.open(path, mode);
    const beneath = path.slice(this.prefix.length);
    if (isDistrusted(beneath)) {
      const file = this.remote(path);
      if (file) return file;
    }
    try {
      const here = await home.open(path, mode);
      return new HomeFirstFile(here, () => this.remote(path));
    } catch (error) {
      if (!isFailure(error)) throw error;
      const file = this.remote(path);
      if (!file) throw this.notHere(path) ?? error;
      return file;
    }
  }

  async sizeOf(path: string): Promise<number | undefined> {
    const { home, isPartial, lookUp } = this.options;
    const here = await home.sizeOf(path);
    if (here !== undefined || !isPartial() || !this.isSealed(path)) return here;
    return lookUp(path.slice(this.prefix.length))?.sizeBytes;
  }

  async list(dir: string): Promise<string[]> {
    return await this.options.home.list(dir);
  }

  async mkdir(dir: string): Promise<void> {
    await this.options.home.mkdir(dir);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.options.home.rename(from, to);
  }

  async link(from: string, to: string): Promise<void> {
    await this.options.home.link(from, to);
  }

  async remove(path: string): Promise<void> {
    await this.options.home.remove(path);
  }

  async syncDir(dir: string): Promise<void> {
    await this.options.home.syncDir(dir);
  }

  async space(dir: string): Promise<{ freeBytes: number; totalBytes: number }> {
    return await this.options.home.space(dir);
  }

  allocate(sizeBytes: number): Uint8Array {
    return this.options.home.allocate(sizeBytes);
  }

  private isSealed(path: string): boolean {
    return path.startsWith(this.prefix) && /^(packs|layers|chronicles)\//.test(path.slice(this.prefix.length));
  }

  /** What was never here is not lost because nobody can be asked for it now. */
  private notHere(path: string): SternwayError | undefined {
    const { isPartial, lookUp } = this.options;
    const file = isPartial() ? lookUp(path.slice(this.prefix.length)) : undefined;
    if (!file) return undefined;
    const { kind, id } = file;
    return new SternwayError("unavailable", `${kind} ${id} is not on this machine, and no tier is online`, {
      [kind]: id,
    });
  }

  private remote(path: string): RemoteFile | undefined {
    const { reads, cache, lookUp } = this.options;
    if (!reads.isPossible) return undefined;
    const file = lookUp(path.slice(this.prefix.length));
    return file && new RemoteFile(path, file, reads, cache);
  }
}

/** True for what says that this machine does not have the file, or its disk does not give it. */
const isFailure = (error: unknown): boolean =>
  isSternwayError(error, "not_found") || isSternwayError(error, "unavailable");

/** A file of this machine; what its disk does not give is read from a tier. */
class HomeFirstFile implements DiskFile {
  readonly path: string;
  private readonly here: DiskFile;
  private readonly elsewhere: () => RemoteFile | undefined;

  constructor(here: DiskFile, elsewhere: () => RemoteFile | undefined) {
    this.path = here.path;
    this.here = here;
    this.elsewhere = elsewhere;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    try {
      return await this.here.read(into, offset);
    } catch (error) {
      const remote = isFailure(error) ? this.elsewhere() : undefined;
      if (!remote) throw error;
      return await remote.read(into, offset);
    }
  }

  async size(): Promise<number> {
    try {
      return await this.here.size();
    } catch (error) {
      const remote = isFailure(error) ? this.elsewhere() : undefined;
      if (!remote) throw error;
      return await remote.size();
    }
  }

  async write(data: Uint8Array, offset: number): Promise<void> {
    await this.here.write(data, offset);
  }

  async sync(): Promise<void> {
    await this.here.sync();
  }

  async close(): Promise<void> {
    await this.here.close();
  }
}

/** A sealed file at the tiers. */
class RemoteFile implements DiskFile {
  readonly path: string;
  private readonly file: SealedFile;
  private readonly reads: TierReads;
  private readonly cache: ReadCache;

  constructor(path: string, file: SealedFile, reads: TierReads, cache: ReadCache) {
    this.path = path;
    this.file = file;
    this.reads = reads;
    this.cache = cache;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const end = Math.min(offset + into.length, this.file.sizeBytes);
    let filled = 0;
    while (offset + filled < end) {
      const at = offset + filled;
      const index = Math.floor(at / CACHE_PIECE_BYTES);
      const piece = await this.cache.piece(objectName(this.file), index, () =>
        this.reads.read(this.file, index * CACHE_PIECE_BYTES, CACHE_PIECE_BYTES),
      );
      const from = at - index * CACHE_PIECE_BYTES;
      const part = piece.subarray(from, Math.min(piece.length, from + end - at));
      if (part.length === 0) break;
      into.set(part, filled);
      filled += part.length;
    }
    return filled;
  }

  size(): Promise<number> {
    return Promise.resolve(this.file.sizeBytes);
  }

  write(): Promise<void> {
    return Promise.reject(this.readOnly());
  }

  sync(): Promise<void> {
    return Promise.reject(this.readOnly());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private readOnly(): SternwayError {
    return new SternwayError("invalid", `${this.path} is read from a tier: it cannot be written to`);
  }
}
