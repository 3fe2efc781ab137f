/**
 * `vault.json`: what a vault is, written once when it is made. The seed is secret: who knows it can make fingerprints collide.
 *
 * It carries a checksum of its own: under a seed with one wrong bit the whole journal would look like the torn tail of a crash, and be cut.
 */
import { createHash } from "node:crypto";
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
  /** SHA-256 of the fields before, 64 hex digits. */
  check: string;
}

const checkOf = ({ format, id, seed, journalFileBytes }: Omit<Stored, "check">): string =>
  createHash("sha256")
    .update(JSON.stringify([format, id, seed, journalFileBytes]))
    .digest("hex");

export const idText = (id: Uint8Array): string => Buffer.from(id).toString("hex");

/** Reads the identity, or makes a new one where the folder holds none and `mayMake`. @throws corrupt; not_found: no vault, and none may be made */
export async function openIdentity(
  disk: Disk,
  dir: string,
  random: Random,
  journalFileBytes: number,
  mayMake: boolean,
): Promise<VaultIdentity> {
  const path = `${dir}/vault.json`;
  if ((await disk.sizeOf(path)) === undefined) {
    if ((await disk.list(`${dir}/manifest`)).length > 0) {
      throw new SternwayError("corrupt", `${path} is missing although the vault has manifests: restore it from a copy`);
    }
    if (!mayMake) throw new SternwayError("not_found", `there is no vault in ${dir}`);
    const seed = Buffer.from(random.bytes(8)).readBigUInt64LE();
    const identity = { id: random.bytes(16), seed, journalFileBytes };
    const fields = { format: 1, id: idText(identity.id), seed: seed.toString(16).padStart(16, "0"), journalFileBytes };
    const stored: Stored = { ...fields, check: checkOf(fields) };
    await publish(disk, path, [new TextEncoder().encode(`${JSON.stringify(stored, undefined, 2)}\n`)]);
    return identity;
  }
  return parse(path, new TextDecoder().decode(await readWhole(disk, path)));
}

function parse(path: string, text: string): VaultIdentity {
  let stored: Partial<Stored> | null;
  try {
    stored = JSON.parse(text) as Partial<Stored> | null;
  } catch (cause) {
    throw new SternwayError("corrupt", `${path} is damaged`, {}, { cause });
  }
  const { format, id, seed, journalFileBytes, check } = stored ?? {};
  if (format !== 1) throw new SternwayError("corrupt", `${path} has format ${String(format)}; this version reads 1`);
  const isWhole =
    /^[0-9a-f]{32}$/.test(id ?? "") &&
    /^[0-9a-f]{16}$/.test(seed ?? "") &&
    typeof journalFileBytes === "number" &&
    Number.isSafeInteger(journalFileBytes) &&
    journalFileBytes % 4096 === 0 &&
    journalFileBytes > 0 &&
    check === checkOf({ format, id: id!, seed: seed!, journalFileBytes });
  if (!isWhole) throw new SternwayError("corrupt", `${path} is damaged`);
  return { id: Buffer.from(id!, "hex"), seed: BigInt(`0x${seed}`), journalFileBytes: journalFileBytes! };
}
