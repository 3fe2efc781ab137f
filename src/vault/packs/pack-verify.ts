/**
 * Reads one pack from end to end and says what is damaged in it: for `check` and the scrub. Memory: one frame and the directory.
 * Knows nothing of caches: what it finds is what the disk holds now.
 */
import { errorText, isSternwayError } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { decompressFrame } from "../files/compression.ts";
import {
  checkHeader,
  decodeFingerprints,
  decodeTrailer,
  FINGERPRINT_FREED,
  FRAME_ENTRY_BYTES,
  FRAME_ZSTD,
  frameChecksum,
  FrameTable,
  PACK_HEADER_BYTES,
  type PackIdentity,
  packTailBytes,
} from "./pack-format.ts";

/** One damaged place. */
export interface PackDamage {
  pack: number;
  /** -1 when it concerns the file as a whole. */
  frame: number;
  /** The slots that cannot be read as they were written; empty when none or unknown (frame -1). */
  slots: number[];
  why: string;
}

export interface PackToVerify {
  identity: PackIdentity;
  /** By the manifest. */
  sizeBytes: number;
  /** The vault's fingerprint seed. */
  seed: bigint;
  actualBytes: () => Promise<number>;
  read: (into: Uint8Array, offset: number) => Promise<number>;
}

/** @throws unavailable: the disk failed in a way that says nothing about the pack (an EIO does) */
export async function verifyPack(source: PackToVerify): Promise<PackDamage[]> {
  const { identity, sizeBytes } = source;
  const damages: PackDamage[] = [];
  const damage = (frame: number, slots: number[], why: string): void => {
    damages.push({ pack: identity.pack, frame, slots, why });
  };
  /** Runs a step that throws corrupt or not_found for damage. */
  const step = async <Result>(work: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!isDamage(error)) throw error;
      damage(-1, [], errorText(error));
      return undefined;
    }
  };

  const actualBytes = await step(source.actualBytes);
  if (actualBytes === undefined) return damages;
  if (actualBytes !== sizeBytes) damage(-1, [], `its file has ${actualBytes} bytes, the manifest says ${sizeBytes}`);
  await step(async () => checkHeader(identity, await readPart(source, PACK_HEADER_BYTES, 0)));
  const table = await step(async () => {
    const tail = await readPart(source, packTailBytes(identity), sizeBytes - packTailBytes(identity));
    const trailer = decodeTrailer(identity, tail, sizeBytes);
    const entries = await readPart(source, trailer.frameCount * FRAME_ENTRY_BYTES, trailer.frameTableOffset);
    return new FrameTable(identity, trailer, entries);
  });
  if (!table) return damages;
  const fingerprints = await step(async () =>
    decodeFingerprints(
      identity,
      table.trailer,
      await readPart(source, table.slotCount * 8, table.trailer.fingerprintsOffset),
    ),
  );
  for (let frame = 0; frame < table.frameCount; frame++) {
    const stored = await readFrame(source, table, frame);
    const first = table.firstSlot[frame]!;
    const slots = Array.from({ length: table.firstSlot[frame + 1]! - first }, (_, i) => first + i);
    const raw = typeof stored === "string" ? stored : rawFrame(table, frame, stored);
    if (typeof raw === "string") damage(frame, slots, raw);
    else if (fingerprints) {
      const wrong = slots.filter((slot) => !blockMatches(raw, slot - first, fingerprints[slot]!, source.seed));
      if (wrong.length > 0) damage(frame, wrong, "blocks do not match their fingerprints");
    }
  }
  return damages;
}

/**
 * Blocks in frames whose checksum fails that match their fingerprints all the same. A frame that cannot be read at all gives none.
 * @param slots - those wanted; others are passed over
 * @returns by slot
 */
export async function salvagePack(source: PackToVerify, slots: ReadonlySet<number>): Promise<Map<number, Uint8Array>> {
  const { identity, sizeBytes, seed } = source;
  const found = new Map<number, Uint8Array>();
  try {
    const tail = await readPart(source, packTailBytes(identity), sizeBytes - packTailBytes(identity));
    const trailer = decodeTrailer(identity, tail, sizeBytes);
    const entries = await readPart(source, trailer.frameCount * FRAME_ENTRY_BYTES, trailer.frameTableOffset);
    const table = new FrameTable(identity, trailer, entries);
    const stored = await readPart(source, table.slotCount * 8, trailer.fingerprintsOffset);
    const fingerprints = decodeFingerprints(identity, trailer, stored);
    for (const frame of new Set([...slots].map((slot) => table.frameOf(slot)))) {
      const bytes = frame < 0 ? "" : await readFrame(source, table, frame);
      const raw = typeof bytes === "string" ? undefined : unpackUnchecked(table, frame, bytes);
      const first = raw ? table.firstSlot[frame]! : 0;
      for (let place = 0; raw && (place + 1) * BLOCK_SIZE <= raw.length; place++) {
        const print = fingerprints[first + place]!;
        if (!slots.has(first + place) || print === FINGERPRINT_FREED || !blockMatches(raw, place, print, seed))
          continue;
        found.set(first + place, raw.slice(place * BLOCK_SIZE, (place + 1) * BLOCK_SIZE));
      }
    }
  } catch (error) {
    // Without its directory nothing of a pack can be proved.
    if (!isDamage(error)) throw error;
  }
  return found;
}

/** What a frame unpacks to, whatever its checksum says. */
function unpackUnchecked(table: FrameTable, frame: number, stored: Uint8Array): Uint8Array | undefined {
  // Where it is encrypted, nothing of a damaged frame opens.
  const held = table.unsealed(frame, stored);
  if (!held || (table.flags[frame]! & FRAME_ZSTD) === 0) return held;
  try {
    return decompressFrame(held, table.rawBytes(frame));
  } catch {
    // Damage often shows to the unpacking as well: then this frame gives nothing.
    return undefined;
  }
}

/** Reads `length` bytes, or fewer where the file ends: checksums then tell. */
async function readPart(source: PackToVerify, length: number, offset: number): Promise<Uint8Array> {
  if (offset < 0) return new Uint8Array(0);
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await source.read(bytes, offset));
}

async function readFrame(source: PackToVerify, table: FrameTable, frame: number): Promise<Uint8Array | string> {
  try {
    return await readPart(source, table.storedBytes(frame), table.offset[frame]!);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return errorText(error);
  }
}

/** A sector that cannot be read is as lost as one that reads wrong. */
function isDamage(error: unknown): boolean {
  return (
    isSternwayError(error) && (error.kind === "corrupt" || error.kind === "not_found" || error.facts["code"] === "EIO")
  );
}

/** @returns why it is damaged, if it is */
function rawFrame(table: FrameTable, frame: number, stored: Uint8Array): Uint8Array | string {
  if (stored.length < table.storedBytes(frame)) return "its file ends early";
  if (frameChecksum(stored, table.seed, frame) !== table.checksum[frame]) return "its checksum does not match";
  const held = table.unsealed(frame, stored);
  if (!held) return "it does not decrypt";
  if ((table.flags[frame]! & FRAME_ZSTD) === 0) return held;
  try {
    return decompressFrame(held, table.rawBytes(frame));
  } catch (error) {
    return errorText(error);
  }
}

function blockMatches(raw: Uint8Array, place: number, fingerprint: bigint, seed: bigint): boolean {
  const block = raw.subarray(place * BLOCK_SIZE, (place + 1) * BLOCK_SIZE);
  if (fingerprint === FINGERPRINT_FREED) return block.every((byte) => byte === 0);
  return xxh64(block, seed) === fingerprint;
}
