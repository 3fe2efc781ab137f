import { describe, expect, test } from "bun:test";
import { recover, type Recovered, type RecoverRequest } from "../../../src/journal/recover.ts";
import { OTHER_VAULT, SEED, VAULT_ID, Writer } from "./groups.ts";

const A = "0000.journal";
const B = "0001.journal";
const C = "0002.journal";

/** Recovers, and says which groups were replayed. */
async function recovered(
  writer: Writer,
  changes: Partial<RecoverRequest> = {},
): Promise<Recovered & { groups: number[] }> {
  const groups: number[] = [];
  const result = await recover(
    {
      disk: writer.disk,
      dir: "/journal",
      slots: [...writer.disk.files.keys()].map((path) => path.slice("/journal/".length)).sort(),
      fileBytes: writer.fileBytes,
      vaultId: VAULT_ID,
      seed: SEED,
      sealedFileSequence: 0,
      sealedGroupSequence: 0,
      sealedGroupChecksum: 0n,
      cleanGroupSequence: undefined,
      ...changes,
    },
    (group) => groups.push(group.header.groupSequence),
  );
  expect(writer.disk.openFiles).toBe(0);
  return { ...result, groups };
}

function spoil(writer: Writer, slot: string, place: { offset: number; length: number }): void {
  writer.slot(slot)[place.offset + place.length - 1]! ^= 0x80;
}

describe("recover()", () => {
  test("gives nothing for blank files", async () => {
    const writer = new Writer();
    writer.slot(A);
    const result = await recovered(writer);
    expect(result).toMatchObject({
      files: [],
      groups: [],
      lastGroupSequence: 0,
      lastFileSequence: 0,
      damage: undefined,
    });
  });

  test("replays the groups of several files in the order of their use, not of their names", async () => {
    const writer = new Writer();
    writer.write(C, 7);
    writer.write(C, 7);
    writer.write(A, 8);
    writer.write(B, 9);
    const result = await recovered(writer);
    expect(result.groups).toEqual([1, 2, 3, 4]);
    expect(result.files.map(({ slot, groupCount }) => [slot, groupCount])).toEqual([
      [C, 2],
      [A, 1],
      [B, 1],
    ]);
    expect(result.lastFileSequence).toBe(9);
    expect(result.lastGroupChecksum).toBe(writer.checksum);
    expect(result.damage).toBeUndefined();
  });

  test("cuts a torn tail", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(A, 1);
    spoil(writer, A, writer.write(A, 1));
    expect(await recovered(writer)).toMatchObject({ groups: [1, 2], damage: undefined, lastGroupSequence: 2 });
  });

  test("cuts a torn tail at the start of the newest file", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    spoil(writer, B, writer.write(B, 2));
    expect(await recovered(writer)).toMatchObject({ groups: [1], damage: undefined });
  });

  test("proves damage by a later group of the same file, and says where it stopped", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    spoil(writer, A, writer.write(A, 1));
    const later = writer.write(A, 1);
    const result = await recovered(writer);
    expect(result.groups).toEqual([1]);
    expect(result.damage).toMatchObject({ slot: A, offset: later.offset });
    expect(result.damage!.message).toContain("group 3 is there");
  });

  test("proves damage by a later group of another file", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    spoil(writer, A, writer.write(A, 1));
    writer.write(B, 2);
    const result = await recovered(writer);
    expect(result.groups).toEqual([1]);
    expect(result.damage).toBeDefined();
  });

  test("proves damage of a whole first file by the second", async () => {
    const writer = new Writer();
    spoil(writer, A, writer.write(A, 1));
    writer.write(B, 2);
    writer.write(B, 2);
    const result = await recovered(writer);
    expect(result.groups).toEqual([]);
    expect(result.damage).toBeDefined();
  });

  test("leaves out what a failed file holds from the group that moved to another", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    // The write of group 2 failed, but reached the disk; group 2 was written again to B, and 3 followed there.
    writer.write(A, 1, { keepsSequence: true });
    writer.write(B, 2);
    writer.write(B, 2);
    const result = await recovered(writer);
    expect(result.groups).toEqual([1, 2, 3]);
    expect(result.files.map(({ slot, groupCount }) => [slot, groupCount])).toEqual([
      [A, 1],
      [B, 2],
    ]);
    expect(result.damage).toBeUndefined();
    expect(result.lastGroupChecksum).toBe(writer.checksum);
  });

  test("leaves out a failed file altogether when its first group moved", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(B, 2, { keepsSequence: true });
    writer.write(C, 3);
    const result = await recovered(writer);
    expect(result.groups).toEqual([1, 2]);
    expect(result.files.map(({ slot }) => slot)).toEqual([A, C]);
    expect(result.damage).toBeUndefined();
  });

  test("proves damage of a moved group, although what the failed write left of it is whole", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(A, 1, { keepsSequence: true });
    spoil(writer, B, writer.write(B, 2));
    writer.write(B, 2);
    expect((await recovered(writer)).damage).toBeDefined();
  });

  test("takes the moved group for a torn tail when neither copy is whole", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    spoil(writer, A, writer.write(A, 1, { keepsSequence: true }));
    spoil(writer, B, writer.write(B, 2));
    expect(await recovered(writer)).toMatchObject({ groups: [1], damage: undefined });
  });

  test("keeps a group whose failed write reached the disk, when the crash came before it moved", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(A, 1);
    spoil(writer, B, writer.write(B, 2));
    expect(await recovered(writer)).toMatchObject({ groups: [1, 2], damage: undefined });
  });

  test("does not look at files that are sealed, and goes on from the sealed group", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(A, 1);
    const sealed = { sealedFileSequence: 1, sealedGroupSequence: 2, sealedGroupChecksum: writer.checksum };
    writer.write(B, 2);
    expect((await recovered(writer, sealed)).groups).toEqual([3]);
    // The manifest's checksum ties the journal to it: a journal of another history does not follow.
    const other = await recovered(writer, { ...sealed, sealedGroupChecksum: 5n });
    expect(other.groups).toEqual([]);
    expect(other.damage).toBeDefined();
  });

  test("is not disturbed by what an earlier use left behind the newest group", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    writer.write(A, 1);
    writer.write(A, 1);
    const sealed = { sealedFileSequence: 1, sealedGroupSequence: 3, sealedGroupChecksum: writer.checksum };
    writer.recycle(A);
    writer.write(A, 2);
    expect(await recovered(writer, sealed)).toMatchObject({ groups: [4], damage: undefined });
  });

  test("reads nothing of another vault's journal, and calls it no damage", async () => {
    const writer = new Writer();
    writer.write(A, 1, { vaultId: OTHER_VAULT });
    expect(await recovered(writer)).toMatchObject({ groups: [], damage: undefined });
  });

  test("asks after a clean stop for the very last group", async () => {
    const writer = new Writer();
    writer.write(A, 1);
    const last = writer.write(A, 1);
    expect(await recovered(writer, { cleanGroupSequence: 2 })).toMatchObject({ groups: [1, 2], damage: undefined });
    // The same torn tail that is cut after a crash is damage after a clean stop: that group had been durable.
    spoil(writer, A, last);
    expect((await recovered(writer)).damage).toBeUndefined();
    const result = await recovered(writer, { cleanGroupSequence: 2 });
    expect(result.groups).toEqual([1]);
    expect(result.damage!.message).toContain("stopped cleanly at group 2");
  });

  test("calls an empty journal damage when the vault was stopped cleanly with groups in it", async () => {
    const writer = new Writer();
    writer.slot(A);
    expect((await recovered(writer, { cleanGroupSequence: 4 })).damage).toBeDefined();
  });
});
