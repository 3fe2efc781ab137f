/**
 * A block device as the doors see it: the live volume, or a volume as of a past moment. The NBD server, the HTTP image
 * stream and restore all speak to this, so that none of them knows how history is kept.
 */
import type { Lsn } from "./units.ts";

/** A stretch of a device. `data` holds bytes that were written; `hole` was never written or was trimmed; `zero` was zeroed. Both read as zeroes. */
export interface Extent {
  offset: number;
  length: number;
  kind: "data" | "zero" | "hole";
}

export interface ReadableDevice {
  readonly sizeBytes: number;
  /**
   * Reads `length` bytes at `offset`; both multiples of 512, within the device, at most 32 MiB.
   * @param into - memory that the bytes may be put in, at least `length` long, so that a busy reader can reuse its buffers; the device
   *   lets go of it when the promise settles, and may leave it alone
   * @returns the bytes, at the start of `into` or in a buffer that the caller owns
   * @throws corrupt: the bytes are damaged and no other copy has them
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /**
   * What lies in `[offset, offset + length)`, in order, without gaps or overlaps, adjacent extents of one kind merged.
   * May stop early (after at least one extent) to bound its work; the caller asks again from where it ended.
   */
  extents(offset: number, length: number): Promise<Extent[]>;
  /** Releases what the device holds (pins, attachment). Idempotent. */
  close(): Promise<void>;
}

export interface WritableDevice extends ReadableDevice {
  /**
   * Sequences a write; offset and length are multiples of 512, at most 32 MiB. Durable after {@link flush}, or when it resolves with `fua`.
   * @param data - the caller must not change it until the write is done
   * @returns undefined when done at once (the common case, kept free of promises: `data` was copied and the client may be answered),
   *   else a promise that resolves when it may be answered
   * @throws unavailable with facts.code "ENOSPC": no room; nothing of it was written
   */
  write(offset: number, data: Uint8Array, fua: boolean): Promise<void> | undefined;
  /** Discards: the range reads as zeroes and becomes a hole. Same contract as write. */
  trim(offset: number, length: number, fua: boolean): Promise<void> | undefined;
  /** The range reads as zeroes. `mayHole`: it may become a hole (NBD without NO_HOLE). Same contract as write. */
  writeZeroes(offset: number, length: number, mayHole: boolean, fua: boolean): Promise<void> | undefined;
  /** Resolves when everything answered before the call, on any connection of the vault, is durable. Its LSN becomes a flush point. */
  flush(): Promise<Lsn>;
}
