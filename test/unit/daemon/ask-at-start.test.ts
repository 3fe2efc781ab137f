import { expect, test } from "bun:test";
import { SternwayError } from "../../../src/base/errors.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { openAsking } from "../../../src/daemon/ask-at-start.ts";
import { secretOfPassphrase, type Secret } from "../../../src/security/secret.ts";
import { createVault } from "../../../src/vault/open-vault.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";

const denied = new SternwayError("denied", "it needs its key");

async function asking(encrypt: Secret, answers: (string | undefined)[], failure = denied): Promise<unknown> {
  const disk = new MemoryDisk();
  await createVault(disk, "/v", seededRandom(1), { journalFileBytes: 2 ** 20, encrypt });
  const asked: number[] = [];
  const opening = openAsking(
    { disk, dir: "/v", vault: "pay" },
    (_vault, tries) => {
      asked.push(tries);
      return answers.shift();
    },
    denied,
    (key) => ("passphrase" in key && key.passphrase === "right" ? Promise.resolve() : Promise.reject(failure)),
  );
  const end = await opening.then(
    () => "opened",
    (error: SternwayError) => error.kind,
  );
  return [end, asked.length];
}

test("openAsking() asks until the passphrase is right, three times at the most, or none is given", async () => {
  const phrase = (): Secret => secretOfPassphrase("any");
  expect(await asking(phrase(), ["wrong", "right"])).toEqual(["opened", 2]);
  expect(await asking(phrase(), ["w", "w", "w", "right"])).toEqual(["denied", 3]);
  expect(await asking(phrase(), [undefined, "right"])).toEqual(["denied", 1]);
  expect(await asking(phrase(), ["w", "right"], new SternwayError("corrupt", "damaged"))).toEqual(["corrupt", 1]);
}, 60_000);

test("openAsking() asks for no passphrase where only a key file would help", async () => {
  expect(await asking({ kind: "key-file", bytes: new Uint8Array(32) }, ["right"])).toEqual(["denied", 0]);
});
