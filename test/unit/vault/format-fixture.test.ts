/** This version reads what earlier ones wrote, each moment of it, and writes on. test/support/format-fixture.ts says how the fixtures came to be. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { realDisk } from "../../../src/base/real-disk.ts";
import { checkVault } from "../../../src/vault/checking/check.ts";
import { openVault } from "../../../src/vault/open-vault.ts";
import type { Vault } from "../../../src/vault/vault.ts";
import { openVolumes } from "../../../src/volume/volume-set.ts";
import { FIXTURES, FORMAT, KINDS, sha256, type Expected } from "../../support/format-fixture.ts";
import { asLsn } from "../../support/model.ts";
import { encryptedBed } from "../../support/vault-bed.ts";
import { all } from "../../support/world.ts";

const BLOCK = 4096;
const formats = readdirSync(FIXTURES)
  .map((name) => /^vault-(\d+)\.json$/.exec(name)?.[1])
  .filter((format) => format !== undefined);

async function compare(vault: Vault, expected: Expected): Promise<void> {
  for (const { volume, name, lsn, sizeBytes, sha256: hash } of expected.moments) {
    const record = vault.registry.byId(volume)!;
    const strand = record.strands.findLast(({ fromLsn }) => fromLsn <= lsn)!.strand;
    const bytes = new Uint8Array(Math.ceil(sizeBytes / BLOCK) * BLOCK);
    await vault.read(strand, asLsn(lsn), 0, bytes);
    expect([name, lsn, sha256(bytes.subarray(0, sizeBytes))]).toEqual([name, lsn, hash]);
  }
}

test("there is a fixture of the newest format", () => {
  expect(formats).toContain(String(FORMAT));
});

describe.each(formats)("a vault of format %s", (format) => {
  const expected = JSON.parse(readFileSync(join(FIXTURES, `vault-${format}.json`), "utf8")) as Expected;

  test.each(KINDS)("(%s) is read, checked, written on and read again", async (kind) => {
    const scratch = mkdtempSync(join(tmpdir(), "sternway-format-"));
    const open = (): Promise<Vault> =>
      openVault({
        disk: realDisk,
        clock: systemClock,
        random: systemRandom,
        dir: join(scratch, "vault"),
        reserveBytes: 0,
        ...(kind === "encrypted" ? { unlock: encryptedBed.encrypt } : {}),
      });
    try {
      const archive = await Bun.file(join(FIXTURES, `vault-${format}-${kind}.tar.gz`)).bytes();
      await new Bun.Archive(archive).extract(join(scratch, "vault"));
      for (let round = 0; round < 2; round++) {
        const vault = await open();
        expect(vault.readOnlyReason).toBeUndefined();
        expect(vault.recoveredLsn).toBeGreaterThanOrEqual(expected.newestLsn);
        await compare(vault, expected);
        expect((await all(checkVault(vault))).filter(({ line }) => line === "finding")).toEqual([]);
        const volumes = await openVolumes(vault, systemClock, "default");
        const device = await volumes.openLive("data");
        const bytes = new Uint8Array(BLOCK).fill(round + 1);
        await device.write(5 * BLOCK, bytes, true);
        expect(await device.read(5 * BLOCK, BLOCK)).toEqual(bytes);
        await device.close();
        await vault.seal();
        await vault.sealing.idle();
        await vault.stop();
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});
