/**
 * `vault.json`: what a vault is, written once when it is made. The seed is secret: who knows it can make fingerprints collide.
 */
import { publish, readWhole, type Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";

export interface VaultIdentity {
  /** 16 bytes. */
  id: Uint8Array;
  /** Secret seed of all fingerprints and journal checksums. */
  seed: bigint;
  /** Size of its journal files, fixed when the vault is made. */
  journalFileBytes: number;
}

interface Stored {
  format: number;
  id: string;
  seed: string;
  journalFileBytes: number;
}

export const idText = (id: Uint8Array): string => Buffer.from(id).toString("hex");

/** Reads the identity, or makes a new one where the folder holds none. @throws corrupt */
export async function openIdentity(disk: Disk, dir: string, random: Random, journalFileBytes: number): Promise<VaultIdentity> {
  const path = `${dir}/vault.json`;
  if ((await disk.sizeOf(path)) === undefined) {
    if ((await disk.list(`${dir}/manifest`)).length > 0) {
      throw new SternwayError("corrupt", `${path} is missing although the vault has manifests: restore it from a copy`);
    }
    const seed = Buffer.from(random.bytes(8)).readBigUInt64LE();
    const identity = { id: random.bytes(16), seed, journalFileBytes };
    const stored: Stored = { format: 1, id: idText(identity.id), seed: seed.toString(16).padStart(16, "0"), journalFileBytes };
    await publish(disk, path, [new TextEncoder().encode(`${JSON.stringify(stored, undefined, 2)}\n`)]);
    return identity;
  }
  return parse(path, new TextDecoder().decode(await readWhole(disk, path)));
}

function parse(path: string, text: string): VaultIdentity {
  let stored: Partial<Stored>;
  try {
    stored = JSON.parse(text) as Partial<Stored>;
  } catch (cause) {
    throw new SternwayError("corrupt", `${path} is damaged`, {}, { cause });
  }
  const { format, id, seed, journalFileBytes } = stored;
  if (format !== 1) throw new SternwayError("corrupt", `${path} has format ${String(format)}; this version reads 1`);
  const isWhole =
    /^[0-9a-f]{32}$/.test(id ?? "") &&
    /^[0-9a-f]{16}$/.test(seed ?? "") &&
    typeof journalFileBytes === "number" &&
    Number.isSafeInteger(journalFileBytes) &&
    journalFileBytes % 4096 === 0 &&
    journalFileBytes > 0;
  if (!isWhole) throw new SternwayError("corrupt", `${path} is damaged`);
  return { id: Buffer.from(id!, "hex"), seed: BigInt(`0x${seed}`), journalFileBytes: journalFileBytes! };
}
