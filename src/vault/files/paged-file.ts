/**
 * The frame that layers and chronicles share: an immutable file of checksummed pages with an index of them. Written in one pass
 * with bounded memory, published by rename, then never changed. Which of these files count is said by the manifest alone.
 *
 *     header    64 bytes
 *     pages     back to back, as described by the index; compressed columns, see column-page.ts
 *     index     what the format says; begins where the last page ends and ends where the trailer begins
 *     trailer   128 bytes
 *
 * Little endian. Header:                            Trailer:
 *
 *       0  8  magic "SWPAGED1"                        0  8  magic "SWPAGEND"
 *       8  4  kind: 1 delta, 2 image, 3 chronicle     8 16  vault id
 *      12  4  zero                                   24  8  file id
 *      16 16  vault id                               32  4  kind
 *      32  8  file id                                36  4  page count
 *      40 16  salt of an encrypted vault, else zero  40  8  index offset
 *      56  8  checksum of [0, 56)                    48  8  index length
 *                                                    56  8  index checksum
 *                                                    64  8  rows (entries) in all pages
 *                                                    72 48  six words that belong to the format
 *                                                   120  8  checksum of [0, 120)
 *
 * In an encrypted vault every page is sealed after it was compressed, with its tag behind it (so its stored length is 16 more), and so is the index;
 * security/cipher.ts says with which key, the parts are the pages' ordinals and SEALED_INDEX. The trailer's six words then stand in front of the index and are
 * zero in the trailer, the rest of which is bound to the index. Readable are sizes, numbers and counts. Checksums cover the bytes as they are stored.
 *
 * Every byte lies under one XXH64 seeded by vault id, kind and file id: foreign, misdirected or stale bytes cannot validate by accident.
 * Against a hostile file, lengths are checked before anything is allocated by them, and no buffer grows beyond the file's own size.
 * After a crash there is the whole file or a `.tmp` leftover, which opening the vault removes.
 */
import { assert } from "../../base/assert.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { TAG_BYTES, type FileCipher, type VaultCipher } from "../../security/cipher.ts";
import { PAGE_RAW_MAX, readU64, writeU64 } from "./column-page.ts";
import { decompressFrameInto } from "./compression.ts";

export const PAGED_KINDS = { delta: 1, image: 2, chronicle: 3 } as const;
export type PagedKind = keyof typeof PAGED_KINDS;

export const HEADER_SIZE = 64;
export const TRAILER_SIZE = 128;
export const TRAILER_WORDS = 6;
const HEADER_MAGIC = new TextEncoder().encode("SWPAGED1");
const TRAILER_MAGIC = new TextEncoder().encode("SWPAGEND");
const SALT_OFFSET = 40;
const SALT_BYTES = 16;
const SEALED_INDEX = 0xffff_ffff;
const WORDS_BYTES = TRAILER_WORDS * 8;

/** What the bytes of a file are bound to. */
export interface PagedIdentity {
  /** 16 bytes. */
  vaultId: Uint8Array;
  id: number;
  kind: PagedKind;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
}

/** The key of one file. @param salt - 16 bytes; fresh for writing, the file's own for reading */
export function pagedCipher(cipher: VaultCipher, { kind, id }: PagedIdentity, salt: Uint8Array): FileCipher {
  return cipher.file({ kind, number: id, generation: 0, salt });
}

export interface PagedTrailer {
  pageCount: number;
  indexOffset: number;
  indexLength: number;
  rows: number;
  /** {@link TRAILER_WORDS} unsigned 64-bit words. */
  words: bigint[];
}

/** Where a page lies and what it must be. */
export interface PagePlace {
  /** Position among the file's pages, for messages. */
  page: number;
  offset: number;
  storedLength: number;
  rawLength: number;
  checksum: bigint;
}

/** The seed of every checksum in the file. */
export function pagedSeed(identity: PagedIdentity): bigint {
  assert(identity.vaultId.length === 16, "a vault id has 16 bytes");
  return xxh64(identity.vaultId, BigInt(identity.id) * 4n + BigInt(PAGED_KINDS[identity.kind]));
}

/** @param salt - where the vault is encrypted */
export function encodeHeader(identity: PagedIdentity, salt?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(HEADER_MAGIC);
  view.setUint32(8, PAGED_KINDS[identity.kind], true);
  bytes.set(identity.vaultId, 16);
  writeU64(view, 32, identity.id);
  if (salt) bytes.set(salt, SALT_OFFSET);
  view.setBigUint64(56, xxh64(bytes.subarray(0, 56), pagedSeed(identity)), true);
  return bytes;
}

export function encodeTrailer(identity: PagedIdentity, trailer: PagedTrailer, indexChecksum: bigint): Uint8Array {
  assert(trailer.words.length === TRAILER_WORDS, "a trailer has six words");
  const bytes = new Uint8Array(TRAILER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(TRAILER_MAGIC);
  bytes.set(identity.vaultId, 8);
  writeU64(view, 24, identity.id);
  view.setUint32(32, PAGED_KINDS[identity.kind], true);
  view.setUint32(36, trailer.pageCount, true);
  writeU64(view, 40, trailer.indexOffset);
  writeU64(view, 48, trailer.indexLength);
  view.setBigUint64(56, indexChecksum, true);
  writeU64(view, 64, trailer.rows);
  for (let i = 0; i < TRAILER_WORDS; i++) view.setBigUint64(72 + i * 8, trailer.words[i]!, true);
  view.setBigUint64(120, xxh64(bytes.subarray(0, 120), pagedSeed(identity)), true);
  return bytes;
}

/** The index as it is stored in an encrypted vault: the trailer's words and the index, sealed. */
export function sealIndex(
  cipher: FileCipher,
  identity: PagedIdentity,
  { words, ...trailer }: Omit<PagedTrailer, "indexLength">,
  index: Uint8Array,
): Uint8Array {
  assert(words.length === TRAILER_WORDS, "a trailer has six words");
  const plain = new Uint8Array(WORDS_BYTES + index.length);
  const view = new DataView(plain.buffer);
  for (const [i, word] of words.entries()) view.setBigUint64(i * 8, word, true);
  plain.set(index, WORDS_BYTES);
  const indexLength = plain.length + TAG_BYTES;
  return cipher.sealed(SEALED_INDEX, plain, boundTrailer(identity, { ...trailer, indexLength, words: NO_WORDS }));
}

/** The trailer's words in the file of an encrypted vault. */
export const NO_WORDS: bigint[] = new Array<bigint>(TRAILER_WORDS).fill(0n);

/** The trailer up to the checksum of the index, and its row count. */
function boundTrailer(identity: PagedIdentity, trailer: PagedTrailer): Uint8Array {
  const bytes = encodeTrailer(identity, trailer, 0n);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, 56), bytes.subarray(64, 72)]));
}

const startsWith = (bytes: Uint8Array, magic: Uint8Array): boolean => magic.every((byte, i) => bytes[i] === byte);

/** An open paged file whose header, index and trailer were found sound. */
export class PagedFile {
  readonly identity: PagedIdentity;
  readonly trailer: PagedTrailer;
  /** The index as the format made it. */
  readonly index: Uint8Array;
  readonly #cipher: FileCipher | undefined;
  readonly #file: DiskFile;
  readonly #seed: bigint;

  private constructor(
    file: DiskFile,
    identity: PagedIdentity,
    trailer: PagedTrailer,
    index: Uint8Array,
    cipher: FileCipher | undefined,
  ) {
    this.#file = file;
    this.#cipher = cipher;
    this.identity = identity;
    this.trailer = trailer;
    this.index = index;
    this.#seed = pagedSeed(identity);
  }

  /**
   * Opens and checks a file.
   * @param sizeBytes - its size as the manifest says
   * @throws not_found; corrupt: it is not the file that the manifest names, or damaged
   */
  static async open(disk: Disk, path: string, identity: PagedIdentity, sizeBytes: number): Promise<PagedFile> {
    const file = await disk.open(path, "read");
    try {
      return await PagedFile.#check(file, identity, sizeBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  static async #check(file: DiskFile, identity: PagedIdentity, sizeBytes: number): Promise<PagedFile> {
    const { kind, id } = identity;
    const fail = (what: string, offset: number): SternwayError =>
      new SternwayError("corrupt", `${kind} ${id} (${file.path}): ${what}`, { [kind]: id, offset });
    const actual = await file.size();
    if (actual !== sizeBytes) throw fail(`holds ${actual} bytes, the manifest says ${sizeBytes}`, actual);
    if (actual < HEADER_SIZE + TRAILER_SIZE) throw fail(`is too short: ${actual} bytes`, actual);

    const header = new Uint8Array(HEADER_SIZE);
    const got = await file.read(header, 0);
    const salt = identity.cipher && header.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES);
    if (got !== HEADER_SIZE || !startsWith(header, encodeHeader(identity, salt))) throw fail("damaged header", 0);

    const trailerOffset = actual - TRAILER_SIZE;
    const bytes = new Uint8Array(TRAILER_SIZE);
    if ((await file.read(bytes, trailerOffset)) !== TRAILER_SIZE) throw fail("short trailer", trailerOffset);
    const view = new DataView(bytes.buffer);
    const seed = pagedSeed(identity);
    if (!startsWith(bytes, TRAILER_MAGIC) || view.getBigUint64(120, true) !== xxh64(bytes.subarray(0, 120), seed)) {
      throw fail("damaged trailer", trailerOffset);
    }
    const trailer: PagedTrailer = {
      pageCount: view.getUint32(36, true),
      indexOffset: readU64(view, 40),
      indexLength: readU64(view, 48),
      rows: readU64(view, 64),
      words: Array.from({ length: TRAILER_WORDS }, (_, i) => view.getBigUint64(72 + i * 8, true)),
    };
    // The checksum's seed already binds vault, id and kind; the lengths are only bounded here, before they size a buffer.
    if (trailer.indexOffset < HEADER_SIZE || trailer.indexOffset + trailer.indexLength !== trailerOffset) {
      throw fail(`index [${trailer.indexOffset}, +${trailer.indexLength}) does not fit the file`, trailerOffset);
    }
    if (!Number.isSafeInteger(trailer.rows)) throw fail("impossible row count", trailerOffset);
    const index = new Uint8Array(trailer.indexLength);
    const indexGot = await file.read(index, trailer.indexOffset);
    if (indexGot !== index.length || xxh64(index, seed) !== view.getBigUint64(56, true)) {
      throw fail("damaged index", trailer.indexOffset);
    }
    if (!identity.cipher || !salt) return new PagedFile(file, identity, trailer, index, undefined);
    const cipher = pagedCipher(identity.cipher, identity, salt);
    const opened = cipher.opened(SEALED_INDEX, index, boundTrailer(identity, trailer));
    if (!opened || opened.length < WORDS_BYTES) throw fail("its index does not decrypt", trailer.indexOffset);
    const words = new DataView(opened.buffer);
    trailer.words = Array.from({ length: TRAILER_WORDS }, (_, i) => words.getBigUint64(i * 8, true));
    return new PagedFile(file, identity, trailer, opened.subarray(WORDS_BYTES), cipher);
  }

  /** The error for damage found in one page. */
  damage(place: PagePlace, what: string, cause?: unknown): SternwayError {
    const { kind, id } = this.identity;
    const facts = { [kind === "chronicle" ? "chronicle" : "layer"]: id, page: place.page, offset: place.offset };
    const message = `${kind} ${id}, page ${place.page} at offset ${place.offset}: ${what}`;
    return new SternwayError("corrupt", message, facts, cause === undefined ? {} : { cause });
  }

  /** The error for an index that says what cannot be. */
  badIndex(what: string): SternwayError {
    const { kind, id } = this.identity;
    return new SternwayError("corrupt", `${kind} ${id}, index: ${what}`, {
      [kind === "chronicle" ? "chronicle" : "layer"]: id,
      offset: this.trailer.indexOffset,
    });
  }

  /** Where the first page begins. */
  readonly firstPageOffset = HEADER_SIZE;

  /** True if the place lies right behind `previousEnd` and within the pages, with lengths that a page may have. */
  fits(place: PagePlace, previousEnd: number): boolean {
    const { offset, storedLength, rawLength } = place;
    if (offset !== previousEnd || offset + storedLength > this.trailer.indexOffset) return false;
    const heldLength = storedLength - (this.#cipher ? TAG_BYTES : 0);
    return heldLength > 0 && heldLength <= rawLength && rawLength <= PAGE_RAW_MAX;
  }

  /**
   * Reads a page, checks it and hands its raw bytes to `decode`, which must be done with them when it returns: they lie in shared scratch.
   * @throws corrupt, with facts layer or chronicle, page and offset
   */
  async readPage<Value>(place: PagePlace, decode: (raw: Uint8Array) => Value): Promise<Value> {
    const stored = new Uint8Array(place.storedLength);
    const got = await this.#file.read(stored, place.offset);
    if (got !== stored.length) throw this.damage(place, `${got} of ${stored.length} bytes could be read`);
    if (xxh64(stored, this.#seed) !== place.checksum) throw this.damage(place, "checksum differs");
    const held = this.#cipher ? this.#cipher.opened(place.page, stored) : stored;
    if (!held) throw this.damage(place, "does not decrypt");
    if (held.length === place.rawLength) return decode(held);
    const raw = scratch.subarray(0, place.rawLength);
    try {
      decompressFrameInto(held, raw);
    } catch (cause) {
      throw this.damage(place, "does not decompress", cause);
    }
    return decode(raw);
  }

  /** Idempotent. Reads in flight finish first. */
  close(): Promise<void> {
    return this.#file.close();
  }
}

const scratch = new Uint8Array(PAGE_RAW_MAX);
