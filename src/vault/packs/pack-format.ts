/**
 * The pack file: an immutable file of up to 16,384 blocks of 4 KiB, and the truth of what those blocks hold.
 * Little endian throughout; n slots in f frames:
 *
 *     offset            size   what
 *     0                   64   header
 *     64                   …   frames, in slot order, without gaps: stored raw or as one zstd frame each
 *     F                  8 n   fingerprint of each slot: XXH64 of its block with the vault's secret seed; 0: freed slot
 *     F + 8 n           24 f   frame table
 *     F + 8 n + 24 f      48   only in an encrypted vault: salt 16 · tag of the fingerprints 16 · tag of the frame table 16
 *     …                   64   trailer; the file ends here
 *
 *     header            magic "STWPACK1" 8 · version 4 · pack 4 · vault id 16 · generation 4 · salt of an encrypted vault, else zero 16 · zero 4 · checksum 8
 *     frame table entry first slot 2 · slot count 2 · offset 4 · stored bytes 4 · flags 4 · checksum of the stored bytes 8
 *     trailer           magic "STWPEND1" 8 · version 4 · pack 4 · generation 4 · slots n 4 · frames f 4 · F 4 ·
 *                       checksum of the fingerprints 8 · of the frame table 8 · zero 8 · checksum of the trailer 8
 *
 * Checksums are XXH64, seeded with vault id, pack, generation and the part they cover (frame index, or one of PART_*),
 * so that bytes of another vault, pack, generation or frame cannot validate.
 *
 * Invariants: frames cover the slots 0 … n-1 in order and the bytes 64 … F without gaps or overlaps, so the trailer fixes every
 * length and the file's size; nothing is allocated before those agree with the size that the manifest names. A raw frame's
 * stored bytes are its blocks; a compressed one's are fewer.
 *
 * In an encrypted vault every frame is sealed after it was compressed, with its tag behind it (so its stored bytes are 16 more), and the fingerprints and
 * the frame table are sealed too; security/cipher.ts says with which key, the parts are the frames' ordinals and SEALED_*. The frame table is bound to the
 * trailer's beginning. Readable are the sizes, the numbers and the counts. Checksums cover the bytes as they are stored.
 *
 * Freed slots: a repacked pack keeps its number and its slot numbers under a higher generation, so that no map is
 * rewritten. Freed slots stay as zeroes in frames flagged FRAME_HAS_FREED (zstd makes nothing of them). Blocks of zeroes never get a
 * slot, so in such a frame a block of zeroes is a freed one, and reading it is an error.
 *
 * Crash: packs are published whole (base/disk.ts, publish) and named by a manifest afterwards; a pack that no manifest
 * names is garbage, one that is named is complete and durable.
 */
import { assert } from "../../base/assert.ts";
import { SternwayError } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { TAG_BYTES, type FileCipher, type VaultCipher } from "../../security/cipher.ts";
import { SLOTS_PER_PACK } from "../map.ts";

// Fingerprints are copied as memory between files and BigUint64Arrays.
assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, "this machine is little endian");

const VERSION = 1;
const HEADER_MAGIC = 0x314b_4341_5057_5453n; // "STWPACK1"
const TRAILER_MAGIC = 0x3144_4e45_5057_5453n; // "STWPEND1"
export const PACK_HEADER_BYTES = 64;
export const PACK_TRAILER_BYTES = 64;
export const FRAME_ENTRY_BYTES = 24;
/** Longest frame: 1 MiB raw. Longer ones would make a 4 KiB read cost a millisecond. */
export const FRAME_SLOTS_MAX = 256;
export const FRAME_RAW_BYTES_MAX = FRAME_SLOTS_MAX * BLOCK_SIZE;
export const PACK_NUMBER_MAX = 2 ** 32 - 1;
/** The fingerprint of a freed slot; also never given to the index (a real one meets it once in 2^64). */
export const FINGERPRINT_FREED = 0n;

export const FRAME_ZSTD = 1;
export const FRAME_HAS_FREED = 2;
const FRAME_FLAGS = FRAME_ZSTD | FRAME_HAS_FREED;

/** The parts of a pack that are not frames, for {@link partChecksum}. */
const PART_HEADER = 0x1_0000_0000;
const PART_FINGERPRINTS = 0x1_0000_0001;
const PART_FRAME_TABLE = 0x1_0000_0002;
const PART_TRAILER = 0x1_0000_0003;

/** The parts that are sealed and are not frames. */
const SEALED_FINGERPRINTS = 0xffff_fffe;
const SEALED_FRAME_TABLE = 0xffff_ffff;
const SALT_OFFSET = 36;
const SALT_BYTES = 16;
const SEALS_BYTES = SALT_BYTES + 2 * TAG_BYTES;
/** What of the trailer the frame table is bound to: all but the checksums. */
const BOUND_TRAILER_BYTES = 32;
const NOTHING = new Uint8Array(0);

/** Which pack some bytes claim to be of. */
export interface PackIdentity {
  /** 16 bytes. */
  vaultId: Uint8Array;
  /** 1 to 2^32 - 1. */
  pack: number;
  /** 0 to 2^32 - 1; grows when the pack is repacked. */
  generation: number;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
}

/** How one writing of a pack is sealed. */
export interface PackSealing {
  salt: Uint8Array;
  cipher: FileCipher;
}

/** The key of a pack's file. @param salt - 16 bytes; fresh for each writing, the file's own for reading */
export function packSealing(cipher: VaultCipher, { pack, generation }: PackIdentity, salt: Uint8Array): PackSealing {
  return { salt, cipher: cipher.file({ kind: "pack", number: pack, generation, salt }) };
}

/** One frame, as the builder knows it. */
export interface FrameEntry {
  firstSlot: number;
  slotCount: number;
  offset: number;
  storedBytes: number;
  flags: number;
  checksum: bigint;
}

/** What a trailer says, checked against the file's size. */
export interface PackTrailer {
  slotCount: number;
  frameCount: number;
  fingerprintsOffset: number;
  fingerprintsChecksum: bigint;
  frameTableOffset: number;
  frameTableChecksum: bigint;
  /** In an encrypted vault: what opens the rest. */
  seals: PackSeals | undefined;
}

interface PackSeals {
  cipher: FileCipher;
  fingerprintsTag: Uint8Array;
  frameTableTag: Uint8Array;
  bound: Uint8Array;
}

/** Bytes behind the frame table, which {@link decodeTrailer} takes. */
export function packTailBytes({ cipher }: PackIdentity): number {
  return PACK_TRAILER_BYTES + (cipher ? SEALS_BYTES : 0);
}

/** Path of a pack beneath the vault's directory: `packs/00001/00001a2b-0.pack`, 4,096 pack numbers a directory. */
export function packPath(pack: number, generation: number): string {
  const folder = Math.floor(pack / 4096)
    .toString(16)
    .padStart(5, "0");
  return `packs/${folder}/${pack.toString(16).padStart(8, "0")}-${generation}.pack`;
}

/** The seed of all of a pack's checksums. */
export function packSeed({ vaultId, pack, generation }: PackIdentity): bigint {
  assert(vaultId.length === 16, `a vault id has 16 bytes, not ${vaultId.length}`);
  assert(Number.isInteger(pack) && pack >= 1 && pack <= PACK_NUMBER_MAX, `pack ${pack} is a number from 1 to 2^32 - 1`);
  assert(
    Number.isInteger(generation) && generation >= 0 && generation <= 0xffff_ffff,
    `generation ${generation} is a u32`,
  );
  const bytes = new Uint8Array(24);
  bytes.set(vaultId);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, pack, true);
  view.setUint32(20, generation, true);
  return xxh64(bytes, HEADER_MAGIC);
}

function partChecksum(bytes: Uint8Array, seed: bigint, part: number): bigint {
  return xxh64(bytes, BigInt.asUintN(64, seed + BigInt(part) * 0x9e37_79b9_7f4a_7c15n));
}

/** The checksum of a frame's stored bytes. @param seed - of {@link packSeed} */
export function frameChecksum(stored: Uint8Array, seed: bigint, frame: number): bigint {
  return partChecksum(stored, seed, frame);
}

function corruptPack(
  identity: PackIdentity,
  why: string,
  facts: Record<string, string | number | boolean> = {},
): SternwayError {
  return new SternwayError("corrupt", `pack ${identity.pack} generation ${identity.generation}: ${why}`, {
    pack: identity.pack,
    generation: identity.generation,
    ...facts,
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function encodeHeader(identity: PackIdentity, into: Uint8Array, salt?: Uint8Array): void {
  const view = viewOf(into);
  view.setBigUint64(0, HEADER_MAGIC, true);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, identity.pack, true);
  into.set(identity.vaultId, 16);
  view.setUint32(32, identity.generation, true);
  if (salt) into.set(salt, SALT_OFFSET);
  view.setBigUint64(56, partChecksum(into.subarray(0, 56), packSeed(identity), PART_HEADER), true);
}

/** @throws corrupt: not the header of this pack */
export function checkHeader(identity: PackIdentity, bytes: Uint8Array): void {
  const expected = new Uint8Array(PACK_HEADER_BYTES);
  const salt = identity.cipher && bytes.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES);
  encodeHeader(identity, expected, salt);
  // Every byte of a header is known beforehand: it serves salvage, when the end of the file is lost.
  if (Buffer.compare(expected, bytes) !== 0) throw corruptPack(identity, "its header is damaged or of another pack");
}

/** What follows the frames: fingerprints, frame table, trailer. @param sealing - where the vault is encrypted */
export function encodeDirectory(
  identity: PackIdentity,
  fingerprints: BigUint64Array,
  frames: readonly FrameEntry[],
  fingerprintsOffset: number,
  sealing?: PackSealing,
): Uint8Array {
  const seed = packSeed(identity);
  const tableAt = fingerprints.length * 8;
  const tableEnd = tableAt + frames.length * FRAME_ENTRY_BYTES;
  const trailerAt = tableEnd + (sealing ? SEALS_BYTES : 0);
  const bytes = new Uint8Array(trailerAt + PACK_TRAILER_BYTES);
  const view = viewOf(bytes);
  bytes.set(new Uint8Array(fingerprints.buffer, fingerprints.byteOffset, fingerprints.byteLength));
  frames.forEach((frame, i) => {
    const at = tableAt + i * FRAME_ENTRY_BYTES;
    view.setUint16(at, frame.firstSlot, true);
    view.setUint16(at + 2, frame.slotCount, true);
    view.setUint32(at + 4, frame.offset, true);
    view.setUint32(at + 8, frame.storedBytes, true);
    view.setUint32(at + 12, frame.flags, true);
    view.setBigUint64(at + 16, frame.checksum, true);
  });
  view.setBigUint64(trailerAt, TRAILER_MAGIC, true);
  view.setUint32(trailerAt + 8, VERSION, true);
  view.setUint32(trailerAt + 12, identity.pack, true);
  view.setUint32(trailerAt + 16, identity.generation, true);
  view.setUint32(trailerAt + 20, fingerprints.length, true);
  view.setUint32(trailerAt + 24, frames.length, true);
  view.setUint32(trailerAt + 28, fingerprintsOffset, true);
  if (sealing) {
    const { salt, cipher } = sealing;
    const seals = bytes.subarray(tableEnd, trailerAt);
    const bound = bytes.subarray(trailerAt, trailerAt + BOUND_TRAILER_BYTES);
    const prints = bytes.subarray(0, tableAt);
    const table = bytes.subarray(tableAt, tableEnd);
    seals.set(salt);
    cipher.seal(0, SEALED_FINGERPRINTS, prints, NOTHING, prints, seals.subarray(SALT_BYTES, SALT_BYTES + TAG_BYTES));
    cipher.seal(0, SEALED_FRAME_TABLE, table, bound, table, seals.subarray(SALT_BYTES + TAG_BYTES));
  }
  view.setBigUint64(trailerAt + 32, partChecksum(bytes.subarray(0, tableAt), seed, PART_FINGERPRINTS), true);
  view.setBigUint64(trailerAt + 40, partChecksum(bytes.subarray(tableAt, tableEnd), seed, PART_FRAME_TABLE), true);
  view.setBigUint64(trailerAt + 56, partChecksum(bytes.subarray(trailerAt, trailerAt + 56), seed, PART_TRAILER), true);
  return bytes;
}

/** @param tail - the file's last {@link packTailBytes} @param sizeBytes - of the whole file, by the manifest @throws corrupt */
export function decodeTrailer(identity: PackIdentity, tail: Uint8Array, sizeBytes: number): PackTrailer {
  const seals = tail.subarray(0, -PACK_TRAILER_BYTES);
  const bytes = tail.subarray(seals.length);
  const view = viewOf(bytes);
  if (
    tail.length !== packTailBytes(identity) ||
    bytes.length !== PACK_TRAILER_BYTES ||
    view.getBigUint64(0, true) !== TRAILER_MAGIC
  ) {
    throw corruptPack(identity, "it does not end in a trailer", { sizeBytes });
  }
  if (view.getBigUint64(56, true) !== partChecksum(bytes.subarray(0, 56), packSeed(identity), PART_TRAILER)) {
    throw corruptPack(identity, "its trailer is damaged or of another pack", { sizeBytes });
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw corruptPack(identity, `version ${version} is not known, only ${VERSION}`, { version });
  const slotCount = view.getUint32(20, true);
  const frameCount = view.getUint32(24, true);
  const fingerprintsOffset = view.getUint32(28, true);
  const frameTableOffset = fingerprintsOffset + slotCount * 8;
  // From here on every length is bounded by the file's size, so allocating by them is safe.
  if (
    view.getUint32(12, true) !== identity.pack ||
    view.getUint32(16, true) !== identity.generation ||
    slotCount < 1 ||
    slotCount > SLOTS_PER_PACK ||
    frameCount < 1 ||
    frameCount > slotCount ||
    fingerprintsOffset < PACK_HEADER_BYTES ||
    frameTableOffset + frameCount * FRAME_ENTRY_BYTES + tail.length !== sizeBytes
  ) {
    throw corruptPack(identity, "its trailer contradicts the file's size or the format's limits", {
      sizeBytes,
      slotCount,
      frameCount,
      fingerprintsOffset,
    });
  }
  return {
    slotCount,
    frameCount,
    fingerprintsOffset,
    fingerprintsChecksum: view.getBigUint64(32, true),
    frameTableOffset,
    frameTableChecksum: view.getBigUint64(40, true),
    seals: identity.cipher && sealsOf(identity.cipher, identity, seals.slice(), bytes.slice(0, BOUND_TRAILER_BYTES)),
  };
}

function sealsOf(cipher: VaultCipher, identity: PackIdentity, seals: Uint8Array, bound: Uint8Array): PackSeals {
  return {
    cipher: packSealing(cipher, identity, seals.subarray(0, SALT_BYTES)).cipher,
    fingerprintsTag: seals.subarray(SALT_BYTES, SALT_BYTES + TAG_BYTES),
    frameTableTag: seals.subarray(SALT_BYTES + TAG_BYTES),
    bound,
  };
}

/** @param bytes - `8 × slotCount` of them, at `fingerprintsOffset` @throws corrupt */
export function decodeFingerprints(identity: PackIdentity, trailer: PackTrailer, bytes: Uint8Array): BigUint64Array {
  if (partChecksum(bytes, packSeed(identity), PART_FINGERPRINTS) !== trailer.fingerprintsChecksum) {
    throw corruptPack(identity, "its fingerprints are damaged", { offset: trailer.fingerprintsOffset });
  }
  const plain = bytes.slice();
  const { seals } = trailer;
  if (seals && !seals.cipher.open(0, SEALED_FINGERPRINTS, plain, NOTHING, seals.fingerprintsTag, plain)) {
    throw corruptPack(identity, "its fingerprints do not decrypt", { offset: trailer.fingerprintsOffset });
  }
  return new BigUint64Array(plain.buffer);
}

/** The frame table in memory, fit for many look-ups: 16 bytes a frame. */
export class FrameTable {
  readonly identity: PackIdentity;
  readonly seed: bigint;
  readonly trailer: PackTrailer;
  /** One more than there are frames: frame i holds slots `[firstSlot[i], firstSlot[i + 1])` … */
  readonly firstSlot: Uint16Array;
  /** … and lies at bytes `[offset[i], offset[i + 1])`. */
  readonly offset: Uint32Array;
  readonly flags: Uint8Array;
  readonly checksum: BigUint64Array;

  /** @param bytes - `24 × frameCount` of them, at `frameTableOffset` @throws corrupt: damaged, or frames that overlap, leave gaps or exceed limits */
  constructor(identity: PackIdentity, trailer: PackTrailer, bytes: Uint8Array) {
    this.identity = identity;
    this.seed = packSeed(identity);
    this.trailer = trailer;
    if (partChecksum(bytes, this.seed, PART_FRAME_TABLE) !== trailer.frameTableChecksum) {
      throw corruptPack(identity, "its frame table is damaged", { offset: trailer.frameTableOffset });
    }
    const { seals } = trailer;
    const entries = seals ? bytes.slice() : bytes;
    if (seals && !seals.cipher.open(0, SEALED_FRAME_TABLE, entries, seals.bound, seals.frameTableTag, entries)) {
      throw corruptPack(identity, "its frame table does not decrypt", { offset: trailer.frameTableOffset });
    }
    const tagBytes = seals ? TAG_BYTES : 0;
    const { frameCount, slotCount, fingerprintsOffset } = trailer;
    this.firstSlot = new Uint16Array(frameCount + 1);
    this.offset = new Uint32Array(frameCount + 1);
    this.flags = new Uint8Array(frameCount);
    this.checksum = new BigUint64Array(frameCount);
    const view = viewOf(entries);
    let slot = 0;
    let offset = PACK_HEADER_BYTES;
    for (let i = 0; i < frameCount; i++) {
      const at = i * FRAME_ENTRY_BYTES;
      const slots = view.getUint16(at + 2, true);
      const stored = view.getUint32(at + 8, true);
      const flags = view.getUint32(at + 12, true);
      const rawBytes = slots * BLOCK_SIZE;
      const heldBytes = stored - tagBytes;
      const fits = (flags & FRAME_ZSTD) === 0 ? heldBytes === rawBytes : heldBytes > 0 && heldBytes < rawBytes;
      if (
        view.getUint16(at, true) !== slot ||
        view.getUint32(at + 4, true) !== offset ||
        slots < 1 ||
        slots > FRAME_SLOTS_MAX ||
        slot + slots > slotCount ||
        offset + stored > fingerprintsOffset ||
        (flags & ~FRAME_FLAGS) !== 0 ||
        !fits
      ) {
        throw corruptPack(identity, `entry ${i} of its frame table is out of range`, { frame: i, offset });
      }
      this.firstSlot[i] = slot;
      this.offset[i] = offset;
      this.flags[i] = flags;
      this.checksum[i] = view.getBigUint64(at + 16, true);
      slot += slots;
      offset += stored;
    }
    if (slot !== slotCount || offset !== fingerprintsOffset) {
      throw corruptPack(identity, "its frames do not cover its slots", { slotCount, covered: slot });
    }
    this.firstSlot[frameCount] = slot;
    this.offset[frameCount] = offset;
  }

  get frameCount(): number {
    return this.trailer.frameCount;
  }

  get slotCount(): number {
    return this.trailer.slotCount;
  }

  /** The frame that holds a slot; -1 when the pack has no such slot. */
  frameOf(slot: number): number {
    if (slot < 0 || slot >= this.slotCount) return -1;
    let low = 0;
    let high = this.frameCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.firstSlot[middle]! <= slot) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** What a frame's stored bytes hold: themselves, or in an encrypted vault what they decrypt to. @returns undefined: they do not decrypt */
  unsealed(frame: number, stored: Uint8Array): Uint8Array | undefined {
    const { seals } = this.trailer;
    return seals ? seals.cipher.opened(frame, stored) : stored;
  }

  storedBytes(frame: number): number {
    return this.offset[frame + 1]! - this.offset[frame]!;
  }

  rawBytes(frame: number): number {
    return (this.firstSlot[frame + 1]! - this.firstSlot[frame]!) * BLOCK_SIZE;
  }

  /** Memory it takes, for caches. */
  get weightBytes(): number {
    return 512 + this.frameCount * 16;
  }
}
