/**
 * The record of an unfinished restore, beside its target as `TARGET.sternway-restore`: what is being restored, and which
 * pieces are done. It is removed when the restore is verified. Not a source of truth: the end verifies every piece anew.
 *
 * Layout: a header of 4,096 bytes (one line of JSON, padded with spaces), then records of 16 bytes, appended only:
 *
 *     0  u32  piece index (below 2^22); bit 31: done (clear: not done after all)
 *     4  u64  XXH64 of the piece
 *    12  u32  the record's check: low 32 bits of XXH64 over bytes 0 to 12
 *
 * Invariant: a record is written only after its piece was synced on the target (data before metadata). After a crash the
 * tail may be torn: reading stops at the first record that fails its check, and those pieces are restored again.
 */
import * as fs from "node:fs";
import {
  closeDescriptor,
  errnoOf,
  openDescriptor,
  readDescriptor,
  syncDescriptor,
  systemError,
  writeDescriptor,
} from "../base/descriptor.ts";
import { xxh64 } from "../base/hash.ts";
import { PIECE_BYTES, pieceCount } from "./pieces.ts";

const HEADER_BYTES = 4096;
const RECORD_BYTES = 16;
const FORMAT = 1;

/** What is restored, and onto what. Two restores with equal identities write the same bytes to the same place. */
export interface RestoreIdentity {
  /** The vault's id: a volume of the same name elsewhere is another. */
  vault: string;
  volume: string;
  lsn: number;
  sizeBytes: number;
  /** The target's identity, as inspectPath gives it. */
  target: string;
}

export interface PieceStates {
  /** 1: done. */
  done: Uint8Array;
  /** XXH64 by piece, for those that are done. */
  hash: BigUint64Array;
}

export interface Sidecar extends PieceStates {
  /** Makes pieces' states durable. Call only after the target was synced. */
  append(states: readonly { index: number; hash: bigint; done: boolean }[]): Promise<void>;
  close(): void;
}

export const sidecarPath = (target: string): string => `${target}.sternway-restore`;

/** The identity in a sidecar, undefined without one, "unreadable" when the file is not a sidecar. */
export async function readSidecarIdentity(path: string): Promise<RestoreIdentity | "unreadable" | undefined> {
  let fd: number;
  try {
    fd = openDescriptor(path, fs.constants.O_RDONLY);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const header = new Uint8Array(HEADER_BYTES);
    const got = await readDescriptor(fd, header, 0, path);
    return parseHeader(header.subarray(0, got));
  } finally {
    closeDescriptor(fd);
  }
}

function parseHeader(header: Uint8Array): RestoreIdentity | "unreadable" {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(header));
  } catch {
    // Torn while it was created, or somebody else's file: either way nothing to resume from.
    return "unreadable";
  }
  if (typeof value !== "object" || value === null) return "unreadable";
  const { format, pieceBytes, vault, volume, lsn, sizeBytes, target } = value as Record<string, unknown>;
  if (format !== FORMAT || pieceBytes !== PIECE_BYTES) return "unreadable";
  if (typeof vault !== "string" || typeof volume !== "string" || typeof target !== "string") return "unreadable";
  if (!Number.isSafeInteger(lsn) || !Number.isSafeInteger(sizeBytes)) return "unreadable";
  return { vault, volume, lsn: lsn as number, sizeBytes: sizeBytes as number, target };
}

/** Starts a new record, replacing one that is there. Durable when it resolves. */
export async function createSidecar(path: string, identity: RestoreIdentity): Promise<Sidecar> {
  const fd = openDescriptor(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC);
  try {
    const line = JSON.stringify({ format: FORMAT, pieceBytes: PIECE_BYTES, ...identity });
    const header = new TextEncoder().encode(line.padEnd(HEADER_BYTES - 1) + "\n");
    await writeDescriptor(fd, header, 0, path);
    await syncDescriptor(fd, path);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
  return sidecarOn(fd, path, emptyStates(identity.sizeBytes), HEADER_BYTES);
}

/** Goes on with a record whose identity was checked. */
export async function openSidecar(path: string, identity: RestoreIdentity): Promise<Sidecar> {
  const fd = openDescriptor(path, fs.constants.O_RDWR);
  try {
    const states = emptyStates(identity.sizeBytes);
    const end = await readRecords(fd, path, states);
    // Cut the torn tail, so that nothing of it can follow what is appended from now on.
    fs.ftruncateSync(fd, end);
    return sidecarOn(fd, path, states, end);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

export function removeSidecar(path: string): void {
  try {
    fs.rmSync(path, { force: true });
  } catch (error) {
    throw systemError(error, `cannot remove ${path}`);
  }
}

function emptyStates(sizeBytes: number): PieceStates {
  const count = pieceCount(sizeBytes);
  return { done: new Uint8Array(count), hash: new BigUint64Array(count) };
}

async function readRecords(fd: number, path: string, states: PieceStates): Promise<number> {
  const chunk = new Uint8Array(65_536);
  const view = new DataView(chunk.buffer);
  let offset = HEADER_BYTES;
  for (;;) {
    const got = await readDescriptor(fd, chunk, offset, path);
    for (let at = 0; at + RECORD_BYTES <= got; at += RECORD_BYTES) {
      const word = view.getUint32(at, true);
      const index = word & 0x7fff_ffff;
      const valid = view.getUint32(at + 12, true) === recordCheck(chunk.subarray(at, at + 12));
      if (!valid || index >= states.done.length) return offset + at;
      states.done[index] = word >>> 31;
      states.hash[index] = view.getBigUint64(at + 4, true);
    }
    if (got < chunk.length) return offset + got - (got % RECORD_BYTES);
    offset += got;
  }
}

function sidecarOn(fd: number, path: string, states: PieceStates, firstOffset: number): Sidecar {
  let offset = firstOffset;
  return {
    ...states,
    async append(records) {
      if (records.length === 0) return;
      const bytes = new Uint8Array(records.length * RECORD_BYTES);
      const view = new DataView(bytes.buffer);
      for (const [i, record] of records.entries()) {
        const at = i * RECORD_BYTES;
        view.setUint32(at, (record.index | (record.done ? 0x8000_0000 : 0)) >>> 0, true);
        view.setBigUint64(at + 4, record.hash, true);
        view.setUint32(at + 12, recordCheck(bytes.subarray(at, at + 12)), true);
      }
      await writeDescriptor(fd, bytes, offset, path);
      await syncDescriptor(fd, path);
      offset += bytes.length;
    },
    close: () => closeDescriptor(fd),
  };
}

function recordCheck(bytes: Uint8Array): number {
  // Seeded, so that a run of zeroes is not a valid record.
  return Number(xxh64(bytes, 0x5354_4e57n) & 0xffff_ffffn);
}
