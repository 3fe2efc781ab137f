/**
 * Writes a paged file (layout in paged-file.ts) in one pass: pages go out as they come, through a buffer of fixed size, into a `.tmp`
 * file that takes its name only when all of it is durable. Memory: the buffer and the format's index.
 */
import { assert } from "../../base/assert.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import { hashText, xxh64, xxh64Stream } from "../../base/hash.ts";
import type { FileCipher } from "../../security/cipher.ts";
import { compressFrame } from "./compression.ts";
import {
  encodeHeader,
  encodeTrailer,
  HEADER_SIZE,
  NO_WORDS,
  pagedCipher,
  pagedSeed,
  sealIndex,
  type PagedIdentity,
  type PagePlace,
} from "./paged-file.ts";

/** 256 KiB reaches the disk's sequential rate. */
const BUFFER_SIZE = 256 * 1024;
/** Made durable by so much at a time: a large file's last sync would otherwise keep the disk, and whoever writes to it, waiting for seconds. */
const SYNC_BYTES = 16 * 2 ** 20;

export class PagedFileWriter {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #identity: PagedIdentity;
  readonly #seed: bigint;
  /** Where the vault is encrypted. */
  readonly #cipher: FileCipher | undefined;
  // Of the file's bytes as they are, unseeded: a scrub or a tier checks it without knowing the format.
  readonly #whole = xxh64Stream(0n);
  readonly #buffer = new Uint8Array(BUFFER_SIZE);
  #buffered = 0;
  #flushed = 0;
  #unsynced = 0;
  #file: DiskFile | undefined;
  #pages = 0;
  #spilling = false;
  #state: "open" | "done" = "open";

  constructor(disk: Disk, path: string, identity: PagedIdentity) {
    this.#disk = disk;
    this.#path = path;
    this.#identity = identity;
    this.#seed = pagedSeed(identity);
    const salt = identity.cipher?.newSalt();
    this.#cipher = salt && pagedCipher(identity.cipher!, identity, salt);
    this.#buffer.set(encodeHeader(identity, salt));
    this.#buffered = HEADER_SIZE;
  }

  get pageCount(): number {
    return this.#pages;
  }

  /**
   * Compresses and appends one raw page; `raw` may be used again at once.
   * @returns the place for the index, and a promise when bytes go to the disk: await it before the next call; when it fails, the
   *   file is given up and its temporary removed
   */
  appendPage(raw: Uint8Array): { place: PagePlace; written: Promise<void> | undefined } {
    assert(this.#state === "open", "pages are appended to a file that was neither published nor given up");
    assert(!this.#spilling, "the write before was awaited");
    const page = this.#pages++;
    const held = compressFrame(raw) ?? raw;
    const stored = this.#cipher ? this.#cipher.sealed(page, held) : held;
    const place: PagePlace = {
      page,
      offset: this.#flushed + this.#buffered,
      storedLength: stored.length,
      rawLength: raw.length,
      checksum: xxh64(stored, this.#seed),
    };
    if (this.#buffered + stored.length <= BUFFER_SIZE) {
      this.#buffer.set(stored, this.#buffered);
      this.#buffered += stored.length;
      return { place, written: undefined };
    }
    // The stored page may lie in scratch memory that the next page uses: keep a copy over the write.
    return { place, written: this.#spill(stored.slice()) };
  }

  /** Appends bytes of any length through the buffer. After an error the file is given up. */
  async #spill(bytes: Uint8Array): Promise<void> {
    this.#spilling = true;
    try {
      let at = 0;
      while (at < bytes.length) {
        if (this.#buffered === BUFFER_SIZE) await this.#flush();
        const part = bytes.subarray(at, at + BUFFER_SIZE - this.#buffered);
        this.#buffer.set(part, this.#buffered);
        this.#buffered += part.length;
        at += part.length;
      }
    } catch (error) {
      // The first error tells what happened; a leftover that cannot be removed now goes when the vault opens.
      await this.abort().catch(() => undefined);
      throw error;
    } finally {
      this.#spilling = false;
    }
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#buffered);
    const file = (this.#file ??= await this.#create());
    this.#whole.update(bytes);
    await file.write(bytes, this.#flushed);
    this.#flushed += bytes.length;
    this.#buffered = 0;
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_BYTES) return;
    await file.sync();
    this.#unsynced = 0;
  }

  async #create(): Promise<DiskFile> {
    const temporary = `${this.#path}.tmp`;
    await this.#disk.remove(temporary);
    return await this.#disk.open(temporary, "create");
  }

  /**
   * Writes index and trailer and publishes the file; durable when it resolves. On an error the temporary file is removed.
   * @returns size and XXH64 (unseeded, 16 hex digits) of the whole file
   */
  async publish(index: Uint8Array, rows: number, words: bigint[]): Promise<{ sizeBytes: number; checksum: string }> {
    assert(this.#state === "open", "a paged file is published once");
    try {
      const indexOffset = this.#flushed + this.#buffered;
      const known = { pageCount: this.#pages, indexOffset, rows, words };
      const stored = this.#cipher ? sealIndex(this.#cipher, this.#identity, known, index) : index;
      const trailer = { ...known, indexLength: stored.length, words: this.#cipher ? NO_WORDS : words };
      await this.#spill(stored);
      await this.#spill(encodeTrailer(this.#identity, trailer, xxh64(stored, this.#seed)));
      await this.#flush();
      const file = this.#file;
      assert(file !== undefined, "a flushed file is open");
      await file.sync();
      await file.close();
      this.#file = undefined;
      await this.#disk.rename(`${this.#path}.tmp`, this.#path);
      // Sync the directory too: after a crash the rename may otherwise be lost.
      await this.#disk.syncDir(this.#path.slice(0, this.#path.lastIndexOf("/")));
    } catch (error) {
      await this.abort().catch(() => undefined);
      throw error;
    }
    this.#state = "done";
    return { sizeBytes: this.#flushed, checksum: hashText(this.#whole.digest()) };
  }

  /** Removes what was written. Idempotent; nothing after {@link publish} succeeded. */
  async abort(): Promise<void> {
    if (this.#state === "done") return;
    this.#state = "done";
    await this.#file?.close();
    this.#file = undefined;
    await this.#disk.remove(`${this.#path}.tmp`);
  }
}
