/**
 * Forges paged files: changes bytes and then makes every checksum right again, as an attacker who knows the vault id can.
 */
import { xxh64 } from "../../src/base/hash.ts";
import { decompressFrame } from "../../src/vault/files/compression.ts";
import { HEADER_SIZE, pagedSeed, TRAILER_SIZE, type PagedIdentity } from "../../src/vault/files/paged-file.ts";

/** A copy of `bytes`, changed by `change` and sealed again. */
export function forge(
  bytes: Uint8Array,
  identity: PagedIdentity,
  change: (bytes: Uint8Array, view: DataView, index: number, trailer: number) => void,
): Uint8Array {
  const forged = bytes.slice();
  const view = new DataView(forged.buffer);
  const trailer = forged.length - TRAILER_SIZE;
  change(forged, view, Number(view.getBigUint64(trailer + 40, true)), trailer);
  const seed = pagedSeed(identity);
  const from = Number(view.getBigUint64(trailer + 40, true));
  const length = Number(view.getBigUint64(trailer + 48, true));
  view.setBigUint64(trailer + 56, xxh64(forged.subarray(from, from + length), seed), true);
  view.setBigUint64(trailer + 120, xxh64(forged.subarray(trailer, trailer + 120), seed), true);
  return forged;
}

/** The same file of one page with the page stored raw, so that its columns can be changed byte by byte. */
export function unpack(bytes: Uint8Array, identity: PagedIdentity): Uint8Array {
  const trailer = bytes.length - TRAILER_SIZE;
  const index = Number(new DataView(bytes.buffer).getBigUint64(trailer + 40, true));
  const rawLength = new DataView(bytes.buffer).getUint32(index + 52, true);
  const raw = decompressFrame(bytes.subarray(HEADER_SIZE, index), rawLength);
  const unpacked = new Uint8Array(Buffer.concat([bytes.subarray(0, HEADER_SIZE), raw, bytes.subarray(index)]));
  new DataView(unpacked.buffer).setBigUint64(
    unpacked.length - TRAILER_SIZE + 40,
    BigInt(HEADER_SIZE + rawLength),
    true,
  );
  return forge(unpacked, identity, (forged, view, record) => {
    view.setUint32(record + 48, rawLength, true);
    sealPage(forged, identity, record);
  });
}

/** Seals a page again whose index record begins at `record`; offset, length and checksum lie 40, 48 and 56 bytes into it. */
export function sealPage(bytes: Uint8Array, identity: PagedIdentity, record: number): void {
  const view = new DataView(bytes.buffer);
  const offset = Number(view.getBigUint64(record + 40, true));
  const stored = bytes.subarray(offset, offset + view.getUint32(record + 48, true));
  view.setBigUint64(record + 56, xxh64(stored, pagedSeed(identity)), true);
}
