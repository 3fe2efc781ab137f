/**
 * The sealer's part of collecting: surveys what is live, closes packs to deduplication, repacks, and takes note of what went. Requests run one
 * at a time, so nothing is being sealed while one of these runs, and no waiting is needed for anything in flight (law 6):
 *
 * 1. A *survey* marks what all layers of one manifest name, in slices. From its beginning on, every address that sealing gives out is marked as
 *    well, so it stays true while stretches are sealed between slices. Merging, thinning and images name nothing new.
 * 2. *Closing* packs: from then on no new block shares a slot of theirs, so their bits can only become too many, never too few.
 * 3. Their slots without a bit may go, until they are *opened* again, with the manifest's word on what became of them.
 *
 * A crash or an error at any point leaves bits behind in memory and nothing else.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { Deduplicator } from "../packs/deduplicator.ts";
import { openLayer, type LayerReader } from "../layers/layer-reader.ts";
import type { LayerPage } from "../layers/layer-format.ts";
import { markLayers, type Marked, SlotBitmaps, SURVEY_PACKS_MAX } from "./liveness.ts";
import type { LayerRecord, PackRecord, QuarantineRecord } from "../manifest.ts";
import { packOf } from "../map.ts";
import type { PackBuilder } from "../packs/pack-builder.ts";
import type { PackStore } from "../packs/pack-reader.ts";
import { slotRanges } from "../packs/quarantine.ts";
import { PageCache } from "../files/page-cache.ts";
import { layerPath } from "../paths.ts";
import { repack, type Repacked } from "./repack.ts";

/** Begins a survey; one that is under way is given up. */
export interface SurveyRequest {
  kind: "survey";
  /** At most {@link SURVEY_PACKS_MAX}. */
  packs: number[];
  /** All layers of the manifest; their files must stay until the survey ends. */
  layers: LayerRecord[];
  /** The number of the next new pack. */
  nextPack: number;
}

/** Goes on for about so many entries: what it costs, however well they are packed. */
export interface SurveyMoreRequest {
  kind: "survey-more";
  entries: number;
}

/** Closes packs of the survey that is done, and ends it. */
export interface ClosePacksRequest {
  kind: "close-packs";
  packs: PackRecord[];
}

export interface RepackRequest {
  kind: "repack";
  /** One that was closed. */
  record: PackRecord;
  /** What is quarantined of it. */
  quarantined: QuarantineRecord["slots"];
}

/** Ends a survey, if one is under way, and opens what is closed. Idempotent. */
export interface OpenPacksRequest {
  kind: "open-packs";
  /** What the newest manifest says of packs that are closed; a closed one that is missing here is gone for good. */
  packs: PackRecord[];
}

export type CollectRequest = SurveyRequest | SurveyMoreRequest | ClosePacksRequest | RepackRequest | OpenPacksRequest;

export interface SurveyProgress {
  /** Stored bytes that were read, about. */
  bytes: number;
  /** Live slots of each surveyed pack, in the order of the request; undefined: more is to do. */
  live: number[] | undefined;
}

export interface RepackAnswer {
  outcome: Repacked;
  /** What is still quarantined in the new file: what is live of it. */
  quarantined: QuarantineRecord["slots"];
}

export type CollectResult<Request extends CollectRequest> = Request extends SurveyMoreRequest
  ? SurveyProgress
  : Request extends ClosePacksRequest
    ? number[]
    : Request extends RepackRequest
      ? RepackAnswer
      : void;

export interface CollectWorkParts {
  disk: Disk;
  /** The vault's directory. */
  dir: string;
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  seed: bigint;
  packs: PackStore;
  deduplicator: Deduplicator;
  /** Packs that the sealer knows. */
  known: Map<number, PackRecord>;
  /** Takes over what the last stretch stored, if the next new pack has this number. */
  settle: (nextPack: number) => void;
  /** @param bytesExpected - of the new file, about */
  newBuilder: (pack: number, generation: number, bytesExpected: number) => PackBuilder;
}

interface Survey {
  packs: number[];
  bits: SlotBitmaps;
  pages: AsyncGenerator<Marked, void, undefined>;
  isDone: boolean;
}

export class CollectWork {
  private readonly parts: CollectWorkParts;
  private survey: Survey | undefined;
  /** Packs that no new block may share, and what of them is live. */
  private readonly closed = new Set<number>();
  private live = new SlotBitmaps([]);
  /** Packs that are gone: their numbers are never used again, and whatever still proposes them is refused. */
  private readonly gone = new Set<number>();

  constructor(parts: CollectWorkParts) {
    this.parts = parts;
  }

  async run(request: CollectRequest): Promise<CollectResult<CollectRequest>> {
    switch (request.kind) {
      case "survey":
        return await this.begin(request);
      case "survey-more":
        return await this.more(request.entries);
      case "close-packs":
        return await this.close(request.packs);
      case "repack":
        return await this.repack(request);
      case "open-packs":
        return await this.open(request.packs);
    }
  }

  /** Takes proposals back that no new block may share. @param candidates - block addresses, 0 for none; changed in place */
  refuse(candidates: Float64Array): void {
    if (this.closed.size === 0 && this.gone.size === 0) return;
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!;
      if (candidate === 0) continue;
      const pack = packOf(candidate);
      if (this.closed.has(pack) || this.gone.has(pack)) candidates[i] = 0;
    }
  }

  /** Takes note of an address that is given out again. */
  shared(target: number): void {
    this.survey?.bits.mark(target);
  }

  async stop(): Promise<void> {
    await this.endSurvey();
  }

  private async begin({ packs, layers, nextPack }: SurveyRequest): Promise<void> {
    assert(packs.length <= SURVEY_PACKS_MAX, "a survey looks at a bounded number of packs");
    await this.endSurvey();
    this.parts.settle(nextPack);
    const bits = new SlotBitmaps(packs);
    const pages = markLayers(layers, (record) => this.openLayer(record), bits);
    this.survey = { packs, bits, pages, isDone: false };
  }

  private async more(entries: number): Promise<SurveyProgress> {
    const { survey } = this;
    assert(survey !== undefined, "a survey is under way");
    let bytes = 0;
    let left = entries;
    while (!survey.isDone && left > 0) {
      const next = await survey.pages.next();
      if (next.done === true) survey.isDone = true;
      else {
        left -= next.value.entries;
        bytes += next.value.bytes;
      }
    }
    return { bytes, live: survey.isDone ? survey.packs.map((pack) => survey.bits.count(pack)) : undefined };
  }

  private async close(packs: readonly PackRecord[]): Promise<number[]> {
    const { survey } = this;
    assert(survey?.isDone === true, "packs are closed when the survey is done");
    const numbers = packs.map(({ pack }) => pack);
    this.live = survey.bits.narrowed(numbers);
    for (const record of packs) {
      this.closed.add(record.pack);
      this.parts.known.set(record.pack, record);
    }
    await this.endSurvey();
    return numbers.map((pack) => this.live.count(pack));
  }

  private async repack({ record, quarantined }: RepackRequest): Promise<RepackAnswer> {
    assert(this.closed.has(record.pack), "only a closed pack is repacked");
    const { disk, packs, seed, known, newBuilder } = this.parts;
    known.set(record.pack, record);
    const held = Math.max(1, record.slots - (record.freed ?? 0));
    // Frames that lose something pack a little worse, and freed slots take a little: a tenth more spares growing.
    const bytes = Math.ceil(record.sizeBytes * Math.min(1, (1.1 * this.live.count(record.pack)) / held));
    const builder = newBuilder(record.pack, record.generation + 1, bytes);
    const isLive = (slot: number): boolean => this.live.has(record.pack, slot);
    const damaged = quarantined.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
    const outcome = await repack({
      disk,
      packs,
      seed,
      record,
      isLive,
      builder,
    });
    return { outcome, quarantined: slotRanges(damaged.filter(isLive)) };
  }

  private async open(records: readonly PackRecord[]): Promise<void> {
    const { packs, deduplicator, known } = this.parts;
    await this.endSurvey();
    const now = new Map(records.map((record) => [record.pack, record]));
    for (const pack of this.closed) {
      const record = now.get(pack);
      if (record) known.set(pack, record);
      else {
        known.delete(pack);
        this.gone.add(pack);
      }
      // What is cached is of an older file.
      deduplicator.forget(pack);
      await packs.forget(pack);
    }
    this.closed.clear();
    this.live = new SlotBitmaps([]);
  }

  private async endSurvey(): Promise<void> {
    const { survey } = this;
    this.survey = undefined;
    // Closes the layer at which it stood.
    await survey?.pages.return();
  }

  private openLayer(meta: LayerRecord): Promise<LayerReader> {
    const { disk, dir, vaultId, cipher } = this.parts;
    // Nothing is read twice, so nothing is worth keeping.
    const cache = new PageCache<LayerPage>(0);
    return openLayer({ disk, path: `${dir}/${layerPath(meta.id)}`, vaultId, cipher, meta, cache });
  }
}
