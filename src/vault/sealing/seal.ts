/**
 * The sealer's work, free of threads: it carries out requests one at a time, in a worker thread in production and inline in simulations. All it
 * makes is durable when its promises resolve, and means nothing until a manifest names it.
 *
 * It trusts the request for what exists (packs, layers) and keeps between requests: the fingerprint index, a hint; work that goes on
 * in slices (layers, surveys, accounts); which packs are closed to deduplication; and what kind of content blocks have, for the signals.
 */
import type { Disk } from "../../base/disk.ts";
import { isSternwayError } from "../../base/errors.ts";
import { ContentMap } from "../content/content-map.ts";
import { learnContent } from "../content/content-work.ts";
import { CollectWork } from "../collecting/collect-work.ts";
import { SpaceWork } from "../collecting/space-work.ts";
import type { PackRecord } from "../manifest.ts";
import { blockAddress } from "../map.ts";
import { layerSet } from "../open-set.ts";
import { Deduplicator } from "../packs/deduplicator.ts";
import { FingerprintIndex } from "../packs/fingerprint-index.ts";
import { IndexStore } from "../packs/index-store.ts";
import { PackBuilder } from "../packs/pack-builder.ts";
import { PackStore } from "../packs/pack-reader.ts";
import { Quarantine } from "../packs/quarantine.ts";
import { ScrubWork } from "../scrubbing/scrub-work.ts";
import { LayerWork } from "./layer-work.ts";
import { BlockPlacer, proposalKey, type Placing } from "./placing.ts";
import type {
  PacksRequest,
  SealerOptions,
  SealerRequest,
  SealerResult,
  SealRequest,
  SealResult,
  SnapshotRequest,
} from "./sealer-requests.ts";
import { StretchSealer } from "./stretch-seal.ts";

/** Of a full pack, about. */
const DIRECTORY_BYTES = 200 * 1024;
/** While running, a snapshot is worth its writing when so many packs (2 GiB of blocks) came since the last one. */
const SNAPSHOT_PACKS_MIN = 32;
/** At a clean stop one byte saved at the next open is worth so many written now. */
const SNAPSHOT_LAST_FACTOR = 8;

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
  private readonly layers: LayerWork;
  private readonly stretches: StretchSealer;
  private readonly content = new ContentMap();
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
      newBuilder: (pack, generation, bytesExpected) =>
        new PackBuilder({ vaultId, cipher, pack, generation, compress: true, bytesExpected }),
    });
    this.layers = new LayerWork(disk, options);
    const placer = new BlockPlacer({
      options,
      deduplicator,
      refuse: (candidates) => this.collect.refuse(candidates),
      shared: (target) => this.collect.shared(target),
    });
    this.stretches = new StretchSealer(disk, options, placer, this.content);
  }

  /** Carries out one request. Requests run one at a time. */
  async run(request: SealerRequest): Promise<SealerResult<SealerRequest>> {
    switch (request.kind) {
      case "seal":
        return await this.seal(request);
      case "packs":
        return await this.learn(request);
      case "snapshot":
        return await this.snapshot(request);
      case "merge":
      case "thin":
      case "image":
      case "merge-chronicles":
      case "layers-more":
      case "layers-drop":
        return await this.layers.run(request);
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
      case "content": {
        this.settleLast(request.pack);
        const { disk, content: map, packs } = this;
        const { dir, vaultId, cipher } = this.options;
        return await learnContent(request, { map, packs, newSet: () => layerSet(disk, dir, vaultId, 0, cipher) });
      }
    }
  }

  async close(): Promise<void> {
    await this.layers.stop();
    await this.collect.stop();
    await this.space.stop();
    await this.packs.close();
  }

  private async seal(request: SealRequest): Promise<SealResult> {
    this.settleLast(request.pack);
    const { result, placing } = await this.stretches.seal(request);
    this.last = placing;
    return result;
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
