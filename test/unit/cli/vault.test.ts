import { expect, test } from "bun:test";
import type { WireVault } from "../../../src/contract/contract.ts";
import { openCliFixture } from "./cli-fixture.ts";

function appliance() {
  const asked: unknown[][] = [];
  const vault = (name: string, state: WireVault["state"]): WireVault => ({
    name,
    state,
    encrypted: name !== "default",
    volumes: ["v1", "v2"],
    ...(state === "locked" ? { reason: "it needs its key" } : {}),
  });
  const note = async (...words: unknown[]): Promise<WireVault> => {
    asked.push(words);
    return vault(String(words[1]), "writable");
  };
  return {
    asked,
    vaults: {
      list: async () => [vault("default", "writable"), vault("pay", "locked")],
      space: async (name: string) => ({ vault: name, storedBytes: 0, liveBytes: 0, deadBytes: 0, volumes: [] }),
      show: async (name: string) => vault(name, "locked"),
      create: (name: string, key: unknown) => note("create", name, key),
      lock: async (name: string, options: object) => ({
        ...(await note("lock", name, options)),
        state: "locked" as const,
      }),
      unlock: (name: string, key: unknown) => note("unlock", name, key),
      forget: async (name: string) => void (await note("forget", name)),
    },
  };
}

test("sternway vault lists, shows, makes, locks, unlocks and forgets", async () => {
  const { asked, vaults } = appliance();
  await using fixture = await openCliFixture({ vaults });
  expect((await fixture.run("vault", "list")).out).toMatch(/^pay +locked +yes +2 +it needs its key$/m);
  expect((await fixture.run("vault", "show", "pay")).out).toContain("it needs its key");
  await fixture.run("vault", "create", "plain");
  await fixture.run("vault", "create", "pay", "--encrypt", "--key-file", "/etc/key");
  expect((await fixture.run("vault", "lock", "pay", "--force")).out).toBe("vault pay is locked\n");
  expect((await fixture.run("vault", "unlock", "pay", "--key-file", "key")).out).toContain("2 volumes");
  await fixture.run("vault", "forget", "pay");
  expect(asked).toEqual([
    ["create", "plain", undefined],
    ["create", "pay", { keyFile: "/etc/key" }],
    ["lock", "pay", { force: true }],
    // The daemon runs elsewhere: the path is made absolute here.
    ["unlock", "pay", { keyFile: `${process.cwd()}/key` }],
    ["forget", "pay"],
  ]);
});

test("sternway vault create refuses a key without --encrypt, --encrypt without a key, and two keys", async () => {
  const { asked, vaults } = appliance();
  await using fixture = await openCliFixture({ vaults });
  for (const words of [["--key-file", "/k"], ["--encrypt"], ["--encrypt", "--key-file", "/k", "--passphrase"]]) {
    expect((await fixture.run("vault", "create", "pay", ...words)).code).toBe(2);
  }
  expect(asked).toEqual([]);
});

test("sternway volume list says which volumes a closed vault keeps away", async () => {
  const { vaults } = appliance();
  await using fixture = await openCliFixture({ vaults });
  expect((await fixture.run("volume", "list")).out).toContain("not listed: 2 volumes of vault pay, which is locked");
});
