/**
 * Vaults as this version of the formats writes them, kept in test/fixtures for all later ones: `vault-N-plain.tar.gz` and `vault-N-encrypted.tar.gz` hold
 * the folder of a vault that lost its power, `vault-N.json` what each of its moments holds.
 *
 * Run as a program it writes those of the newest format:
 *
 *   bun test/support/format-fixture.ts
 *
 * Once a version is released its fixtures stay as they are: a change of any format raises FORMAT, and brings new ones beside the old.
 */
import { resolve } from "node:path";
import { horizonOf } from "../../src/volume/kept-moments.ts";
import { Registry } from "../../src/vault/registry.ts";
import { sizeOf, strandOf, type VaultModel } from "./model.ts";
import { richVault } from "./rich-vault.ts";
import { encryptedBed, VAULT_DIR } from "./vault-bed.ts";

const BLOCK = 4096;
export const FORMAT = 1;
export const FIXTURES = resolve(import.meta.dir, "../fixtures");
export const KINDS = ["plain", "encrypted"] as const;

/** What a fixture's vault holds. */
export interface Expected {
  newestLsn: number;
  /** Each volume at each LSN that is kept of it, with the SHA-256 of its bytes. */
  moments: { volume: number; name: string; lsn: number; sizeBytes: number; sha256: string }[];
}

export const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

/** Every volume at every LSN that is kept. */
function expectedOf(model: VaultModel): Expected {
  const registry = new Registry();
  for (const event of model.events) if (event.kind === "mark") registry.apply(event.lsn as never, event.event);
  const moments: Expected["moments"] = [];
  for (const { lsn } of model.events) {
    for (const volume of model.volumesAt(lsn)) {
      const record = registry.byId(volume.id)!;
      if (record.deletedLsn !== undefined || lsn < horizonOf(record)) continue;
      const sizeBytes = sizeOf(volume, lsn);
      const bytes = new Uint8Array(sizeBytes);
      for (let at = 0; at < sizeBytes; at += BLOCK)
        bytes.set(model.block(strandOf(volume, lsn)!, lsn, at / BLOCK).subarray(0, sizeBytes - at), at);
      moments.push({ volume: volume.id, name: volume.name, lsn, sizeBytes, sha256: sha256(bytes) });
    }
  }
  return { newestLsn: model.events.at(-1)!.lsn, moments };
}

async function write(): Promise<void> {
  let expected: Expected | undefined;
  for (const kind of KINDS) {
    const { disk, model } = await richVault(kind === "encrypted" ? encryptedBed : {});
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const path of disk.paths()) files[path.slice(VAULT_DIR.length + 1)] = new Uint8Array(disk.peek(path)!);
    await Bun.write(
      `${FIXTURES}/vault-${FORMAT}-${kind}.tar.gz`,
      await new Bun.Archive(files, { compress: "gzip" }).bytes(),
    );
    const now = expectedOf(model);
    if (expected && !Bun.deepEquals(expected, now)) throw new Error("the two vaults do not hold the same");
    expected = now;
  }
  await Bun.write(`${FIXTURES}/vault-${FORMAT}.json`, `${JSON.stringify(expected, undefined, 1)}\n`);
}

if (import.meta.main) await write();
