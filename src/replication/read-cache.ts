/**
 * Pieces of remote objects, kept on this machine so that what was read once is not fetched again: `cache/OBJECT/N` in the vault's folder, each the
 * N-th MiB of the object and behind it the XXH64 of those bytes, seeded with N. Nothing is synced and nothing is missed when it is lost: a piece
 * that is torn or damaged is fetched again. The oldest go when the cache is full.
 */
import type { Disk } from "../base/disk.ts";
import { isSternwayError } from "../base/errors.ts";
import { xxh64 } from "../base/hash.ts";

/** One request for this much takes little longer than one for a frame of 16 KiB, and neighbours are read next. */
export const CACHE_PIECE_BYTES = 2 ** 20;
const HASH_BYTES = 8;

export class ReadCache {
  private readonly disk: Disk;
  private readonly dir: string;
  private readonly bytesMax: number;
  /** Oldest first: path and size. */
  private readonly known = new Map<string, number>();
  private bytes = 0;
  private scanned: Promise<void> | undefined;
  private readonly coming = new Map<string, Promise<Uint8Array>>();

  /** @param dir - of the cache */
  constructor(disk: Disk, dir: string, bytesMax: number) {
    this.disk = disk;
    this.dir = dir;
    this.bytesMax = bytesMax;
  }

  get sizeBytes(): number {
    return this.bytes;
  }

  /** A piece of an object, from here or by `fetch`, which then is asked once for all who wait. */
  async piece(object: string, index: number, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const path = `${this.dir}/${object}/${index}`;
    const waiting = this.coming.get(path);
    if (waiting) return await waiting;
    const coming = this.find(path, index, fetch).finally(() => this.coming.delete(path));
    this.coming.set(path, coming);
    return await coming;
  }

  /** Forgets all pieces of an object: the whole file is here now, or a piece was wrong. */
  async forget(object: string): Promise<void> {
    const prefix = `${this.dir}/${object}/`;
    for (const path of [...this.known.keys()]) if (path.startsWith(prefix)) await this.drop(path);
  }

  private async find(path: string, index: number, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    await (this.scanned ??= this.scan());
    if (this.known.has(path)) {
      const bytes = await this.readPiece(path, index);
      if (bytes) return bytes;
    }
    const bytes = await fetch();
    await this.keep(path, index, bytes);
    return bytes;
  }

  private async readPiece(path: string, index: number): Promise<Uint8Array | undefined> {
    const size = this.known.get(path)!;
    const stored = new Uint8Array(size);
    try {
      const file = await this.disk.open(path, "read");
      try {
        const got = await file.read(stored, 0);
        const bytes = stored.subarray(0, size - HASH_BYTES);
        if (got === size && hashOf(bytes, index) === new DataView(stored.buffer).getBigUint64(bytes.length, true)) {
          this.known.delete(path);
          this.known.set(path, size);
          return bytes;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isSternwayError(error)) throw error;
    }
    await this.drop(path);
    return undefined;
  }

  /** A cache that cannot be written to is none; the bytes are there all the same. */
  private async keep(path: string, index: number, bytes: Uint8Array): Promise<void> {
    const size = bytes.length + HASH_BYTES;
    if (size > this.bytesMax) return;
    for (const oldest of this.known.keys()) {
      if (this.bytes + size <= this.bytesMax) break;
      await this.drop(oldest);
    }
    const hash = new Uint8Array(HASH_BYTES);
    new DataView(hash.buffer).setBigUint64(0, hashOf(bytes, index), true);
    try {
      await this.disk.mkdir(path.slice(0, path.lastIndexOf("/")));
      await this.disk.remove(path);
      const file = await this.disk.open(path, "create");
      try {
        await file.write(bytes, 0);
        await file.write(hash, bytes.length);
      } finally {
        await file.close();
      }
      this.known.set(path, size);
      this.bytes += size;
    } catch (error) {
      if (!isSternwayError(error)) throw error;
    }
  }

  private async drop(path: string): Promise<void> {
    this.bytes -= this.known.get(path) ?? 0;
    this.known.delete(path);
    try {
      await this.disk.remove(path);
    } catch (error) {
      // It is found again at the next start.
      if (!isSternwayError(error)) throw error;
    }
  }

  /** What an earlier run left. */
  private async scan(): Promise<void> {
    const walk = async (dir: string, depth: number): Promise<void> => {
      for (const name of await this.disk.list(dir)) {
        const path = `${dir}/${name}`;
        const size = /^\d+$/.test(name) ? await this.disk.sizeOf(path) : undefined;
        if (size === undefined) {
          if (depth > 0) await walk(path, depth - 1);
        } else if (size > HASH_BYTES && size <= CACHE_PIECE_BYTES + HASH_BYTES) {
          this.known.set(path, size);
          this.bytes += size;
        }
      }
    };
    try {
      await walk(this.dir, 3);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
    }
  }
}

const hashOf = (bytes: Uint8Array, index: number): bigint => xxh64(bytes, BigInt(index));
