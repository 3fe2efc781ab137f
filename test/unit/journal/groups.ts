/** What the journal's tests share: groups made byte for byte, and a disk that holds them. */
import { lsn, micros } from "../../../src/base/units.ts";
import {
  ENTRY_FLUSH,
  ENTRY_MARK,
  ENTRY_TRIM,
  ENTRY_WRITE,
  PAGE_SIZE,
  type FileIdentity,
} from "../../../src/journal/format.ts";
import { FillingGroup } from "../../../src/journal/group.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

export const VAULT_ID = Uint8Array.from({ length: 16 }, (_, i) => 200 - i);
export const OTHER_VAULT = Uint8Array.from({ length: 16 }, (_, i) => 100 + i);
export const SEED = 0xfeed_5eed_0123_4567n;

export const identityOf = (fileSequence: number, vaultId: Uint8Array = VAULT_ID): FileIdentity => ({
  vaultId,
  seed: SEED,
  fileSequence,
});

export interface Made {
  bytes: Uint8Array;
  checksum: bigint;
  headerBytes: number;
}

/** One group: `blocks` writes of one block each to strand 1, then a trim, a mark and a flush. */
export function makeGroup(
  identity: FileIdentity,
  options: { group: number; previous: bigint; firstLsn: number; blocks?: number; extras?: boolean; durable?: number },
): Made {
  const { group, previous, firstLsn, blocks = 1, extras = false } = options;
  const filling = new FillingGroup(new MemoryDisk(), 32, identity.seed);
  filling.open(0, firstLsn, 2 ** 20);
  for (let i = 0; i < blocks; i++) {
    const page = filling.addPages(new Uint8Array(PAGE_SIZE).fill(firstLsn + i));
    filling.addEntry(ENTRY_WRITE, 1, 10 + i, 1, page);
  }
  if (extras) {
    filling.addEntry(ENTRY_TRIM, 2, 5, 1000, 0);
    const mark = new TextEncoder().encode("a mark");
    filling.addEntry(ENTRY_MARK, 0, mark.length, 0, filling.addPages(mark));
    filling.addEntry(ENTRY_FLUSH, 1, 0, 0, 0);
  }
  const { bytes, checksum } = filling.close(identity, {
    epoch: 3,
    groupSequence: group,
    wall: micros(1_000_000 * group),
    monotonic: 500 * group,
    previousChecksum: previous,
    durableLsn: lsn(options.durable ?? 0),
  });
  return { bytes: bytes.slice(), checksum, headerBytes: filling.headerBytes };
}

/** A chain of groups, as one writer makes them; each is laid into the file that `files` names for it. */
export class Writer {
  readonly fileBytes: number;
  readonly disk = new MemoryDisk();
  group = 0;
  lsn = 0;
  checksum = 0n;
  readonly ends = new Map<string, number>();

  constructor(fileBytes = 64 * 1024) {
    this.fileBytes = fileBytes;
  }

  /** Appends the next group to a slot. @returns where it lies */
  write(
    slot: string,
    fileSequence: number,
    options: { vaultId?: Uint8Array; keepsSequence?: boolean } = {},
  ): { offset: number; length: number } {
    const made = makeGroup(identityOf(fileSequence, options.vaultId), {
      group: this.group + 1,
      previous: this.checksum,
      firstLsn: this.lsn + 1,
    });
    const file = this.slot(slot);
    const offset = this.ends.get(slot) ?? 0;
    file.set(made.bytes, offset);
    this.ends.set(slot, offset + made.bytes.length);
    if (options.keepsSequence !== true) {
      this.group++;
      this.lsn++;
      this.checksum = made.checksum;
    }
    return { offset, length: made.bytes.length };
  }

  /** Bytes of a slot; of zeroes before its first group. */
  slot(slot: string): Uint8Array<ArrayBufferLike> {
    const path = `/journal/${slot}`;
    const bytes = this.disk.files.get(path) ?? new Uint8Array(this.fileBytes);
    this.disk.files.set(path, bytes);
    return bytes;
  }

  /** A new use of a slot begins at its start. */
  recycle(slot: string): void {
    this.ends.set(slot, 0);
  }
}
