/**
 * The fingerprint index across restarts: one file, `index` in the vault's folder, published now and then and at a clean stop. A hint like the
 * index itself: when it is missing, damaged, or of another vault, the index is rebuilt from the directories of all packs.
 * Little endian; p packs, n parts of up to 4 MiB:
 *
 *     offset             size   what
 *     0                    64   header
 *     64                  8 p   pack number 4 · generation 4, of every pack whose slots are in the index
 *     64 + 8 p            8 n   checksum of each part
 *     64 + 8 p + 8 n        …   the index's table as it lies in memory, 12 bytes an entry, free ones included
 *
 *     header   magic "STWINDX1" 8 · vault id 16 · version 4 · capacity 4 · entries 4 · sampling bits 4 · packs p 4 · parts n 4 ·
 *              zero 8 · checksum 8, of the rest of the header, the packs and the parts' checksums
 *
 * Checksums are XXH64 seeded with the vault's secret seed and the part's number, so that another vault's or a shifted part cannot validate.
 *
 * A snapshot may be older than the manifest. So it lists what it covers: entries of packs that the manifest no longer names in that generation
 * are dropped when it is loaded (their slots may be gone), and packs that it does not cover are read from their directories. Storing the
 * table as it is makes both directions one sequential transfer; only a smaller budget than before has every entry put in anew.
 *
 * It holds 48 bits of each fingerprint, so it is for vaults that are not encrypted; others do without one.
 */
import { publish, type Disk, type DiskFile } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import { xxh64 } from "../../base/hash.ts";
import { isDamage } from "../checking/check-report.ts";
import type { FingerprintIndex } from "./fingerprint-index.ts";
import type { PackRecord } from "../manifest.ts";

const MAGIC = 0x3158_444e_4957_5453n; // "STWINDX1"
const VERSION = 1;
const HEADER_BYTES = 64;
const PACK_BYTES = 8;
/** One read or write: where sequential transfers stop growing faster. */
const PART_BYTES = 4 * 2 ** 20;
const HEADER_PART = 0xffff_ffff;

export interface IndexStoreOptions {
  disk: Disk;
  /** The vault's directory. */
  dir: string;
  vaultId: Uint8Array;
  seed: bigint;
}

export class IndexStore {
  private readonly options: IndexStoreOptions;

  constructor(options: IndexStoreOptions) {
    this.options = options;
  }

  private get path(): string {
    return `${this.options.dir}/index`;
  }

  /**
   * Keeps the index as it is now; it must not change until this resolves. Durable then.
   * @param packs - those whose slots are in it, by number: their generation
   * @returns bytes written @throws unavailable: no room, or the disk failed; what was there before stays
   */
  async save(index: FingerprintIndex, packs: ReadonlyMap<number, number>): Promise<number> {
    const { disk, vaultId, seed } = this.options;
    const { words, samplingBits, count } = index.table;
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += PART_BYTES) parts.push(bytes.subarray(at, at + PART_BYTES));
    const head = new Uint8Array(HEADER_BYTES + packs.size * PACK_BYTES + parts.length * 8);
    const view = new DataView(head.buffer);
    view.setBigUint64(0, MAGIC, true);
    head.set(vaultId, 8);
    view.setUint32(24, VERSION, true);
    view.setUint32(28, words.length / 3, true);
    view.setUint32(32, count, true);
    view.setUint32(36, samplingBits, true);
    view.setUint32(40, packs.size, true);
    view.setUint32(44, parts.length, true);
    let at = HEADER_BYTES;
    for (const [pack, generation] of packs) {
      view.setUint32(at, pack, true);
      view.setUint32(at + 4, generation, true);
      at += PACK_BYTES;
    }
    for (const [i, part] of parts.entries()) {
      view.setBigUint64(at, xxh64(part, seedOf(seed, i)), true);
      at += 8;
    }
    view.setBigUint64(56, headChecksum(head, seed), true);
    await publish(disk, this.path, [head, ...parts]);
    return head.length + bytes.length;
  }

  /**
   * Loads the newest snapshot into an empty index.
   * @param live - packs that the manifest names
   * @returns the packs whose slots are in the index now, by number: their generation. Empty when there was nothing to load
   * @throws unavailable: the disk failed in a way that says nothing about the file
   */
  async load(index: FingerprintIndex, live: readonly PackRecord[]): Promise<Map<number, number>> {
    const { disk } = this.options;
    if ((await disk.sizeOf(this.path)) === undefined) return new Map<number, number>();
    try {
      const file = await disk.open(this.path, "read");
      try {
        return await this.loadFrom(file, index, live);
      } finally {
        await file.close();
      }
    } catch (error) {
      // A hint that cannot be read is no hint.
      if (!isDamage(error)) throw error;
      return new Map<number, number>();
    }
  }

  private async loadFrom(
    file: DiskFile,
    index: FingerprintIndex,
    live: readonly PackRecord[],
  ): Promise<Map<number, number>> {
    const { seed } = this.options;
    const head = await this.readHead(file, await file.size());
    const words = new Uint32Array(head.capacity * 3);
    const bytes = new Uint8Array(words.buffer);
    for (const [i, checksum] of head.checksums.entries()) {
      const part = bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
      const got = await file.read(part, head.tableOffset + i * PART_BYTES);
      if (got < part.length || xxh64(part, seedOf(seed, i)) !== checksum) throw damaged(`part ${i} is damaged`);
    }
    const covered = new Map<number, number>();
    for (const { pack, generation } of live) if (head.packs.get(pack) === generation) covered.set(pack, generation);
    index.adopt({ words, count: head.count, samplingBits: head.samplingBits });
    if (covered.size < head.packs.size) index.keepOnly((pack) => covered.has(pack));
    return covered;
  }

  private async readHead(file: DiskFile, sizeBytes: number): Promise<Head> {
    const { vaultId, seed } = this.options;
    const fixed = new Uint8Array(HEADER_BYTES);
    const got = await file.read(fixed, 0);
    const view = new DataView(fixed.buffer);
    if (got < HEADER_BYTES || view.getBigUint64(0, true) !== MAGIC || view.getUint32(24, true) !== VERSION) {
      throw damaged("it has no header that this version reads");
    }
    const capacity = view.getUint32(28, true);
    const packCount = view.getUint32(40, true);
    const partCount = view.getUint32(44, true);
    const tableOffset = HEADER_BYTES + packCount * PACK_BYTES + partCount * 8;
    // From here on every length is bounded by the file's size.
    if (tableOffset + capacity * 12 !== sizeBytes || partCount !== Math.ceil((capacity * 12) / PART_BYTES)) {
      throw damaged("its size is not what its header says");
    }
    const head = new Uint8Array(tableOffset);
    if ((await file.read(head, 0)) < head.length) throw damaged("it ends early");
    const all = new DataView(head.buffer);
    const isOurs = Buffer.compare(head.subarray(8, 24), vaultId) === 0;
    if (!isOurs || all.getBigUint64(56, true) !== headChecksum(head, seed)) throw damaged("its header is damaged");
    const packs = new Map<number, number>();
    for (let i = 0; i < packCount; i++) {
      const at = HEADER_BYTES + i * PACK_BYTES;
      packs.set(all.getUint32(at, true), all.getUint32(at + 4, true));
    }
    const checksums = Array.from({ length: partCount }, (_, i) =>
      all.getBigUint64(HEADER_BYTES + packCount * PACK_BYTES + i * 8, true),
    );
    const count = all.getUint32(32, true);
    return { capacity, count, samplingBits: all.getUint32(36, true), packs, checksums, tableOffset };
  }
}

interface Head {
  capacity: number;
  count: number;
  samplingBits: number;
  packs: Map<number, number>;
  checksums: bigint[];
  tableOffset: number;
}

const seedOf = (seed: bigint, part: number): bigint =>
  BigInt.asUintN(64, seed + BigInt(part + 1) * 0x9e37_79b9_7f4a_7c15n);

/** Of the head with its own checksum taken as zero. */
function headChecksum(head: Uint8Array, seed: bigint): bigint {
  const copy = head.slice();
  copy.fill(0, 56, 64);
  return xxh64(copy, seedOf(seed, HEADER_PART));
}

const damaged = (why: string): SternwayError =>
  new SternwayError("corrupt", `the fingerprint index's snapshot cannot be used: ${why}`);
