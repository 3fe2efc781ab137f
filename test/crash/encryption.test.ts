/**
 * The laws of crashes hold for encrypted vaults as well, and no nonce comes twice under one key whatever happens: crashes, failed writes and the
 * moves to other files that follow them, steps that are made again under the same numbers. What is sealed is noted beneath the engine.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { WRITER_SALT_BYTES } from "../../src/security/cipher.ts";
import type { VaultOptions } from "../../src/vault/open-vault.ts";
import { crashRun, type CrashRunOptions } from "../support/crash-run.ts";
import { flipBits, injectErrors, isUnavailable } from "../support/faults.ts";
import { NonceRecord } from "../support/nonce-record.ts";
import { encryptedBed } from "../support/vault-bed.ts";

const first = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 30));
const SEEDS = process.env["TEST_SEED"] === undefined ? 12 : 1;
const seeds = Array.from({ length: SEEDS }, (_, i) => first + i);

async function runs(options: (record: NonceRecord) => CrashRunOptions): Promise<void> {
  let uses = 0;
  for (const seed of seeds) {
    const record = new NonceRecord();
    await crashRun(seed, options(record));
    expect(record.repeats, `seed ${seed}`).toEqual([]);
    uses += record.uses;
  }
  // A run may be over before it wrote anything; all of them together are not.
  expect(uses).toBeGreaterThan(50 * seeds.length);
}

const encrypted = (record: NonceRecord): Partial<VaultOptions> => ({
  ...encryptedBed,
  plant: { onSeal: record.observe },
});

test(
  `an encrypted vault keeps the laws over crashes, and no nonce comes twice (seeds from ${first})`,
  () => runs((record) => ({ vault: encrypted(record) })),
  120_000,
);

test(
  `nor where disks fail: groups move to other files, steps are made again (seeds from ${first})`,
  () =>
    runs((record) => ({
      vault: encrypted(record),
      faults: injectErrors,
      workload: { mayFail: isUnavailable },
    })),
  120_000,
);

test(
  `bits that turn over at rest give the right bytes or a typed error (seeds from ${first})`,
  () => runs((record) => ({ vault: encrypted(record), damage: flipBits })),
  120_000,
);

test("a vault whose salts were always the same would repeat nonces, and that is noticed", async () => {
  let repeats = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const record = new NonceRecord();
    const random = { ...seededRandom(seed), bytes: (length: number) => new Uint8Array(length).fill(7) };
    await crashRun(seed, { vault: { ...encrypted(record), random } });
    repeats += record.repeats.length;
  }
  expect(repeats).toBeGreaterThan(0);
}, 300_000);

test("the journal's keys repeat no nonce even without a salt: epochs, file and group sequences keep them apart", async () => {
  for (const seed of seeds) {
    const record = new NonceRecord();
    const source = seededRandom(seed);
    // Eight bytes at once are drawn for the journal's writer, and for the seed of fingerprints.
    const bytes = (length: number): Uint8Array =>
      length === WRITER_SALT_BYTES ? new Uint8Array(length) : source.bytes(length);
    const vault = { ...encrypted(record), random: { ...source, bytes } };
    await crashRun(seed, { vault, faults: injectErrors, workload: { mayFail: isUnavailable } });
    expect(record.repeats, `seed ${seed}`).toEqual([]);
  }
}, 300_000);
