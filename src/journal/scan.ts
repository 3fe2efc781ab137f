/**
 * Reads the groups of one journal file in order, proving header and payload. Recovery and the sealer share it, so what
 * recovery accepts is exactly what gets sealed.
 */
import { assert } from "../base/assert.ts";
import type { DiskFile } from "../base/disk.ts";
import { xxh64 } from "../base/hash.ts";
import type { FileCipher } from "../security/cipher.ts";
import {
  claimedFileSequence,
  claimedHeaderBytes,
  decodeEntries,
  decodeHeader,
  ENTRY_SIZE,
  GROUP_ENTRIES_MAX,
  GROUP_PAGES_MAX,
  headerBytesFor,
  HEADER_SIZE,
  PAGE_SIZE,
  printOf,
  startsLikeGroup,
  type FileIdentity,
  type GroupHeader,
  type JournalEntry,
} from "./format.ts";
import { journalCipher, openGroup, type GroupSeal } from "./group-seal.ts";

/** A proved group. The byte views live in the scan's buffer: valid until the next group is asked for. */
export interface ScannedGroup {
  header: GroupHeader;
  entries: JournalEntry[];
  /** Where the group starts in the file. */
  offset: number;
  payload: Uint8Array;
  /** Fingerprint of payload page i, as it was stored and has been checked. */
  print(page: number): bigint;
  /** Opens its pages when they are read again; undefined where the vault is not encrypted. The caller may keep it. */
  seal: GroupSeal | undefined;
}

const GROUP_BYTES_MAX = headerBytesFor(GROUP_ENTRIES_MAX, GROUP_PAGES_MAX, true) + GROUP_PAGES_MAX * PAGE_SIZE;

/** A window over a file, refilled as the scan moves on: many small groups cost one read. */
class Window {
  private start = 0;
  private length = 0;
  private readonly file: DiskFile;
  private readonly fileBytes: number;
  private readonly buffer: Uint8Array;

  constructor(file: DiskFile, fileBytes: number) {
    this.file = file;
    this.fileBytes = fileBytes;
    this.buffer = new Uint8Array(Math.min(fileBytes, 2 * GROUP_BYTES_MAX));
  }

  /** Bytes [offset, offset + length), or undefined past the end of the file. */
  async bytes(offset: number, length: number): Promise<Uint8Array | undefined> {
    if (offset + length > this.fileBytes) return undefined;
    if (offset < this.start || offset + length > this.start + this.length) {
      this.start = offset;
      this.length = await this.file.read(
        this.buffer.subarray(0, Math.min(this.buffer.length, this.fileBytes - offset)),
        offset,
      );
    }
    if (offset + length > this.start + this.length) return undefined;
    return this.buffer.subarray(offset - this.start, offset - this.start + length);
  }
}

/** Opens the groups of one file: they have one writer, and so one key, unless the file is damaged. */
class Opener {
  private readonly identity: FileIdentity;
  private last: { header: GroupHeader; cipher: FileCipher } | undefined;

  constructor(identity: FileIdentity) {
    this.identity = identity;
  }

  /** Opens a group in place. @returns undefined when it is not what was written */
  open(header: GroupHeader, whole: Uint8Array): GroupSeal | undefined {
    return openGroup(this.cipherOf(header), header, whole);
  }

  private cipherOf(header: GroupHeader): FileCipher {
    const { cipher } = this.identity;
    const { writerSalt } = header;
    assert(cipher !== undefined && writerSalt !== undefined, "a proved header is encrypted as the vault is");
    const { last } = this;
    const isSame =
      last?.header.epoch === header.epoch && Buffer.compare(last.header.writerSalt ?? NOTHING, writerSalt) === 0;
    if (last && isSame) return last.cipher;
    this.last = { header, cipher: journalCipher(cipher, { ...header, writerSalt }) };
    return this.last.cipher;
  }
}

const NOTHING = new Uint8Array(0);

/**
 * Yields the valid groups from offset 0 until the first that isn't.
 * @param groupCountMax - stop after so many
 */
export async function* readGroups(
  file: DiskFile,
  fileBytes: number,
  identity: FileIdentity,
  groupCountMax = Number.POSITIVE_INFINITY,
): AsyncGenerator<ScannedGroup, void, void> {
  const window = new Window(file, fileBytes);
  const opener = identity.cipher && new Opener(identity);
  let offset = 0;
  for (let n = 0; n < groupCountMax; n++) {
    const first = await window.bytes(offset, PAGE_SIZE);
    const headerBytes = first && claimedHeaderBytes(first);
    if (!first || headerBytes === undefined) return;
    const payloadBytes = new DataView(first.buffer, first.byteOffset, HEADER_SIZE).getUint32(12, true);
    const whole = await window.bytes(offset, headerBytes + payloadBytes);
    const header = whole && decodeHeader(whole, identity);
    if (!whole || !header) return;
    // In the window itself, which is read once.
    const seal = opener?.open(header, whole);
    if (opener && !seal) return;
    const entries = decodeEntries(whole, header);
    const payload = whole.subarray(headerBytes);
    if (!entries || !printsHold(whole, header, payload, identity.seed)) return;
    yield { header, entries, offset, payload, print: (page) => printOf(whole, header, page), seal };
    offset += headerBytes + payloadBytes;
  }
}

function printsHold(whole: Uint8Array, header: GroupHeader, payload: Uint8Array, seed: bigint): boolean {
  const prints = new DataView(whole.buffer, whole.byteOffset + HEADER_SIZE + header.entryCount * ENTRY_SIZE);
  for (let page = 0; page * PAGE_SIZE < payload.length; page++) {
    const bytes = payload.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    if (xxh64(bytes, seed) !== prints.getBigUint64(page * 8, true)) return false;
  }
  return true;
}

/** The file sequence that the first page claims, 0 if none. */
export async function claimedSequenceOf(file: DiskFile): Promise<number> {
  const page = new Uint8Array(PAGE_SIZE);
  if ((await file.read(page, 0)) < PAGE_SIZE) return 0;
  return claimedFileSequence(page) ?? 0;
}

/**
 * Looks at every page of a file for the headers of groups newer than `afterGroup`, whatever use of the file they claim: what lies
 * behind a damaged group. Payload that happens to look like a group cannot pass the seeded checksum.
 * @param counts - which of them to take
 */
export async function findLaterGroup(
  file: DiskFile,
  fileBytes: number,
  identity: Omit<FileIdentity, "fileSequence">,
  afterGroup: number,
  counts: (header: GroupHeader) => boolean = () => true,
): Promise<{ header: GroupHeader; offset: number } | undefined> {
  const window = new Window(file, fileBytes);
  for (let offset = 0; offset + PAGE_SIZE <= fileBytes; offset += PAGE_SIZE) {
    const page = await window.bytes(offset, PAGE_SIZE);
    if (!page) return undefined;
    if (!startsLikeGroup(page)) continue;
    const headerBytes = claimedHeaderBytes(page);
    const fileSequence = claimedFileSequence(page);
    if (headerBytes === undefined || fileSequence === undefined) continue;
    const bytes = await window.bytes(offset, headerBytes);
    const header = bytes && decodeHeader(bytes, { ...identity, fileSequence });
    if (header && header.groupSequence > afterGroup && counts(header)) return { header, offset };
  }
  return undefined;
}
