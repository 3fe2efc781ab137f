/**
 * Keeps sealed history: takes closed journal files to packs and layers, has layers merged, thinned and imaged, carries out what other parts of the room
 * ask for, and publishes a manifest after each step. It owns the manifest and the versions that readers pin. One step at a time:
 *
 * - Stretches first, since sealing them frees the journal.
 * - After four stretches, a step that was asked for (orders.ts).
 * - When merges are overdue, a slice of them before each stretch; when they have fallen behind altogether, nothing but them (law 9): the journal fills
 *   meanwhile, and law 8 sees to the writers (pressure.ts).
 * - When nothing waits, slices of work on layers, at a rate that leaves clients the disk (layer-steps.ts).
 *
 * After any crash the newest manifest and the journal behind it are whole, since a step's files are durable before its manifest, and what it
 * replaces is deleted after it, when the last reader is gone (law 5). Files that no manifest names are removed at the next open.
 */
import type { Clock } from "../../base/clock.ts";
import type { Disk } from "../../base/disk.ts";
import { isSternwayError, type SternwayError } from "../../base/errors.ts";
import type { Lsn } from "../../base/units.ts";
import type { Journal } from "../../journal/journal.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import type { ChronicleBuilder } from "../chronicles/chronicle-builder.ts";
import type { History } from "../chronicles/history.ts";
import { LayerIndex } from "../layers/resolve.ts";
import type { Needs } from "../layers/thin.ts";
import type { ChronicleRecord, LayerRecord, Manifest, PackRecord } from "../manifest.ts";
import type { Memtable } from "../memtable.ts";
import { needsOf } from "../needs.ts";
import type { ChronicleSet, LayerSet } from "../open-set.ts";
import { packPath } from "../packs/pack-format.ts";
import { chroniclePath } from "../paths.ts";
import type { Registry, RegistryEvent } from "../registry.ts";
import { Disposal } from "./disposal.ts";
import { LayerSteps } from "./layer-steps.ts";
import { noStep, Orders, type Order } from "./orders.ts";
import { Pause } from "./pause.ts";
import type { Pressure } from "./pressure.ts";
import { Publishing } from "./publishing.ts";
import { sealedChanges, sealRequest, unwritten, type SealProgress, type SealTask } from "./seal-task.ts";
import type { SealerRunner } from "./sealer-runner.ts";
import { Versions } from "./versions.ts";

export type { SealProgress } from "./seal-task.ts";

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
  /** Grows with each write: tells whether clients write. */
  lastLsn: () => number;
  /** Bytes of layers read and written a second while clients write. */
  mergeBytesPerSecond: number;
  /** Entries of layers that one slice of long work passes: how long a stretch may have to wait for it. */
  sliceEntries: number;
  /** Told how many block addresses merging and thinning dropped: what collecting may free. */
  onDropped: (blocks: number) => void;
  /** Entries in a shard that make an image due. */
  imageEntriesMin: number;
  /** Test hook for planted bugs: publishes the manifest before what it names is written (breaks law 5). */
  plantManifestFirst?: boolean;
}

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

export class Sealing {
  readonly versions: Versions;
  /** Told of each manifest that became durable. They must not throw. */
  readonly publishListeners = new Set<() => void>();
  private readonly publishing: Publishing;
  private readonly disposal: Disposal;
  private readonly options: SealingOptions;
  private readonly packs = new Map<number, PackRecord>();
  private readonly queue: SealTask[] = [];
  private readonly marks: { lsn: Lsn; event: RegistryEvent }[] = [];
  private readonly orders = new Orders();
  private readonly layerSteps: LayerSteps;
  /** A merge that was overdue had its turn: the next one is a stretch's. */
  private mergedLast = false;
  private journal: Journal | undefined;
  private working: Promise<void> | undefined;
  private stopping = false;
  private retryMs = RETRY_MS_MIN;
  private trouble: SternwayError | undefined;
  /** What work on layers failed with last. */
  private layerFailure: unknown;
  /** The pause is for clients, not after a failed step: whatever comes in ends it. */
  private isResting = false;
  private readonly pause: Pause;
  private idleWaiters: (() => void)[] = [];

  constructor(options: SealingOptions, manifest: Manifest, manifestHash: string, memtables: readonly Memtable[]) {
    this.options = options;
    const { disk, dir, cipher, layers } = options;
    this.publishing = new Publishing(disk, `${dir}/manifest`, cipher, manifest, manifestHash, () => {
      for (const listener of this.publishListeners) listener();
    });
    this.disposal = new Disposal(disk, dir, layers);
    this.pause = new Pause(options.clock);
    for (const pack of manifest.packs) this.packs.set(pack.pack, pack);
    this.versions = new Versions(memtables, new LayerIndex(manifest.layers));
    options.history.update(manifest.chronicles);
    const { clock, runner, registry, lastLsn, mergeBytesPerSecond, sliceEntries, imageEntriesMin, onDropped } = options;
    this.layerSteps = new LayerSteps({
      clock,
      runner,
      registry,
      lastLsn,
      bytesPerSecond: mergeBytesPerSecond,
      sliceEntries,
      imageEntriesMin,
      onDropped,
      manifest: () => this.manifest,
      needs: () => this.needs(),
      holdFiles: () => this.holdFiles(),
      replaceLayers: (...change) => this.replaceLayers(...change),
      replaceChronicles: (...change) => this.replaceChronicles(...change),
      discardLayer: (id) => this.disposal.discardLayers([id]),
    });
  }

  /** The newest durable one: what sealed history consists of. */
  get manifest(): Manifest {
    return this.publishing.manifest;
  }

  /** SHA-256 of the newest manifest's file; empty before the first. */
  get manifestSha256(): string {
    return this.publishing.sha256;
  }

  /** Files that could not be deleted; the next open removes them. */
  get leftovers(): number {
    return this.disposal.leftovers;
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
    if (this.queue.length === 1 || this.isResting) this.pause.end();
    this.wake();
  }

  /**
   * Carries out a step for another part of the room, between the sealer's own: after what waits to be sealed (but for four stretches at
   * most, so that it gets its turn under writes that never let up), before merging. While it runs nothing else changes the manifest, so it may rely on {@link manifest}. Resolves when its changes are durable and taken over.
   * @param work - may fail; that is the caller's trouble alone
   * @throws unavailable: the vault is read-only or stops before its turn comes
   */
  perform(work: Order["work"]): Promise<void> {
    if (this.stopping || !this.journal) return Promise.reject(noStep());
    const done = this.orders.add(work);
    if (this.isResting) this.pause.end();
    this.wake();
    return done;
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
      this.disposal.discard(packPath(old.pack, old.generation), store, old.pack);
    });
  }

  /** Takes over that packs are gone, once the manifest that leaves them out is durable. Their files go when the last reader is done. */
  letGoOfPacks(gone: readonly PackRecord[], store: { forget(pack: number): Promise<void> }): void {
    for (const { pack } of gone) this.packs.delete(pack);
    const { memtables, layers } = this.versions.current;
    this.versions.advance(memtables, layers, () => {
      for (const { pack, generation } of gone) this.disposal.discard(packPath(pack, generation), store, pack);
    });
  }

  /** Keeps the files that are replaced from now on. Ends with the call of what it returns. */
  holdFiles(): () => void {
    return this.disposal.holdFiles();
  }

  /** What must stay readable by what is durable and sealed: a mark that a crash may still take lets go of nothing. */
  needs(): Needs {
    return needsOf(this.options.registry, this.manifest.sealed.lsn as Lsn);
  }

  /** Stretches that wait, the one being sealed included. */
  get backlog(): number {
    return this.queue.length;
  }

  /** How far merging has fallen behind, 0 to 1: at 1 nothing is sealed before something is merged. */
  get mergeDebt(): number {
    return this.layerSteps.debt;
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
    await this.disposal.discarded();
  }

  /** Publishes the current content again with changes: at open (the epoch) and at a clean stop. */
  async publish(changes: Partial<Manifest>): Promise<void> {
    await this.publishing.publish(changes);
  }

  /** Ends after the step that is running. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.pause.end();
    await this.working;
    this.orders.refuseAll();
    if (this.journal) await this.snapshot(true);
    await this.disposal.stop();
    await this.options.runner.stop();
  }

  private wake(): void {
    if (this.working || this.stopping || !this.journal) return;
    this.working = this.work().finally(() => {
      this.working = undefined;
      this.wakeIdle();
      // Something may have come in between the last look and now.
      if (this.queue.length > 0 || !this.orders.isEmpty) this.wake();
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
        // A merge that fails must not keep journal files waiting, unless they wait for merges.
        const goesOn = holdsJournal && this.layerFailure === error && this.mergeDebt < 1;
        this.options.onTrouble(error, holdsJournal && !goesOn);
        this.wakeIdle();
        if (!goesOn && !this.stopping) await this.pause.wait(this.retryMs);
        this.retryMs = Math.min(this.retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  /** One step. @returns false: nothing to do */
  private async step(): Promise<boolean> {
    if (await this.publishing.publishLast()) return true;
    const task = this.queue[0];
    const { orders, layerSteps } = this;
    const mergesFirst = layerSteps.debt === 1 || (!this.mergedLast && layerSteps.isOverdue);
    if (task && mergesFirst && !orders.isOverdue) {
      orders.noteOther();
      this.mergedLast = true;
      if (await this.workOnLayers()) return true;
    }
    if (task && !orders.isOverdue) {
      this.mergedLast = false;
      orders.noteOther();
      await this.seal(task);
      layerSteps.noteSeal();
      return true;
    }
    if (await orders.carryOutNext((changes, published) => this.publishing.complete(changes, published))) return true;
    const waitMs = layerSteps.waitMs;
    if (waitMs > 0) {
      // Something may have come in since the last look.
      if (this.queue.length > 0 || !orders.isEmpty || this.stopping) return true;
      this.isResting = true;
      await this.pause.wait(waitMs);
      this.isResting = false;
      return true;
    }
    return (await this.workOnLayers()) || (await this.snapshot(false));
  }

  private async workOnLayers(): Promise<boolean> {
    try {
      return await this.layerSteps.step();
    } catch (error) {
      this.layerFailure = error;
      throw error;
    }
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

  private async seal(task: SealTask): Promise<void> {
    const { clock, runner, pressure, live, onSealed } = this.options;
    const { manifest } = this;
    const started = clock.monotonic();
    const numbers = { layer: this.layerSteps.nextLayer, chronicle: this.layerSteps.nextChronicle };
    if (this.options.plantManifestFirst === true) await this.publish(unwritten(manifest, task));
    const result = await runner.run(sealRequest(manifest, task, numbers, pressure.effort));
    while (this.marks.length > 0 && this.marks[0]!.lsn <= task.lastLsn) {
      const mark = this.marks.shift()!;
      this.options.registry.apply(mark.lsn, mark.event);
    }
    const changes = sealedChanges(manifest, task, numbers, result, this.options.registry.toState());
    await this.publishing.complete(changes, () => {
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

  private async replaceLayers(
    layers: LayerRecord[],
    made: number | undefined,
    gone: readonly LayerRecord[],
  ): Promise<void> {
    const { next } = this.manifest;
    const layer = Math.max(next.layer, (made ?? 0) + 1);
    await this.publishing.complete({ layers, next: { ...next, layer } }, () => {
      this.versions.advance(this.versions.current.memtables, new LayerIndex(layers), () => {
        this.disposal.discardLayers(gone.map(({ id }) => id));
      });
    });
  }

  private async replaceChronicles(
    chronicles: ChronicleRecord[],
    made: number,
    gone: readonly ChronicleRecord[],
  ): Promise<void> {
    const { next } = this.manifest;
    await this.publishing.complete(
      { chronicles, next: { ...next, chronicle: Math.max(next.chronicle, made + 1) } },
      () => {
        this.options.history.update(chronicles, () => {
          for (const { id } of gone) this.disposal.discard(chroniclePath(id), this.options.chronicles, id);
        });
      },
    );
  }
}
