/**
 * Fetches frame tables and frames of packs, and keeps the newest: everything between a pack's number and its checked bytes.
 *
 * Invariants: a frame whose checksum does not match is never cached; requests for one frame or table share one load; memory is bounded by the two
 * caches and by the number of reads at once. A pack that is repacked in the middle of a read is met by starting over.
 */
import type { Disk } from "../../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../../base/errors.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { ByteLru } from "../files/byte-lru.ts";
import { decompressFrameInto } from "../files/compression.ts";
import { SLOTS_PER_PACK } from "../map.ts";
import { PackFiles, POOLED_READ_BYTES_MAX } from "./pack-files.ts";
import {
  decodeFingerprints,
  decodeTrailer,
  FRAME_ENTRY_BYTES,
  FRAME_HAS_FREED,
  FRAME_ZSTD,
  frameChecksum,
  FrameTable,
  type PackIdentity,
  packPath,
  packTailBytes,
} from "./pack-format.ts";

/** The frame table of a full pack of 16 KiB frames, which is read together with what follows it. */
const TABLE_BYTES = (SLOTS_PER_PACK / 4) * FRAME_ENTRY_BYTES;
/** Disk reads at once: enough for an SSD's queue, and 8 MiB of buffers. */
export const READS_MAX = 8;
/** A pack repacked that often during one read means that something is wrong. */
const RELOCATIONS_MAX = 4;

/** What the manifest knows of a pack. */
export interface PackLocation {
  generation: number;
  sizeBytes: number;
}

export interface PackStoreOptions {
  disk: Disk;
  /** The vault's directory; packs lie beneath it at {@link packPath}. */
  dir: string;
  /** 16 bytes. */
  vaultId: Uint8Array;
  /** The vault's secret fingerprint seed. */
  seed: bigint;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** The manifest's entry of a pack; undefined when it names none. Asked at each read, so it should be quick. */
  locate: (pack: number) => PackLocation | undefined;
  /** Default 64. */
  openFilesMax?: number;
  /** Default 64 MiB: the frame tables of about 40 GiB of packs. */
  directoryCacheBytes?: number;
  /** Default 32 MiB. */
  frameCacheBytes?: number;
}

/** One frame's bytes, or why there are none. */
export type LoadedFrame = Uint8Array | SternwayError;
type Run = Promise<LoadedFrame[]>;

export class PackLoader {
  readonly #vaultId: Uint8Array;
  readonly #cipher: VaultCipher | undefined;
  readonly #dir: string;
  readonly #locate: (pack: number) => PackLocation | undefined;
  readonly #files: PackFiles;
  readonly #tables: ByteLru<FrameTable>;
  readonly #loadingTables = new Map<string, Promise<FrameTable>>();
  /** By the address of the frame's first slot. Another generation may be divided into other frames, so its frames do not count. */
  readonly #frames: ByteLru<{ generation: number; bytes: Uint8Array }>;
  readonly #loadingFrames = new Map<number, { generation: number; run: Run; place: number }>();

  constructor(options: PackStoreOptions) {
    this.#dir = options.dir;
    this.#vaultId = options.vaultId.slice();
    this.#cipher = options.cipher;
    this.#locate = options.locate;
    this.#files = new PackFiles(options.disk, options.openFilesMax ?? 64, READS_MAX);
    this.#tables = new ByteLru(options.directoryCacheBytes ?? 64 * 2 ** 20);
    this.#frames = new ByteLru(options.frameCacheBytes ?? 32 * 2 ** 20);
  }

  get files(): PackFiles {
    return this.#files;
  }

  get usage(): { openFiles: number; directoryBytes: number; frameBytes: number } {
    return { openFiles: this.#files.openCount, directoryBytes: this.#tables.bytes, frameBytes: this.#frames.bytes };
  }

  path(pack: number, generation: number): string {
    return `${this.#dir}/${packPath(pack, generation)}`;
  }

  identity(pack: number, location: PackLocation): PackIdentity {
    return { vaultId: this.#vaultId, cipher: this.#cipher, pack, generation: location.generation };
  }

  locate(pack: number): PackLocation | undefined {
    return this.#locate(pack);
  }

  /** The cached frame table of the generation that counts now. */
  cachedTable(pack: number): FrameTable | undefined {
    const table = this.#tables.get(pack);
    return table && table.identity.generation === this.#locate(pack)?.generation ? table : undefined;
  }

  cachedFrame(table: FrameTable, frame: number): Uint8Array | undefined {
    const cached = this.#frames.get(frameKey(table, frame));
    return cached?.generation === table.identity.generation ? cached.bytes : undefined;
  }

  /** Checked against its checksum; not cached. @throws corrupt, unavailable */
  async fingerprints(table: FrameTable): Promise<BigUint64Array> {
    const bytes = new Uint8Array(table.slotCount * 8);
    await this.#readAll(table.identity, bytes, table.trailer.fingerprintsOffset);
    return decodeFingerprints(table.identity, table.trailer, bytes);
  }

  /** Drops what is cached of a pack and closes its file after the reads in flight. */
  async forget(pack: number): Promise<void> {
    this.#tables.delete(pack);
    for (const key of [...this.#frames.keys()]) {
      if (Math.floor(key / SLOTS_PER_PACK) === pack) this.#frames.delete(key);
    }
    const anyGeneration = this.path(pack, 0).slice(0, -"0.pack".length);
    await this.#files.forget(anyGeneration);
  }

  async close(): Promise<void> {
    this.#tables.clear();
    this.#frames.clear();
    await this.#files.forget(this.#dir);
  }

  /** Works on the file that a pack number means now, and again when that has changed in the middle. */
  async relocating<Result>(
    pack: number,
    work: (identity: PackIdentity, location: PackLocation) => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      const location = this.#locate(pack);
      if (!location) throw new SternwayError("corrupt", `the manifest names no pack ${pack}`, { pack });
      try {
        return await work(this.identity(pack, location), location);
      } catch (error) {
        const moved = this.#locate(pack)?.generation !== location.generation;
        if (!moved || attempt === RELOCATIONS_MAX || !isSternwayError(error)) throw error;
        await this.forget(pack);
      }
    }
  }

  /**
   * Fetches frames and shows each to `show` as soon as it is there. Adjacent ones come by one disk read.
   * @param wanted - ascending for the best runs
   */
  async loadFrames(
    table: FrameTable,
    wanted: Iterable<number>,
    show: (frame: number, loaded: LoadedFrame) => void,
  ): Promise<void> {
    const loads: Promise<void>[] = [];
    let run: number[] = [];
    const startRun = (): void => {
      const [first] = run;
      if (first === undefined) return;
      const count = run.length;
      run = [];
      loads.push(this.#startRun(table, first, count).then((all) => all.forEach((one, i) => show(first + i, one))));
    };
    for (const frame of wanted) {
      const cached = this.cachedFrame(table, frame);
      const loading = this.#loadingFrames.get(frameKey(table, frame));
      if (cached) show(frame, cached);
      else if (loading?.generation === table.identity.generation)
        loads.push(loading.run.then((all) => show(frame, all[loading.place]!)));
      else {
        const [first] = run;
        const last = run.at(-1);
        const fits = first === undefined || table.offset[frame + 1]! - table.offset[first]! <= POOLED_READ_BYTES_MAX;
        if (last !== undefined && (frame !== last + 1 || !fits)) startRun();
        run.push(frame);
      }
    }
    startRun();
    await settled(loads);
  }

  /**
   * Unpacks the whole frames within `count` slots from `slot` on, in place and without caching them.
   * @param place - where the frame that starts at slot `first` goes, as long as its blocks
   * @throws corrupt, unavailable: any of them cannot be read; all of them are then to be taken for unread
   */
  async unpackFrames(
    table: FrameTable,
    slot: number,
    count: number,
    place: (first: number, blocks: number) => Uint8Array,
  ): Promise<void> {
    const isWhole = (frame: number): boolean =>
      table.firstSlot[frame]! >= slot &&
      table.firstSlot[frame]! + table.rawBytes(frame) / BLOCK_SIZE <= slot + count &&
      (table.flags[frame]! & FRAME_HAS_FREED) === 0;
    const path = this.path(table.identity.pack, table.identity.generation);
    const reads: Promise<void>[] = [];
    for (
      let first = table.frameOf(slot);
      first >= 0 && first < table.frameCount && table.firstSlot[first]! < slot + count;
    ) {
      let end = first;
      const fits = (): boolean =>
        end === first || table.offset[end + 1]! - table.offset[first]! <= POOLED_READ_BYTES_MAX;
      while (end < table.frameCount && isWhole(end) && fits()) end++;
      if (end > first) reads.push(this.#unpackRun(table, path, first, end, place));
      first = Math.max(end, first + 1);
    }
    await settled(reads);
  }

  async #unpackRun(
    table: FrameTable,
    path: string,
    first: number,
    end: number,
    place: (first: number, blocks: number) => Uint8Array,
  ): Promise<void> {
    const offset = table.offset[first]!;
    await this.#files.readPooled(path, table.offset[end]! - offset, offset, (stored) => {
      for (let frame = first; frame < end; frame++) {
        const bytes = stored.subarray(table.offset[frame]! - offset, table.offset[frame + 1]! - offset);
        const rawBytes = table.rawBytes(frame);
        const failure = decodeInto(table, frame, bytes, place(table.firstSlot[frame]!, rawBytes / BLOCK_SIZE));
        if (failure) throw failure;
      }
    });
  }

  #startRun(table: FrameTable, first: number, count: number): Run {
    const { generation } = table.identity;
    const run = this.#loadRun(table, first, count).finally(() => {
      for (let i = 0; i < count; i++) {
        const key = frameKey(table, first + i);
        // Another generation's load may have taken the key over.
        if (this.#loadingFrames.get(key)?.run === run) this.#loadingFrames.delete(key);
      }
    });
    for (let i = 0; i < count; i++) this.#loadingFrames.set(frameKey(table, first + i), { generation, run, place: i });
    return run;
  }

  /** Reads adjacent frames by one disk read. Damage is a value here: it concerns some of the waiting readers only. */
  async #loadRun(table: FrameTable, first: number, count: number): Run {
    const { pack, generation } = table.identity;
    const offset = table.offset[first]!;
    const length = table.offset[first + count]! - offset;
    try {
      return await this.#files.readPooled(this.path(pack, generation), length, offset, (stored) => {
        const keep = this.#locate(pack)?.generation === generation;
        return Array.from({ length: count }, (_, i) => {
          const frame = first + i;
          const bytes = decode(
            table,
            frame,
            stored.subarray(table.offset[frame]! - offset, table.offset[frame + 1]! - offset),
          );
          if (keep && bytes instanceof Uint8Array)
            this.#frames.set(frameKey(table, frame), { generation, bytes }, bytes.length);
          return bytes;
        });
      });
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      if (error.facts["code"] === "EIO" && count > 1) {
        // One unreadable sector must not cost its neighbours.
        const alone: LoadedFrame[] = [];
        for (let i = 0; i < count; i++) alone.push(...(await this.#loadRun(table, first + i, 1)));
        return alone;
      }
      return new Array<LoadedFrame>(count).fill(readError(table.identity, error));
    }
  }

  /** The frame table of a file, cached or loaded once for all who ask. */
  async table(identity: PackIdentity, location: PackLocation): Promise<FrameTable> {
    const cached = this.#tables.get(identity.pack);
    if (cached?.identity.generation === identity.generation) return cached;
    const key = `${identity.pack}-${identity.generation}`;
    const known = this.#loadingTables.get(key);
    if (known) return known;
    const load = this.#loadTable(identity, location.sizeBytes).finally(() => this.#loadingTables.delete(key));
    this.#loadingTables.set(key, load);
    return load;
  }

  async #loadTable(identity: PackIdentity, sizeBytes: number): Promise<FrameTable> {
    const fixedBytes = packTailBytes(identity);
    const tailBytes = Math.min(TABLE_BYTES + fixedBytes, sizeBytes);
    const tail = new Uint8Array(tailBytes);
    await this.#readAll(identity, tail, sizeBytes - tailBytes);
    const trailer = decodeTrailer(identity, tail.subarray(Math.max(0, tailBytes - fixedBytes)), sizeBytes);
    const tableBytes = trailer.frameCount * FRAME_ENTRY_BYTES;
    let bytes = tail.subarray(0, -fixedBytes);
    if (bytes.length >= tableBytes) bytes = bytes.subarray(bytes.length - tableBytes);
    else {
      bytes = new Uint8Array(tableBytes);
      await this.#readAll(identity, bytes, trailer.frameTableOffset);
    }
    const table = new FrameTable(identity, trailer, bytes);
    if (this.#locate(identity.pack)?.generation === identity.generation) {
      this.#tables.set(identity.pack, table, table.weightBytes);
    }
    return table;
  }

  async #readAll(identity: PackIdentity, into: Uint8Array, offset: number): Promise<void> {
    let got: number;
    try {
      got = await this.#files.read(this.path(identity.pack, identity.generation), into, offset);
    } catch (error) {
      throw isSternwayError(error) ? readError(identity, error) : error;
    }
    if (got < into.length) {
      throw new SternwayError(
        "corrupt",
        `pack ${identity.pack} generation ${identity.generation}: its file ends early`,
        {
          pack: identity.pack,
          offset: offset + got,
        },
      );
    }
  }
}

function frameKey(table: FrameTable, frame: number): number {
  return table.identity.pack * SLOTS_PER_PACK + table.firstSlot[frame]!;
}

/** @param slot - -1 when the whole frame is meant @param frame - -1 when there is none */
export function blockError(
  table: FrameTable,
  frame: number,
  slot: number,
  why: string,
  cause?: unknown,
): SternwayError {
  const { pack, generation } = table.identity;
  const offset = frame < 0 ? -1 : table.offset[frame]!;
  const place = slot < 0 ? `frame ${frame} at byte ${offset}` : `slot ${slot}`;
  const facts = { pack, generation, frame, offset, ...(slot < 0 ? {} : { slot }) };
  return new SternwayError("corrupt", `pack ${pack} generation ${generation}, ${place}: ${why}`, facts, { cause });
}

/** A pack that the manifest names and the disk does not have is damage, not a wrong question. */
function readError(identity: PackIdentity, cause: SternwayError): SternwayError {
  const { pack, generation } = identity;
  return new SternwayError(
    cause.kind === "not_found" ? "corrupt" : cause.kind,
    `pack ${pack} generation ${generation} cannot be read: ${errorText(cause)}`,
    { ...cause.facts, pack, generation },
    { cause },
  );
}

/** Checks and unpacks one frame into memory of its own. */
function decode(table: FrameTable, frame: number, stored: Uint8Array): LoadedFrame {
  const raw = new Uint8Array(table.rawBytes(frame));
  return decodeInto(table, frame, stored, raw) ?? raw;
}

/** Checks one frame's stored bytes. @returns what they hold, decrypted and still compressed, or why they cannot be used */
export function checkedFrame(table: FrameTable, frame: number, stored: Uint8Array): LoadedFrame {
  if (stored.length < table.storedBytes(frame)) return blockError(table, frame, -1, "its file ends early");
  if (frameChecksum(stored, table.seed, frame) !== table.checksum[frame]) {
    return blockError(table, frame, -1, "its checksum does not match");
  }
  return table.unsealed(frame, stored) ?? blockError(table, frame, -1, "it does not decrypt");
}

/** Checks and unpacks one frame. @param raw - as long as the frame's blocks @returns why it can't be */
function decodeInto(table: FrameTable, frame: number, stored: Uint8Array, raw: Uint8Array): SternwayError | undefined {
  const held = checkedFrame(table, frame, stored);
  return held instanceof Uint8Array ? unpackInto(table, frame, held, raw) : held;
}

/** Unpacks what {@link checkedFrame} gave. @param raw - as long as the frame's blocks @returns why it can't be */
export function unpackInto(
  table: FrameTable,
  frame: number,
  held: Uint8Array,
  raw: Uint8Array,
): SternwayError | undefined {
  if ((table.flags[frame]! & FRAME_ZSTD) === 0) {
    if (held.length !== raw.length)
      return blockError(table, frame, -1, "a raw frame has another length than its blocks");
    raw.set(held);
    return undefined;
  }
  try {
    decompressFrameInto(held, raw);
    return undefined;
  } catch (error) {
    return blockError(table, frame, -1, errorText(error), error);
  }
}

/** Waits for all, so that nothing works on behind the caller's back, then throws the first error. */
export async function settled(all: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(all)) {
    if (result.status === "rejected") throw result.reason;
  }
}
