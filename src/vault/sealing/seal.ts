/**
 * The sealer's work, free of threads: turns a closed journal file into a pack, a delta layer and a chronicle; merges layers and
 * chronicles; makes images. It runs in a worker thread in production and inline in simulations. All it makes is durable when
 * its promises resolve, and means nothing until a manifest names it.
 *
 * It trusts the request for what exists (packs, layers) and keeps one thing between requests: the fingerprint index, a hint.
 */
import { xxh64 } from "../../base/hash.ts";
import { publish, type Disk } from "../../base/disk.ts";
import { isSternwayError } from "../../base/errors.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { concatChronicles, writeChronicle } from "../chronicles/chronicle.ts";
import { CollectWork, type CollectRequest, type CollectResult } from "../collecting/collect-work.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import { Deduplicator } from "../packs/deduplicator.ts";
import { FingerprintIndex } from "../packs/fingerprint-index.ts";
import type { LayerReader } from "../layers/layer-reader.ts";
import { mergeLayers } from "../layers/layer-merge.ts";
import { LayerWriter } from "../layers/layer-writer.ts";
import { chroniclePath, layerPath } from "../paths.ts";
import { writeImage } from "../layers/image.ts";
import { IndexStore } from "../packs/index-store.ts";
import { layerSet, type LayerSet } from "../open-set.ts";
import type { ChronicleRecord, LayerRecord, PackRecord, QuarantineRecord, ShardWeight } from "../manifest.ts";
import { blockAddress, LEVEL_SHIFT, SHARD_BLOCKS, SLOTS_PER_PACK, TARGET_HOLE, TARGET_ZERO } from "../map.ts";
import { PackBuilder } from "../packs/pack-builder.ts";
import { packPath } from "../packs/pack-format.ts";
import { PackStore } from "../packs/pack-reader.ts";
import { Quarantine } from "../packs/quarantine.ts";
import { ScrubWork, type ScrubRequest, type ScrubResult } from "../scrubbing/scrub-work.ts";
import { SpaceWork, type SpaceResult, type SpaceWorkRequest } from "../collecting/space-work.ts";
import { countThinning, keepsAll, thinLayers, type Needs } from "../layers/thin.ts";
import { THIN_SHARE_MIN } from "../layers/thin-policy.ts";
import { PAGE_ZERO, provedPage, readStretch, type Stretch, type StretchRun } from "./stretch.ts";

export interface SealerOptions {
  /** The vault's directory. */
  dir: string;
  vaultId: Uint8Array;
  seed: bigint;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  journalFileBytes: number;
  indexBudgetBytes: number;
  cacheBytes: number;
  /** Test hook for planted bugs: takes every candidate for a match (breaks law 4). */
  plantTrustFingerprints?: boolean;
  /** Test hook: duplicates are proposed by so many bits of a fingerprint only, so that strangers meet often. Breaks nothing. */
  fingerprintBits?: number;
}

/** What proposes duplicates: the fingerprint, or its lowest bits under the test hook. */
function proposalKey(print: bigint, { fingerprintBits }: SealerOptions): bigint {
  return fingerprintBits === undefined ? print : BigInt.asUintN(fingerprintBits, print) + 1n;
}

/** Full: deduplicate and compress. Raw: store as it is, when the sealer lags (law 8). */
export type SealEffort = "full" | "raw";

export interface SealRequest {
  kind: "seal";
  slot: string;
  fileSequence: number;
  groupCount: number;
  /** The LSN ranges that the layer and the chronicle will speak for: each from where the last of its kind ended. */
  layerFirstLsn: number;
  chronicleFirstLsn: number;
  lastLsn: number;
  /** Numbers to use; packs take further ones from `pack` on. */
  pack: number;
  layer: number;
  chronicle: number;
  effort: SealEffort;
}

export interface SealResult {
  packs: PackRecord[];
  /** Undefined when the stretch holds no entry. */
  layer: LayerRecord | undefined;
  chronicle: ChronicleRecord | undefined;
  blocks: number;
  zeroBlocks: number;
  duplicateBlocks: number;
  storedBytes: number;
}

export interface MergeRequest {
  kind: "merge";
  /** Adjacent deltas, oldest first. */
  inputs: LayerRecord[];
  layer: number;
  /** Deltas that follow and stay: they tell what superseded the inputs. */
  after: LayerRecord[];
  /** Of the result. */
  rank: number;
  /** What must stay readable; the rest is dropped on the way. */
  needs: Needs;
}

/** One delta alone, if enough of it is not needed any more. */
export interface ThinRequest {
  kind: "thin";
  input: LayerRecord;
  after: LayerRecord[];
  layer: number;
  needs: Needs;
}

export interface MergeResult {
  record: LayerRecord;
  /** Entries dropped that held a block's address: what collecting may free. */
  droppedBlocks: number;
}

export interface MergeChroniclesRequest {
  kind: "merge-chronicles";
  inputs: ChronicleRecord[];
  chronicle: number;
}

export interface ImageRequest {
  kind: "image";
  layer: number;
  lastLsn: number;
  /** Shards to cover, each with the strands to look through. */
  shards: { strand: number; shard: number; chain: { strand: number; lsn: number }[] }[];
  /** All live layers up to lastLsn. */
  layers: LayerRecord[];
}

/** Packs that the manifest names and this sealer does not know yet. */
export interface PacksRequest {
  kind: "packs";
  packs: PackRecord[];
  /** Also load their fingerprints into the index. */
  index: boolean;
  /** What the manifest says of damaged slots: they are never proposed. */
  quarantine: readonly QuarantineRecord[];
}

/** Keeps the fingerprint index on disk, when enough has come to it for that to pay. */
export interface SnapshotRequest {
  kind: "snapshot";
  /** The number of the next new pack. */
  pack: number;
  /** At a clean stop it pays sooner: what is not covered is read at the next open, while people wait. */
  isLast: boolean;
}

export type SealerRequest =
  | SealRequest
  | MergeRequest
  | ThinRequest
  | MergeChroniclesRequest
  | ImageRequest
  | PacksRequest
  | SnapshotRequest
  | ScrubRequest
  | CollectRequest
  | SpaceWorkRequest;
export type SealerResult<Request extends SealerRequest> = Request extends SealRequest
  ? SealResult
  : Request extends MergeRequest
    ? MergeResult
    : Request extends ThinRequest
      ? MergeResult | undefined
      : Request extends ImageRequest
        ? LayerRecord
        : Request extends MergeChroniclesRequest
          ? ChronicleRecord
          : Request extends ScrubRequest
            ? ScrubResult<Request>
            : Request extends CollectRequest
              ? CollectResult<Request>
              : Request extends SpaceWorkRequest
                ? SpaceResult<Request>
                : void;

/** Of a full pack, about. */
const DIRECTORY_BYTES = 200 * 1024;
/** While running, a snapshot is worth its writing when so many packs (2 GiB of blocks) came since the last one. */
const SNAPSHOT_PACKS_MIN = 32;
/** At a clean stop one byte saved at the next open is worth so many written now. */
const SNAPSHOT_LAST_FACTOR = 8;

/** Blocks looked up and confirmed at once. */
const BATCH_BLOCKS = 1024;

export class Sealer {
  private readonly disk: Disk;
  private readonly options: SealerOptions;
  private readonly index: FingerprintIndex;
  private readonly known = new Map<number, PackRecord>();
  private readonly packs: PackStore;
  private readonly deduplicator: Deduplicator;
  private readonly quarantine = new Quarantine();
  private readonly scrub: ScrubWork;
  private readonly store: IndexStore;
  /** Packs whose slots are in the index, by number: their generation. */
  private readonly indexed = new Map<number, number>();
  /** Of them, those that came since the last snapshot. */
  private unsaved = 0;
  private readonly collect: CollectWork;
  private readonly space: SpaceWork;
  private readonly zero = new Uint8Array(BLOCK_SIZE);
  private readonly zeroPrint: bigint;
  private buffer: Uint8Array | undefined;
  /** The last stretch, until the next one tells whether a manifest named it. */
  private last: Placing | undefined;

  constructor(disk: Disk, options: SealerOptions) {
    this.disk = disk;
    this.options = options;
    const { dir, vaultId, cipher, seed } = options;
    this.index = new FingerprintIndex({ budgetBytes: options.indexBudgetBytes });
    this.packs = new PackStore({
      disk,
      dir,
      vaultId,
      seed,
      cipher,
      locate: (pack) => this.known.get(pack),
      frameCacheBytes: options.cacheBytes,
      directoryCacheBytes: options.cacheBytes / 2,
    });
    const { index, packs, quarantine, known } = this;
    this.deduplicator = new Deduplicator({ index, packs, quarantine });
    const keyOf = (print: bigint): bigint => proposalKey(print, options);
    const { deduplicator } = this;
    this.store = new IndexStore({ disk, dir, vaultId, seed });
    this.scrub = new ScrubWork({ disk, vaultId, cipher, seed, packs, index, deduplicator, quarantine, known, keyOf });
    this.space = new SpaceWork(() => layerSet(disk, dir, vaultId, 0, cipher));
    this.collect = new CollectWork({
      disk,
      dir,
      vaultId,
      cipher,
      seed,
      packs,
      deduplicator,
      known,
      settle: (nextPack) => this.settleLast(nextPack),
      newBuilder: (pack, generation, blocksExpected) =>
        new PackBuilder({ vaultId, cipher, pack, generation, compress: true, blocksExpected }),
    });
    this.zeroPrint = xxh64(this.zero, seed);
  }

  /** Carries out one request. Requests run one at a time. */
  async run(request: SealerRequest): Promise<SealerResult<SealerRequest>> {
    switch (request.kind) {
      case "seal":
        return await this.seal(request);
      case "merge":
        return await this.merge(request, request.inputs, request.rank);
      case "thin":
        return await this.thin(request);
      case "merge-chronicles":
        return await this.mergeChronicles(request);
      case "image":
        return await this.image(request);
      case "packs":
        return await this.learn(request);
      case "snapshot":
        return await this.snapshot(request);
      case "verify":
      case "quarantine":
      case "find-copies":
      case "rewrite":
        return await this.scrub.run(request);
      case "survey":
      case "survey-more":
      case "close-packs":
      case "repack":
      case "open-packs":
        return await this.collect.run(request);
      case "space":
      case "space-more":
        return await this.space.run(request);
    }
  }

  async close(): Promise<void> {
    await this.collect.stop();
    await this.space.stop();
    await this.packs.close();
  }

  private async seal(request: SealRequest): Promise<SealResult> {
    this.settleLast(request.pack);
    const { dir, vaultId, cipher, seed, journalFileBytes } = this.options;
    this.buffer ??= new Uint8Array(journalFileBytes);
    const file = await this.disk.open(`${dir}/journal/${request.slot}`, "read");
    let stretch: Stretch;
    try {
      const identity = { vaultId, seed, cipher, fileSequence: request.fileSequence };
      stretch = await readStretch(file, journalFileBytes, identity, request.groupCount, this.buffer);
    } finally {
      await file.close();
    }
    const placing = new Placing(this.disk, this.options, request);
    for (const run of stretch.runs) if (run.level === 0) await this.placeBlocks(run, stretch, placing);
    await placing.finishPack();
    this.last = placing;

    const layer = await this.writeLayer(request, stretch, placing);
    const chronicle =
      stretch.rows.length === 0
        ? undefined
        : await writeChronicle({
            disk: this.disk,
            path: `${dir}/${chroniclePath(request.chronicle)}`,
            vaultId,
            cipher,
            id: request.chronicle,
            firstLsn: request.chronicleFirstLsn,
            lastLsn: request.lastLsn,
            rows: stretch.rows,
          });
    return {
      packs: placing.packs,
      layer,
      chronicle: chronicle && { ...chronicle, rank: 0 },
      blocks: placing.blocks,
      zeroBlocks: placing.zeroBlocks,
      duplicateBlocks: placing.duplicateBlocks,
      storedBytes: placing.packs.reduce((sum, pack) => sum + pack.sizeBytes, 0),
    };
  }

  /**
   * Takes over what the last stretch stored, if a manifest names it by now: then the next pack's number lies beyond. If not, the step
   * failed after its packs were written, and the numbers are used again: nothing may refer to what they hold meanwhile.
   */
  private settleLast(nextPack: number): void {
    const { last } = this;
    this.last = undefined;
    if (!last || last.packs.some(({ pack }) => pack >= nextPack)) return;
    for (const record of last.packs) this.known.set(record.pack, record);
    last.indexInto(this.index);
    for (const record of last.packs) this.noteIndexed(record);
  }

  private noteIndexed({ pack, generation }: PackRecord): void {
    this.indexed.set(pack, generation);
    this.unsaved++;
  }

  /** A snapshot costs its size once; not having one costs reading the directories of the packs since the last one. */
  private async snapshot({ pack, isLast }: SnapshotRequest): Promise<void> {
    this.settleLast(pack);
    // Under the hook the index holds other keys than fingerprints.
    if (this.unsaved === 0 || this.options.fingerprintBits !== undefined || this.options.cipher) return;
    const pays = this.unsaved * DIRECTORY_BYTES * (isLast ? SNAPSHOT_LAST_FACTOR : 1);
    if (pays < this.index.bytes || (!isLast && this.unsaved < SNAPSHOT_PACKS_MIN)) return;
    await this.store.save(this.index, this.indexed);
    this.unsaved = 0;
  }

  /** Gives every block of a run its target: zero, a known block's address, or a slot of a new pack. */
  private async placeBlocks(run: StretchRun, stretch: Stretch, placing: Placing): Promise<void> {
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
        const known = candidates?.[i - start] ?? 0;
        if (known !== 0) {
          placing.duplicateBlocks++;
          placing.targets[page] = known;
          this.collect.shared(known);
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
    await this.deduplicator.lookupBatch(prints, candidates);
    for (let i = start; i < end; i++) if (run.page[i]! < 0) candidates[i - start] = 0;
    this.collect.refuse(candidates);
    if (this.options.plantTrustFingerprints) return candidates;
    // Law 4: a candidate whose bytes differ, or cannot be read, is no match.
    await this.deduplicator.confirm(candidates, (i) => {
      const page = run.page[start + i]!;
      return stretch.payload.subarray(page * BLOCK_SIZE, (page + 1) * BLOCK_SIZE);
    });
    return candidates;
  }

  private async writeLayer(request: SealRequest, stretch: Stretch, placing: Placing): Promise<LayerRecord | undefined> {
    if (stretch.runs.length === 0) return undefined;
    const weights = new Map<string, ShardWeight>();
    const writer = new LayerWriter({
      disk: this.disk,
      path: `${this.options.dir}/${layerPath(request.layer)}`,
      vaultId: this.options.vaultId,
      cipher: this.options.cipher,
      id: request.layer,
      kind: "delta",
      firstLsn: request.layerFirstLsn,
      lastLsn: request.lastLsn,
    });
    for (const run of stretch.runs) {
      const target = new Float64Array(run.length);
      for (let i = 0; i < run.length; i++) {
        const page = run.page[i]!;
        target[i] = page >= 0 ? placing.targets[page]! : page === PAGE_ZERO ? TARGET_ZERO : TARGET_HOLE;
        const shard = Math.floor((run.index[i]! * 2 ** LEVEL_SHIFT[run.level]) / SHARD_BLOCKS);
        const key = `${run.strand}/${shard}`;
        const weight = weights.get(key);
        if (weight) weight.entries++;
        else weights.set(key, { strand: run.strand, shard, entries: 1 });
      }
      await writer.appendRun(
        { strand: run.strand, level: run.level, index: run.index, lsn: run.lsn, target },
        0,
        run.length,
      );
    }
    return { ...(await writer.finish()), rank: 0, weights: [...weights.values()] };
  }

  private async thin(request: ThinRequest): Promise<MergeResult | undefined> {
    const { input, after, needs } = request;
    const set = this.openSet();
    try {
      const { entries, dropped } = await countThinning([await set.open(input)], await openAll(set, after), needs);
      if (dropped === 0 || dropped < entries * THIN_SHARE_MIN) return undefined;
    } finally {
      await set.close();
    }
    return await this.merge(request, [input], input.rank);
  }

  private async merge(
    { layer, needs, after }: { layer: number; needs: Needs; after: LayerRecord[] },
    records: readonly LayerRecord[],
    rank: number,
  ): Promise<MergeResult> {
    const { dir, vaultId, cipher } = this.options;
    const set = this.openSet();
    try {
      const inputs = await openAll(set, records);
      const output = { disk: this.disk, path: `${dir}/${layerPath(layer)}`, vaultId, cipher, id: layer };
      if (keepsAll(records, needs)) {
        const merged = await mergeLayers({ ...output, inputs });
        return { record: { ...merged, rank, weights: sumWeights(records) }, droppedBlocks: 0 };
      }
      const { meta, weights, droppedBlocks } = await thinLayers({
        ...output,
        inputs,
        after: await openAll(set, after),
        needs,
      });
      return { record: { ...meta, rank, weights }, droppedBlocks };
    } finally {
      await set.close();
    }
  }

  private async mergeChronicles(request: MergeChroniclesRequest): Promise<ChronicleRecord> {
    const { dir, vaultId, cipher } = this.options;
    const meta = await concatChronicles({
      disk: this.disk,
      inputs: request.inputs.map((input) => ({ meta: input, path: `${dir}/${chroniclePath(input.id)}` })),
      path: `${dir}/${chroniclePath(request.chronicle)}`,
      vaultId,
      cipher,
      id: request.chronicle,
    });
    return { ...meta, rank: Math.max(...request.inputs.map((input) => input.rank)) + 1 };
  }

  private async image(request: ImageRequest): Promise<LayerRecord> {
    const { dir, vaultId, cipher } = this.options;
    const set = this.openSet();
    try {
      return await writeImage(this.disk, `${dir}/${layerPath(request.layer)}`, vaultId, request, set, cipher);
    } finally {
      await set.close();
    }
  }

  private openSet(): LayerSet {
    const { dir, vaultId, cacheBytes, cipher } = this.options;
    return layerSet(this.disk, dir, vaultId, cacheBytes, cipher);
  }

  /** Loads what the manifest names. A pack that cannot be read gives no duplicates; that is all. */
  private async learn(request: PacksRequest): Promise<void> {
    for (const record of request.packs) this.known.set(record.pack, record);
    for (const record of request.quarantine) this.quarantine.add(record);
    if (!request.index) return;
    if (this.options.fingerprintBits === undefined && !this.options.cipher) {
      const covered = await this.store.load(this.index, request.packs);
      for (const [pack, generation] of covered) this.indexed.set(pack, generation);
    }
    for (const record of request.packs) {
      if (this.indexed.get(record.pack) === record.generation) continue;
      try {
        const { fingerprints } = await this.packs.directory(record.pack);
        fingerprints.forEach((print, slot) =>
          this.index.insert(proposalKey(print, this.options), blockAddress(record.pack, slot)),
        );
        this.noteIndexed(record);
      } catch (error) {
        if (!isSternwayError(error)) throw error;
      }
    }
  }
}

/** The packs of one stretch as they fill, and where each payload page went. */
class Placing {
  readonly effort: SealEffort;
  readonly targets: Float64Array;
  readonly packs: PackRecord[] = [];
  blocks = 0;
  zeroBlocks = 0;
  duplicateBlocks = 0;

  private readonly disk: Disk;
  private readonly options: SealerOptions;
  private nextPack: number;
  private builder: PackBuilder | undefined;
  /** Of this stretch's new blocks: fingerprint → page, for duplicates within it. */
  private readonly pages = new Map<bigint, number>();

  constructor(disk: Disk, options: SealerOptions, request: SealRequest) {
    this.disk = disk;
    this.options = options;
    this.effort = request.effort;
    this.nextPack = request.pack;
    this.targets = new Float64Array(Math.ceil(options.journalFileBytes / BLOCK_SIZE));
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
    this.packs.push({
      pack: builder.pack,
      generation: builder.generation,
      sizeBytes: builder.sizeBytes,
      slots: builder.slotCount,
      checksum: builder.checksum.toString(16).padStart(16, "0"),
    });
    this.builder = undefined;
    this.nextPack++;
  }

  indexInto(index: FingerprintIndex): void {
    for (const [print, page] of this.pages) index.insert(print, this.targets[page]!);
  }
}

function sumWeights(layers: readonly LayerRecord[]): ShardWeight[] {
  const sums = new Map<string, ShardWeight>();
  for (const { strand, shard, entries } of layers.flatMap((layer) => layer.weights)) {
    const key = `${strand}/${shard}`;
    const sum = sums.get(key);
    if (sum) sum.entries += entries;
    else sums.set(key, { strand, shard, entries });
  }
  return [...sums.values()];
}

async function openAll(set: LayerSet, records: readonly LayerRecord[]): Promise<LayerReader[]> {
  const readers: LayerReader[] = [];
  for (const record of records) readers.push(await set.open(record));
  return readers;
}
