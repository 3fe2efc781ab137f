/**
 * Reads from many immutable files with few descriptors and a bounded number of reads at once; further readers wait in order.
 * A descriptor is closed only when nobody reads from it.
 */
import { assert } from "../../base/assert.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import { TAG_BYTES } from "../../security/cipher.ts";

/** Adjacent frames are read by one disk read of up to this much: there sequential throughput stops growing. With its tag the longest frame fits. */
export const POOLED_READ_BYTES_MAX = 2 ** 20 + TAG_BYTES;

interface OpenFile {
  file: Promise<DiskFile>;
  users: number;
  /** Forgotten while in use: the last user closes it. */
  doomed: boolean;
}

export class PackFiles {
  readonly #disk: Disk;
  readonly #openFilesMax: number;
  readonly #readsMax: number;
  readonly #files = new Map<string, OpenFile>();
  readonly #waiting: (() => void)[] = [];
  /** Memory for {@link readPooled}, at most one for each read at once. */
  readonly #buffers: Uint8Array[] = [];
  #reading = 0;
  /** Descriptors open, being opened or being closed. */
  #open = 0;
  readonly #closing = new Set<Promise<void>>();

  constructor(disk: Disk, openFilesMax: number, readsMax: number) {
    assert(openFilesMax >= 1 && readsMax >= 1, "at least one descriptor and one read at a time");
    this.#disk = disk;
    this.#openFilesMax = openFilesMax;
    // Then a descriptor that nobody uses exists, or is being closed, whenever a further one is needed.
    this.#readsMax = Math.min(readsMax, openFilesMax);
  }

  get openCount(): number {
    return this.#open;
  }

  /** Fills `into` from `offset`. @returns bytes read; short only at the end of the file @throws not_found, unavailable */
  async read(path: string, into: Uint8Array, offset: number): Promise<number> {
    return this.#use(path, (file) => file.read(into, offset));
  }

  /**
   * Reads up to 1 MiB into memory of the pool and shows it to `use`, which must not keep it. A reader that waits for its
   * turn has no memory yet: that is what bounds it.
   * @param use - gets fewer bytes than asked for only at the end of the file
   */
  async readPooled<Result>(
    path: string,
    length: number,
    offset: number,
    use: (bytes: Uint8Array) => Result,
  ): Promise<Result> {
    assert(length <= POOLED_READ_BYTES_MAX, "a pooled read fits its buffer");
    return this.#use(path, async (file) => {
      const buffer = this.#buffers.pop() ?? new Uint8Array(POOLED_READ_BYTES_MAX);
      try {
        const got = await file.read(buffer.subarray(0, length), offset);
        return use(buffer.subarray(0, got));
      } finally {
        this.#buffers.push(buffer);
      }
    });
  }

  /** @throws not_found, unavailable */
  async size(path: string): Promise<number> {
    return this.#use(path, (file) => file.size());
  }

  /**
   * Closes the descriptors of files whose path starts so, at once or after the reads in flight; the next read opens them anew.
   * Resolves when all that nobody reads from are closed.
   */
  async forget(pathStart: string): Promise<void> {
    const closed: Promise<void>[] = [];
    for (const [path, entry] of [...this.#files]) {
      if (path.startsWith(pathStart)) closed.push(this.#retire(path, entry));
    }
    await Promise.all(closed);
  }

  async #use<Result>(path: string, work: (file: DiskFile) => Promise<Result>): Promise<Result> {
    if (this.#reading >= this.#readsMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#reading++;
    try {
      const entry = await this.#take(path);
      try {
        return await work(await entry.file);
      } catch (error) {
        // Opening failed, or the descriptor may have gone bad: the next reader starts afresh.
        await this.#retire(path, entry);
        throw error;
      } finally {
        entry.users--;
        if (entry.doomed && entry.users === 0) await this.#close(entry);
      }
    } finally {
      // The place is handed over without being given back, so that nobody slips in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#reading--;
    }
  }

  async #take(path: string): Promise<OpenFile> {
    for (;;) {
      const known = this.#files.get(path);
      if (known) {
        // Newest last: eviction takes the first that is idle.
        this.#files.delete(path);
        this.#files.set(path, known);
        known.users++;
        return known;
      }
      if (this.#open < this.#openFilesMax) break;
      const idle = [...this.#files].find(([, entry]) => entry.users === 0);
      assert(idle !== undefined || this.#closing.size > 0, "fewer reads at once than descriptors leave one idle");
      await (idle ? this.#retire(idle[0], idle[1]) : Promise.race(this.#closing));
    }
    this.#open++;
    const entry: OpenFile = { file: this.#disk.open(path, "read"), users: 1, doomed: false };
    this.#files.set(path, entry);
    return entry;
  }

  /** Takes a descriptor out of use: closed now, or by its last user. */
  async #retire(path: string, entry: OpenFile): Promise<void> {
    if (this.#files.get(path) === entry) this.#files.delete(path);
    if (entry.doomed) return;
    entry.doomed = true;
    if (entry.users === 0) await this.#close(entry);
  }

  async #close(entry: OpenFile): Promise<void> {
    const closing = closeOpened(entry).finally(() => {
      this.#open--;
      this.#closing.delete(closing);
    });
    this.#closing.add(closing);
    await closing;
  }
}

async function closeOpened(entry: OpenFile): Promise<void> {
  // When it never opened, its first user has the error already.
  const file = await entry.file.catch(() => undefined);
  await file?.close();
}
