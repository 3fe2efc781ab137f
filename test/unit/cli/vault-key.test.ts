import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { secretOfKeyFile } from "../../../src/security/secret.ts";
import { openIdentity } from "../../../src/vault/identity.ts";
import { createVault } from "../../../src/vault/open-vault.ts";
import { runCli, type CliResult } from "./cli-fixture.ts";

const dataDir = mkdtempSync(join(tmpdir(), "sternway-keys-"));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
const run = (...words: string[]): Promise<CliResult> =>
  runCli(["vault", "key", ...words], { env: { STERNWAY_DATA: dataDir } });
const keyFile = (name: string): string => {
  const path = join(dataDir, name);
  writeFileSync(path, systemRandom.bytes(32), { mode: 0o600 });
  return path;
};
const opens = async (path: string): Promise<boolean> =>
  openIdentity(realDisk, join(dataDir, "vaults/pay"), systemRandom, await secretOfKeyFile(realDisk, path)).then(
    () => true,
    () => false,
  );

test("sternway vault key lists, adds, rotates and removes keys, without a daemon", async () => {
  const [first, second, third] = [keyFile("first"), keyFile("second"), keyFile("third")];
  mkdirSync(join(dataDir, "vaults"), { recursive: true });
  await createVault(realDisk, join(dataDir, "vaults/pay"), systemRandom, {
    journalFileBytes: 2 ** 20,
    encrypt: await secretOfKeyFile(realDisk, first),
  });
  expect((await run("list", "pay")).out).toMatch(/key file/);
  expect(await run("add", "pay", "--key-file", first, "--new-key-file", second, "--label", "spare")).toMatchObject({
    code: 0,
  });
  expect([await opens(first), await opens(second)]).toEqual([true, true]);
  expect((await run("rotate", "pay", "--key-file", first, "--new-key-file", third)).code).toBe(0);
  expect([await opens(first), await opens(second), await opens(third)]).toEqual([false, true, true]);
  const listed = JSON.parse((await run("list", "pay", "--json")).out) as { keys: { id: string; label: string }[] };
  const { id } = listed.keys.find(({ label }) => label === "spare")!;
  expect((await run("remove", "pay", id, "--key-file", first)).err).toContain("wrong");
  expect((await run("remove", "pay", id, "--key-file", third)).code).toBe(0);
  expect([await opens(second), await opens(third)]).toEqual([false, true]);
});

test("sternway vault key refuses no key, two keys, and what is no vault", async () => {
  const path = keyFile("some");
  for (const words of [[], ["--key-file", path], ["--key-file", path, "--passphrase", "--new-passphrase"]]) {
    expect((await run("add", "pay", ...words)).code).toBe(2);
  }
  expect((await run("list", "nosuch")).err).toContain("there is no vault");
  expect((await run("list", "../vaults/pay")).code).toBe(2);
});
