/**
 * Encryption at rest: AES-256-GCM under keys that each serve one file. Where the ciphertext lies in a file is said by that file's format;
 * this one says which key and which nonce it was made with.
 *
 *     file key   HKDF-SHA256 (RFC 5869) of the vault's data key · salt: random bytes kept in the file, 8 or 16 ·
 *                info: "sternway 1 " + kind, a zero byte, vault id 16, number 8, generation 8, little endian
 *     nonce      counter 8 · part 4, little endian
 *     tag        16 bytes, beside the ciphertext or in the file's directory
 *
 * Two texts under one key and nonce would give both away (and the means to forge), so a pair must never be used for a second text:
 *
 * - Packs, layers, chronicles and manifests are written once, from beginning to end, each writing with a fresh random salt of 16 bytes. A number that is
 *   used again, after a crash or a failed step, therefore has another key. Within a file the counter is 0 and the part is
 *   the ordinal of the frame or page, or one of a few constants above all ordinals; each is encrypted once.
 * - A journal file is used again and again. Its key is made of its file sequence and the writer's epoch. An epoch is durable before its writer
 *   writes anything, so no two writers share one; a writer gives each use of a file a new sequence, and the group that
 *   goes to another file after a failed write goes under that file's key. In a file the counter is the group's sequence, which only grows, and the
 *   part is the page. 8 random bytes, drawn at each opening and kept in the group's header, hold this even for a vault that was put
 *   back from a copy, where epochs begin to repeat.
 *
 * The key binds vault, kind, number and generation; the nonce binds the place in the file; what the format keeps readable beside the
 * ciphertext is bound as associated data. So sealed bytes of another vault, file or place never open.
 *
 * What this cannot tell, against somebody who writes to the disk and has kept what lay there earlier:
 *
 * - the whole vault, or its newest manifests together with the journal, put back as they were: that is a vault as it was. Manifests alone put
 *   back behind a later writer's journal, or behind what was recycled, are noticed, and the vault opens for reading only;
 * - the end of the journal cut off after a crash, which looks as a crash does;
 * - an older vault.json, by which secrets that were taken away unlock it again;
 * - a file whose writing a crash ended, put in the place of the one that got its number afterwards: it opens, and only scrub and check, which go
 *   by the manifest's checksum of the whole file, notice it.
 *
 * It sees sizes, times and which files change, so how much was written when, and how well it deduplicated.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { assert } from "../base/assert.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";

export const DATA_KEY_BYTES = 32;
export const TAG_BYTES = 16;
/** Of files that are written once. */
export const FILE_SALT_BYTES = 16;
/** Of a journal's writer, which has its epoch besides. */
export const WRITER_SALT_BYTES = 8;
const NONCE_BYTES = 12;
const ALGORITHM = "aes-256-gcm";

export type SealedKind = "journal" | "pack" | "delta" | "image" | "chronicle" | "manifest" | "index" | "identity";

/** What one file's key is made of, beside the data key. */
export interface FileKeyOf {
  kind: SealedKind;
  /** Up to 2^53 - 1, as is the generation. */
  number: number;
  generation: number;
  salt: Uint8Array;
}

/** Test hook: told of each key and nonce as it is used. */
export type ObserveSealing = (key: Uint8Array, nonce: Uint8Array, plain: Uint8Array) => void;

/** A vault's data key, from which the keys of its files come. Lives as long as the vault is open. */
export class VaultCipher {
  /** Seeds the checksums of journal headers, which anybody can see. The fingerprints' seed is not used for what lies in the open. */
  readonly checksumSeed: bigint;
  readonly #dataKey: Uint8Array;
  readonly #vaultId: Uint8Array;
  readonly #random: Random;
  readonly #observe: ObserveSealing | undefined;
  #wiped = false;

  /** @param dataKey - 32 bytes; copied @param vaultId - 16 bytes */
  constructor(dataKey: Uint8Array, vaultId: Uint8Array, random: Random, observe?: ObserveSealing) {
    assert(dataKey.length === DATA_KEY_BYTES, "a data key has 32 bytes");
    assert(vaultId.length === 16, "a vault id has 16 bytes");
    // Not by slice(), which would not copy a Buffer.
    this.#dataKey = new Uint8Array(dataKey);
    this.#vaultId = new Uint8Array(vaultId);
    this.#random = random;
    this.#observe = observe;
    const seed = hkdfSync("sha256", this.#dataKey, this.#vaultId, "sternway 1 checksums", 8);
    this.checksumSeed = new DataView(seed).getBigUint64(0, true);
  }

  /** Fresh random bytes for a file that is about to be written. */
  newSalt(length = FILE_SALT_BYTES): Uint8Array {
    return this.#random.bytes(length);
  }

  /** The cipher of one file. Cheap: about a microsecond. */
  file({ kind, number, generation, salt }: FileKeyOf): FileCipher {
    assert(!this.#wiped, "a vault that was closed has no key");
    const label = new TextEncoder().encode(`sternway 1 ${kind}\0`);
    const info = new Uint8Array(label.length + 32);
    info.set(label);
    info.set(this.#vaultId, label.length);
    const view = new DataView(info.buffer);
    view.setBigUint64(label.length + 16, BigInt(number), true);
    view.setBigUint64(label.length + 24, BigInt(generation), true);
    const key = new Uint8Array(hkdfSync("sha256", this.#dataKey, salt, info, DATA_KEY_BYTES));
    return new FileCipher(key, this.#observe);
  }

  /** For the sealer's thread, and for wrapping. @returns a copy, which the caller wipes */
  copyDataKey(): Uint8Array {
    assert(!this.#wiped, "a vault that was closed has no key");
    return new Uint8Array(this.#dataKey);
  }

  /** Overwrites the data key; the last thing done with it. */
  wipe(): void {
    this.#dataKey.fill(0);
    this.#wiped = true;
  }
}

const NOTHING = new Uint8Array(0);

/** Seals and opens the parts of one file. */
export class FileCipher {
  readonly #key: Uint8Array;
  readonly #observe: ObserveSealing | undefined;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  readonly #nonceView = new DataView(this.#nonce.buffer);

  constructor(key: Uint8Array, observe: ObserveSealing | undefined) {
    this.#key = key;
    this.#observe = observe;
  }

  /**
   * Encrypts one part. The caller answers for never using (counter, part) of this file for another text.
   * @param counter - 0 to 2^53 - 1 @param part - 0 to 2^32 - 1
   * @param bound - readable bytes that must be the same when it is opened
   * @param into - as long as `plain`; may be the same memory @param tag - takes 16 bytes
   */
  seal(counter: number, part: number, plain: Uint8Array, bound: Uint8Array, into: Uint8Array, tag: Uint8Array): void {
    assert(
      into.length === plain.length && tag.length === TAG_BYTES,
      "there is room for the sealed bytes and their tag",
    );
    const nonce = this.#nonceOf(counter, part);
    this.#observe?.(this.#key, nonce, plain);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    if (bound.length > 0) cipher.setAAD(bound);
    const sealed = cipher.update(plain);
    const rest = cipher.final();
    assert(sealed.length === plain.length && rest.length === 0, "GCM gives as many bytes as it takes");
    into.set(sealed);
    tag.set(cipher.getAuthTag());
  }

  /**
   * Decrypts one part. Nothing of it is given out unless its tag holds.
   * @param into - as long as `sealed`; may be the same memory; untouched when the result is false
   * @returns false: these are not the bytes that were sealed for this place
   */
  open(
    counter: number,
    part: number,
    sealed: Uint8Array,
    bound: Uint8Array,
    tag: Uint8Array,
    into: Uint8Array,
  ): boolean {
    assert(into.length === sealed.length, "there is room for the opened bytes");
    if (tag.length !== TAG_BYTES) return false;
    const decipher = createDecipheriv(ALGORITHM, this.#key, this.#nonceOf(counter, part), {
      authTagLength: TAG_BYTES,
    });
    if (bound.length > 0) decipher.setAAD(bound);
    decipher.setAuthTag(tag);
    const plain = decipher.update(sealed);
    try {
      decipher.final();
    } catch {
      // The one thing that final() tells: the tag does not hold.
      plain.fill(0);
      return false;
    }
    into.set(plain);
    plain.fill(0);
    return true;
  }

  /** {@link seal} for a part whose tag lies right behind it. @returns `plain.length + 16` bytes */
  sealed(part: number, plain: Uint8Array, bound: Uint8Array = NOTHING): Uint8Array {
    const out = new Uint8Array(plain.length + TAG_BYTES);
    this.seal(0, part, plain, bound, out.subarray(0, plain.length), out.subarray(plain.length));
    return out;
  }

  /** The reverse of {@link sealed}. @returns undefined: these are not the bytes that were sealed for this place */
  opened(part: number, sealed: Uint8Array, bound: Uint8Array = NOTHING): Uint8Array | undefined {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const plain = new Uint8Array(length);
    return this.open(0, part, sealed.subarray(0, length), bound, sealed.subarray(length), plain) ? plain : undefined;
  }

  #nonceOf(counter: number, part: number): Uint8Array {
    assert(Number.isSafeInteger(counter) && counter >= 0 && part >= 0 && part <= 0xffff_ffff, "a nonce is in range");
    this.#nonceView.setUint32(0, counter % 2 ** 32, true);
    this.#nonceView.setUint32(4, Math.floor(counter / 2 ** 32), true);
    this.#nonceView.setUint32(8, part, true);
    return this.#nonce;
  }
}

/** The error for sealed bytes that do not open: damage, or bytes put in their place. */
export const notSealedHere = (what: string): SternwayError =>
  new SternwayError("corrupt", `${what} does not decrypt: it is damaged, or not what was written there`);
