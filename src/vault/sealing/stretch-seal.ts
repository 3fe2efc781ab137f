/**
 * Seals one stretch: reads a closed journal file back as recovery would, places its blocks, and writes the delta layer and the chronicle
 * that speak for it. All of it is durable when the promise resolves, packs before the layer that names their slots (law 5).
 */
import type { Disk } from "../../base/disk.ts";
import type { ContentMap } from "../content/content-map.ts";
import { measureWrites } from "../content/write-measure.ts";
import { writeChronicle } from "../chronicles/chronicle.ts";
import { LayerWriter } from "../layers/layer-writer.ts";
import type { LayerRecord, ShardWeight } from "../manifest.ts";
import { LEVEL_SHIFT, SHARD_BLOCKS, TARGET_HOLE, TARGET_ZERO } from "../map.ts";
import { chroniclePath, layerPath } from "../paths.ts";
import { Placing, type BlockPlacer } from "./placing.ts";
import type { SealerOptions, SealRequest, SealResult } from "./sealer-requests.ts";
import { PAGE_ZERO, readStretch, type Stretch } from "./stretch.ts";

/** Areas named in one answer: 4 GiB of a volume. More are named next time. */
const STRANGE_AREAS_MAX = 64;

export class StretchSealer {
  private readonly disk: Disk;
  private readonly options: SealerOptions;
  private readonly placer: BlockPlacer;
  private readonly content: ContentMap;
  private buffer: Uint8Array | undefined;

  constructor(disk: Disk, options: SealerOptions, placer: BlockPlacer, content: ContentMap) {
    this.disk = disk;
    this.options = options;
    this.placer = placer;
    this.content = content;
  }

  /** @returns besides, what it stored: for the fingerprint index, once a manifest names it @throws corrupt, unavailable; then nothing counts */
  async seal(request: SealRequest): Promise<{ result: SealResult; placing: Placing }> {
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
    for (const run of stretch.runs) if (run.level === 0) await this.placer.placeBlocks(run, stretch, placing);
    await placing.finishPack();

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
    const { targets, kinds, pageBytes } = placing;
    // At the end: a stretch that fails is sealed again, and must find the map as it was.
    const writes = measureWrites(stretch, { targets, kinds, storedBytes: pageBytes }, this.content);
    const result = {
      packs: placing.packs,
      layer,
      chronicle: chronicle && { ...chronicle, rank: 0 },
      blocks: placing.blocks,
      zeroBlocks: placing.zeroBlocks,
      duplicateBlocks: placing.duplicateBlocks,
      storedBytes: placing.packs.reduce((sum, pack) => sum + pack.sizeBytes, 0),
      writes,
      strange: this.content.strangeAreas(STRANGE_AREAS_MAX),
    };
    return { result, placing };
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
}
