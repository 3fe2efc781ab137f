import { describe, expect, test } from "bun:test";
import { PAGE_SIZE } from "../../../../src/journal/format.ts";
import { PAGE_HOLE, provedPage, readStretch, type Stretch } from "../../../../src/vault/sealing/stretch.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";
import { identityOf, makeGroup, SEED } from "../../journal/groups.ts";

const FILE_BYTES = 128 * 1024;

/** Two groups: blocks 10, 11, 12 and then 10, 11, each with a trim of blocks 5 to 1004 of strand 2. */
function file(): Uint8Array {
  const first = makeGroup(identityOf(5), { group: 1, previous: 0n, firstLsn: 1, blocks: 3, extras: true });
  const second = makeGroup(identityOf(5), { group: 2, previous: first.checksum, firstLsn: 7, blocks: 2, extras: true });
  const bytes = new Uint8Array(FILE_BYTES);
  bytes.set(first.bytes);
  bytes.set(second.bytes, first.bytes.length);
  return bytes;
}

async function stretchOf(bytes: Uint8Array, groupCount: number): Promise<Stretch> {
  const disk = new MemoryDisk();
  disk.files.set("/f", bytes as Uint8Array<ArrayBuffer>);
  return await readStretch(
    await disk.open("/f", "read"),
    FILE_BYTES,
    identityOf(5),
    groupCount,
    new Uint8Array(FILE_BYTES),
  );
}

describe("readStretch()", () => {
  test("sorts entries by strand, level, place and LSN, each with its page", async () => {
    const { runs, payload } = await stretchOf(file(), 2);
    expect(runs.map(({ strand, level }) => [strand, level])).toEqual([
      [1, 0],
      [2, 0],
      [2, 1],
    ]);
    const [writes, , chunks] = runs as [Stretch["runs"][0], Stretch["runs"][0], Stretch["runs"][0]];
    expect([...writes.index]).toEqual([10, 10, 11, 11, 12]);
    expect([...writes.lsn]).toEqual([1, 7, 2, 8, 3]);
    // Each block holds its own LSN: the page is the right one.
    expect([...writes.page].map((page) => payload[page * PAGE_SIZE])).toEqual([1, 7, 2, 8, 3]);
    expect([...chunks.index]).toEqual([1, 1, 2, 2]);
    expect(new Set(chunks.page)).toEqual(new Set([PAGE_HOLE]));
  });

  test("reads the first groups only, when told so", async () => {
    const { runs, lastGroupSequence } = await stretchOf(file(), 1);
    expect(lastGroupSequence).toBe(1);
    expect([...runs[0]!.lsn]).toEqual([1, 2, 3]);
  });

  test("dates what happened by group and strand", async () => {
    const { rows } = await stretchOf(file(), 2);
    const ofOne = rows.filter((row) => row.strand === 1);
    expect(
      ofOne.map(({ firstLsn, lastLsn, writes, flushLsn, time }) => [firstLsn, lastLsn, writes, flushLsn, time]),
    ).toEqual([
      [1, 6, 3, 6, 1_000_000],
      [7, 11, 2, 11, 2_000_000],
    ]);
    expect(rows.find((row) => row.strand === 2)!.clearedBytes).toBe(1000 * PAGE_SIZE);
  });

  test("is corrupt when the file holds fewer valid groups than were closed in it", async () => {
    expect(await stretchOf(file(), 3).catch((error: unknown) => error)).toMatchObject({ kind: "corrupt" });
    const damaged = file();
    damaged[2 * PAGE_SIZE]! ^= 1;
    expect(await stretchOf(damaged, 2).catch((error: unknown) => error)).toMatchObject({ kind: "corrupt" });
  });
});

describe("provedPage()", () => {
  test("gives a page as it was written, and refuses one that memory changed since", async () => {
    const stretch = await stretchOf(file(), 2);
    expect(provedPage(stretch, 0, SEED)).toEqual(new Uint8Array(PAGE_SIZE).fill(1));
    stretch.payload[100]! ^= 4;
    expect(() => provedPage(stretch, 0, SEED)).toThrow(expect.objectContaining({ kind: "corrupt" }));
    expect(() => provedPage(stretch, 1, SEED)).not.toThrow();
  });
});
