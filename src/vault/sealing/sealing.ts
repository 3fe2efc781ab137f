/**
 * Keeps sealed history: takes closed journal files to packs and layers, merges layers, makes images, and publishes a manifest after
 * each step. It owns the manifest and the versions that readers pin. One step at a time, sealing before merging before thinning before
 * images, except that merges which are overdue come before all.
 *
 * After any crash the newest manifest and the journal behind it are whole, since a step's files are durable before its manifest, and what it
 * replaces is deleted after it, when the last reader is gone (law 5). Files that no manifest names are removed at the next open.
 */
import type { Clock } from "../../base/clock.ts";
import type { Disk } from "../../base/disk.ts";
import { isSternwayError, SternwayError } from "../../base/errors.ts";
import type { Journal } from "../../journal/journal.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { ClosedFile } from "../../journal/journal.ts";
import type { ChronicleBuilder } from "../chronicles/chronicle-builder.ts";
import type { History } from "../chronicles/history.ts";
import { publishManifest, type LayerRecord, type Manifest, type PackRecord } from "../manifest.ts";
import type { Memtable } from "../memtable.ts";
import type { ChronicleSet, LayerSet } from "../open-set.ts";
import { packPath } from "../packs/pack-format.ts";
import { chroniclePath, layerPath } from "../paths.ts";
import { dueImages, dueMerge, isMergeOverdue } from "../layers/merge-policy.ts";
import { needsOf } from "../needs.ts";
import type { Pressure } from "./pressure.ts";
import type { Registry, RegistryEvent } from "../registry.ts";
import { LayerIndex } from "../layers/resolve.ts";
import type { MergeResult } from "./seal.ts";
import type { SealerRunner } from "./sealer-runner.ts";
import type { Needs } from "../layers/thin.ts";
import { dueColdMerge, tellingAfter, thinKey, uselessImages } from "../layers/thin-policy.ts";
import { Versions } from "./versions.ts";
import type { Lsn } from "../../base/units.ts";

export interface SealTask extends ClosedFile {
  lastLsn: number;
  /** Wall time of its last group. */
  wall: number;
}

export interface SealingOptions {
  disk: Disk;
  clock: Clock;
  dir: string;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  runner: SealerRunner;
  pressure: Pressure;
  history: History;
  live: ChronicleBuilder;
  layers: LayerSet;
  chronicles: ChronicleSet;
  /** The fold of the marks up to the sealed LSN; advanced with every manifest. */
  registry: Registry;
  /** Told when a step failed (undefined: the trouble is over). @param holdsJournal - journal files wait for this step */
  onTrouble: (error: SternwayError | undefined, holdsJournal: boolean) => void;
  /** Told after each sealed stretch. */
  onSealed: (progress: SealProgress) => void;
  /** Told how many block addresses merging and thinning dropped: what collecting may free. */
  onDropped: (blocks: number) => void;
  /** Entries in a shard that make an image due. */
  imageEntriesMin: number;
  /** Test hook for planted bugs: publishes the manifest before what it names is written (breaks law 5). */
  plantManifestFirst?: boolean;
}

/** What a step changes in the manifest, and what is to be done once that is durable. */
export interface StepOutcome {
  changes: Partial<Manifest>;
  published?: () => void;
}

/** A step that another part of the room asked for. */
interface Order {
  work: () => Promise<StepOutcome | undefined>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export interface SealProgress {
  blocks: number;
  zeroBlocks: number;
  duplicateBlocks: number;
  storedBytes: number;
  micros: number;
}

/** So many stretches may go before a step that was asked for. */
const SEALS_BEFORE_ORDER_MAX = 4;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

export class Sealing {
  readonly versions: Versions;
  manifest: Manifest;
  private manifestHash: string;
  private readonly options: SealingOptions;
  private readonly packs = new Map<number, PackRecord>();
  private readonly queue: SealTask[] = [];
  private readonly marks: { lsn: Lsn; event: RegistryEvent }[] = [];
  private readonly orders: Order[] = [];
  /** The one that is being carried out, until its manifest is durable. */
  private order: Order | undefined;
  /** Stretches sealed while orders waited. */
  private sealsBeforeOrder = 0;
  private journal: Journal | undefined;
  private working: Promise<void> | undefined;
  private stopping = false;
  private retryMs = RETRY_MS_MIN;
  private trouble: SternwayError | undefined;
  /** The last merge did not end well, or is running. */
  private mergeFailed = false;
  /** A finished step whose manifest could not be published: nobody knows whether that reached the disk. */
  private unpublished: { next: Manifest; published: () => void } | undefined;
  /** Ends the pause after a failed step early. */
  private endPause: (() => void) | undefined;
  /** Files that could not be deleted; the next open removes them. */
  leftovers = 0;
  private readonly discarding = new Set<Promise<void>>();
  /** Who keeps replaced layers on disk, and what waits for them. */
  private layerHolds = 0;
  private readonly heldLayers: LayerRecord[] = [];
  /** By layer: what was needed of it when thinning last looked. */
  private readonly looked = new Map<number, string>();
  private idleWaiters: (() => void)[] = [];

  constructor(options: SealingOptions, manifest: Manifest, manifestHash: string, memtables: readonly Memtable[]) {
    this.options = options;
    this.manifest = manifest;
    this.manifestHash = manifestHash;
    for (const pack of manifest.packs) this.packs.set(pack.pack, pack);
    this.versions = new Versions(memtables, new LayerIndex(manifest.layers));
    options.history.update(manifest.chronicles);
  }

  /** Begins to work for a journal; until then tasks only queue. */
  start(journal: Journal): void {
    this.journal = journal;
    this.wake();
  }

  /** What the manifest says of a pack. */
  locate(pack: number): PackRecord | undefined {
    return this.packs.get(pack);
  }

  /** Keeps a mark for the manifest that will seal it. Marks come in LSN order. */
  addMark(lsn: Lsn, event: RegistryEvent): void {
    this.marks.push({ lsn, event });
  }

  enqueue(task: SealTask): void {
    this.queue.push(task);
    // A merge that fails must not keep journal files waiting.
    if (this.queue.length === 1) this.endPause?.();
    this.wake();
  }

  /**
   * Carries out a step for another part of the room, between the sealer's own: after what waits to be sealed (but for four stretches at
   * most, so that it gets its turn under writes that never let up), before merging. While it runs nothing else changes the manifest, so it may rely on {@link manifest}. Resolves when its changes are durable and taken over.
   * @param work - may fail; that is the caller's trouble alone
   * @throws unavailable: the vault is read-only or stops before its turn comes
   */
  perform(work: () => Promise<StepOutcome | undefined>): Promise<void> {
    if (this.stopping || !this.journal) return Promise.reject(noStep());
    return new Promise((resolve, reject) => {
      this.orders.push({ work, resolve, reject });
      this.wake();
    });
  }

  /** Takes requests of the rest of the room; they are carried out between its own. Gone after {@link stop}. */
  get runner(): SealerRunner {
    return this.options.runner;
  }

  /**
   * Takes over a pack that was written anew, once the manifest that names it is durable. The old file goes when its last reader is done.
   * @param store - reads the pack for clients
   */
  takeOverPack(old: PackRecord, record: PackRecord, store: { forget(pack: number): Promise<void> }): void {
    this.packs.set(record.pack, record);
    const { memtables, layers } = this.versions.current;
    this.versions.advance(memtables, layers, () => {
      this.discard(packPath(old.pack, old.generation), store, old.pack);
    });
  }

  /** Takes over that packs are gone, once the manifest that leaves them out is durable. Their files go when the last reader is done. */
  letGoOfPacks(gone: readonly PackRecord[], store: { forget(pack: number): Promise<void> }): void {
    for (const { pack } of gone) this.packs.delete(pack);
    const { memtables, layers } = this.versions.current;
    this.versions.advance(memtables, layers, () => {
      for (const { pack, generation } of gone) this.discard(packPath(pack, generation), store, pack);
    });
  }

  /** Keeps the files of layers that are replaced from now on. Ends with the call of what it returns. */
  holdLayers(): () => void {
    this.layerHolds++;
    return () => {
      // A vault that stops leaves them to the next open.
      if (--this.layerHolds > 0 || this.stopping) return;
      for (const layer of this.heldLayers.splice(0)) this.discard(layerPath(layer.id), this.options.layers, layer.id);
    };
  }

  /** What must stay readable by what is durable and sealed: a mark that a crash may still take lets go of nothing. */
  needs(): Needs {
    return needsOf(this.options.registry, this.manifest.sealed.lsn as Lsn);
  }

  /** Stretches that wait, the one being sealed included. */
  get backlog(): number {
    return this.queue.length;
  }

  get lastTrouble(): SternwayError | undefined {
    return this.trouble;
  }

  /** Resolves when nothing is left to seal or merge, or sealing is in trouble. */
  async idle(): Promise<void> {
    while (this.working && !this.trouble) {
      await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
    }
  }

  /** Resolves when the files that could be deleted by now are. */
  async discarded(): Promise<void> {
    await Promise.all(this.discarding);
  }

  /** Publishes the current content again with changes: at open (the epoch) and at a clean stop. */
  async publish(changes: Partial<Manifest>): Promise<void> {
    await this.publishAs(this.following(changes));
  }

  /** Ends after the step that is running. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.endPause?.();
    await this.working;
    for (const { reject } of this.orders.splice(0)) reject(noStep());
    this.order?.reject(noStep());
    if (this.journal) await this.snapshot(true);
    await Promise.all(this.discarding);
    await this.options.runner.stop();
  }

  private following(changes: Partial<Manifest>): Manifest {
    const { clean: _, ...rest } = this.manifest;
    return { ...rest, ...changes, number: this.manifest.number + 1, previous: this.manifestHash };
  }

  private async publishAs(next: Manifest): Promise<void> {
    const { disk, dir } = this.options;
    this.manifestHash = await publishManifest(disk, `${dir}/manifest`, next, this.options.cipher);
    this.manifest = next;
  }

  /**
   * Publishes what a step made. An error leaves open whether the manifest is there after a crash, so the files it names must stay as they
   * are: until it is published nothing else is done, and the step is not made again under the same numbers (law 5).
   */
  private async complete(changes: Partial<Manifest>, published: () => void): Promise<void> {
    this.unpublished = { next: this.following(changes), published };
    await this.publishLast();
  }

  private async publishLast(): Promise<boolean> {
    const { unpublished } = this;
    if (!unpublished) return false;
    await this.publishAs(unpublished.next);
    this.unpublished = undefined;
    unpublished.published();
    return true;
  }

  private wake(): void {
    if (this.working || this.stopping || !this.journal) return;
    this.working = this.work().finally(() => {
      this.working = undefined;
      this.wakeIdle();
      // Something may have come in between the last look and now.
      if (this.queue.length > 0 || this.orders.length > 0) this.wake();
    });
  }

  private wakeIdle(): void {
    for (const resolve of this.idleWaiters.splice(0)) resolve();
  }

  private async work(): Promise<void> {
    while (!this.stopping) {
      const holdsJournal = this.queue.length > 0;
      try {
        if (!(await this.step())) return;
        this.retryMs = RETRY_MS_MIN;
        if (this.trouble) {
          this.trouble = undefined;
          this.options.onTrouble(undefined, false);
        }
      } catch (error) {
        if (!isSternwayError(error)) throw error;
        this.trouble = error;
        this.options.onTrouble(error, holdsJournal);
        this.wakeIdle();
        await this.pause();
        this.retryMs = Math.min(this.retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  private async pause(): Promise<void> {
    if (this.stopping) return;
    await new Promise<void>((resolve) => {
      const timer = this.options.clock.timer(this.retryMs, resolve);
      this.endPause = () => {
        timer.cancel();
        resolve();
      };
    });
    this.endPause = undefined;
  }

  /** One step. @returns false: nothing to do */
  private async step(): Promise<boolean> {
    if (await this.publishLast()) return true;
    const task = this.queue[0];
    // Sealing comes first, since it frees the journal, but not for ever: under writes that keep it busy the layers, each an open
    // file and a stop on the way of a read, would pile up without bound (law 9).
    const isOrderOverdue = this.orders.length > 0 && this.sealsBeforeOrder >= SEALS_BEFORE_ORDER_MAX;
    if (task && !isOrderOverdue && !this.isMergingOverdue()) {
      if (this.orders.length > 0) this.sealsBeforeOrder++;
      await this.seal(task);
      return true;
    }
    this.order = this.orders.shift();
    if (this.order) {
      this.sealsBeforeOrder = 0;
      await this.carryOut(this.order);
      return true;
    }
    return (
      (await this.mergeLayers()) ||
      (await this.mergeChronicles()) ||
      (await this.thin()) ||
      (await this.makeImages()) ||
      (await this.snapshot(false))
    );
  }

  /** Keeps the sealer's fingerprint index over a restart. @returns false: it is no step that another one follows */
  private async snapshot(isLast: boolean): Promise<false> {
    try {
      await this.options.runner.run({ kind: "snapshot", pack: this.manifest.next.pack, isLast });
    } catch (error) {
      // Without it the next open reads directories instead.
      if (!isSternwayError(error)) throw error;
    }
    return false;
  }

  private async carryOut({ work, resolve, reject }: Order): Promise<void> {
    let outcome: StepOutcome | undefined;
    try {
      outcome = await work();
      if (!outcome) resolve();
    } catch (error) {
      reject(error);
    }
    if (!outcome) {
      this.order = undefined;
      return;
    }
    const { changes, published } = outcome;
    // When publishing fails it is tried again, as for any step: the caller waits meanwhile.
    await this.complete(changes, () => {
      published?.();
      this.order = undefined;
      resolve();
    });
  }

  private isMergingOverdue(): boolean {
    // A merge that fails, over a damaged layer for one, must not keep journal files waiting.
    if (this.mergeFailed) return false;
    const { layers, chronicles } = this.manifest;
    return isMergeOverdue(layers.filter((layer) => layer.kind === "delta")) || isMergeOverdue(chronicles);
  }

  private async seal(task: SealTask): Promise<void> {
    const { clock, runner, pressure, live, onSealed } = this.options;
    const { manifest } = this;
    const started = clock.monotonic();
    if (this.options.plantManifestFirst === true) await this.publish(unwritten(manifest, task));
    const result = await runner.run({
      kind: "seal",
      slot: task.slot,
      fileSequence: task.fileSequence,
      groupCount: task.groupCount,
      layerFirstLsn: (manifest.layers.findLast((layer) => layer.kind === "delta")?.lastLsn ?? 0) + 1,
      chronicleFirstLsn: (manifest.chronicles.at(-1)?.lastLsn ?? 0) + 1,
      lastLsn: task.lastLsn,
      pack: manifest.next.pack,
      layer: manifest.next.layer,
      chronicle: manifest.next.chronicle,
      effort: pressure.effort,
    });
    while (this.marks.length > 0 && this.marks[0]!.lsn <= task.lastLsn) {
      const mark = this.marks.shift()!;
      this.options.registry.apply(mark.lsn, mark.event);
    }
    const changes = {
      sealed: {
        lsn: task.lastLsn,
        fileSequence: task.fileSequence,
        groupSequence: task.lastGroupSequence,
        groupChecksum: task.lastGroupChecksum.toString(16).padStart(16, "0"),
        wall: task.wall,
      },
      next: {
        pack: manifest.next.pack + result.packs.length,
        layer: manifest.next.layer + 1,
        chronicle: manifest.next.chronicle + 1,
      },
      packs: [...manifest.packs, ...result.packs],
      layers: result.layer ? addDelta(manifest.layers, result.layer) : manifest.layers,
      chronicles: result.chronicle ? [...manifest.chronicles, result.chronicle] : manifest.chronicles,
      registry: this.options.registry.toState(),
    };
    await this.complete(changes, () => {
      this.queue.shift();
      for (const pack of result.packs) this.packs.set(pack.pack, pack);
      this.options.history.update(this.manifest.chronicles);
      live.dropThrough(task.lastLsn);
      const memtables = this.versions.current.memtables.filter((table) => table.fileSequence !== task.fileSequence);
      this.versions.advance(memtables, new LayerIndex(this.manifest.layers), () => {
        this.journal?.release(task.fileSequence);
      });
      const micros = clock.monotonic() - started;
      pressure.sealed(result.blocks * 4096, micros);
      onSealed({ ...result, micros });
    });
  }

  private async mergeLayers(): Promise<boolean> {
    const { manifest } = this;
    const inputs = dueMerge(manifest.layers.filter((layer) => layer.kind === "delta"));
    if (!inputs) return false;
    await this.mergeInto(inputs, [], Math.max(...inputs.map((input) => input.rank)) + 1);
    return true;
  }

  private async mergeInto(inputs: LayerRecord[], after: LayerRecord[], rank: number): Promise<void> {
    const { layer } = this.manifest.next;
    const needs = this.needs();
    this.mergeFailed = true;
    const merged = await this.options.runner.run({ kind: "merge", inputs, after, layer, rank, needs });
    this.mergeFailed = false;
    await this.replaceDeltas(inputs, merged);
  }

  private async replaceDeltas(inputs: readonly LayerRecord[], { record, droppedBlocks }: MergeResult): Promise<void> {
    const layers = this.manifest.layers.flatMap((layer) => {
      if (layer === inputs[0]) return [record];
      return inputs.includes(layer) ? [] : [layer];
    });
    await this.replaceLayers(layers, inputs);
    if (droppedBlocks > 0) this.options.onDropped(droppedBlocks);
  }

  /** Lets go of what is not needed any more: images, what cold deltas hold among them, and what a single delta holds. */
  private async thin(): Promise<boolean> {
    const { manifest } = this;
    const needs = this.needs();
    const useless = uselessImages(manifest.layers, needs);
    if (useless.length > 0) {
      await this.replaceLayers(
        manifest.layers.filter((layer) => !useless.includes(layer)),
        useless,
      );
      return true;
    }
    const deltas = manifest.layers.filter((layer) => layer.kind === "delta");
    const cold = dueColdMerge(deltas, needs);
    if (cold) {
      const after = tellingAfter(deltas, cold);
      await this.mergeInto(cold, after, Math.max(...cold.map((input) => input.rank)));
      return true;
    }
    for (const input of deltas) {
      const after = tellingAfter(deltas, [input]);
      const key = thinKey(input, after, needs);
      if (key === undefined || this.looked.get(input.id) === key) continue;
      const { layer } = manifest.next;
      const thinned = await this.options.runner.run({ kind: "thin", input, after, layer, needs });
      this.looked.set(input.id, key);
      if (!thinned) return true;
      this.looked.set(thinned.record.id, key);
      await this.replaceDeltas([input], thinned);
      return true;
    }
    return false;
  }

  private async makeImages(): Promise<boolean> {
    const { manifest } = this;
    const lastLsn = manifest.layers.findLast((layer) => layer.kind === "delta")?.lastLsn;
    const due = dueImages(manifest.layers, this.options.imageEntriesMin);
    if (lastLsn === undefined || due.length === 0) return false;
    const shards = due.map(({ strand, shard }) => ({
      strand,
      shard,
      chain: this.options.registry.chain(strand as never, lastLsn as never),
    }));
    const image = await this.options.runner.run({
      kind: "image",
      layer: manifest.next.layer,
      lastLsn,
      shards,
      layers: manifest.layers,
    });
    await this.replaceLayers([...manifest.layers, image], []);
    return true;
  }

  private async replaceLayers(layers: LayerRecord[], gone: readonly LayerRecord[]): Promise<void> {
    const { manifest } = this;
    for (const layer of gone) this.looked.delete(layer.id);
    await this.complete({ layers, next: { ...manifest.next, layer: manifest.next.layer + 1 } }, () => {
      this.versions.advance(this.versions.current.memtables, new LayerIndex(layers), () => {
        if (this.layerHolds > 0) this.heldLayers.push(...gone);
        else for (const layer of gone) this.discard(layerPath(layer.id), this.options.layers, layer.id);
      });
    });
  }

  private async mergeChronicles(): Promise<boolean> {
    const { manifest } = this;
    const inputs = dueMerge(manifest.chronicles);
    if (!inputs) return false;
    this.mergeFailed = true;
    const merged = await this.options.runner.run({
      kind: "merge-chronicles",
      inputs,
      chronicle: manifest.next.chronicle,
    });
    this.mergeFailed = false;
    const chronicles = manifest.chronicles.flatMap((record) => {
      if (record === inputs[0]) return [merged];
      return inputs.includes(record) ? [] : [record];
    });
    await this.complete({ chronicles, next: { ...manifest.next, chronicle: manifest.next.chronicle + 1 } }, () => {
      this.options.history.update(chronicles, () => {
        for (const record of inputs) this.discard(chroniclePath(record.id), this.options.chronicles, record.id);
      });
    });
    return true;
  }

  /** Deletes a file that no manifest names any more. A leftover is removed at the next open. */
  private discard(path: string, set: { forget(id: number): Promise<void> }, id: number): void {
    const { disk, dir } = this.options;
    const gone = set
      .forget(id)
      .then(() => disk.remove(`${dir}/${path}`))
      .catch((error: unknown) => {
        // It costs space until then, and nothing else.
        if (!isSternwayError(error)) throw error;
        this.leftovers++;
      })
      .finally(() => this.discarding.delete(gone));
    this.discarding.add(gone);
  }
}

const noStep = (): SternwayError =>
  new SternwayError("unavailable", "the vault takes no further steps: it is read-only or stops");

/** What the planted bug publishes: a manifest that says what the stretch will become, before any of it is written. */
function unwritten(manifest: Manifest, task: SealTask): Partial<Manifest> {
  const { pack, layer } = manifest.next;
  const checksum = "0".repeat(16);
  const firstLsn = (manifest.layers.findLast((known) => known.kind === "delta")?.lastLsn ?? 0) + 1;
  const size = { sizeBytes: 4096, checksum };
  const { lastLsn, wall, fileSequence, lastGroupSequence } = task;
  return {
    sealed: {
      lsn: lastLsn,
      fileSequence,
      groupSequence: lastGroupSequence,
      groupChecksum: task.lastGroupChecksum.toString(16).padStart(16, "0"),
      wall,
    },
    packs: [...manifest.packs, { pack, generation: 0, slots: 1, ...size }],
    layers: addDelta(manifest.layers, {
      id: layer,
      kind: "delta",
      firstLsn,
      lastLsn,
      entries: 1,
      xor: checksum,
      shards: [],
      rank: 0,
      weights: [],
      ...size,
    }),
  };
}

/** Deltas stay in front of images, oldest first. */
function addDelta(layers: readonly LayerRecord[], delta: LayerRecord): LayerRecord[] {
  const images = layers.filter((layer) => layer.kind === "image");
  return [...layers.filter((layer) => layer.kind === "delta"), delta, ...images];
}
