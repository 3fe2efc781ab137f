/**
 * Reads blocks out of packs: the one place where a block address becomes bytes. Holds no truth, only caches, all bounded
 * in bytes: frame tables (so that a block costs one read) and decompressed frames (so that its neighbours cost none).
 *
 * Invariants: no byte is given out whose frame did not match its checksum, and a damaged frame is never cached; it
 * fails those reads alone that need it. Requests for one frame or table share one load. Which file a pack number means is the
 * manifest's knowledge and is asked for at each read; when a pack was repacked meanwhile, the read starts over with the new file.
 */
import { assert } from "../../base/assert.ts";
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { SLOTS_PER_PACK, TARGET_ADDRESS_MIN, TARGET_HOLE, TARGET_ZERO } from "../map.ts";
import { FRAME_HAS_FREED, type FrameTable, type PackIdentity } from "./pack-format.ts";
import {
  blockError,
  type LoadedFrame,
  PackLoader,
  type PackLocation,
  type PackStoreOptions,
  READS_MAX,
  settled,
} from "./pack-loader.ts";
import { type PackDamage, type PackToVerify, salvagePack, verifyPack } from "./pack-verify.ts";

export type { PackLocation, PackStoreOptions } from "./pack-loader.ts";

export interface PackDirectory {
  /** By slot; 0 for a freed slot. The caller's own. */
  fingerprints: BigUint64Array;
  frames: FrameTable;
}

/** Takes the blocks of {@link PackStore.visit}, in no particular order; each index is called for once, by one of the two. */
export interface BlockVisitor {
  /** The block is `bytes[offset … offset + 4096)`: to be used before returning, and not to be changed. */
  block(index: number, bytes: Uint8Array, offset: number): void;
  /** @param error - corrupt, or what the disk said */
  failed(index: number, error: SternwayError): void;
}

/** The wanted blocks of one pack: positions in the request, by ascending slot. */
interface Group {
  pack: number;
  indexes: Uint32Array;
}

export class PackStore {
  readonly #loader: PackLoader;
  readonly #seed: bigint;

  constructor(options: PackStoreOptions) {
    this.#loader = new PackLoader(options);
    this.#seed = options.seed;
  }

  /** Path of a pack's file, the directory included. */
  fileName(pack: number, generation: number): string {
    return this.#loader.path(pack, generation);
  }

  /** What the caches hold now. */
  get usage(): { openFiles: number; directoryBytes: number; frameBytes: number } {
    return this.#loader.usage;
  }

  /** Reads one block into `into` (4,096 bytes). Errors as {@link readMany}. */
  async read(target: number, into: Uint8Array): Promise<void> {
    await this.readMany([target], into);
  }

  /**
   * Reads the blocks at `targets`, in any order and with repetitions, to `into`, 4,096 bytes each.
   * TARGET_HOLE and TARGET_ZERO give zeroes.
   * @param into - nobody else may touch it until this settles; after an error it holds anything
   * @throws corrupt with facts {pack, frame, offset}: a needed frame is damaged, or the manifest names no such pack, or the
   *   pack has no such block; unavailable: the disk failed
   */
  async readMany(targets: Float64Array | readonly number[], into: Uint8Array): Promise<void> {
    assert(into.length >= targets.length * BLOCK_SIZE, "there is room for every block");
    const left = await this.#readRuns(targets, into);
    if (left.length === 0) return;
    let first: SternwayError | undefined;
    await this.visit(
      left.map((index) => targets[index]!),
      {
        block: (n, bytes, offset) => copyBlock(into, left[n]! * BLOCK_SIZE, bytes, offset),
        failed: (_, error) => {
          first ??= error;
        },
      },
    );
    if (first) throw first;
  }

  /**
   * The quick way for long runs of neighbouring slots: whole frames are unpacked where they belong, past the cache, so that reading a
   * disk from end to end neither copies twice nor pushes out what random reads use.
   * @returns the positions that are left to do: short runs, the ends of long ones, and whatever failed
   */
  async #readRuns(targets: Float64Array | readonly number[], into: Uint8Array): Promise<number[]> {
    const left: number[] = [];
    const runs: Promise<number[]>[] = [];
    for (let start = 0; start < targets.length;) {
      let end = start + 1;
      while (end < targets.length && targets[end] === targets[end - 1]! + 1 && targets[end]! % SLOTS_PER_PACK !== 0)
        end++;
      const isLong = end - start >= RUN_BLOCKS_MIN && targets[start]! >= TARGET_ADDRESS_MIN;
      if (isLong) runs.push(this.#readRun(targets[start]!, start, end - start, into));
      else for (let i = start; i < end; i++) left.push(i);
      start = end;
    }
    for (const rest of await Promise.all(runs)) left.push(...rest);
    return left;
  }

  /** @param at - position of the run's first block @returns positions left to do */
  async #readRun(target: number, at: number, count: number, into: Uint8Array): Promise<number[]> {
    const pack = Math.floor(target / SLOTS_PER_PACK);
    const slot = target % SLOTS_PER_PACK;
    const done = new Uint8Array(count);
    try {
      await this.#loader.relocating(pack, async (identity, location) => {
        const table = await this.#loader.table(identity, location);
        await this.#loader.unpackFrames(table, slot, count, (first, blocks) => {
          const from = first - slot;
          done.fill(1, from, from + blocks);
          return into.subarray((at + from) * BLOCK_SIZE, (at + from + blocks) * BLOCK_SIZE);
        });
      });
    } catch (error) {
      // The careful way, block by block, finds out what is damaged and what is not.
      if (!isSternwayError(error)) throw error;
      done.fill(0);
    }
    const left: number[] = [];
    for (let i = 0; i < count; i++) if (done[i] === 0) left.push(at + i);
    return left;
  }

  /** Shows each wanted block to `visitor`; what {@link readMany} does with copying. Rejects only with defects of ours. */
  async visit(targets: Float64Array | readonly number[], visitor: BlockVisitor): Promise<void> {
    const groups = this.#visitCached(targets, visitor);
    // Bounds memory: what is loaded is visited and let go before the next pack's turn comes.
    for (let i = 0; i < groups.length; i += READS_MAX) {
      await settled(groups.slice(i, i + READS_MAX).map((group) => this.#visitGroup(group, targets, visitor)));
    }
  }

  /** Loads a pack's frame table, or has it. @throws corrupt, unavailable */
  async frameTable(pack: number): Promise<FrameTable> {
    return this.#loader.relocating(pack, (identity, location) => this.#loader.table(identity, location));
  }

  /**
   * Loads a pack's directory. Only its frame table is cached: fingerprints are asked for by those who keep them.
   * @throws corrupt, unavailable
   */
  async directory(pack: number): Promise<PackDirectory> {
    return this.#loader.relocating(pack, async (identity, location) => {
      const frames = await this.#loader.table(identity, location);
      return { frames, fingerprints: await this.#loader.fingerprints(frames) };
    });
  }

  /**
   * Shows the stored bytes of adjacent frames, past the caches and unchecked: for writing a pack anew.
   * @param frames - of {@link directory} @param end - behind the last frame; together at most {@link POOLED_READ_BYTES_MAX} bytes
   * @param use - must not keep the bytes, which are fewer where the file ends early
   * @throws not_found, unavailable
   */
  async readStored<Result>(
    frames: FrameTable,
    first: number,
    end: number,
    use: (stored: Uint8Array) => Result,
  ): Promise<Result> {
    const { pack, generation } = frames.identity;
    const offset = frames.offset[first]!;
    return await this.#loader.files.readPooled(
      this.fileName(pack, generation),
      frames.offset[end]! - offset,
      offset,
      use,
    );
  }

  /**
   * Reads a whole pack, past the caches, and compares every checksum and every block's fingerprint.
   * @returns the damaged places, none when all is well
   * @throws unavailable: the disk failed in a way that says nothing about the pack
   */
  async verify(pack: number): Promise<PackDamage[]> {
    const location = this.#loader.locate(pack);
    if (!location) return [{ pack, frame: -1, slots: [], why: "the manifest names no such pack" }];
    return verifyPack(this.#toVerify(pack, location));
  }

  /**
   * Blocks of damaged frames that still match their fingerprints: a flipped bit spoils one block of an uncompressed frame and often of a
   * compressed one, but the frame's checksum rejects them all.
   * @returns by slot, the caller's own
   */
  async salvage(pack: number, slots: ReadonlySet<number>): Promise<Map<number, Uint8Array>> {
    const location = this.#loader.locate(pack);
    return location ? await salvagePack(this.#toVerify(pack, location), slots) : new Map<number, Uint8Array>();
  }

  /** Drops what is cached of a pack that was deleted or repacked. Reads in flight are not disturbed. */
  async forget(pack: number): Promise<void> {
    await this.#loader.forget(pack);
  }

  /** Closes all descriptors and empties the caches. Idempotent. */
  async close(): Promise<void> {
    await this.#loader.close();
  }

  #toVerify(pack: number, location: PackLocation): PackToVerify {
    const path = this.fileName(pack, location.generation);
    return {
      identity: this.#loader.identity(pack, location),
      sizeBytes: location.sizeBytes,
      seed: this.#seed,
      actualBytes: () => this.#loader.files.size(path),
      read: (into, offset) => this.#loader.files.read(path, into, offset),
    };
  }

  /** Serves what the caches hold, without a promise, and groups the rest by pack. */
  #visitCached(targets: Float64Array | readonly number[], visitor: BlockVisitor): Group[] {
    const groups: Group[] = [];
    const order = ascending(targets);
    let rest: number[] = [];
    let restPack = 0;
    let table: FrameTable | undefined;
    let tablePack = 0;
    const endGroup = (): void => {
      if (rest.length > 0) groups.push({ pack: restPack, indexes: Uint32Array.from(rest) });
      rest = [];
    };
    for (const index of order) {
      const target = targets[index]!;
      if (target === TARGET_HOLE || target === TARGET_ZERO) {
        visitor.block(index, ZEROES, 0);
        continue;
      }
      if (!Number.isSafeInteger(target) || target < TARGET_ADDRESS_MIN) {
        visitor.failed(index, new SternwayError("corrupt", `${target} is not a block address`, { target }));
        continue;
      }
      const pack = Math.floor(target / SLOTS_PER_PACK);
      if (pack !== tablePack) {
        tablePack = pack;
        table = this.#loader.cachedTable(pack);
      }
      const slot = target - pack * SLOTS_PER_PACK;
      const frame = table?.frameOf(slot) ?? -1;
      const bytes = table && frame >= 0 ? this.#loader.cachedFrame(table, frame) : undefined;
      if (table && bytes) {
        showBlock(visitor, index, table, frame, slot, bytes);
        continue;
      }
      if (pack !== restPack) {
        endGroup();
        restPack = pack;
      }
      rest.push(index);
    }
    endGroup();
    return groups;
  }

  async #visitGroup(group: Group, targets: Float64Array | readonly number[], visitor: BlockVisitor): Promise<void> {
    let wanted: Iterable<number> = group.indexes;
    try {
      await this.#loader.relocating(group.pack, async (identity, location) => {
        const failures: { index: number; error: SternwayError }[] = [];
        await this.#visitFile(identity, location, wanted, targets, {
          block: (index, bytes, offset) => visitor.block(index, bytes, offset),
          failed: (index, error) => failures.push({ index, error }),
        });
        const first = failures[0];
        if (!first) return;
        if (this.#loader.locate(group.pack)?.generation !== identity.generation) {
          wanted = failures.map(({ index }) => index);
          throw first.error;
        }
        for (const { index, error } of failures) visitor.failed(index, error);
      });
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      for (const index of wanted) visitor.failed(index, error);
    }
  }

  /** Visits blocks of one file; damaged ones go to `failed`. @throws what keeps the whole file from being read */
  async #visitFile(
    identity: PackIdentity,
    location: PackLocation,
    wanted: Iterable<number>,
    targets: Float64Array | readonly number[],
    visitor: BlockVisitor,
  ): Promise<void> {
    const table = await this.#loader.table(identity, location);
    const frames = new Map<number, number[]>();
    for (const index of wanted) {
      const slot = targets[index]! % SLOTS_PER_PACK;
      const frame = table.frameOf(slot);
      const others = frames.get(frame);
      if (frame < 0) visitor.failed(index, blockError(table, -1, slot, "it has no such slot"));
      else if (others) others.push(index);
      else frames.set(frame, [index]);
    }
    const show = (frame: number, loaded: LoadedFrame): void => {
      for (const index of frames.get(frame) ?? []) {
        if (loaded instanceof SternwayError) visitor.failed(index, loaded);
        else showBlock(visitor, index, table, frame, targets[index]! % SLOTS_PER_PACK, loaded);
      }
    };
    await this.#loader.loadFrames(table, frames.keys(), show);
  }
}

const ZEROES = new Uint8Array(BLOCK_SIZE);
/** From two frames on, a run of neighbouring slots is worth unpacking in place. */
const RUN_BLOCKS_MIN = 32;

function copyBlock(into: Uint8Array, at: number, bytes: Uint8Array, offset: number): void {
  into.set(bytes.subarray(offset, offset + BLOCK_SIZE), at);
}

function showBlock(
  visitor: BlockVisitor,
  index: number,
  table: FrameTable,
  frame: number,
  slot: number,
  bytes: Uint8Array,
): void {
  const offset = (slot - table.firstSlot[frame]!) * BLOCK_SIZE;
  if (
    (table.flags[frame]! & FRAME_HAS_FREED) !== 0 &&
    Buffer.compare(ZEROES, bytes.subarray(offset, offset + BLOCK_SIZE)) === 0
  ) {
    visitor.failed(index, blockError(table, frame, slot, "it was freed, or lost to damage"));
  } else {
    visitor.block(index, bytes, offset);
  }
}

/** Positions of `targets` by ascending target. */
function ascending(targets: Float64Array | readonly number[]): Uint32Array {
  const order = new Uint32Array(targets.length);
  let sorted = true;
  for (let i = 0; i < order.length; i++) {
    order[i] = i;
    if (i > 0 && targets[i]! < targets[i - 1]!) sorted = false;
  }
  return sorted ? order : order.sort((a, b) => targets[a]! - targets[b]!);
}
