import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { createIdentity, openIdentity, type VaultIdentity } from "../../../src/vault/identity.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const MIB = 2 ** 20;
const open = (disk: MemoryDisk): Promise<VaultIdentity> => openIdentity(disk, "/v", seededRandom(99));
const make = async (disk: MemoryDisk, seed = 1): Promise<VaultIdentity> => {
  await createIdentity(disk, "/v", seededRandom(seed), { journalFileBytes: MIB });
  return await open(disk);
};

describe("createIdentity()", () => {
  test("makes an identity that is the same at every opening", async () => {
    const disk = new MemoryDisk();
    const made = await make(disk);
    expect(made.id).toHaveLength(16);
    const again = await open(disk);
    expect(Buffer.from(again.id).toString("hex")).toBe(Buffer.from(made.id).toString("hex"));
    expect(again.seed).toBe(made.seed);
    expect(again.journalFileBytes).toBe(MIB);
  });

  test("two vaults differ", async () => {
    const [a, b] = [await make(new MemoryDisk(), 1), await make(new MemoryDisk(), 2)];
    expect(a.seed).not.toBe(b.seed);
    expect(Buffer.compare(a.id, b.id)).not.toBe(0);
  });

  test("keeps seeds and ids that begin with zeroes", async () => {
    const disk = new MemoryDisk();
    const low = { ...seededRandom(1), bytes: (length: number) => new Uint8Array(length).fill(7, 0, 1) };
    await createIdentity(disk, "/v", low, { journalFileBytes: MIB });
    expect((await open(disk)).seed).toBe(7n);
  });

  test("leaves an identity that is there as it is", async () => {
    const disk = new MemoryDisk();
    const made = await make(disk);
    expect(await make(disk, 2).catch((error: unknown) => error)).toMatchObject({ kind: "conflict" });
    expect((await open(disk)).seed).toBe(made.seed);
  });

  test("does not make a new identity for a vault that lost its own: all its bytes would look damaged", async () => {
    const disk = new MemoryDisk();
    disk.files.set("/v/manifest/0000000001", new Uint8Array(5));
    expect(await make(disk).catch((error: unknown) => error)).toMatchObject({ kind: "corrupt" });
    expect(await open(disk).catch((error: unknown) => error)).toMatchObject({ kind: "corrupt" });
    expect(disk.files.has("/v/vault.json")).toBe(false);
  });
});

describe("openIdentity()", () => {
  test("finds none in an empty folder, and makes none", async () => {
    const disk = new MemoryDisk();
    expect(await open(disk).catch((error: unknown) => error)).toMatchObject({ kind: "not_found" });
    expect(disk.files.size).toBe(0);
  });

  test.each<[string, unknown]>([
    ["no JSON", undefined],
    ["another format", { format: 2 }],
    ["a short id", { id: "ab" }],
    ["a seed that is no hex", { seed: "zzzzzzzzzzzzzzzz" }],
    ["a missing seed", { seed: undefined }],
    ["a journal size of no whole pages", { journalFileBytes: 5000 }],
    ["a journal size of nothing", { journalFileBytes: 0 }],
    ["a journal size that is no number", { journalFileBytes: "1048576" }],
  ])("refuses %s as corrupt", async (_, change) => {
    const disk = new MemoryDisk();
    await make(disk);
    const stored = JSON.parse(new TextDecoder().decode(disk.files.get("/v/vault.json"))) as Record<string, unknown>;
    const text = change === undefined ? "{" : JSON.stringify({ ...stored, ...(change as object) });
    disk.files.set("/v/vault.json", new TextEncoder().encode(text));
    expect(await open(disk).catch((error: unknown) => error)).toMatchObject({ kind: "corrupt" });
  });
});
