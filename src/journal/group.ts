/**
 * A group while it fills: entries and payload are copied in, then it is closed into one aligned piece for the disk.
 * Two of them take turns: while one is being written, the other fills. In an encrypted vault what goes to the disk is a sealed copy: the group
 * itself stays readable, for readers and for being written once more, to another file, after an error.
 */
import { assert } from "../base/assert.ts";
import type { Disk } from "../base/disk.ts";
import { xxh64 } from "../base/hash.ts";
import type { FileCipher } from "../security/cipher.ts";
import {
  encodeChecksum,
  encodeEntry,
  encodeFields,
  ENTRY_SIZE,
  GROUP_ENTRIES_MAX,
  headerBytesFor,
  HEADER_SIZE,
  PAGE_SIZE,
  type FileIdentity,
  type GroupHeader,
} from "./format.ts";
import { sealGroup, type GroupSeal } from "./group-seal.ts";

/** How a group is sealed when it closes. */
export interface GroupSealing {
  /** Of the file it goes to. */
  cipher: FileCipher;
  /** Takes the sealed copy; {@link FillingGroup.bytesMax} long, fit for the disk. */
  into: Uint8Array;
}

export class FillingGroup {
  /** Payload starts here in the buffer; the header is laid down right before it when the group closes. */
  private readonly payloadStart: number;
  private readonly buffer: Uint8Array;
  private readonly entries = new DataView(new ArrayBuffer(GROUP_ENTRIES_MAX * ENTRY_SIZE));
  /** Fingerprint of each payload page. */
  readonly prints: BigUint64Array;
  private readonly pagesCapacity: number;
  private readonly seed: bigint;
  private readonly isEncrypted: boolean;

  entryCount = 0;
  pageCount = 0;
  lsnCount = 0;
  firstLsn = 0;
  /** Which group of its file this is, from 0. */
  ordinal = 0;
  /** Most payload pages that fit, so that the group stays within its file. */
  pagesMax = 0;

  constructor(disk: Disk, pagesCapacity: number, seed: bigint, isEncrypted = false) {
    this.payloadStart = headerBytesFor(GROUP_ENTRIES_MAX, pagesCapacity, isEncrypted);
    this.buffer = disk.allocate(this.payloadStart + pagesCapacity * PAGE_SIZE);
    this.isEncrypted = isEncrypted;
    this.prints = new BigUint64Array(pagesCapacity);
    this.pagesCapacity = pagesCapacity;
    this.seed = seed;
  }

  open(ordinal: number, firstLsn: number, bytesLeftInFile: number): void {
    this.entryCount = 0;
    this.pageCount = 0;
    this.lsnCount = 0;
    this.ordinal = ordinal;
    this.firstLsn = firstLsn;
    this.pagesMax = Math.min(this.pagesCapacity, Math.floor((bytesLeftInFile - this.payloadStart) / PAGE_SIZE));
    assert(this.pagesMax > 0, "a group opens only where its file has room");
  }

  /** The smallest stretch of a file in which it makes sense to open a group with this many pages. */
  static bytesNeeded(pages: number, pagesCapacity: number, isEncrypted: boolean): number {
    return headerBytesFor(GROUP_ENTRIES_MAX, pagesCapacity, isEncrypted) + pages * PAGE_SIZE;
  }

  /** The largest group that it can become. */
  get bytesMax(): number {
    return this.buffer.length;
  }

  get isEmpty(): boolean {
    return this.entryCount === 0;
  }

  hasRoomFor(pages: number): boolean {
    return this.entryCount < GROUP_ENTRIES_MAX && this.pageCount + pages <= this.pagesMax;
  }

  /** Copies whole pages in and fingerprints them. @returns the first page's place in the group */
  addPages(data: Uint8Array): number {
    const first = this.pageCount;
    const start = this.payloadStart + first * PAGE_SIZE;
    this.buffer.set(data, start);
    const pages = Math.ceil(data.length / PAGE_SIZE);
    const end = start + pages * PAGE_SIZE;
    if (start + data.length < end) this.buffer.fill(0, start + data.length, end);
    // Hash our own copy: what is stored is what was fingerprinted, whatever happens to the caller's buffer.
    for (let i = 0; i < pages; i++) {
      this.prints[first + i] = xxh64(
        this.buffer.subarray(start + i * PAGE_SIZE, start + (i + 1) * PAGE_SIZE),
        this.seed,
      );
    }
    this.pageCount += pages;
    return first;
  }

  addEntry(kind: number, strand: number, a: number, b: number, page: number): void {
    encodeEntry(this.entries, 0, this.entryCount++, kind, strand, a, b, page);
    this.lsnCount++;
  }

  /** One payload page; a view into the group's own memory. */
  page(page: number): Uint8Array {
    const start = this.payloadStart + page * PAGE_SIZE;
    return this.buffer.subarray(start, start + PAGE_SIZE);
  }

  get headerBytes(): number {
    return headerBytesFor(this.entryCount, this.pageCount, this.isEncrypted);
  }

  /**
   * Lays the header down, and makes the sealed copy where the vault is encrypted.
   * @returns the bytes to write, and their checksum; valid until open() is called again, a sealed copy until its memory is used again
   */
  close(
    identity: FileIdentity,
    header: Pick<
      GroupHeader,
      "epoch" | "groupSequence" | "wall" | "monotonic" | "previousChecksum" | "durableLsn" | "writerSalt"
    >,
    sealing?: GroupSealing,
  ): { bytes: Uint8Array; checksum: bigint; seal: GroupSeal | undefined } {
    assert(
      (sealing !== undefined) === this.isEncrypted,
      "a group is sealed where the vault is encrypted, and only there",
    );
    const { headerBytes } = this;
    const payloadBytes = this.pageCount * PAGE_SIZE;
    const start = this.payloadStart - headerBytes;
    const payload = this.buffer.subarray(this.payloadStart, this.payloadStart + payloadBytes);
    const bytes = sealing
      ? sealing.into.subarray(0, headerBytes + payloadBytes)
      : this.buffer.subarray(start, this.payloadStart + payloadBytes);
    const entryBytes = this.entryCount * ENTRY_SIZE;
    bytes.set(new Uint8Array(this.entries.buffer, 0, entryBytes), HEADER_SIZE);
    const printBytes = new Uint8Array(this.prints.buffer, 0, this.pageCount * 8);
    bytes.set(printBytes, HEADER_SIZE + entryBytes);
    bytes.fill(0, HEADER_SIZE + entryBytes + printBytes.length, headerBytes);
    const fields = {
      ...header,
      headerBytes,
      payloadBytes,
      entryCount: this.entryCount,
      firstLsn: this.firstLsn as GroupHeader["firstLsn"],
      lsnCount: this.lsnCount,
    };
    encodeFields(bytes, identity, fields);
    const seal = sealing && sealGroup(sealing.cipher, fields, payload, bytes);
    return { bytes, checksum: encodeChecksum(bytes.subarray(0, headerBytes), identity), seal };
  }
}
