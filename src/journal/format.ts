/**
 * The journal's bytes on disk.
 *
 * A journal file is a prewritten slot of a fixed size that is used again and again. One use has a file sequence, which
 * only grows; what an earlier use left behind carries an older one and cannot validate. A file holds groups, one after
 * another from offset 0; a group is written once, in one piece, and never changed:
 *
 *     header    128 bytes, below
 *     entries   24 bytes each, in LSN order
 *     prints    8 bytes per payload page: XXH64 of the page under the vault's secret seed
 *     seals     only in an encrypted vault: 16 bytes for entries and prints together, then 16 per payload page
 *     padding   to a multiple of 4,096 (everything so far: headerBytes)
 *     payload   whole 4,096-byte pages
 *
 * Header, little endian:
 *
 *       0  8  magic "SWGROUP1"           64  8  first LSN
 *       8  4  headerBytes                72  4  LSN count
 *      12  4  payloadBytes               76  4  zero
 *      16  4  entry count                80  8  wall clock, microseconds
 *      20  4  1: encrypted, 0: not       88  8  monotonic clock, microseconds
 *      24 16  vault id                   96  8  checksum of the group before (0 for a vault's first)
 *      40  8  epoch                     104  8  LSN known durable when this group was issued
 *      48  8  file sequence             112  8  salt of an encrypted vault's writer, else zero
 *      56  8  group sequence            120  8  XXH64 over [0, headerBytes) with this field zero, seeded by vault and file sequence
 *
 * Entry: kind 1 byte, 3 zero, strand 4, a 4, b 4, first payload page 4, zero 4. For WRITE, ZERO and TRIM a is the first
 * block and b the block count; for MARK a is the payload's length in bytes; for FLUSH both are zero. Every entry takes one LSN,
 * in order. A FLUSH names the moment at which a client's FLUSH was answered: everything below its LSN was durable then.
 *
 * In an encrypted vault entries and prints are sealed as one part, bound to the header before them and the pages' seals, and each page is one by
 * itself, so that a single block can be read back; the seals are the tags. security/cipher.ts says with which keys. What the
 * header tells stays readable: sizes, counts, sequences and times. Checksums cover the bytes as they are stored, so what recovery can tell about a
 * torn or recycled group does not depend on the key; theirs is another seed than that of the prints.
 *
 * The journal is the source of truth for everything that no manifest names yet.
 */
import { xxh64 } from "../base/hash.ts";
import { lsn, micros, strandId, type Lsn, type Micros, type StrandId } from "../base/units.ts";
import { TAG_BYTES, WRITER_SALT_BYTES, type VaultCipher } from "../security/cipher.ts";

export const PAGE_SIZE = 4096;
export const HEADER_SIZE = 128;
export const ENTRY_SIZE = 24;
/** 4,096 entries keep the largest header at 100 KiB; a client that sends only trims fills a group with them. */
export const GROUP_ENTRIES_MAX = 4096;
/** Payload pages of a group; 4 MiB already reaches the disk's sequential rate. */
export const GROUP_PAGES_MAX = 1024;

const MAGIC = new TextEncoder().encode("SWGROUP1");
const OFFSET_WRITER_SALT = 112;
const OFFSET_CHECKSUM = 120;
const FLAG_ENCRYPTED = 1;

export const ENTRY_WRITE = 1;
export const ENTRY_ZERO = 2;
export const ENTRY_TRIM = 3;
export const ENTRY_FLUSH = 4;
export const ENTRY_MARK = 5;

/** What a file's groups are bound to. */
export interface FileIdentity {
  vaultId: Uint8Array;
  /** The vault's secret 64-bit seed. */
  seed: bigint;
  fileSequence: number;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
}

export interface GroupHeader {
  headerBytes: number;
  payloadBytes: number;
  entryCount: number;
  epoch: number;
  fileSequence: number;
  groupSequence: number;
  firstLsn: Lsn;
  lsnCount: number;
  wall: Micros;
  monotonic: number;
  previousChecksum: bigint;
  durableLsn: Lsn;
  /** In an encrypted vault, {@link WRITER_SALT_BYTES}. */
  writerSalt?: Uint8Array | undefined;
  checksum: bigint;
}

/** One decoded entry. */
export type JournalEntry =
  | { kind: "write"; strand: StrandId; lsn: Lsn; firstBlock: number; count: number; page: number }
  | { kind: "zero" | "trim"; strand: StrandId; lsn: Lsn; firstBlock: number; count: number }
  | { kind: "flush"; strand: StrandId; lsn: Lsn }
  | { kind: "mark"; lsn: Lsn; page: number; byteCount: number };

/** The size of a group's header part, in bytes, a multiple of the page size. */
export function headerBytesFor(entryCount: number, pageCount: number, isEncrypted = false): number {
  const sealBytes = isEncrypted ? (1 + pageCount) * TAG_BYTES : 0;
  return Math.ceil((sealsOffset(entryCount, pageCount) + sealBytes) / PAGE_SIZE) * PAGE_SIZE;
}

/** Where the seals begin: behind the header, the entries and the prints. */
export function sealsOffset(entryCount: number, pageCount: number): number {
  return HEADER_SIZE + entryCount * ENTRY_SIZE + pageCount * 8;
}

export const pagesFor = (byteCount: number): number => Math.ceil(byteCount / PAGE_SIZE);

function checksumSeed({ seed, cipher, fileSequence }: FileIdentity): bigint {
  return (cipher?.checksumSeed ?? seed) ^ BigInt(fileSequence);
}

const setU64 = (view: DataView, offset: number, value: number): void => {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
};
const getU64 = (view: DataView, offset: number): number =>
  view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;

/** Writes the fixed header and the checksum; entries and prints must be in place behind it. @returns the checksum */
export function encodeHeader(
  into: Uint8Array,
  identity: FileIdentity,
  header: Omit<GroupHeader, "checksum" | "fileSequence">,
): bigint {
  encodeFields(into, identity, header);
  return encodeChecksum(into.subarray(0, header.headerBytes), identity);
}

/** Writes the fixed header without its checksum, which {@link encodeChecksum} puts in when all behind it is in place. */
export function encodeFields(
  into: Uint8Array,
  identity: FileIdentity,
  header: Omit<GroupHeader, "checksum" | "fileSequence">,
): void {
  const view = new DataView(into.buffer, into.byteOffset, header.headerBytes);
  into.fill(0, 0, HEADER_SIZE);
  into.set(MAGIC, 0);
  view.setUint32(8, header.headerBytes, true);
  view.setUint32(12, header.payloadBytes, true);
  view.setUint32(16, header.entryCount, true);
  view.setUint32(20, header.writerSalt ? FLAG_ENCRYPTED : 0, true);
  into.set(identity.vaultId, 24);
  setU64(view, 40, header.epoch);
  setU64(view, 48, identity.fileSequence);
  setU64(view, 56, header.groupSequence);
  setU64(view, 64, header.firstLsn);
  view.setUint32(72, header.lsnCount, true);
  setU64(view, 80, header.wall);
  setU64(view, 88, header.monotonic);
  view.setBigUint64(96, header.previousChecksum, true);
  setU64(view, 104, header.durableLsn);
  if (header.writerSalt) into.set(header.writerSalt, OFFSET_WRITER_SALT);
}

/** Completes a header. @param bytes - all headerBytes, entries, prints and seals in place, the checksum still zero @returns the checksum */
export function encodeChecksum(bytes: Uint8Array, identity: FileIdentity): bigint {
  const checksum = xxh64(bytes, checksumSeed(identity));
  new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE).setBigUint64(OFFSET_CHECKSUM, checksum, true);
  return checksum;
}

/** True when a page starts like a group: cheap, before {@link decodeHeader}. */
export function startsLikeGroup(page: Uint8Array): boolean {
  for (let i = 0; i < MAGIC.length; i++) if (page[i] !== MAGIC[i]) return false;
  return true;
}

/**
 * How many bytes of header a page claims, or undefined if it can't be a group of this vault. Bounded, but not yet
 * proved by the checksum.
 */
export function claimedHeaderBytes(page: Uint8Array): number | undefined {
  if (!startsLikeGroup(page)) return undefined;
  const view = new DataView(page.buffer, page.byteOffset, HEADER_SIZE);
  const headerBytes = view.getUint32(8, true);
  const payloadBytes = view.getUint32(12, true);
  const entryCount = view.getUint32(16, true);
  const pageCount = payloadBytes / PAGE_SIZE;
  const flags = view.getUint32(20, true);
  if (entryCount > GROUP_ENTRIES_MAX || !Number.isInteger(pageCount) || pageCount > GROUP_PAGES_MAX) return undefined;
  if ((flags & ~FLAG_ENCRYPTED) !== 0) return undefined;
  return headerBytes === headerBytesFor(entryCount, pageCount, flags === FLAG_ENCRYPTED) ? headerBytes : undefined;
}

/** The file sequence that a page claims; for telling the uses of recycled files apart before checking. */
export function claimedFileSequence(page: Uint8Array): number | undefined {
  if (claimedHeaderBytes(page) === undefined) return undefined;
  return getU64(new DataView(page.buffer, page.byteOffset, HEADER_SIZE), 48);
}

/** Decodes and proves a header. @param bytes - all headerBytes @returns undefined if they are not a group of this use of this file */
export function decodeHeader(bytes: Uint8Array, identity: FileIdentity): GroupHeader | undefined {
  const headerBytes = claimedHeaderBytes(bytes);
  if (headerBytes === undefined || bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const checksum = view.getBigUint64(OFFSET_CHECKSUM, true);
  view.setBigUint64(OFFSET_CHECKSUM, 0n, true);
  const actual = xxh64(bytes.subarray(0, headerBytes), checksumSeed(identity));
  view.setBigUint64(OFFSET_CHECKSUM, checksum, true);
  if (actual !== checksum || getU64(view, 48) !== identity.fileSequence) return undefined;
  const isEncrypted = view.getUint32(20, true) === FLAG_ENCRYPTED;
  if (isEncrypted !== (identity.cipher !== undefined)) return undefined;
  for (let i = 0; i < 16; i++) if (bytes[24 + i] !== identity.vaultId[i]) return undefined;
  return {
    headerBytes,
    payloadBytes: view.getUint32(12, true),
    entryCount: view.getUint32(16, true),
    epoch: getU64(view, 40),
    fileSequence: identity.fileSequence,
    groupSequence: getU64(view, 56),
    firstLsn: lsn(getU64(view, 64)),
    lsnCount: view.getUint32(72, true),
    wall: micros(getU64(view, 80)),
    monotonic: getU64(view, 88),
    previousChecksum: view.getBigUint64(96, true),
    durableLsn: lsn(getU64(view, 104)),
    writerSalt: isEncrypted ? bytes.slice(OFFSET_WRITER_SALT, OFFSET_WRITER_SALT + WRITER_SALT_BYTES) : undefined,
    checksum,
  };
}

/** Writes entry `ordinal` of a group whose entry area starts at `base` of the view. */
export function encodeEntry(
  view: DataView,
  base: number,
  ordinal: number,
  kind: number,
  strand: number,
  a: number,
  b: number,
  page: number,
): void {
  const offset = base + ordinal * ENTRY_SIZE;
  view.setUint32(offset, kind, true);
  view.setUint32(offset + 4, strand, true);
  view.setUint32(offset + 8, a, true);
  view.setUint32(offset + 12, b, true);
  view.setUint32(offset + 16, page, true);
  view.setUint32(offset + 20, 0, true);
}

/**
 * Decodes the entries of a proved header.
 * @returns undefined when they contradict the header: written by a defect, not by damage, since the checksum held
 */
export function decodeEntries(bytes: Uint8Array, header: GroupHeader): JournalEntry[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, header.headerBytes);
  const pageCount = header.payloadBytes / PAGE_SIZE;
  const entries: JournalEntry[] = [];
  let next: number = header.firstLsn;
  for (let i = 0; i < header.entryCount; i++) {
    const offset = HEADER_SIZE + i * ENTRY_SIZE;
    const kind = view.getUint32(offset, true);
    const strand = strandId(view.getUint32(offset + 4, true));
    const a = view.getUint32(offset + 8, true);
    const b = view.getUint32(offset + 12, true);
    const page = view.getUint32(offset + 16, true);
    switch (kind) {
      case ENTRY_WRITE:
        if (page + b > pageCount) return undefined;
        entries.push({ kind: "write", strand, lsn: lsn(next++), firstBlock: a, count: b, page });
        break;
      case ENTRY_ZERO:
      case ENTRY_TRIM:
        entries.push({
          kind: kind === ENTRY_ZERO ? "zero" : "trim",
          strand,
          lsn: lsn(next++),
          firstBlock: a,
          count: b,
        });
        break;
      case ENTRY_FLUSH:
        entries.push({ kind: "flush", strand, lsn: lsn(next++) });
        break;
      case ENTRY_MARK:
        if (page + pagesFor(a) > pageCount) return undefined;
        entries.push({ kind: "mark", lsn: lsn(next++), page, byteCount: a });
        break;
      default:
        return undefined;
    }
  }
  return next === header.firstLsn + header.lsnCount ? entries : undefined;
}

/** The print of payload page `page` of a proved header. */
export function printOf(bytes: Uint8Array, header: GroupHeader, page: number): bigint {
  const offset = HEADER_SIZE + header.entryCount * ENTRY_SIZE + page * 8;
  return new DataView(bytes.buffer, bytes.byteOffset, header.headerBytes).getBigUint64(offset, true);
}
