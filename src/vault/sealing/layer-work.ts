/**
 * The sealer's long work over layers and chronicles: merges, thinnings and images. Each is begun by one request and goes on in slices by further ones, its
 * output file open between them, so that stretches are sealed in between whatever the size of the history. A few may be under way at
 * once: a small merge need not wait for a large one.
 *
 * Nothing is named by a manifest before it is done and proved (layer-proof.ts). After a crash, or when it is given up, a `.tmp` file remains at
 * the most, which goes when the vault opens. Its inputs must stay in place until it ends; the caller sees to that.
 *
 * Memory: one decoded page per input, one page of output, and the sealer's page cache, for each work under way.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import { concatChronicles } from "../chronicles/chronicle.ts";
import type { Breathe } from "../layers/breathe.ts";
import { writeImage, type ImageWork } from "../layers/image.ts";
import { mergeLayers } from "../layers/layer-merge.ts";
import { checkReads, PlaceSample, type ReadProof } from "../layers/layer-proof.ts";
import type { LayerReader } from "../layers/layer-reader.ts";
import { Slices } from "../layers/slices.ts";
import { THIN_SHARE_MIN } from "../layers/thin-policy.ts";
import { countThinning, keepsAll, thinLayers, type Needs } from "../layers/thin.ts";
import type { ChronicleRecord, LayerRecord, ShardWeight } from "../manifest.ts";
import { layerSet, type LayerSet } from "../open-set.ts";
import { chroniclePath, layerPath } from "../paths.ts";
import type { SealerOptions } from "./sealer-requests.ts";

/** Begins a merge. */
export interface MergeRequest {
  kind: "merge";
  /** Names the work; never used before. */
  work: number;
  /** Adjacent deltas, oldest first. */
  inputs: LayerRecord[];
  /** Number of the result. */
  layer: number;
  /** Deltas that follow and stay: they tell what superseded the inputs. */
  after: LayerRecord[];
  /** Of the result. */
  rank: number;
  /** What must stay readable; the rest is dropped on the way. */
  needs: Needs;
}

/** Begins to thin one delta alone; nothing comes of it unless enough in it is not needed any more. */
export interface ThinRequest {
  kind: "thin";
  work: number;
  input: LayerRecord;
  after: LayerRecord[];
  layer: number;
  needs: Needs;
}

/** Begins an image of some shards. */
export interface ImageRequest extends ImageWork {
  kind: "image";
  work: number;
}

/** Begins to join chronicles. */
export interface MergeChroniclesRequest {
  kind: "merge-chronicles";
  work: number;
  inputs: ChronicleRecord[];
  /** Number of the result. */
  chronicle: number;
}

/** Goes on with work that was begun, for about so many entries. */
export interface LayersMoreRequest {
  kind: "layers-more";
  work: number;
  entries: number;
}

/** Gives work up, if it is under way. */
export interface LayersDropRequest {
  kind: "layers-drop";
  work: number;
}

export type LayerWorkRequest =
  MergeRequest | ThinRequest | ImageRequest | MergeChroniclesRequest | LayersMoreRequest | LayersDropRequest;

/** What came of it. */
export interface LayerOutcome {
  /** The new layer; undefined: it was not worth it. */
  record: LayerRecord | undefined;
  /** The new chronicle, of that work. */
  chronicle?: ChronicleRecord;
  /** Entries dropped that held a block's address: what collecting may free. */
  droppedBlocks: number;
}

export interface LayerProgress {
  /** Read and written in this slice, about. */
  bytes: number;
  /** Undefined: more is to do. */
  outcome: LayerOutcome | undefined;
}

export type LayerWorkResult<Request extends LayerWorkRequest> = Request extends LayersMoreRequest
  ? LayerProgress
  : void;

/** Works under way at a time: their memory is bounded by it. */
export const LAYER_WORKS_MAX = 4;

interface Work {
  slices: Slices<LayerOutcome>;
  /** Stored bytes that one entry stands for, read and written. */
  bytesPerEntry: number;
  /** Entries passed in the slice at hand. */
  passed: number;
}

export class LayerWork {
  private readonly disk: Disk;
  private readonly options: SealerOptions;
  private readonly works = new Map<number, Work>();

  constructor(disk: Disk, options: SealerOptions) {
    this.disk = disk;
    this.options = options;
  }

  async run(request: LayerWorkRequest): Promise<LayerProgress | undefined> {
    switch (request.kind) {
      case "merge":
        return await this.begin(request, request.inputs, (breathe) =>
          this.merge(request, request.inputs, request.rank, breathe),
        );
      case "thin":
        return await this.begin(request, [request.input], (breathe) => this.thin(request, breathe));
      case "image":
        return await this.begin(request, request.layers, (breathe) => this.image(request, breathe));
      case "merge-chronicles":
        return await this.begin(request, request.inputs, (breathe) => this.mergeChronicles(request, breathe));
      case "layers-more":
        return await this.more(request);
      case "layers-drop":
        await this.drop(request.work);
        return undefined;
    }
  }

  async stop(): Promise<void> {
    for (const work of [...this.works.keys()]) await this.drop(work);
  }

  private async begin(
    { work: name }: { work: number },
    inputs: readonly { sizeBytes: number; entries?: number; rows?: number }[],
    start: (breathe: Breathe) => Promise<LayerOutcome>,
  ): Promise<undefined> {
    assert(this.works.size < LAYER_WORKS_MAX, "a bounded number of works over layers is under way");
    const bytes = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const entries = inputs.reduce((sum, input) => sum + (input.entries ?? input.rows ?? 0), 0);
    const work: Work = {
      bytesPerEntry: (2 * bytes) / Math.max(1, entries),
      passed: 0,
      slices: new Slices((breathe) =>
        start((passed) => {
          work.passed += passed;
          return breathe(passed);
        }),
      ),
    };
    this.works.set(name, work);
    return undefined;
  }

  private async more({ work: name, entries }: LayersMoreRequest): Promise<LayerProgress> {
    const work = this.works.get(name);
    assert(work !== undefined, "work over layers is under way");
    work.passed = 0;
    try {
      const done = await work.slices.more(entries);
      if (done) this.works.delete(name);
      return { bytes: work.passed * work.bytesPerEntry, outcome: done?.result };
    } catch (error) {
      this.works.delete(name);
      throw error;
    }
  }

  private async drop(name: number): Promise<void> {
    const work = this.works.get(name);
    this.works.delete(name);
    await work?.slices.giveUp();
  }

  private async thin(request: ThinRequest, breathe: Breathe): Promise<LayerOutcome> {
    const { input, after, needs } = request;
    const set = this.openSet();
    try {
      const { entries, dropped } = await countThinning(
        [await set.open(input)],
        await openAll(set, after),
        needs,
        breathe,
      );
      if (dropped === 0 || dropped < entries * THIN_SHARE_MIN) return { record: undefined, droppedBlocks: 0 };
    } finally {
      await set.close();
    }
    return await this.merge(request, [input], input.rank, breathe);
  }

  private async merge(
    { layer, needs, after }: { layer: number; needs: Needs; after: LayerRecord[] },
    records: readonly LayerRecord[],
    rank: number,
    breathe: Breathe,
  ): Promise<LayerOutcome> {
    const { dir, vaultId, cipher } = this.options;
    const set = this.openSet();
    try {
      const inputs = await openAll(set, records);
      const sample = new PlaceSample();
      const path = `${dir}/${layerPath(layer)}`;
      const output = { disk: this.disk, path, vaultId, cipher, id: layer, breathe, sample };
      if (keepsAll(records, needs)) {
        const merged = await mergeLayers({ ...output, inputs });
        const record = { ...merged, rank, weights: sumWeights(records) };
        await this.prove(set, record, { sample, inputs, after: [], needs: undefined, breathe });
        return { record, droppedBlocks: 0 };
      }
      const telling = await openAll(set, after);
      const { meta, weights, droppedBlocks } = await thinLayers({ ...output, inputs, after: telling, needs });
      const record = { ...meta, rank, weights };
      await this.prove(set, record, { sample, inputs, after: telling, needs, breathe });
      return { record, droppedBlocks };
    } finally {
      await set.close();
    }
  }

  /** Reads a sample back from the published file; one that fails is removed. */
  private async prove(set: LayerSet, record: LayerRecord, proof: Omit<ReadProof, "output">): Promise<void> {
    try {
      await checkReads({ ...proof, output: await set.open(record) });
    } catch (error) {
      // The first error tells what happened; a leftover that cannot be removed now goes when the vault opens.
      await this.disk.remove(`${this.options.dir}/${layerPath(record.id)}`).catch(() => undefined);
      throw error;
    }
  }

  private async image(request: ImageRequest, breathe: Breathe): Promise<LayerOutcome> {
    const { dir, vaultId, cipher } = this.options;
    const set = this.openSet();
    try {
      const path = `${dir}/${layerPath(request.layer)}`;
      const record = await writeImage(this.disk, path, vaultId, request, set, cipher, breathe);
      return { record, droppedBlocks: 0 };
    } finally {
      await set.close();
    }
  }

  private async mergeChronicles(request: MergeChroniclesRequest, breathe: Breathe): Promise<LayerOutcome> {
    const { dir, vaultId, cipher } = this.options;
    const meta = await concatChronicles({
      disk: this.disk,
      inputs: request.inputs.map((input) => ({ meta: input, path: `${dir}/${chroniclePath(input.id)}` })),
      path: `${dir}/${chroniclePath(request.chronicle)}`,
      vaultId,
      cipher,
      id: request.chronicle,
      breathe,
    });
    const rank = Math.max(...request.inputs.map((input) => input.rank)) + 1;
    return { record: undefined, droppedBlocks: 0, chronicle: { ...meta, rank } };
  }

  private openSet(): LayerSet {
    const { dir, vaultId, cacheBytes, cipher } = this.options;
    return layerSet(this.disk, dir, vaultId, cacheBytes / LAYER_WORKS_MAX, cipher);
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
