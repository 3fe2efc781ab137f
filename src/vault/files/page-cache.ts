/**
 * Decoded pages of a vault's layers and chronicles, kept until their bytes exceed a budget; then the ones used longest ago go.
 * Readers that want the same page at once share one load.
 */
import { assert } from "../../base/assert.ts";
import { ByteLru } from "./byte-lru.ts";

/** Pages of one file at most; a file of this many has some 2^36 entries. */
export const FILE_PAGES_MAX = 2 ** 24;

export class PageCache<Page extends { sizeBytes: number }> {
  readonly #pages: ByteLru<Page>;
  readonly #loading = new Map<number, Promise<Page>>();
  #owners = 0;

  /** @param capacityBytes - 32 to 256 MiB is usual; a page of 4,096 map entries takes 80 KiB */
  constructor(capacityBytes: number) {
    this.#pages = new ByteLru(capacityBytes);
  }

  get bytes(): number {
    return this.#pages.bytes;
  }

  /** The key of page 0 of a newly opened file; its page p has key + p. */
  newOwner(): number {
    // Above 2^29 files opened by one process keys would lose their lowest bit.
    assert(this.#owners < 2 ** 29, "fewer than 2^29 files were opened");
    return this.#owners++ * FILE_PAGES_MAX;
  }

  /** The page if it is here; it counts as used. */
  get(key: number): Page | undefined {
    return this.#pages.get(key);
  }

  /** The page, by `read` unless it is here or on its way. A failed load is not kept: the next one tries again. */
  load(key: number, read: () => Promise<Page>): Promise<Page> {
    const known = this.#pages.get(key);
    if (known) return Promise.resolve(known);
    const underway = this.#loading.get(key);
    if (underway) return underway;
    const loading = this.#read(key, read);
    this.#loading.set(key, loading);
    return loading;
  }

  async #read(key: number, read: () => Promise<Page>): Promise<Page> {
    try {
      const page = await read();
      this.#pages.set(key, page, page.sizeBytes);
      return page;
    } finally {
      this.#loading.delete(key);
    }
  }

  /** Lets go of the pages of a closed file. */
  forget(owner: number, pageCount: number): void {
    for (let page = 0; page < pageCount; page++) this.#pages.delete(owner + page);
  }
}
