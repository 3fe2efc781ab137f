import { describe, expect, test } from "bun:test";
import {
  claimedFileSequence,
  claimedHeaderBytes,
  decodeEntries,
  decodeHeader,
  encodeHeader,
  ENTRY_SIZE,
  GROUP_ENTRIES_MAX,
  GROUP_PAGES_MAX,
  headerBytesFor,
  HEADER_SIZE,
  PAGE_SIZE,
  startsLikeGroup,
} from "../../../src/journal/format.ts";
import { identityOf, makeGroup, OTHER_VAULT } from "./groups.ts";

const identity = identityOf(9);
const group = () =>
  makeGroup(identity, { group: 4, previous: 77n, firstLsn: 20, blocks: 2, extras: true, durable: 19 });

/** The group with a change in its header that the checksum agrees with: what a defect could write, and damage cannot. */
function forged(change: (view: DataView) => void): Uint8Array {
  const { bytes } = group();
  const header = decodeHeader(bytes, identity)!;
  change(new DataView(bytes.buffer));
  encodeHeader(bytes, identity, header);
  return bytes;
}

describe("decodeHeader()", () => {
  test("gives back what was encoded", () => {
    const { bytes, checksum, headerBytes } = group();
    expect(decodeHeader(bytes, identity)).toEqual({
      headerBytes,
      payloadBytes: 3 * PAGE_SIZE,
      entryCount: 5,
      epoch: 3,
      fileSequence: 9,
      groupSequence: 4,
      firstLsn: 20,
      lsnCount: 5,
      wall: 4_000_000,
      monotonic: 2000,
      previousChecksum: 77n,
      durableLsn: 19,
      checksum,
    } as never);
  });

  test("refuses a header with any one bit flipped", () => {
    const { bytes, headerBytes } = group();
    for (let at = 0; at < headerBytes; at++) {
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      expect(decodeHeader(bytes, identity)).toBeUndefined();
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
    }
    expect(decodeHeader(bytes, identity)).toBeDefined();
  });

  test("refuses another use of the same file, another vault, and another seed", () => {
    const { bytes } = group();
    expect(decodeHeader(bytes, identityOf(10))).toBeUndefined();
    expect(decodeHeader(bytes, identityOf(8))).toBeUndefined();
    expect(decodeHeader(bytes, identityOf(9, OTHER_VAULT))).toBeUndefined();
    expect(decodeHeader(bytes, { ...identity, seed: 1n })).toBeUndefined();
  });

  test("refuses bytes that end before the header does", () => {
    const { bytes, headerBytes } = group();
    expect(decodeHeader(bytes.subarray(0, headerBytes - 1), identity)).toBeUndefined();
  });

  test("keeps numbers up to 2^53 - 1", () => {
    const big = Number.MAX_SAFE_INTEGER;
    const bytes = new Uint8Array(PAGE_SIZE);
    const header = {
      ...decodeHeader(group().bytes, identity)!,
      headerBytes: PAGE_SIZE,
      payloadBytes: 0,
      entryCount: 0,
    };
    encodeHeader(bytes, identityOf(big), { ...header, groupSequence: big, firstLsn: big as never, monotonic: big });
    expect(decodeHeader(bytes, identityOf(big))).toMatchObject({
      groupSequence: big,
      firstLsn: big as never,
      fileSequence: big,
    });
  });
});

describe("claimedHeaderBytes()", () => {
  test("is bounded by the format's limits, whatever the page claims", () => {
    const page = group().bytes;
    const view = new DataView(page.buffer);
    view.setUint32(16, GROUP_ENTRIES_MAX + 1, true);
    view.setUint32(8, headerBytesFor(GROUP_ENTRIES_MAX + 1, 3), true);
    expect(claimedHeaderBytes(page)).toBeUndefined();
    view.setUint32(16, 5, true);
    view.setUint32(12, (GROUP_PAGES_MAX + 1) * PAGE_SIZE, true);
    view.setUint32(8, headerBytesFor(5, GROUP_PAGES_MAX + 1), true);
    expect(claimedHeaderBytes(page)).toBeUndefined();
    view.setUint32(12, PAGE_SIZE + 1, true);
    expect(claimedHeaderBytes(page)).toBeUndefined();
  });

  test("and claimedFileSequence() say nothing of a page without the magic", () => {
    const page = group().bytes;
    expect(claimedFileSequence(page)).toBe(9);
    page[0] = 0;
    expect(startsLikeGroup(page)).toBe(false);
    expect(claimedHeaderBytes(page)).toBeUndefined();
    expect(claimedFileSequence(page)).toBeUndefined();
  });
});

describe("decodeEntries()", () => {
  test("numbers entries from the group's first LSN, in order", () => {
    const { bytes } = group();
    expect(decodeEntries(bytes, decodeHeader(bytes, identity)!)).toEqual([
      { kind: "write", strand: 1, lsn: 20, firstBlock: 10, count: 1, page: 0 },
      { kind: "write", strand: 1, lsn: 21, firstBlock: 11, count: 1, page: 1 },
      { kind: "trim", strand: 2, lsn: 22, firstBlock: 5, count: 1000 },
      { kind: "mark", lsn: 23, page: 2, byteCount: 6 },
      { kind: "flush", strand: 1, lsn: 24 },
    ] as never);
  });

  test.each([
    ["an unknown kind", (view: DataView) => view.setUint32(HEADER_SIZE, 99, true)],
    ["a write past the payload", (view: DataView) => view.setUint32(HEADER_SIZE + 16, 3, true)],
    ["a write of more pages than there are", (view: DataView) => view.setUint32(HEADER_SIZE + 12, 4, true)],
    [
      "a mark past the payload",
      (view: DataView) => view.setUint32(HEADER_SIZE + 3 * ENTRY_SIZE + 8, 2 * PAGE_SIZE, true),
    ],
  ])("refuses %s, although the checksum holds", (_, change) => {
    const bytes = forged(change);
    const header = decodeHeader(bytes, identity);
    expect(header).toBeDefined();
    expect(decodeEntries(bytes, header!)).toBeUndefined();
  });

  test("refuses a count of LSNs that its entries do not give", () => {
    const { bytes } = group();
    const header = decodeHeader(bytes, identity)!;
    expect(decodeEntries(bytes, { ...header, lsnCount: 6 })).toBeUndefined();
  });
});
