/**
 * The bytes of one simulated file: 4 KiB pages in chunks of 1 MiB, absent where never written. Pages are immutable once stored and chunks
 * are shared until one side writes, so that a fork costs one map entry per MiB and not the bytes.
 */
import { assert } from "./assert.ts";

const PAGE_SIZE = 4096;
/** 1 MiB of file per chunk: a fork of a 64 MiB file copies 64 references, a write after it at most 256. */
const CHUNK_PAGES = 256;
/** Stands for every page of written zeroes: a prewritten journal file takes no memory, yet counts as allocated. */
const ZERO_PAGE = new Uint8Array(PAGE_SIZE);

interface Chunk {
  owner: object;
  pages: (Uint8Array | undefined)[];
}

export class SparsePages {
  /** Size of the file in bytes. */
  size = 0;
  /** Pages ever written. */
  pageCount = 0;
  #chunks = new Map<number, Chunk>();
  /** Chunks with another owner are shared with a fork. */
  #owner: object = {};

  fork(): SparsePages {
    const copy = new SparsePages();
    copy.size = this.size;
    copy.pageCount = this.pageCount;
    copy.#chunks = new Map(this.#chunks);
    // From here on neither side owns what both see.
    this.#owner = {};
    return copy;
  }

  /** Fills `into` from `offset`. @returns bytes read; short only at the end of the file */
  read(into: Uint8Array, offset: number): number {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    for (let done = 0; done < length;) {
      const at = offset + done;
      const within = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - within, length - done);
      const page = this.#page(Math.floor(at / PAGE_SIZE));
      if (page === undefined) into.fill(0, done, done + count);
      else into.set(count === PAGE_SIZE ? page : page.subarray(within, within + count), done);
      done += count;
    }
    return length;
  }

  /** Writes and extends the size where it must. @param data - kept, not copied: nobody may change it afterwards */
  write(data: Uint8Array, offset: number): void {
    for (let done = 0; done < data.length;) {
      const at = offset + done;
      const index = Math.floor(at / PAGE_SIZE);
      const within = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - within, data.length - done);
      const part = data.subarray(done, done + count);
      this.#put(index, count === PAGE_SIZE ? part : merged(this.#page(index), part, within));
      done += count;
    }
    // A write of nothing extends nothing, as POSIX has it.
    if (data.length > 0) this.size = Math.max(this.size, offset + data.length);
  }

  /** Pages that a write to this range would newly allocate. */
  missingPages(offset: number, length: number): number {
    let missing = 0;
    if (length === 0) return missing;
    for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < offset + length; index++) {
      if (this.#page(index) === undefined) missing++;
    }
    return missing;
  }

  #page(index: number): Uint8Array | undefined {
    return this.#chunks.get(Math.floor(index / CHUNK_PAGES))?.pages[index % CHUNK_PAGES];
  }

  #put(index: number, page: Uint8Array): void {
    assert(page.length === PAGE_SIZE, "whole pages only");
    const number = Math.floor(index / CHUNK_PAGES);
    let chunk = this.#chunks.get(number);
    if (chunk === undefined || chunk.owner !== this.#owner) {
      const pages = chunk === undefined ? new Array<Uint8Array | undefined>(CHUNK_PAGES) : chunk.pages.slice();
      chunk = { owner: this.#owner, pages };
      this.#chunks.set(number, chunk);
    }
    if (chunk.pages[index % CHUNK_PAGES] === undefined) this.pageCount++;
    chunk.pages[index % CHUNK_PAGES] = Buffer.compare(page, ZERO_PAGE) === 0 ? ZERO_PAGE : page;
  }
}

function merged(old: Uint8Array | undefined, part: Uint8Array, within: number): Uint8Array {
  const page = old === undefined ? new Uint8Array(PAGE_SIZE) : old.slice();
  page.set(part, within);
  return page;
}
