import { beforeEach, describe, expect, test } from "bun:test";
import { isSternwayError } from "../../../src/base/errors.ts";
import { seededRandom } from "../../../src/base/random.ts";
import type { Secret } from "../../../src/security/secret.ts";
import { createIdentity, openIdentity } from "../../../src/vault/identity.ts";
import { addVaultKey, listVaultKeys, removeVaultKey, rotateVaultKey } from "../../../src/vault/vault-keys.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const random = seededRandom(7);
const key = (fill: number): Secret => ({ kind: "key-file", bytes: new Uint8Array(32).fill(fill) });
let disk: MemoryDisk;
const place = (): { disk: MemoryDisk; dir: string } => ({ disk, dir: "/v" });
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "done",
    (error: unknown) => (isSternwayError(error) ? error.kind : error),
  );
const opens = (secret: Secret): Promise<unknown> => outcome(openIdentity(disk, "/v", random, secret));
const facts = async (secret: Secret): Promise<string> => {
  const { id, seed, cipher } = await openIdentity(disk, "/v", random, secret);
  return [id, seed, Buffer.from(cipher!.copyDataKey()).toString("hex")].join(" ");
};

beforeEach(async () => {
  disk = new MemoryDisk();
  await createIdentity(disk, "/v", random, { journalFileBytes: 2 ** 20, encrypt: key(1), label: "first" });
});

describe("addVaultKey()", () => {
  test("lets a second secret open the same vault, and the first go on", async () => {
    const before = await facts(key(1));
    const added = await addVaultKey(place(), random, key(1), key(2), "spare");
    expect(added).toMatchObject({ kind: "key-file", label: "spare" });
    expect(await facts(key(1))).toBe(before);
    expect(await facts(key(2))).toBe(before);
    expect(await listVaultKeys(place())).toEqual([expect.objectContaining({ label: "first" }), added]);
    expect([...disk.files.keys()]).toEqual(["/v/vault.json"]);
  });

  test("takes no secret from who has none, and none beyond eight", async () => {
    expect(await outcome(addVaultKey(place(), random, key(9), key(2)))).toBe("denied");
    expect(await outcome(addVaultKey(place(), random, key(1), key(2), "x".repeat(65)))).toBe("invalid");
    for (let i = 2; i <= 8; i++) await addVaultKey(place(), random, key(1), key(i));
    expect(await outcome(addVaultKey(place(), random, key(1), key(9)))).toBe("conflict");
    for (let i = 1; i <= 8; i++) expect(await opens(key(i))).toBe("done");
  });
});

describe("rotateVaultKey()", () => {
  test("puts the new secret in the old one's place, under its label, and leaves the others alone", async () => {
    await addVaultKey(place(), random, key(1), key(2), "spare");
    const before = await facts(key(2));
    await rotateVaultKey(place(), random, key(1), key(3));
    expect(await opens(key(1))).toBe("denied");
    expect(await facts(key(2))).toBe(before);
    expect(await facts(key(3))).toBe(before);
    expect((await listVaultKeys(place())).map(({ label }) => label)).toEqual(["first", "spare"]);
  });

  test("that fails on the disk leaves the old secret", async () => {
    disk.writesLeft = 0;
    expect(await outcome(rotateVaultKey(place(), random, key(1), key(3)))).toBe("unavailable");
    expect(await opens(key(1))).toBe("done");
    expect(await opens(key(3))).toBe("denied");
  });
});

describe("removeVaultKey()", () => {
  test("takes one away by its id, in the name of one that stays", async () => {
    const { id } = await addVaultKey(place(), random, key(1), key(2));
    expect(await outcome(removeVaultKey(place(), key(2), id))).toBe("denied");
    expect(await outcome(removeVaultKey(place(), key(1), "ffffffff"))).toBe("not_found");
    await removeVaultKey(place(), key(1), id);
    expect(await opens(key(2))).toBe("denied");
    expect(await opens(key(1))).toBe("done");
  });

  test("never takes the last", async () => {
    const [only] = await listVaultKeys(place());
    expect(await outcome(removeVaultKey(place(), key(1), only!.id))).toBe("conflict");
    expect(await opens(key(1))).toBe("done");
  });
});

test("a vault that is not encrypted has no keys and takes none", async () => {
  disk = new MemoryDisk();
  await createIdentity(disk, "/v", random, { journalFileBytes: 2 ** 20 });
  expect(await listVaultKeys(place())).toEqual([]);
  expect(await outcome(addVaultKey(place(), random, key(1), key(2)))).toBe("conflict");
});

test("the identity file holds neither seed nor data key, and damage to any of its bytes is no wrong key", async () => {
  const { seed, cipher } = await openIdentity(disk, "/v", random, key(1));
  const whole = disk.files.get("/v/vault.json")!;
  const text = new TextDecoder().decode(whole);
  const seedBytes = Buffer.alloc(8);
  seedBytes.writeBigUInt64LE(seed);
  for (const secret of [cipher!.copyDataKey(), seedBytes, Buffer.from(seedBytes).reverse(), key(1).bytes]) {
    expect(text).not.toContain(Buffer.from(secret).toString("hex"));
  }
  expect(text).not.toContain(seed.toString());
  for (let at = 0; at < whole.length; at++) {
    disk.files.set("/v/vault.json", whole.slice());
    disk.files.get("/v/vault.json")![at]! ^= 1;
    // White space between fields counts for nothing.
    expect(["corrupt", "done"]).toContain((await opens(key(1))) as string);
  }
});
