/**
 * What the tests of packs share: a disk in memory that counts and can be told to fail, blocks from a seed, and a vault's
 * worth of packs on it.
 */
import type { Disk, DiskFile } from "../../../../src/base/disk.ts";
import { SternwayError } from "../../../../src/base/errors.ts";
import { xxh64 } from "../../../../src/base/hash.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { BLOCK_SIZE } from "../../../../src/base/units.ts";
import { PackBuilder } from "../../../../src/vault/packs/pack-builder.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import { type PackLocation, PackStore, type PackStoreOptions } from "../../../../src/vault/packs/pack-reader.ts";

export const VAULT_ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
export const SEED = 0x1234_5678_9abc_def0n;

/** Reads only; files are put in and changed by the tests. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();
  readonly reads: { path: string; offset: number; length: number }[] = [];
  openNow = 0;
  openMost = 0;
  readingMost = 0;
  #reading = 0;
  /** Called before each read; may throw. */
  onRead: (path: string, offset: number) => void = () => undefined;

  async open(path: string): Promise<DiskFile> {
    const bytes = this.files.get(path);
    if (!bytes) throw new SternwayError("not_found", `no file ${path}`);
    this.openMost = Math.max(this.openMost, ++this.openNow);
    let open = true;
    const read = async (into: Uint8Array, offset: number): Promise<number> => {
      if (!open) throw new SternwayError("internal", `${path} was read after it was closed`);
      this.reads.push({ path, offset, length: into.length });
      this.readingMost = Math.max(this.readingMost, ++this.#reading);
      await Promise.resolve();
      this.#reading--;
      this.onRead(path, offset);
      const part = bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + into.length, bytes.length));
      into.set(part);
      return part.length;
    };
    const close = async (): Promise<void> => {
      if (open) this.openNow--;
      open = false;
    };
    return { path, read, close, size: async () => bytes.length, write: refuse, sync: refuse };
  }

  list = refuse;
  sizeOf = async (path: string): Promise<number | undefined> => this.files.get(path)?.length;
  mkdir = refuse;
  rename = refuse;
  link = refuse;
  remove = refuse;
  syncDir = refuse;
  space = refuse;
  allocate = (sizeBytes: number): Uint8Array => new Uint8Array(sizeBytes);
}

async function refuse(): Promise<never> {
  throw new SternwayError("internal", "packs are only read here");
}

export function fingerprint(block: Uint8Array): bigint {
  return xxh64(block, SEED);
}

/** A block that compresses to about half, different for every number. */
export function textBlock(number: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK_SIZE);
  const random = seededRandom(number);
  block.set(random.bytes(BLOCK_SIZE / 2));
  new DataView(block.buffer).setUint32(BLOCK_SIZE - 4, number + 1, true);
  return block;
}

/** A block that does not compress. */
export function noiseBlock(number: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(seededRandom(number ^ 0x5bd1e995).bytes(BLOCK_SIZE));
}

export interface PackSpec {
  pack: number;
  generation?: number;
  blocks: Uint8Array[];
  compress?: boolean;
  frameBytes?: number;
  /** Overrides the true ones, to plant collisions. */
  fingerprints?: bigint[];
  vaultId?: Uint8Array;
}

export function buildPack(spec: PackSpec): Uint8Array {
  const { pack, generation = 0, blocks, compress = true, vaultId = VAULT_ID } = spec;
  const frame = spec.frameBytes === undefined ? {} : { frameBytes: spec.frameBytes };
  const builder = new PackBuilder({ vaultId, pack, generation, compress, ...frame });
  blocks.forEach((block, i) => builder.add(block, spec.fingerprints?.[i] ?? fingerprint(block)));
  const parts = builder.finish();
  return parts.length === 1 ? parts[0]!.slice() : new Uint8Array(Buffer.concat(parts));
}

/** Packs on a disk, with the manifest's knowledge of them. */
export class PackBed {
  readonly disk = new MemoryDisk();
  readonly located = new Map<number, PackLocation>();

  put(spec: PackSpec): Uint8Array {
    const bytes = buildPack(spec);
    this.putBytes(spec.pack, bytes, spec.generation ?? 0);
    return bytes;
  }

  putBytes(pack: number, bytes: Uint8Array, generation = 0): void {
    this.disk.files.set(`vault/${packPath(pack, generation)}`, bytes);
    this.located.set(pack, { generation, sizeBytes: bytes.length });
  }

  store(options: Partial<PackStoreOptions> = {}): PackStore {
    return new PackStore({
      disk: this.disk,
      dir: "vault",
      vaultId: VAULT_ID,
      seed: SEED,
      locate: (pack) => this.located.get(pack),
      ...options,
    });
  }
}
