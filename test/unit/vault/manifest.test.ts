import { describe, expect, test } from "bun:test";
import { loadManifest, loadNewestManifest, publishManifest, type Manifest } from "../../../src/vault/manifest.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const VAULT = "ab".repeat(16);

const manifest = (number: number, previous = "", vault = VAULT): Manifest => ({
  format: 1,
  vault,
  number,
  epoch: 1,
  firstLsn: 1,
  previous,
  sealed: { lsn: number, fileSequence: 0, groupSequence: 0, groupChecksum: "0000000000000000", wall: 0 },
  next: { pack: 1, layer: 1, chronicle: 1 },
  packs: [],
  layers: [],
  chronicles: [],
  registry: { volumes: [], strands: [] },
});

async function published(count: number): Promise<{ disk: MemoryDisk; hashes: string[] }> {
  const disk = new MemoryDisk();
  const hashes = [""];
  for (let number = 1; number <= count; number++) {
    hashes.push(await publishManifest(disk, "/m", manifest(number, hashes[number - 1])));
  }
  return { disk, hashes };
}

const flip = (disk: MemoryDisk, path: string, at: number): void => {
  const bytes = disk.files.get(path)!;
  bytes[at] = bytes[at]! ^ 1;
};

describe("publishManifest()", () => {
  test("keeps the newest four, each naming the hash of the one before", async () => {
    const { disk, hashes } = await published(7);
    expect(await disk.list("/m")).toEqual(["0000000004", "0000000005", "0000000006", "0000000007"]);
    for (const number of [5, 6, 7]) {
      const loaded = await loadManifest(disk, `/m/000000000${number}`, VAULT);
      expect(loaded.manifest.previous).toBe(hashes[number - 1]!);
      expect(loaded.sha256).toBe(hashes[number]!);
    }
    expect(disk.openFiles).toBe(0);
  });
});

describe("loadNewestManifest()", () => {
  test("gives nothing for a folder without manifests, whatever else lies there", async () => {
    const disk = new MemoryDisk();
    disk.files.set("/m/0000000001.tmp", new Uint8Array(10));
    disk.files.set("/m/notes", new Uint8Array(10));
    expect(await loadNewestManifest(disk, "/m", VAULT)).toBeUndefined();
  });

  test("gives the newest", async () => {
    const { disk } = await published(3);
    expect(await loadNewestManifest(disk, "/m", VAULT)).toMatchObject({ manifest: { number: 3 }, damage: undefined });
  });

  test("falls back to the one before and says why, when the newest has any bit flipped, is cut off, or is empty", async () => {
    const { disk } = await published(3);
    const path = "/m/0000000003";
    const whole = disk.files.get(path)!.slice();
    const harms: (() => void)[] = [
      ...Array.from({ length: 40 }, (_, i) => () => flip(disk, path, Math.floor((i * whole.length) / 40))),
      () => disk.files.set(path, whole.slice(0, whole.length - 1)),
      () => disk.files.set(path, new Uint8Array(0)),
      () => disk.files.set(path, whole.slice(0, 30)),
    ];
    for (const [i, harm] of harms.entries()) {
      disk.files.set(path, whole.slice());
      harm();
      // The byte between hash and JSON says nothing.
      if (i < 40 && Math.floor((i * whole.length) / 40) === 64) continue;
      const loaded = await loadNewestManifest(disk, "/m", VAULT);
      expect(loaded?.manifest.number).toBe(2);
      expect(loaded?.damage).toContain("0000000003");
    }
  });

  test("is corrupt when none is readable", async () => {
    const { disk } = await published(2);
    for (const name of await disk.list("/m")) flip(disk, `/m/${name}`, 100);
    expect(await loadNewestManifest(disk, "/m", VAULT).catch((error: unknown) => error)).toMatchObject({
      kind: "corrupt",
    });
  });

  test("refuses another vault's, and a format that it does not know", async () => {
    const other = new MemoryDisk();
    await publishManifest(other, "/m", manifest(1, "", "cd".repeat(16)));
    expect(await loadNewestManifest(other, "/m", VAULT).catch((error: unknown) => error)).toMatchObject({
      kind: "corrupt",
    });
    const later = new MemoryDisk();
    await publishManifest(later, "/m", { ...manifest(1), format: 2 as never });
    const error = await loadNewestManifest(later, "/m", VAULT).catch((cause: unknown) => cause);
    expect((error as Error).message).toContain("format 2");
  });
});
