/**
 * Builds one pack in memory. Blocks gather in place at the end of one growing buffer; when a frame is full it is
 * compressed over itself. So a raw block is copied once, and the whole file is one contiguous part with one checksum.
 *
 * Memory: the stored bytes so far plus one frame, at most doubled by growth. Nothing is durable before the caller has published {@link PackBuilder.finish}.
 */
import { assert } from "../../base/assert.ts";
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { TAG_BYTES } from "../../security/cipher.ts";
import { compressFrame } from "../files/compression.ts";
import { SLOTS_PER_PACK } from "../map.ts";
import {
  encodeDirectory,
  encodeHeader,
  FINGERPRINT_FREED,
  FRAME_HAS_FREED,
  FRAME_RAW_BYTES_MAX,
  FRAME_ZSTD,
  frameChecksum,
  type FrameEntry,
  PACK_HEADER_BYTES,
  type PackIdentity,
  packSealing,
  type PackSealing,
  packSeed,
} from "./pack-format.ts";

export interface PackBuilderOptions extends PackIdentity {
  /** False stores every frame raw: the sealer's way to do less when it lags (law 8). */
  compress: boolean;
  /**
   * Raw bytes a frame, 4 KiB to 1 MiB in whole blocks. Default 16 KiB: measured on a Debian image, 64 KiB stores 0.5% less (scattered blocks even
   * more), and unpacking takes 2.5 to 3 times as long, which is what a random read of 4 KiB waits for.
   */
  frameBytes?: number;
  /** How many blocks will come, when known: saves growing. Not a limit. */
  blocksExpected?: number;
  /** How many bytes the file will have, when that is known better. Not a limit. */
  bytesExpected?: number;
}

/** After so many incompressible frames in a row the next ones are stored raw untried … */
const IN_VAIN_MAX = 8;
/** … this many at first, twice as many after each probe in vain … */
const SKIP_FRAMES_MIN = 8;
/** … up to this many: 8 MiB of 16 KiB frames are what a change of the stream's nature may cost. */
const SKIP_FRAMES_MAX = 512;

const NOTHING = new Uint8Array(0);

export class PackBuilder {
  readonly pack: number;
  readonly generation: number;
  readonly #identity: PackIdentity;
  readonly #seed: bigint;
  /** Where the vault is encrypted. */
  readonly #sealing: PackSealing | undefined;
  readonly #compress: boolean;
  readonly #frameBytes: number;
  readonly #fingerprints = new BigUint64Array(SLOTS_PER_PACK);
  readonly #frames: FrameEntry[] = [];
  #buffer: Uint8Array;
  /** Where the open frame starts in the buffer, and where its next block goes. */
  #frameStart = PACK_HEADER_BYTES;
  #end = PACK_HEADER_BYTES;
  #frameFlags = 0;
  /** Blocks of the open frame that hold bytes. Without any it may grow to the longest frame: it compresses to next to nothing. */
  #frameBlocks = 0;
  #slotCount = 0;
  #inVain = 0;
  #skip = 0;
  #skipNext = SKIP_FRAMES_MIN;
  #checksum: bigint | undefined;

  constructor(options: PackBuilderOptions) {
    const { vaultId, cipher, pack, generation, compress, frameBytes = 16 * 1024, blocksExpected = 256 } = options;
    assert(
      frameBytes % BLOCK_SIZE === 0 && frameBytes >= BLOCK_SIZE && frameBytes <= FRAME_RAW_BYTES_MAX,
      `a frame of ${frameBytes} bytes is 1 to 256 whole blocks`,
    );
    this.pack = pack;
    this.generation = generation;
    this.#identity = { vaultId: vaultId.slice(), pack, generation, cipher };
    this.#seed = packSeed(this.#identity);
    this.#sealing = cipher && packSealing(cipher, this.#identity, cipher.newSalt());
    this.#compress = compress;
    this.#frameBytes = frameBytes;
    const blocks = Math.min(Math.max(blocksExpected, 1), SLOTS_PER_PACK);
    // Half is what most data compresses to; the rest grows if it comes.
    const bytes = options.bytesExpected ?? Math.ceil(blocks / (compress ? 2 : 1)) * BLOCK_SIZE;
    this.#buffer = new Uint8Array(PACK_HEADER_BYTES + bytes + frameBytes);
    encodeHeader(this.#identity, this.#buffer.subarray(0, PACK_HEADER_BYTES), this.#sealing?.salt);
  }

  /** Slots given out so far; the pack is full at 16,384. */
  get slotCount(): number {
    return this.#slotCount;
  }

  get isFull(): boolean {
    return this.#slotCount === SLOTS_PER_PACK;
  }

  /** By slot, 0 for freed ones: a view that grows stale with the next block. */
  get fingerprints(): BigUint64Array {
    return this.#fingerprints.subarray(0, this.#slotCount);
  }

  /** Bytes of all blocks added. */
  get rawBytes(): number {
    return this.#slotCount * BLOCK_SIZE;
  }

  /** Bytes of the frames as stored, the open one counted raw. */
  get storedBytes(): number {
    return (this.#checksum === undefined ? this.#end : this.#frameStart) - PACK_HEADER_BYTES;
  }

  /** Those that are closed, in order: the builder's own. */
  get frames(): readonly Pick<FrameEntry, "firstSlot" | "slotCount" | "storedBytes">[] {
    return this.#frames;
  }

  /** XXH64 with seed 0 of the whole file, for the manifest. Only after {@link finish}. */
  get checksum(): bigint {
    assert(this.#checksum !== undefined, "a pack has a checksum once it is finished");
    return this.#checksum;
  }

  /** Size of the whole file. Only after {@link finish}. */
  get sizeBytes(): number {
    assert(this.#checksum !== undefined, "a pack has a size once it is finished");
    return this.#end;
  }

  /**
   * Adds a block.
   * @param block - 4,096 bytes, not all zero; copied
   * @param fingerprint - its XXH64 with the vault's secret seed
   * @returns its slot, 0 to 16,383
   */
  add(block: Uint8Array, fingerprint: bigint): number {
    assert(block.length === BLOCK_SIZE, "a block has 4,096 bytes");
    // A frame of freed slots alone ends where a block comes: reading that must not unpack them.
    if (this.#frameBlocks === 0 && this.#end - this.#frameStart >= this.#frameBytes) this.#closeFrame();
    const slot = this.#openSlot();
    this.#frameBlocks++;
    this.#buffer.set(block, this.#end);
    this.#fingerprints[slot] = fingerprint;
    this.#closeSlot();
    return slot;
  }

  /**
   * Keeps a slot number whose block is gone, when a pack is repacked. Reading it is an error from then on. Runs of freed slots take some 60
   * bytes per 256, and 8 each for their fingerprints.
   */
  addFreed(): number {
    const slot = this.#openSlot();
    this.#buffer.fill(0, this.#end, this.#end + BLOCK_SIZE);
    this.#fingerprints[slot] = FINGERPRINT_FREED;
    this.#frameFlags |= FRAME_HAS_FREED;
    this.#closeSlot();
    return slot;
  }

  /** Keeps the slot and the fingerprint of a block that is lost to damage: reading it is an error, and a copy can still be told. */
  addLost(fingerprint: bigint): number {
    const slot = this.addFreed();
    this.#fingerprints[slot] = fingerprint;
    return slot;
  }

  /** Ends the open frame where it is: what comes next shares none with it. */
  endFrame(): void {
    assert(this.#checksum === undefined, "a finished pack takes no more blocks");
    this.#closeFrame();
  }

  /**
   * Adds a whole frame of an older file of the pack as it was stored there, without unpacking it: what costs most of a repack.
   * @param held - the frame's bytes before sealing, copied; the caller has compared their checksum
   * @param flags - of the older frame
   * @param fingerprints - one for each slot: also says how many there are
   * @returns the slot of its first block
   */
  addFrame(held: Uint8Array, flags: number, fingerprints: BigUint64Array): number {
    this.endFrame();
    const slotCount = fingerprints.length;
    const rawBytes = slotCount * BLOCK_SIZE;
    assert(
      (flags & FRAME_ZSTD) === 0 ? held.length === rawBytes : held.length > 0 && held.length < rawBytes,
      "a frame is stored raw, or shorter",
    );
    assert(slotCount >= 1 && this.#slotCount + slotCount <= SLOTS_PER_PACK, "the frame's slots fit the pack");
    this.#reserve(held.length);
    const firstSlot = this.#slotCount;
    this.#buffer.set(held, this.#end);
    this.#end += held.length;
    this.#fingerprints.set(fingerprints, firstSlot);
    this.#slotCount += slotCount;
    this.#frameFlags = flags;
    this.#noteFrame(slotCount);
    return firstSlot;
  }

  /**
   * Closes the pack; at least one slot must have been added, and none can be any more.
   * @returns the file's bytes, to be given to publish(); they stay the builder's and do not change any more
   */
  finish(): Uint8Array[] {
    assert(this.#checksum === undefined, "a pack is finished once");
    assert(this.#slotCount > 0, "a pack holds at least one block");
    this.#closeFrame();
    const directory = encodeDirectory(this.#identity, this.fingerprints, this.#frames, this.#end, this.#sealing);
    this.#reserve(directory.length);
    this.#buffer.set(directory, this.#end);
    this.#end += directory.length;
    const file = this.#buffer.subarray(0, this.#end);
    this.#checksum = xxh64(file, 0n);
    return [file];
  }

  #openSlot(): number {
    assert(this.#checksum === undefined && !this.isFull, "a finished or full pack takes no more blocks");
    this.#reserve(BLOCK_SIZE);
    return this.#slotCount;
  }

  #closeSlot(): void {
    this.#slotCount++;
    this.#end += BLOCK_SIZE;
    const frameBytes = this.#frameBlocks > 0 ? this.#frameBytes : FRAME_RAW_BYTES_MAX;
    if (this.#end - this.#frameStart >= frameBytes) this.#closeFrame();
  }

  #closeFrame(): void {
    const rawBytes = this.#end - this.#frameStart;
    if (rawBytes === 0) return;
    const raw = this.#buffer.subarray(this.#frameStart, this.#end);
    const compressed = this.#frameBlocks > 0 ? this.#tryCompress(raw) : compressFrame(raw);
    if (compressed) {
      this.#buffer.set(compressed, this.#frameStart);
      this.#end = this.#frameStart + compressed.length;
      this.#frameFlags |= FRAME_ZSTD;
    }
    this.#noteFrame(rawBytes / BLOCK_SIZE);
  }

  /** Seals the bytes since the last frame, where the vault is encrypted, and enters them in the table. */
  #noteFrame(slotCount: number): void {
    if (this.#sealing) this.#sealFrame(this.#sealing);
    this.#frames.push({
      firstSlot: this.#slotCount - slotCount,
      slotCount,
      offset: this.#frameStart,
      storedBytes: this.#end - this.#frameStart,
      flags: this.#frameFlags,
      checksum: frameChecksum(this.#buffer.subarray(this.#frameStart, this.#end), this.#seed, this.#frames.length),
    });
    this.#frameStart = this.#end;
    this.#frameFlags = 0;
    this.#frameBlocks = 0;
  }

  /** Encrypts the open frame where it lies, its tag behind it. */
  #sealFrame({ cipher }: PackSealing): void {
    this.#reserve(TAG_BYTES);
    const frame = this.#buffer.subarray(this.#frameStart, this.#end);
    const tag = this.#buffer.subarray(this.#end, this.#end + TAG_BYTES);
    cipher.seal(0, this.#frames.length, frame, NOTHING, frame, tag);
    this.#end += TAG_BYTES;
  }

  /** Compresses unless that has kept failing: random data would otherwise cost a compression for nothing. */
  #tryCompress(raw: Uint8Array): Uint8Array | undefined {
    if (!this.#compress) return undefined;
    if (this.#skip > 0) {
      this.#skip--;
      return undefined;
    }
    const compressed = compressFrame(raw);
    if (compressed) {
      this.#inVain = 0;
      this.#skipNext = SKIP_FRAMES_MIN;
    } else if (++this.#inVain >= IN_VAIN_MAX) {
      this.#skip = this.#skipNext;
      this.#skipNext = Math.min(this.#skipNext * 2, SKIP_FRAMES_MAX);
    }
    return compressed;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = grown;
  }
}
