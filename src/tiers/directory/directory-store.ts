/**
 * A directory as a store: each object is a file below it at the object's name.
 *
 * A put writes a temporary file in `.sternway-tmp/`, syncs it, and gives it the object's name: by rename, or, where there must be none of that
 * name, by a hard link, which is the one atomic create-if-absent that a file system has for a file with content. The folder is synced before the put is
 * answered. After a crash an object is there whole or not at all. A file system without hard links (FAT, some shares) is refused when the place is
 * attached.
 *
 * Temporary files that a crash left are removed once they are an hour old, at a connection or a put: younger ones may be another appliance's, which
 * reads or takes over from the same share. Their names tell their age.
 *
 * The directory itself is never made here: a mount point without its mount must not become a tier. Nor may it pass for one when the mount goes away later, or
 * another comes in its place: before anything is changed, before a put counts, and before anything is said not to be there, the place's identity must
 * still be the one connected to. What is there can be read without: it says itself whose it is.
 *
 * What the disk says becomes what a store says (directory-errors.ts).
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { codeOf, inPlace, isDeadMount, isNoObject, placeError } from "./directory-errors.ts";
import { checkObjectName, isObjectName } from "../object-name.ts";
import { PROBE_FOLDER, probeStore } from "../store-probe.ts";
import {
  bytesSource,
  IDENTITY_OBJECT,
  type ObjectInfo,
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type ReadOptions,
} from "../store.ts";
import { givenUp } from "../waiting.ts";

/** What a source is asked for at once, and all that a put holds of it. */
export const PIECE_BYTES = 2 ** 20;
/** Dirty pages are pushed out this often while a file is written, or the one sync at its end would take longer on slow media than a caller waits without progress. */
const SYNC_BYTES = 8 * 2 ** 20;
const TEMPORARY = ".sternway-tmp";
const TEMPORARY_SECONDS_MAX = 3600;
const IDENTITY_BYTES_MAX = 256;
/** What a place may hold and be empty all the same: an attempt to attach it may have been cut short. */
const EMPTY_HOLDS = new Set([TEMPORARY, "lost+found", PROBE_FOLDER]);
/** What file systems without hard links say to one. EACCES is not among them: that is a matter of rights. */
const NO_LINKS = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"]);

export interface DirectoryOptions {
  disk: Disk;
  /** Absolute. */
  dir: string;
  clock: Clock;
  random: Random;
  /** As people know the place; default: the directory's own. */
  url?: string;
}

export class DirectoryStore implements ObjectStore {
  readonly url: string;
  private readonly disk: Disk;
  private readonly dir: string;
  private readonly clock: Clock;
  private readonly random: Random;
  /** What connect or attach found, so it must be there. */
  private identity: string | undefined;
  /** Folders that are known to be there, and durably so. */
  private readonly made = new Set<string>();
  private sweptSeconds = 0;

  constructor({ disk, dir, clock, random, url }: DirectoryOptions) {
    this.disk = disk;
    this.dir = dir.replace(/\/+$/, "");
    this.clock = clock;
    this.random = random;
    this.url = url ?? `file://${dir}`;
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    stopIfAborted(name, signal);
    await this.checkStill();
    const path = this.path(name);
    if (ifAbsent && (await inPlace(this.dir, this.disk.sizeOf(path))) !== undefined) throw exists(name);
    if (this.nowSeconds() - this.sweptSeconds > TEMPORARY_SECONDS_MAX) await this.sweep();
    const temporary = this.path(
      `${TEMPORARY}/${this.nowSeconds()}-${Buffer.from(this.random.bytes(12)).toString("hex")}`,
    );
    let isLeft = true;
    try {
      await this.makeFolder(this.path(TEMPORARY));
      // Before the content, which takes longest: a mount that goes away meanwhile must not get folders made on its bare mount point.
      await this.makeFolder(folderOf(path));
      await this.write(temporary, source, signal);
      stopIfAborted(name, signal);
      if (ifAbsent) await this.link(temporary, path, name);
      else {
        await inPlace(this.dir, this.disk.rename(temporary, path));
        isLeft = false;
      }
      await inPlace(this.dir, this.disk.syncDir(folderOf(path)));
      await this.checkStill();
    } catch (error) {
      // A folder of ours may be what is missing: the next put makes it again.
      this.made.clear();
      throw error;
    } finally {
      // Where this fails too, sweeping removes it later; how the put ended is what counts.
      if (isLeft) await this.disk.remove(temporary).catch(onlyDisk);
    }
  }

  async get(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    const file = await this.open(name, signal);
    try {
      const { begin, end } = rangeWithin(await file.size(), offset, length);
      const bytes = new Uint8Array(end - begin);
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        stopIfAborted(name, signal);
        await readPart(file, name, bytes.subarray(at, at + PIECE_BYTES), begin + at);
      }
      return bytes;
    } finally {
      await file.close();
    }
  }

  /**
   * Opens an object as it is now: a put that replaces it meanwhile is not seen through the file. The caller closes it.
   * @throws not_found
   */
  async open(name: string, signal?: AbortSignal): Promise<DiskFile> {
    checkObjectName(name);
    stopIfAborted(name, signal);
    try {
      return await openFile(this.disk, this.path(name));
    } catch (error) {
      if (!isNoObject(error)) throw placeError(this.dir, error);
    }
    await this.checkStill();
    throw new SternwayError("not_found", `there is no object ${name} in ${this.dir}`, { name });
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    stopIfAborted(name, signal);
    const sizeBytes = await inPlace(this.dir, this.disk.sizeOf(this.path(name)));
    if (sizeBytes !== undefined) return { name, sizeBytes };
    await this.checkStill();
    return undefined;
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    checkObjectName(name);
    stopIfAborted(name, signal);
    // What is mounted there now may be another vault's, with objects of the same names.
    await this.checkStill();
    const path = this.path(name);
    try {
      await this.disk.remove(path);
      await this.disk.syncDir(folderOf(path));
    } catch (error) {
      // Nor is its folder there, or it is one.
      if (!isNoObject(error)) throw placeError(this.dir, error);
    }
    await this.checkStill();
  }

  /** In the order of names within a folder; holds the names of the folders that it is in. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    if (prefix !== "") checkObjectName(prefix);
    yield* this.walk(prefix, signal);
    await this.checkStill();
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found !== identity) {
      const what =
        found === undefined
          ? "holds no tier; is it mounted?"
          : `holds another vault's tier (${JSON.stringify(found.slice(0, 64))})`;
      throw new SternwayError("invalid", `${this.dir} ${what}`, { path: this.dir });
    }
    // What was there may have been another mount.
    this.made.clear();
    this.identity = identity;
    await this.sweep();
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found !== undefined && found !== identity) {
      throw new SternwayError("conflict", `${this.dir} belongs to another vault (${found}): use an empty directory`);
    }
    if (found === undefined) {
      const inside = (await inPlace(this.dir, this.disk.list(this.dir))).filter((name) => !EMPTY_HOLDS.has(name));
      if (inside.length > 0) {
        const some = inside.slice(0, 3).join(", ");
        throw new SternwayError("conflict", `${this.dir} holds other things (${some}): use an empty directory`);
      }
      await probeStore(this, signal);
      await this.put(IDENTITY_OBJECT, bytesSource(new TextEncoder().encode(identity)), { ifAbsent: true, signal });
    }
    this.identity = identity;
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    stopIfAborted("a look at whose a place is", signal);
    try {
      const found = await this.readIdentity();
      // The one call of a disk that tells a directory that is empty from one that is not there.
      if (found === undefined) await this.disk.syncDir(this.dir);
      return found;
    } catch (error) {
      const isNone = isNoObject(error);
      if (!isNone && !isDeadMount(error)) throw placeError(this.dir, error);
      const what = isNone
        ? "is no directory; is it mounted?"
        : "is a mount that is dead: unmount it and mount it again";
      throw new SternwayError("invalid", `${this.dir} ${what}`, { path: this.dir }, { cause: error });
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** @throws unavailable: the mount is gone, or it is another one */
  private async checkStill(): Promise<void> {
    if (this.identity === undefined || (await this.readIdentity()) === this.identity) return;
    throw new SternwayError("unavailable", `${this.dir} does not hold the tier any more; is it mounted?`, {
      path: this.dir,
    });
  }

  private async readIdentity(): Promise<string | undefined> {
    let file: DiskFile;
    try {
      file = await openFile(this.disk, this.path(IDENTITY_OBJECT));
    } catch (error) {
      if (isNoObject(error)) return undefined;
      throw placeError(this.dir, error);
    }
    try {
      const bytes = new Uint8Array(IDENTITY_BYTES_MAX);
      return new TextDecoder().decode(bytes.subarray(0, await inPlace(this.dir, file.read(bytes, 0))));
    } finally {
      await file.close();
    }
  }

  private async write(path: string, source: ObjectSource, signal: AbortSignal | undefined): Promise<void> {
    const { sizeBytes } = source;
    const file = await inPlace(this.dir, this.disk.open(path, "create"));
    try {
      let synced: Promise<PromiseSettledResult<void>> | undefined;
      for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
        stopIfAborted(path, signal);
        const length = Math.min(PIECE_BYTES, sizeBytes - offset);
        const piece = await source.read(offset, length);
        if (piece.length !== length) throw shortSource(piece.length, length, offset);
        await inPlace(this.dir, file.write(piece, offset));
        if ((offset + length) % SYNC_BYTES > 0) continue;
        throwIfFailed(await synced);
        synced = settled(inPlace(this.dir, file.sync()));
      }
      throwIfFailed(await synced);
      await inPlace(this.dir, file.sync());
    } finally {
      await file.close();
    }
  }

  private async link(temporary: string, path: string, name: string): Promise<void> {
    try {
      await this.disk.link(temporary, path);
    } catch (error) {
      if (isSternwayError(error, "conflict")) throw exists(name);
      if (!NO_LINKS.has(codeOf(error) ?? "")) throw placeError(this.dir, error);
      const what =
        "is on a file system without hard links, which are needed to create an object only once: use another";
      throw new SternwayError("invalid", `${this.dir} ${what}`, { path: this.dir }, { cause: error });
    }
  }

  /** Also makes its name durable, and those of the folders above it. */
  private async makeFolder(folder: string): Promise<void> {
    if (this.made.has(folder)) return;
    await inPlace(this.dir, this.disk.mkdir(folder));
    for (let above = folder; above.length > this.dir.length;) {
      above = folderOf(above);
      await inPlace(this.dir, this.disk.syncDir(above));
    }
    this.made.add(folder);
  }

  private async sweep(): Promise<void> {
    this.sweptSeconds = this.nowSeconds();
    for (const name of await inPlace(this.dir, this.disk.list(this.path(TEMPORARY)))) {
      const age = this.sweptSeconds - Number.parseInt(name, 10);
      // Clocks of two appliances may differ in either direction. A place that can only be read is still good for that.
      if (Math.abs(age) > TEMPORARY_SECONDS_MAX)
        await this.disk.remove(this.path(`${TEMPORARY}/${name}`)).catch(onlyDisk);
    }
  }

  private async *walk(prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo, void, undefined> {
    const folder = prefix === "" ? this.dir : this.path(prefix);
    for (const part of await this.namesIn(folder)) {
      stopIfAborted(`a list of ${folder}`, signal);
      const name = prefix === "" ? part : `${prefix}/${part}`;
      if (!isObjectName(name)) continue;
      const sizeBytes = await inPlace(this.dir, this.disk.sizeOf(this.path(name)));
      if (sizeBytes !== undefined) yield { name, sizeBytes };
      else yield* this.walk(name, signal);
    }
  }

  private async namesIn(folder: string): Promise<string[]> {
    try {
      return await this.disk.list(folder);
    } catch (error) {
      // An object of that name, or a file that was removed since its name was read.
      if (isNoObject(error)) return [];
      throw placeError(this.dir, error);
    }
  }

  private path(name: string): string {
    return `${this.dir}/${name}`;
  }

  private nowSeconds(): number {
    return Math.floor(this.clock.wall() / 1e6);
  }
}

/** The part of an object that a read asks for. */
export function rangeWithin(
  sizeBytes: number,
  offset: number,
  length: number | undefined,
): { begin: number; end: number } {
  assert(offset >= 0 && (length ?? 0) >= 0, `a range begins at ${offset} and has ${length} bytes`);
  const begin = Math.min(offset, sizeBytes);
  return { begin, end: length === undefined ? sizeBytes : Math.min(sizeBytes, begin + length) };
}

/** Fills `into`. @throws corrupt: the file ends before */
export async function readPart(file: DiskFile, name: string, into: Uint8Array, offset: number): Promise<void> {
  const got = await file.read(into, offset);
  if (got === into.length) return;
  throw new SternwayError("corrupt", `${name} ends at ${offset + got}, ${into.length - got} bytes early`, { name });
}

/** What a put fails with whose source broke its contract. */
export const shortSource = (got: number, asked: number, offset: number): SternwayError =>
  new SternwayError("internal", `a source gave ${got} of ${asked} bytes at ${offset}`);

/** A folder can be opened for reading, too: reading tells. */
async function openFile(disk: Disk, path: string): Promise<DiskFile> {
  const file = await disk.open(path, "read");
  try {
    await file.read(new Uint8Array(1), 0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

const exists = (name: string): SternwayError =>
  new SternwayError("conflict", `there is an object ${name} already`, { name });

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

function stopIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw givenUp(what);
}

function onlyDisk(error: unknown): void {
  if (!isSternwayError(error)) throw error;
}

/** How it ended, as a value: nobody may be waiting for it yet. */
const settled = async (work: Promise<void>): Promise<PromiseSettledResult<void>> =>
  (await Promise.allSettled([work]))[0];

function throwIfFailed(end: PromiseSettledResult<void> | undefined): void {
  if (end?.status === "rejected") throw end.reason;
}
