/**
 * A disk in memory that does everything the contract in `disk.ts` allows a disk to do, by the seed of its simulation: answers come late and
 * in another order, a power cut takes, tears and reorders what was not synced, names are lost before their directory's sync, and on
 * command operations fail, lie, go astray, or bits flip.
 *
 * State: `simulated-tree.ts` holds the names, `simulated-file.ts` the bytes, each as seen now and as certain after a power cut.
 * {@link SimulatedDisk.crashed} gives the disk after a power cut as a new one and leaves this one alone, so that one run can be cut at every
 * step. Bytes are shared between the copies; a copy costs time in proportion to files and megabytes, not bytes.
 */
import { allocateAligned } from "./aligned.ts";
import { assert } from "./assert.ts";
import { diskError } from "./disk-errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";
import { isSternwayError } from "./errors.ts";
import {
  astray,
  FaultPlan,
  type DiskOperation,
  type Fault,
  type FaultEffect,
  type InjectedFault,
} from "./simulated-faults.ts";
import { SimulatedFile, type DiskRequest, type FileHost } from "./simulated-handle.ts";
import { survivors, type FileNode, type SimulatedWrite } from "./simulated-file.ts";
import { SimulatedTree, type DirectoryOrder, type TreeChange } from "./simulated-tree.ts";
import type { Simulation } from "./simulation.ts";

/** How long operations take, in virtual microseconds: uniform in [min, max), and `tailFactor` times that for one in `tailOneIn`. */
export interface Latency {
  minMicros: number;
  maxMicros: number;
  /** 0: no tail. */
  tailOneIn: number;
  tailFactor: number;
}

export interface SimulatedDiskOptions {
  /** Default 1 TiB. Counted in pages of 4 KiB that were ever written; names cost nothing. */
  capacityBytes?: number;
  /** Default 20 to 200 µs, and 20 times that for one in 16: enough to let any two operations overtake each other. */
  latency?: Latency;
  /** Default `prefix`. */
  directoryOrder?: DirectoryOrder;
}

/** One operation, as it ended. */
export interface DiskLogEntry {
  step: number;
  atMicros: number;
  operation: DiskOperation;
  path: string;
  offset: number;
  length: number;
  /** `ok`, an errno name, or the name of a silent fault. */
  outcome: string;
}

const PAGE_SIZE = 4096;
const CAPACITY_BYTES = 2 ** 40;
const LATENCY: Latency = { minMicros: 20, maxMicros: 200, tailOneIn: 16, tailFactor: 20 };
/** The log keeps the newest operations: enough to see how a failure came about, little enough for a million runs. */
const LOG_ENTRIES_MAX = 2_000;

export class SimulatedDisk implements Disk {
  /** May be changed at any time, for a disk that becomes slow. */
  latency: Latency;
  capacityBytes: number;
  readonly #simulation: Simulation;
  readonly #host: FileHost;
  readonly #directoryOrder: DirectoryOrder;
  readonly #faults = new FaultPlan();
  readonly #changesInFlight = new Set<TreeChange>();
  #tree = new SimulatedTree();
  #usedBytes = 0;
  #log: DiskLogEntry[] = [];
  #operationCount = 0;
  #openFileCount = 0;

  constructor(simulation: Simulation, options: SimulatedDiskOptions = {}) {
    this.#simulation = simulation;
    this.#host = {
      stopped: () => simulation.stopped,
      lastId: () => this.#tree.lastId(),
      perform: (request, act, onError) => this.#perform(request, act, onError),
      store: (file, write, through, path, effect) => this.#store(file, write, through, path, effect),
      failWrite: (file, write, through) => this.#failWrite(file, write, through),
      failSync: (file, upTo) => this.#track(file, () => file.failSync(upTo, simulation.random)),
      closed: (file) => {
        this.#openFileCount--;
        file.handleCount--;
        this.#giveBack(file);
      },
    };
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.latency = options.latency ?? LATENCY;
    this.#directoryOrder = options.directoryOrder ?? "prefix";
  }

  /** Operations begun so far. */
  get operationCount(): number {
    return this.#operationCount;
  }

  /** Files open now: 0 when everything was closed. */
  get openFileCount(): number {
    return this.#openFileCount;
  }

  /** Bytes of pages ever written, of files that have a name or are open. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  // Faults and inspection, for tests. They act at once and take no virtual time.

  /** Plants a fault. */
  inject(fault: Fault): InjectedFault {
    return this.#faults.inject(fault);
  }

  healAll(): void {
    this.#faults.healAll();
  }

  /** Turns over one bit where it lies on the medium; readers see it at once. `bit` 0 to 7. @throws not_found */
  flipBit(path: string, offset: number, bit = 0): void {
    const byte = new Uint8Array(1);
    assert(this.#tree.file(path, "flipBit").current.read(byte, offset) === 1, `${path} has a byte ${offset}`);
    this.scribble(path, offset, byte.fill(byte[0]! ^ (1 << bit)));
  }

  /** Replaces bytes on the medium behind everyone's back. @throws not_found */
  scribble(path: string, offset: number, bytes: Uint8Array): void {
    const file = this.#tree.file(path, "scribble");
    file.current.write(bytes.slice(), offset);
    file.durable.write(bytes.slice(), offset);
    this.#countUsage();
  }

  /** The whole file as readers see it now, or undefined if there is none. */
  peek(path: string): Uint8Array | undefined {
    const file = this.#tree.fileOrNothing(path);
    if (file === undefined) return undefined;
    const bytes = new Uint8Array(file.current.size);
    file.current.read(bytes, 0);
    return bytes;
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    return this.#tree.paths();
  }

  /** The newest operations, oldest first; at most 4,000. */
  log(): readonly DiskLogEntry[] {
    return this.#log;
  }

  /** The log as text, a line per operation: for messages of failing tests. */
  logText(): string {
    return this.#log
      .map((e) => `${e.step} ${e.atMicros}us ${e.operation} ${e.path} @${e.offset}+${e.length} ${e.outcome}`)
      .join("\n");
  }

  /**
   * This disk after a power cut now, in another simulation; this one stays as it is. Without planted faults, with the same options.
   * What survives is drawn from `into.random`.
   */
  crashed(into: Simulation): SimulatedDisk {
    const copy = this.#copy(into);
    for (const change of this.#changesInFlight) {
      // A change of names in flight may have happened; if its turn would have brought an error, it did not.
      if (into.random.below(2) === 0) copy.#tryChange(change);
    }
    copy.#tree.settleAfterPowerCut(into.random, this.#directoryOrder);
    copy.#countUsage();
    return copy;
  }

  /** This disk after an orderly shutdown of the machine now: all finished operations survive, those in flight do not. */
  shutDown(into: Simulation): SimulatedDisk {
    const copy = this.#copy(into);
    copy.#tree.settleAfterShutdown();
    return copy;
  }

  #copy(into: Simulation): SimulatedDisk {
    const copy = new SimulatedDisk(into, {
      capacityBytes: this.capacityBytes,
      latency: this.latency,
      directoryOrder: this.#directoryOrder,
    });
    copy.#tree = this.#tree.clone();
    copy.#countUsage();
    return copy;
  }

  // The disk interface.

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    const opened = (): DiskFile => {
      const file = this.#tree.file(path, "open");
      file.handleCount++;
      this.#openFileCount++;
      return new SimulatedFile(path, mode, file, this.#host);
    };
    if (mode !== "create") return this.#perform({ operation: "open", path }, opened);
    // A creation that is ignored would leave nothing to open: it takes place.
    return this.#change({ op: "create", path }, opened);
  }

  list(dir: string): Promise<string[]> {
    return this.#perform({ operation: "list", path: dir }, () => this.#tree.list(dir));
  }

  sizeOf(path: string): Promise<number | undefined> {
    return this.#perform({ operation: "sizeOf", path }, () => this.#tree.fileOrNothing(path)?.current.size);
  }

  mkdir(dir: string): Promise<void> {
    return this.#change({ op: "mkdir", path: dir });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change({ op: "rename", path: from, to });
  }

  link(from: string, to: string): Promise<void> {
    return this.#change({ op: "link", path: from, to });
  }

  remove(path: string): Promise<void> {
    return this.#change({ op: "remove", path });
  }

  syncDir(dir: string): Promise<void> {
    const upTo = this.#tree.lastId();
    return this.#perform({ operation: "syncDir", path: dir }, (effect) => {
      if (effect !== "ignored") this.#tree.syncDirectory(dir, upTo);
    });
  }

  space(dir: string): Promise<{ freeBytes: number; totalBytes: number }> {
    return this.#perform({ operation: "space", path: dir }, () => ({
      freeBytes: Math.max(0, this.capacityBytes - this.#usedBytes),
      totalBytes: this.capacityBytes,
    }));
  }

  allocate(sizeBytes: number): Uint8Array {
    return allocateAligned(sizeBytes);
  }

  #change(change: TreeChange): Promise<void>;
  #change<T>(change: TreeChange, then: () => T): Promise<T>;
  #change<T>(change: TreeChange, then?: () => T): Promise<T | undefined> {
    if (this.#simulation.stopped) return new Promise(() => {});
    this.#changesInFlight.add(change);
    const to = "to" in change ? { to: change.to } : {};
    return this.#perform(
      { operation: change.op, path: change.path, ...to },
      (effect) => {
        this.#changesInFlight.delete(change);
        if (effect !== "ignored" || change.op === "create") {
          for (const file of this.#tree.apply(change)) this.#giveBack(file);
        }
        return then?.();
      },
      () => this.#changesInFlight.delete(change),
    );
  }

  #perform<T>(request: DiskRequest, act: (effect: FaultEffect | undefined) => T, onError?: () => void): Promise<T> {
    // A world that was stopped answers nothing any more; see Simulation.stop.
    if (this.#simulation.stopped) return new Promise(() => {});
    this.#operationCount++;
    const { operation, path } = request;
    const paths = request.to === undefined ? [path] : [path, request.to];
    const effect = operation === "close" ? undefined : this.#faults.meet(operation, paths);
    return new Promise((resolve, reject) => {
      this.#simulation.schedule(this.#delayMicros(), () => {
        try {
          if (effect === "EIO" || effect === "ENOSPC") {
            onError?.();
            throw diskError(effect, operation, path);
          }
          const value = act(effect);
          this.#note(request, effect ?? "ok");
          resolve(value);
        } catch (error) {
          this.#note(request, isSternwayError(error) ? String(error.facts["code"]) : "defect");
          reject(error);
        }
      });
    });
  }

  #delayMicros(): number {
    const { minMicros, maxMicros, tailOneIn, tailFactor } = this.latency;
    const { random } = this.#simulation;
    const delay = minMicros + random.below(Math.max(1, maxMicros - minMicros));
    return tailOneIn > 0 && random.below(tailOneIn) === 0 ? delay * tailFactor : delay;
  }

  #note(request: DiskRequest, outcome: string): void {
    this.#log.push({
      step: this.#simulation.stepCount,
      atMicros: this.#simulation.nowMicros,
      operation: request.operation,
      path: request.to === undefined ? request.path : `${request.path} -> ${request.to}`,
      offset: request.offset ?? 0,
      length: request.length ?? 0,
      outcome,
    });
    if (this.#log.length > 2 * LOG_ENTRIES_MAX) this.#log = this.#log.slice(-LOG_ENTRIES_MAX);
  }

  /** A write arrives at the file: in full, or as its silent fault has it. */
  #store(file: FileNode, write: SimulatedWrite, through: boolean, path: string, effect: FaultEffect | undefined): void {
    const { random } = this.#simulation;
    const freePages = Math.floor((this.capacityBytes - this.#usedBytes) / PAGE_SIZE);
    if (file.current.missingPages(write.offset, write.data.length) > freePages) {
      const fits = Math.max(0, freePages * PAGE_SIZE - (write.offset % PAGE_SIZE));
      const part = { ...write, data: write.data.subarray(0, fits) };
      if (fits < write.data.length && random.below(2) === 0) this.#arrive(file, part, through);
      throw diskError("ENOSPC", through ? "write-through" : "write", path);
    }
    for (const part of effect === undefined ? [write] : astray(write, effect, file.current.size, random)) {
      this.#arrive(file, part, through);
    }
  }

  #failWrite(file: FileNode, write: SimulatedWrite, through: boolean): void {
    for (const part of survivors(write, this.#simulation.random)) this.#arrive(file, part, through);
  }

  #arrive(file: FileNode, write: SimulatedWrite, through: boolean): void {
    // Numbered on arrival: a sync covers what had finished when it began, not what was still under way.
    const numbered = { ...write, id: this.#tree.nextId() };
    this.#track(file, () => (through ? file.applyThrough(numbered) : file.applyBuffered(numbered)));
  }

  #track(file: FileNode, act: () => void): void {
    const before = file.current.pageCount;
    act();
    this.#usedBytes += (file.current.pageCount - before) * PAGE_SIZE;
  }

  #giveBack(file: FileNode): void {
    if (file.linkCount === 0 && file.handleCount === 0) this.#usedBytes -= file.current.pageCount * PAGE_SIZE;
  }

  #countUsage(): void {
    this.#usedBytes = 0;
    for (const file of this.#tree.files()) this.#usedBytes += file.current.pageCount * PAGE_SIZE;
  }

  #tryChange(change: TreeChange): void {
    try {
      this.#tree.apply(change);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
    }
  }
}
