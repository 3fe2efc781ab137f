/**
 * What is done to layers and chronicles beside sealing, and in which order: due merges (smallest first), what is not needed any more, images. All of it is long work in the
 * sealer, done in slices of about a tenth of a second, between which stretches are sealed and other parts have their turn.
 *
 * A small merge does not wait for a large one: it is put on top, and the large one goes on when it is done. So layers stay few while a merge of
 * the whole past is under way. What is not a plain merge only begins when nothing else is under way.
 *
 * Until work ends its inputs stay in the manifest, and nothing else is begun with them; the files of what it reads besides are held. It decides by
 * what was needed when it began: later marks can only let go of more, so that keeps too much at the worst (law 6). An image names what it
 * found; if anything was dropped from the layers meanwhile, the image is not published, since collecting may have freed what it names.
 *
 * While clients write, the work keeps to a rate of bytes read and written, unless it is overdue. What fails over damage is left aside, so that one damaged
 * layer does not keep all others from being merged. After a crash the work is begun anew.
 */
import type { Clock } from "../../base/clock.ts";
import { isSternwayError } from "../../base/errors.ts";
import { checkTiling } from "../layers/layer-proof.ts";
import { dueImages, dueMerge, isMergeOverdue, MERGE_FAN_IN, mergeDebt, runsBetween } from "../layers/merge-policy.ts";
import { dueColdMerge, tellingAfter, thinKey, uselessImages } from "../layers/thin-policy.ts";
import type { Needs } from "../layers/thin.ts";
import type { ChronicleRecord, LayerRecord, Manifest } from "../manifest.ts";
import type { Registry } from "../registry.ts";
import type { LayerOutcome, LayerWorkRequest } from "./layer-work.ts";
import { LAYER_WORKS_MAX } from "./layer-work.ts";
import type { SealerRunner } from "./sealer-runner.ts";

/** After a merge failed so many stretches go before one that is overdue. */
const SEALS_AFTER_FAILURE = 4;

export interface LayerStepsOptions {
  clock: Clock;
  runner: SealerRunner;
  registry: Registry;
  /** Grows with each write: tells whether clients write. */
  lastLsn: () => number;
  /** Bytes read and written a second while clients write. */
  bytesPerSecond: number;
  /** Entries passed in one slice. */
  sliceEntries: number;
  /** Entries in a shard that make an image due. */
  imageEntriesMin: number;
  manifest: () => Manifest;
  /** What must stay readable. */
  needs: () => Needs;
  /** Keeps the files of layers that are replaced from now on, until the call of what it returns. */
  holdFiles: () => () => void;
  /** Publishes other layers. @param made - number of the new layer among them @param gone - what they replace */
  replaceLayers: (layers: LayerRecord[], made: number | undefined, gone: readonly LayerRecord[]) => Promise<void>;
  replaceChronicles: (chronicles: ChronicleRecord[], made: number, gone: readonly ChronicleRecord[]) => Promise<void>;
  /** Removes a file that was made and is not wanted. */
  discardLayer: (layer: number) => void;
  /** Told how many block addresses were dropped: what collecting may free. */
  onDropped: (blocks: number) => void;
}

type Start = Exclude<LayerWorkRequest, { kind: "layers-more" | "layers-drop" }>;
/** What a beginning needs beside what every one has. */
type Begin<Request> = Request extends Start ? Omit<Request, "work" | "layer" | "chronicle"> : never;

interface Job {
  work: number;
  /** Number of the layer or chronicle that comes of it. */
  made: number;
  of: "layers" | "chronicles";
  /** Merges of a lower rank go first; Infinity: no plain merge. */
  rank: number;
  /** Ids that no other work may take. */
  inputs: ReadonlySet<number>;
  letGo: () => void;
  finish: (outcome: LayerOutcome) => Promise<void>;
  failed: (layer: unknown) => void;
}

export class LayerSteps {
  private readonly options: LayerStepsOptions;
  /** Under way; the last one has the turn. */
  private readonly jobs: Job[] = [];
  private nextWork = 1;
  /** Damaged, as far as this process has seen: nothing is merged across them. */
  private readonly damagedLayers = new Set<number>();
  private readonly damagedChronicles = new Set<number>();
  private readonly damagedShards = new Set<string>();
  private isImageByImage = false;
  /** By layer: what was needed of it when thinning last looked. */
  private readonly looked = new Map<number, string>();
  /** What a manifest says of merges. */
  private known: { manifest: Manifest; damaged: number; debt: number; isOverdue: boolean } | undefined;
  private sealsOwed = 0;
  /** How often something was dropped from layers. */
  private drops = 0;
  private seenLsn = 0;
  /** When the next slice may begin, monotonic microseconds. */
  private nextAt = 0;

  constructor(options: LayerStepsOptions) {
    this.options = options;
  }

  /** The number of the next new layer: work under way has taken some. */
  get nextLayer(): number {
    return this.nextNumber("layers", this.options.manifest().next.layer);
  }

  get nextChronicle(): number {
    return this.nextNumber("chronicles", this.options.manifest().next.chronicle);
  }

  /** How far merging has fallen behind: 0, all is well, to 1, nothing may be sealed before something is merged. */
  get debt(): number {
    return this.state.debt;
  }

  /** Merging must not be put off any longer, unless it has just failed. */
  get isOverdue(): boolean {
    return this.sealsOwed === 0 && this.state.isOverdue;
  }

  /** Asked at each write, so it is found out once per manifest. */
  private get state(): { debt: number; isOverdue: boolean } {
    const manifest = this.options.manifest();
    const damaged = this.damagedLayers.size + this.damagedChronicles.size;
    if (this.known?.manifest !== manifest || this.known.damaged !== damaged) {
      const { deltas, chronicles } = this.mergeable(false);
      const runs = [...deltas, ...chronicles];
      const debt = Math.max(...runs.map(mergeDebt), 0);
      this.known = { manifest, damaged, debt, isOverdue: runs.some(isMergeOverdue) };
    }
    return this.known;
  }

  /** A stretch was sealed. */
  noteSeal(): void {
    if (this.sealsOwed > 0) this.sealsOwed--;
  }

  /** How long to wait for the next slice, so that clients have the disk; milliseconds. */
  get waitMs(): number {
    if (this.jobs.length === 0 || this.isOverdue) return 0;
    return Math.max(0, Math.ceil((this.nextAt - this.options.clock.monotonic()) / 1000));
  }

  /** One slice of what is most due, or a change of the manifest. @returns false: there is nothing to do */
  async step(): Promise<boolean> {
    await this.beginMerge();
    if (this.jobs.length === 0) {
      if (await this.dropImages()) return true;
      await this.beginOther();
    }
    const job = this.jobs.at(-1);
    if (!job) return false;
    await this.goOn(job);
    return true;
  }

  private async goOn(job: Job): Promise<void> {
    const { runner, clock, lastLsn, bytesPerSecond, sliceEntries } = this.options;
    let bytes: number;
    let outcome: LayerOutcome | undefined;
    try {
      ({ bytes, outcome } = await runner.run({ kind: "layers-more", work: job.work, entries: sliceEntries }));
    } catch (error) {
      this.end(job);
      // Wherever it failed: the sealer keeps nothing of it.
      await runner.run({ kind: "layers-drop", work: job.work });
      this.sealsOwed = SEALS_AFTER_FAILURE;
      // Damage stays: left to itself the same work would fail again and again. Anything else is the disk's present trouble.
      if (isSternwayError(error, "corrupt") || isSternwayError(error, "internal")) {
        job.failed(error.facts[job.of === "layers" ? "layer" : "chronicle"]);
      }
      throw error;
    }
    const isBusy = lastLsn() !== this.seenLsn;
    this.seenLsn = lastLsn();
    this.nextAt = clock.monotonic() + (isBusy ? (bytes / bytesPerSecond) * 1e6 : 0);
    if (!outcome) return;
    this.end(job);
    await job.finish(outcome);
  }

  private end(job: Job): void {
    this.jobs.splice(this.jobs.indexOf(job), 1);
    job.letGo();
  }

  private async begin<Request extends Start>(
    request: Begin<Request>,
    job: Pick<Job, "rank" | "inputs" | "finish" | "failed"> & Partial<Pick<Job, "of">>,
  ): Promise<void> {
    const work = this.nextWork++;
    const of = job.of ?? "layers";
    const made = of === "layers" ? this.nextLayer : this.nextChronicle;
    const numbers = of === "layers" ? { layer: made } : { chronicle: made };
    await this.options.runner.run({ ...request, ...numbers, work } as unknown as Start);
    this.jobs.push({ ...job, work, of, made, letGo: this.options.holdFiles() });
  }

  /** Begins a merge that is due, if it is of a lower rank than what is under way. */
  private async beginMerge(): Promise<void> {
    if (this.jobs.length === LAYER_WORKS_MAX) return;
    const below = this.jobs.at(-1)?.rank ?? Infinity;
    const { deltas, chronicles } = this.mergeable(true);
    const inputs = lowest(deltas.flatMap((run) => dueMerge(run) ?? []));
    const files = lowest(chronicles.flatMap((run) => dueMerge(run) ?? []));
    const rank = inputs[0]?.rank ?? Infinity;
    const fileRank = files[0]?.rank ?? Infinity;
    if (Math.min(rank, fileRank) >= below) return;
    if (rank <= fileRank) await this.beginMergeOf(inputs, [], rank, rank + 1);
    else await this.beginChronicles(files, fileRank);
  }

  private async beginMergeOf(
    inputs: LayerRecord[],
    after: LayerRecord[],
    rank: number,
    madeRank: number,
  ): Promise<void> {
    await this.begin(
      { kind: "merge", inputs, after, rank: madeRank, needs: this.options.needs() },
      {
        rank,
        inputs: idsOf(inputs),
        finish: (outcome) => this.replaceDeltas(inputs, outcome),
        failed: (layer) => noteDamage(this.damagedLayers, inputs, layer, after),
      },
    );
  }

  private async beginChronicles(inputs: ChronicleRecord[], rank: number): Promise<void> {
    await this.begin(
      { kind: "merge-chronicles", inputs },
      {
        of: "chronicles",
        rank,
        inputs: idsOf(inputs),
        finish: async ({ chronicle }) => {
          const merged = chronicle!;
          await this.options.replaceChronicles(
            replaced(this.options.manifest().chronicles, inputs, merged),
            merged.id,
            inputs,
          );
        },
        failed: (chronicle) => noteDamage(this.damagedChronicles, inputs, chronicle),
      },
    );
  }

  /** Images that no needed read is better off with. */
  private async dropImages(): Promise<boolean> {
    const { layers } = this.options.manifest();
    const useless = uselessImages(layers, this.options.needs());
    if (useless.length === 0) return false;
    this.drops++;
    await this.options.replaceLayers(
      layers.filter((layer) => !useless.includes(layer)),
      undefined,
      useless,
    );
    return true;
  }

  /** Begins what lets go of what is not needed any more among cold deltas or in a single one, or images. */
  private async beginOther(): Promise<void> {
    const { manifest } = this.options;
    const needs = this.options.needs();
    const runs = this.mergeable(true).deltas;
    for (const run of runs) {
      const cold = dueColdMerge(run, needs);
      if (!cold) continue;
      await this.beginMergeOf(cold, tellingAfter(run, cold), Infinity, Math.max(...cold.map(({ rank }) => rank)));
      return;
    }
    for (const run of runs) {
      for (const input of run) {
        const after = tellingAfter(run, [input]);
        const key = thinKey(input, after, needs);
        if (key === undefined || this.looked.get(input.id) === key) continue;
        await this.beginThinning(input, after, needs, key);
        return;
      }
    }
    await this.beginImages(manifest().layers);
  }

  private async beginThinning(input: LayerRecord, after: LayerRecord[], needs: Needs, key: string): Promise<void> {
    await this.begin(
      { kind: "thin", input, after, needs },
      {
        rank: Infinity,
        inputs: idsOf([input]),
        finish: async (outcome) => {
          this.looked.set(input.id, key);
          if (!outcome.record) return;
          this.looked.set(outcome.record.id, key);
          await this.replaceDeltas([input], outcome);
        },
        failed: (layer) => noteDamage(this.damagedLayers, [input], layer, after),
      },
    );
  }

  private async beginImages(layers: LayerRecord[]): Promise<void> {
    const { imageEntriesMin, registry } = this.options;
    const lastLsn = layers.findLast((layer) => layer.kind === "delta")?.lastLsn;
    if (lastLsn === undefined) return;
    const needs = this.options.needs();
    // An image from which no needed read would start goes at once, and would be due again.
    const isUseful = (strand: number): boolean => (needs.get(strand)?.from ?? Infinity) <= lastLsn;
    const due = dueImages(layers, imageEntriesMin).filter(
      (shard) => isUseful(shard.strand) && !this.damagedShards.has(shardKey(shard)),
    );
    const some = this.isImageByImage ? due.slice(0, 1) : due;
    if (some.length === 0) return;
    const shards = some.map(({ strand, shard }) => ({
      strand,
      shard,
      chain: registry.chain(strand as never, lastLsn as never),
    }));
    const { drops } = this;
    await this.begin(
      { kind: "image", lastLsn, shards, layers },
      {
        rank: Infinity,
        inputs: new Set(),
        finish: async ({ record }) => {
          const image = record!;
          if (this.drops !== drops) this.options.discardLayer(image.id);
          else await this.options.replaceLayers([...this.options.manifest().layers, image], image.id, []);
        },
        failed: () => {
          // A damaged layer costs the images of its own shards alone: they are tried one by one from now on.
          this.isImageByImage = true;
          if (shards.length === 1) this.damagedShards.add(shardKey(shards[0]!));
        },
      },
    );
  }

  private async replaceDeltas(inputs: readonly LayerRecord[], { record, droppedBlocks }: LayerOutcome): Promise<void> {
    const made = record!;
    const { layers } = this.options.manifest();
    const next = replaced(layers, inputs, made);
    try {
      checkTiling(layers.filter(isDelta), next.filter(isDelta));
    } catch (error) {
      noteDamage(this.damagedLayers, inputs, undefined);
      this.options.discardLayer(made.id);
      throw error;
    }
    for (const { id } of inputs) this.looked.delete(id);
    if (made.entries !== inputs.reduce((sum, { entries }) => sum + entries, 0)) this.drops++;
    await this.options.replaceLayers(next, made.id, inputs);
    if (droppedBlocks > 0) this.options.onDropped(droppedBlocks);
  }

  /** Runs of neighbours that may be merged with one another. @param isFree - not those that are being worked on either */
  private mergeable(isFree: boolean): { deltas: LayerRecord[][]; chronicles: ChronicleRecord[][] } {
    const { layers, chronicles } = this.options.manifest();
    const isTaken = (of: Job["of"], id: number): boolean =>
      isFree && this.jobs.some((job) => job.of === of && job.inputs.has(id));
    return {
      deltas: runsBetween(layers.filter(isDelta), ({ id }) => this.damagedLayers.has(id) || isTaken("layers", id)),
      chronicles: runsBetween(chronicles, ({ id }) => this.damagedChronicles.has(id) || isTaken("chronicles", id)),
    };
  }

  private nextNumber(of: Job["of"], next: number): number {
    return Math.max(next, ...this.jobs.filter((job) => job.of === of).map((job) => job.made + 1));
  }
}

const isDelta = (layer: LayerRecord): boolean => layer.kind === "delta";
const idsOf = (records: readonly { id: number }[]): Set<number> => new Set(records.map(({ id }) => id));
const shardKey = ({ strand, shard }: { strand: number; shard: number }): string => `${strand}/${shard}`;

/** Of several due runs, one after another, the first of the lowest rank. */
function lowest<Record extends { rank: number }>(due: readonly Record[]): Record[] {
  const rank = Math.min(...due.map((record) => record.rank));
  const first = due.findIndex((record) => record.rank === rank);
  return first < 0 ? [] : due.slice(first, first + MERGE_FAN_IN);
}

function replaced<Record extends { id: number }>(
  all: readonly Record[],
  inputs: readonly Record[],
  made: Record,
): Record[] {
  const gone = idsOf(inputs);
  return all.flatMap((record) => {
    if (record.id === inputs[0]!.id) return [made];
    return gone.has(record.id) ? [] : [record];
  });
}

/** @param named - which one it is; when it is none of them, all inputs are left aside @param after - what was read besides */
function noteDamage(
  damaged: Set<number>,
  inputs: readonly { id: number }[],
  named: unknown,
  after: readonly { id: number }[] = [],
): void {
  const known = [...inputs, ...after].filter(({ id }) => id === named);
  for (const { id } of known.length > 0 ? known : inputs) damaged.add(id);
}
