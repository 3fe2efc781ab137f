/**
 * Where the blocks of a stretch go: nowhere (zeroes), to the slot of an equal block that is stored already, or to a slot of a new pack. Packs are durable
 * before their records are there to be named; until a manifest names them nothing of them is proposed to others.
 *
 * Memory: one pack and 20 bytes a payload page.
 */
import { publish, type Disk } from "../../base/disk.ts";
import { hashText, xxh64 } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { looksRandom } from "../content/density.ts";
import { PAGE_DENSE, PAGE_NEW } from "../content/write-measure.ts";
import type { PackRecord } from "../manifest.ts";
import { blockAddress, SLOTS_PER_PACK, TARGET_ZERO } from "../map.ts";
import type { Deduplicator } from "../packs/deduplicator.ts";
import type { FingerprintIndex } from "../packs/fingerprint-index.ts";
import { PackBuilder } from "../packs/pack-builder.ts";
import { packPath } from "../packs/pack-format.ts";
import type { SealEffort, SealerOptions, SealRequest } from "./sealer-requests.ts";
import { provedPage, type Stretch, type StretchRun } from "./stretch.ts";

/** Blocks looked up and confirmed at once. */
const BATCH_BLOCKS = 1024;

/** What proposes duplicates: the fingerprint, or its lowest bits under the test hook. */
export function proposalKey(print: bigint, { fingerprintBits }: SealerOptions): bigint {
  return fingerprintBits === undefined ? print : BigInt.asUintN(fingerprintBits, print) + 1n;
}

export interface PlacerParts {
  options: SealerOptions;
  deduplicator: Deduplicator;
  /** Takes candidates back that nothing new may share (collect-work.ts). */
  refuse: (candidates: Float64Array) => void;
  /** Is told of each address that is given out again. */
  shared: (target: number) => void;
}

/** Finds the place of each block. */
export class BlockPlacer {
  private readonly parts: PlacerParts;
  private readonly options: SealerOptions;
  private readonly zero = new Uint8Array(BLOCK_SIZE);
  private readonly zeroPrint: bigint;

  constructor(parts: PlacerParts) {
    this.parts = parts;
    this.options = parts.options;
    this.zeroPrint = xxh64(this.zero, parts.options.seed);
  }

  /** Gives every block of a run its target: zero, a known block's address, or a slot of a new pack. */
  async placeBlocks(run: StretchRun, stretch: Stretch, placing: Placing): Promise<void> {
    for (let start = 0; start < run.length; start += BATCH_BLOCKS) {
      const end = Math.min(run.length, start + BATCH_BLOCKS);
      const candidates = await this.candidates(run, start, end, stretch, placing);
      for (let i = start; i < end; i++) {
        const page = run.page[i]!;
        if (page < 0) continue;
        placing.blocks++;
        const block = provedPage(stretch, page, this.options.seed);
        const print = stretch.prints[page]!;
        if (print === this.zeroPrint && Buffer.compare(block, this.zero) === 0) {
          placing.zeroBlocks++;
          placing.targets[page] = TARGET_ZERO;
          continue;
        }
        if (looksRandom(block)) placing.kinds[page]! |= PAGE_DENSE;
        const known = candidates?.[i - start] ?? 0;
        if (known !== 0) {
          placing.duplicateBlocks++;
          placing.targets[page] = known;
          this.parts.shared(known);
          continue;
        }
        await placing.place(page, block, print, stretch);
      }
    }
  }

  private async candidates(
    run: StretchRun,
    start: number,
    end: number,
    stretch: Stretch,
    placing: Placing,
  ): Promise<Float64Array | undefined> {
    if (placing.effort === "raw") return undefined;
    const prints = new BigUint64Array(end - start);
    for (let i = start; i < end; i++) {
      const page = run.page[i]!;
      // A zero print proposes nothing for places that hold no bytes.
      prints[i - start] = page < 0 ? 0n : proposalKey(stretch.prints[page]!, this.options);
    }
    const candidates = new Float64Array(end - start);
    await this.parts.deduplicator.lookupBatch(prints, candidates);
    for (let i = start; i < end; i++) if (run.page[i]! < 0) candidates[i - start] = 0;
    this.parts.refuse(candidates);
    if (this.options.plantTrustFingerprints) return candidates;
    // Law 4: a candidate whose bytes differ, or cannot be read, is no match.
    await this.parts.deduplicator.confirm(candidates, (i) => {
      const page = run.page[start + i]!;
      return stretch.payload.subarray(page * BLOCK_SIZE, (page + 1) * BLOCK_SIZE);
    });
    return candidates;
  }
}

/** The packs of one stretch as they fill, and where each payload page went. */
export class Placing {
  readonly effort: SealEffort;
  readonly targets: Float64Array;
  /** Bits of PAGE_NEW and PAGE_DENSE. */
  readonly kinds: Uint8Array;
  /** Of new ones: their share of their frame as stored. */
  readonly pageBytes: Uint16Array;
  readonly packs: PackRecord[] = [];
  blocks = 0;
  zeroBlocks = 0;
  duplicateBlocks = 0;

  private readonly disk: Disk;
  private readonly options: SealerOptions;
  private nextPack: number;
  private builder: PackBuilder | undefined;
  /** Of the pack that fills: the page of each slot. */
  private slotPages: number[] = [];
  /** Of this stretch's new blocks: fingerprint → page, for duplicates within it. */
  private readonly pages = new Map<bigint, number>();

  constructor(disk: Disk, options: SealerOptions, request: SealRequest) {
    this.disk = disk;
    this.options = options;
    this.effort = request.effort;
    this.nextPack = request.pack;
    const pages = Math.ceil(options.journalFileBytes / BLOCK_SIZE);
    this.targets = new Float64Array(pages);
    this.kinds = new Uint8Array(pages);
    this.pageBytes = new Uint16Array(pages);
  }

  /** Shares an equal block of the same stretch, or takes a new slot. */
  async place(page: number, block: Uint8Array, print: bigint, stretch: Stretch): Promise<void> {
    const key = proposalKey(print, this.options);
    const twin = this.pages.get(key);
    if (twin !== undefined) {
      const other = stretch.payload.subarray(twin * BLOCK_SIZE, (twin + 1) * BLOCK_SIZE);
      if (this.options.plantTrustFingerprints || Buffer.compare(block, other) === 0) {
        this.duplicateBlocks++;
        this.targets[page] = this.targets[twin]!;
        return;
      }
    }
    if (this.builder?.isFull) await this.finishPack();
    this.builder ??= new PackBuilder({
      vaultId: this.options.vaultId,
      cipher: this.options.cipher,
      pack: this.nextPack,
      generation: 0,
      compress: this.effort === "full",
    });
    this.targets[page] = blockAddress(this.builder.pack, this.builder.add(block, print));
    this.kinds[page]! |= PAGE_NEW;
    this.slotPages.push(page);
    if (this.pages.size < SLOTS_PER_PACK) this.pages.set(key, page);
  }

  /** Makes the current pack durable. */
  async finishPack(): Promise<void> {
    const { builder } = this;
    if (!builder) return;
    const path = `${this.options.dir}/${packPath(builder.pack, builder.generation)}`;
    const folder = path.slice(0, path.lastIndexOf("/"));
    if ((await this.disk.list(folder)).length === 0) {
      await this.disk.mkdir(folder);
      // The folder's own name must be durable before what lies in it counts.
      await this.disk.syncDir(`${this.options.dir}/packs`);
    }
    await publish(this.disk, path, builder.finish());
    this.noteFrames(builder);
    this.packs.push({
      pack: builder.pack,
      generation: builder.generation,
      sizeBytes: builder.sizeBytes,
      slots: builder.slotCount,
      checksum: hashText(builder.checksum),
    });
    this.builder = undefined;
    this.nextPack++;
  }

  private noteFrames(builder: PackBuilder): void {
    for (const { firstSlot, slotCount, storedBytes } of builder.frames) {
      const share = Math.round(storedBytes / slotCount);
      for (let slot = firstSlot; slot < firstSlot + slotCount; slot++) this.pageBytes[this.slotPages[slot]!] = share;
    }
    this.slotPages = [];
  }

  indexInto(index: FingerprintIndex): void {
    for (const [print, page] of this.pages) index.insert(print, this.targets[page]!);
  }
}
