import { describe, expect, test } from "bun:test";
import { PAGE_SIZE } from "../../../src/journal/format.ts";
import { claimedSequenceOf, findLaterGroup, readGroups } from "../../../src/journal/scan.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";
import { identityOf, makeGroup, OTHER_VAULT, SEED, VAULT_ID, Writer } from "./groups.ts";

const FILE_BYTES = 32 * 1024;

/** Group sequences that readGroups() gives for a file of these bytes. */
async function groupsOf(bytes: Uint8Array, identity = identityOf(5), limit?: number): Promise<number[]> {
  const disk = new MemoryDisk();
  disk.files.set("/file", bytes);
  const file = await disk.open("/file", "read");
  const groups: number[] = [];
  for await (const group of readGroups(file, bytes.length, identity, limit)) groups.push(group.header.groupSequence);
  await file.close();
  return groups;
}

function twoGroups(): { file: Uint8Array; firstLength: number; second: Uint8Array } {
  const first = makeGroup(identityOf(5), { group: 1, previous: 0n, firstLsn: 1 });
  const second = makeGroup(identityOf(5), { group: 2, previous: first.checksum, firstLsn: 2, extras: true });
  const file = new Uint8Array(FILE_BYTES);
  file.set(first.bytes);
  file.set(second.bytes, first.bytes.length);
  return { file, firstLength: first.bytes.length, second: second.bytes };
}

describe("readGroups()", () => {
  test("gives the valid groups from the start, with payload and prints", async () => {
    const { file } = twoGroups();
    expect(await groupsOf(file)).toEqual([1, 2]);
    expect(await groupsOf(file, identityOf(5), 1)).toEqual([1]);
  });

  test("gives none of a group that is torn at any byte, over zeroes or over what an earlier use left", async () => {
    const stale = new Uint8Array(FILE_BYTES);
    const before = makeGroup(identityOf(4), { group: 9, previous: 3n, firstLsn: 500, blocks: 3, extras: true });
    stale.set(before.bytes);
    stale.set(before.bytes.subarray(0, FILE_BYTES - before.bytes.length), before.bytes.length);
    const { file, firstLength, second } = twoGroups();
    for (const background of [new Uint8Array(FILE_BYTES), stale]) {
      const torn = background.slice();
      torn.set(file.subarray(0, firstLength));
      // From nothing of it to all but its last byte; bytes that happen to be equal tear nothing.
      let whole = 0;
      for (let cut = 0; cut < second.length; cut++) {
        if (Buffer.compare(torn.subarray(firstLength, firstLength + second.length), second) === 0) whole++;
        // Most of a header page is padding: every byte of what says something, and some of the rest.
        if (cut < 400 || cut % 61 === 0 || cut > second.length - 10) {
          const isWhole = Buffer.compare(torn.subarray(firstLength, firstLength + second.length), second) === 0;
          expect(await groupsOf(torn)).toEqual(isWhole ? [1, 2] : [1]);
        }
        torn[firstLength + cut] = second[cut]!;
      }
      expect(whole).toBeLessThan(second.length);
      expect(await groupsOf(torn)).toEqual([1, 2]);
    }
  });

  test("gives none of a group in which one bit of the payload flipped, nor any behind it", async () => {
    const { file, firstLength } = twoGroups();
    for (let at = PAGE_SIZE; at < firstLength; at += 97) {
      const damaged = file.slice();
      damaged[at] = damaged[at]! ^ 0x10;
      expect(await groupsOf(damaged)).toEqual([]);
    }
  });

  test("gives nothing of an earlier use of the file, or of another vault's", async () => {
    const { file } = twoGroups();
    expect(await groupsOf(file, identityOf(6))).toEqual([]);
    expect(await groupsOf(file, identityOf(5, OTHER_VAULT))).toEqual([]);
  });

  test("stops where an earlier use's groups go on behind the newest", async () => {
    const stale = twoGroups().file;
    const newer = makeGroup(identityOf(6), { group: 3, previous: 1n, firstLsn: 9 });
    stale.set(newer.bytes);
    // The old second group still lies there, whole.
    expect(await groupsOf(stale, identityOf(6))).toEqual([3]);
  });

  test("ends at a file that is shorter than its last group claims", async () => {
    const { file, firstLength, second } = twoGroups();
    for (const length of [
      0,
      PAGE_SIZE,
      firstLength,
      firstLength + PAGE_SIZE,
      firstLength + second.length - PAGE_SIZE,
    ]) {
      expect(await groupsOf(file.slice(0, length))).toEqual(length < firstLength ? [] : [1]);
    }
  });
});

describe("claimedSequenceOf()", () => {
  test("is the use that the first page claims, 0 for a blank or short file", async () => {
    const disk = new MemoryDisk();
    disk.files.set("/a", twoGroups().file);
    disk.files.set("/b", new Uint8Array(FILE_BYTES));
    disk.files.set("/c", new Uint8Array(100));
    expect(await claimedSequenceOf(await disk.open("/a", "read"))).toBe(5);
    expect(await claimedSequenceOf(await disk.open("/b", "read"))).toBe(0);
    expect(await claimedSequenceOf(await disk.open("/c", "read"))).toBe(0);
  });
});

describe("findLaterGroup()", () => {
  const identity = { vaultId: VAULT_ID, seed: SEED };

  test("finds a group behind a damaged one, whatever use of the file it claims", async () => {
    const writer = new Writer();
    writer.write("0000.journal", 5);
    const damaged = writer.write("0000.journal", 5);
    const later = writer.write("0000.journal", 5);
    writer.slot("0000.journal")[damaged.offset + 40]! ^= 1;
    const file = await writer.disk.open("/journal/0000.journal", "read");
    const found = await findLaterGroup(file, writer.fileBytes, identity, 2);
    expect(found).toMatchObject({ offset: later.offset, header: { groupSequence: 3 } });
    expect(await findLaterGroup(file, writer.fileBytes, identity, 3)).toBeUndefined();
  });

  test("is not deceived by a payload that looks like a group", async () => {
    const bytes = new Uint8Array(FILE_BYTES);
    const fake = makeGroup({ vaultId: VAULT_ID, seed: 1n, fileSequence: 5 }, { group: 99, previous: 0n, firstLsn: 1 });
    bytes.set(fake.bytes, 2 * PAGE_SIZE);
    const disk = new MemoryDisk();
    disk.files.set("/file", bytes);
    expect(await findLaterGroup(await disk.open("/file", "read"), FILE_BYTES, identity, 0)).toBeUndefined();
  });
});
