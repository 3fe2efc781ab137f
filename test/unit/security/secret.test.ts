import { describe, expect, test } from "bun:test";
import { secretOfKeyFile, secretOfPassphrase, wipeSecret } from "../../../src/security/secret.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const kindOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => (error as { kind: string }).kind);

describe("secretOfKeyFile()", () => {
  test("takes the file's bytes as they are", async () => {
    const disk = new MemoryDisk();
    const bytes = Uint8Array.from({ length: 33 }, (_, i) => (i === 32 ? 10 : i));
    disk.files.set("/key", bytes.slice());
    expect(await secretOfKeyFile(disk, "/key")).toEqual({ kind: "key-file", bytes });
  });

  test("refuses one that is missing, too short for a key, or too long to be one", async () => {
    const disk = new MemoryDisk();
    disk.files.set("/short", new Uint8Array(31));
    disk.files.set("/long", new Uint8Array(65_537));
    expect(await kindOf(secretOfKeyFile(disk, "/none"))).toBe("not_found");
    expect(await kindOf(secretOfKeyFile(disk, "/short"))).toBe("invalid");
    expect(await kindOf(secretOfKeyFile(disk, "/long"))).toBe("invalid");
  });
});

describe("secretOfPassphrase()", () => {
  test("is the same however a letter was typed", () => {
    expect(secretOfPassphrase("caf\u00e9")).toEqual(secretOfPassphrase("cafe\u0301"));
  });

  test("refuses an empty one and one without end", () => {
    expect(() => secretOfPassphrase("")).toThrow("empty");
    expect(() => secretOfPassphrase("x".repeat(1025))).toThrow("at most");
  });

  test("can be wiped", () => {
    const secret = secretOfPassphrase("open sesame");
    wipeSecret(secret);
    expect(secret.bytes).toEqual(new Uint8Array(11));
  });
});
