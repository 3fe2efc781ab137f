/**
 * The door of the room: a vault. One journal, one deduplication domain, one manifest, one writer. It speaks in strands, blocks and LSNs;
 * volumes are the next floor's word.
 *
 * Writing: append to the journal and note it in the memory map, in one turn of the event loop, so that a read by the
 * next request sees it. Reading at an LSN: memory maps, deltas, image, along the strand's ancestors; then the bytes from the
 * journal or from packs. Everything a read returns has passed a checksum bound to where it came from (law 3).
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import { BLOCK_SIZE, type Lsn } from "../base/units.ts";
import { ENTRY_FLUSH, ENTRY_MARK, ENTRY_TRIM, ENTRY_WRITE, ENTRY_ZERO } from "../journal/format.ts";
import type { Journal } from "../journal/journal.ts";
import type { Damage } from "../journal/recover.ts";
import type { ChronicleBuilder } from "./chronicles/chronicle-builder.ts";
import type { Collector, CollectReport } from "./collecting/collect.ts";
import type { History } from "./chronicles/history.ts";
import type { VaultIdentity } from "./identity.ts";
import type { Resolution } from "./map.ts";
import type { Manifest } from "./manifest.ts";
import type { Memtable } from "./memtable.ts";
import type { LayerSet } from "./open-set.ts";
import type { PackStore } from "./packs/pack-reader.ts";
import type { Pressure } from "./sealing/pressure.ts";
import { isNeeded, needsOf } from "./needs.ts";
import type { Needs } from "./layers/thin.ts";
import { encodeEvent, type Registry, type RegistryEvent } from "./registry.ts";
import type { SpaceReport } from "./collecting/space.ts";
import { accountSpace } from "./collecting/space-report.ts";
import { BlockReader } from "./block-reader.ts";
import { FileRestorer } from "./file-restorer.ts";
import type { RestoreFile } from "./sealed-files.ts";
import type { Sealing } from "./sealing/sealing.ts";
import type { Version } from "./sealing/versions.ts";

export { READ_BLOCKS_MAX } from "./block-reader.ts";
export type { RestoreFile, SealedFile } from "./sealed-files.ts";

/** Blocks of one append: 1 MiB. A larger request is sequenced as several writes, as a disk would. */
export const WRITE_BLOCKS_MAX = 256;
/** Blocks of one trim or zero: 1 TiB, so that counts fit their fields. */
export const CLEAR_BLOCKS_MAX = 2 ** 28;
/** A memory map with so many nodes has its file closed, however few bytes that holds. */
export const MEMTABLE_NODES_MAX = 2 ** 18;
/** Damaged files that one read has brought back before it gives up: each may lie behind another one. */
const RESTORES_MAX = 16;

export interface VaultParts {
  disk: Disk;
  clock: Clock;
  dir: string;
  identity: VaultIdentity;
  journal: Journal;
  sealing: Sealing;
  registry: Registry;
  history: History;
  live: ChronicleBuilder;
  layers: LayerSet;
  packs: PackStore;
  collector: Collector;
  pressure: Pressure;
  /** The newest LSN that recovery found; those after it that were given out before a crash are skipped. */
  recoveredLsn: Lsn;
  /** Blocks of one append: at most {@link WRITE_BLOCKS_MAX}, and what a journal group takes. */
  writeBlocksMax: number;
  /** Why it takes no writes, when it was opened read-only. */
  readOnlyReason: string | undefined;
  /** Where recovery had to stop, when the journal is damaged. */
  journalDamage: Damage | undefined;
  /** It comes from a tier, which has not all of the newest manifests. */
  mayLackManifests?: boolean;
  /** Brings back a damaged file; undefined: there is no other place to bring it from. */
  restoreFile?: RestoreFile | undefined;
  /** Lets go of everything else when the vault stops. */
  close: () => Promise<void>;
  /** The memory map that appends go to. */
  active: { memtable: Memtable | undefined };
}

/** Files that stay for a while. */
export interface HeldFiles {
  manifest: Manifest;
  /** Of the manifest's file; empty: none was published yet. */
  sha256: string;
  release: () => void;
}

export class Vault {
  readonly registry: Registry;
  readonly history: History;
  readonly sealing: Sealing;
  readonly journal: Journal;
  /** By how much each MiB written is delayed for the sake of tiers that lag; 0: not at all. */
  dragMsPerMiB = 0;
  /** Further places that an answered flush must have reached; undefined: this machine's disk is enough. */
  barrier: ((target: Lsn) => Promise<void>) | undefined;
  /** For the rest of this room: the check looks at every part. */
  readonly parts: VaultParts;
  /** Brings back damaged files. */
  readonly restorer: FileRestorer;
  private readonly reader: BlockReader;
  private readonly live: ChronicleBuilder;
  private readonly active: { memtable: Memtable | undefined };
  private stopped = false;
  private counting = false;
  private noWrites: string | undefined;
  private isFenced = false;
  /** What must stay readable by the registry as it is now; undefined: to be found out. */
  private readable: Needs | undefined;

  constructor(parts: VaultParts) {
    this.parts = parts;
    this.registry = parts.registry;
    this.history = parts.history;
    this.sealing = parts.sealing;
    this.journal = parts.journal;
    this.live = parts.live;
    this.active = parts.active;
    this.restorer = new FileRestorer(parts);
    const { registry, journal, layers, packs, identity } = parts;
    this.reader = new BlockReader({ registry, journal, layers, packs, seed: identity.seed });
    this.noWrites = parts.readOnlyReason;
  }

  /** Why it takes no writes; undefined: it takes them. */
  get readOnlyReason(): string | undefined {
    return this.noWrites;
  }

  /** Takes no writes from now on, for another writer has taken over (law 7); who waits for one gets the reason. Reading goes on. */
  fence(reason: SternwayError): void {
    this.noWrites = reason.message;
    this.isFenced = true;
    this.journal.close(reason);
  }

  /** The newest LSN whose operation recovery found at open; 0 for a new vault. */
  get recoveredLsn(): Lsn {
    return this.parts.recoveredLsn;
  }

  /** Most blocks of one {@link tryWrite}. */
  get writeBlocksMax(): number {
    return this.parts.writeBlocksMax;
  }

  /** True when all that it stores is encrypted. */
  get isEncrypted(): boolean {
    return this.parts.identity.cipher !== undefined;
  }

  /** Size of one journal file, as fixed when the vault was made. */
  get journalFileBytes(): number {
    return this.parts.identity.journalFileBytes;
  }

  /** The newest LSN; 0 for an empty vault. */
  get lastLsn(): Lsn {
    return this.journal.lastLsn;
  }

  /**
   * Sequences a write of whole blocks, if there is room now; durable after {@link flush}.
   * @param data - at most {@link writeBlocksMax} blocks; copied
   * @returns false: wait for {@link room}, then try again
   * @throws unavailable: the vault takes no writes
   */
  tryWrite(strand: number, firstBlock: number, data: Uint8Array): boolean {
    const { journal } = this;
    const count = data.length / BLOCK_SIZE;
    if (!journal.append(ENTRY_WRITE, strand, firstBlock, count, data)) return false;
    const { placed } = journal;
    const table = this.activeTable(placed.fileSequence);
    for (let i = 0; i < count; i++) {
      table.addBlock(strand, firstBlock + i, placed.lsn, placed.location + i, placed.prints[placed.printsFrom + i]!);
    }
    this.live.count(strand, placed.lsn, 1, data.length, 0);
    this.afterAppend(table);
    return true;
  }

  /** Sequences a trim (`isHole`) or write of zeroes. Same contract as {@link tryWrite}. @param count - at most 2^28 blocks */
  tryClear(strand: number, firstBlock: number, count: number, isHole: boolean): boolean {
    const { journal } = this;
    if (!journal.append(isHole ? ENTRY_TRIM : ENTRY_ZERO, strand, firstBlock, count, undefined)) return false;
    const table = this.activeTable(journal.placed.fileSequence);
    table.addCleared(strand, firstBlock, count, journal.placed.lsn, isHole);
    this.live.count(strand, journal.placed.lsn, 1, 0, count * BLOCK_SIZE);
    this.afterAppend(table);
    return true;
  }

  /** Resolves when there may be room again. @throws unavailable with facts.code ENOSPC: there will be none until space returns */
  room(): Promise<void> {
    return this.journal.room();
  }

  /** How long a write of so many bytes should wait for the sealer, or for a tier, in milliseconds (law 8). */
  delayMs(bytes: number): number {
    return Math.max(this.parts.pressure.delayMs(bytes), (bytes / 2 ** 20) * this.dragMsPerMiB);
  }

  /** Resolves when everything up to `target` is durable, here and wherever else {@link barrier} asks for it. */
  durable(target: Lsn): Promise<void> {
    const here = this.journal.durable(target);
    const { barrier } = this;
    return barrier ? here.then(() => barrier(target)) : here;
  }

  /** Records that a client's FLUSH covers everything before: the flush point's own LSN, or undefined when there was no room for the record. */
  recordFlush(strand: number): Lsn | undefined {
    const { journal } = this;
    if (!journal.append(ENTRY_FLUSH, strand, 0, 0, undefined)) return undefined;
    this.live.flush(strand, journal.placed.lsn);
    journal.pace();
    return journal.placed.lsn;
  }

  /**
   * Changes the registry: makes the event from its present state, journals it, applies it, and waits until it is durable.
   * @param make - called again when the journal had no room; throws to refuse
   * @param applied - called in the same turn as the change, so that no write can come between
   */
  async mark(make: () => RegistryEvent, applied?: (at: Lsn) => void): Promise<Lsn> {
    const { journal } = this;
    for (;;) {
      this.assertWritable();
      const event = make();
      assert(this.registry.fits(event), `a mark (${event.kind}) fits the history before it`);
      const bytes = encodeEvent(event);
      if (!journal.append(ENTRY_MARK, 0, bytes.length, 0, bytes)) {
        await journal.room();
        continue;
      }
      const at = journal.placed.lsn;
      this.live.count(0, at, 0, 0, 0);
      this.registry.apply(at, event);
      this.readable = undefined;
      this.sealing.addMark(at, event);
      applied?.(at);
      journal.pace();
      await journal.durable(at);
      return at;
    }
  }

  /** What blocks of a strand hold at an LSN. @param count - at most 8,192 @throws not_found: that moment is no longer kept; corrupt */
  async resolve(strand: number, at: Lsn, firstBlock: number, count: number): Promise<Resolution> {
    const version = this.acquire(strand, at);
    try {
      return await this.reader.resolve(version, strand, at, firstBlock, count);
    } finally {
      this.sealing.versions.release(version);
    }
  }

  /**
   * Reads blocks of a strand as they were at an LSN.
   * @param into - whole blocks, at most 32 MiB
   * @throws not_found: that moment is no longer kept; corrupt
   */
  async read(strand: number, at: Lsn, firstBlock: number, into: Uint8Array): Promise<void> {
    for (let restores = 0; ; restores++) {
      try {
        return await this.readOnce(strand, at, firstBlock, into);
      } catch (error) {
        if (restores === RESTORES_MAX || this.stopped || !(await this.restorer.restoreDamaged(error))) throw error;
      }
    }
  }

  /**
   * Keeps every file that the newest manifest names on disk, until {@link HeldFiles.release}: for copying them, however long that takes.
   * What is let go meanwhile costs space for as long.
   */
  holdFiles(): HeldFiles {
    const release = this.sealing.holdFiles();
    return { manifest: this.sealing.manifest, sha256: this.sealing.manifestSha256, release };
  }

  private async readOnce(strand: number, at: Lsn, firstBlock: number, into: Uint8Array): Promise<void> {
    const version = this.acquire(strand, at);
    try {
      const found = await this.reader.resolve(version, strand, at, firstBlock, into.length / BLOCK_SIZE);
      await this.reader.fetch(version, found, into);
    } catch (error) {
      // A block may be gone because its moment was let go while it was being read: that is no damage.
      this.checkKept(strand, at);
      throw error;
    } finally {
      this.sealing.versions.release(version);
    }
  }

  /** Shards in which a strand, or an ancestor of it, holds anything at an LSN. */
  shardsOf(strand: number, at: Lsn): Set<number> {
    const shards = new Set<number>();
    const version = this.sealing.versions.current;
    for (const link of this.registry.chain(strand as never, at)) {
      for (const table of version.memtables) table.shardsOf(link.strand, shards);
      version.layers.shardsOf(link.strand, link.lsn, shards);
    }
    return shards;
  }

  /** True when a shard surely holds one thing throughout, a hole or zeroes: nothing there is finer than the shard. */
  async isUniform(strand: number, at: Lsn, shard: number): Promise<boolean> {
    const version = this.sealing.versions.acquire();
    try {
      for (const link of this.registry.chain(strand as never, at)) {
        if (version.memtables.some((table) => table.divides(link.strand, shard))) return false;
        const { deltas, images } = version.layers.plan(link.strand, shard);
        for (const layer of [...deltas, ...images]) {
          const reader = this.parts.layers.peek(layer.id) ?? (await this.parts.layers.open(layer));
          if (reader.divides(link.strand, shard)) return false;
        }
      }
      return true;
    } finally {
      this.sealing.versions.release(version);
    }
  }

  /** Shards that a strand itself touched in `(after, through]`, or a few more. */
  changedShards(strand: number, after: number, through: number): Set<number> {
    const shards = new Set<number>();
    const { memtables, layers } = this.sealing.versions.current;
    for (const table of memtables) {
      if (table.firstLsn <= through && table.lastLsn > after) table.shardsOf(strand, shards);
    }
    layers.changedShards(strand, after, through, shards);
    return shards;
  }

  /** Seals everything written so far; for tests, imports and orderly hand-over. */
  async seal(): Promise<void> {
    this.journal.rotate();
    await this.journal.durable(this.journal.lastLsn);
    await this.sealing.idle();
  }

  /**
   * Gives back the space of what is not needed any more: seals what waits, so that its marks count, thins, and collects.
   * @throws unavailable: read-only, stopping, or the disk failed; corrupt: a damaged layer hides what is live
   */
  async collect(): Promise<CollectReport> {
    this.assertWritable();
    await this.seal();
    const report = await this.parts.collector.collect();
    await this.sealing.discarded();
    return report;
  }

  /**
   * Counts what is stored for whom, exactly, of what is sealed; bytes are those of files. Runs in the background of sealing.
   * @param instead - also say what these needs would free, as of a registry that retention has in mind (needs.ts)
   * @throws unavailable: read-only or stopping; conflict: another count is under way; corrupt: a damaged layer
   */
  async space(instead?: Needs): Promise<SpaceReport> {
    this.assertWritable();
    if (this.counting) throw new SternwayError("conflict", "the vault's space is being counted already: wait for that");
    this.counting = true;
    try {
      return await accountSpace(this.sealing, this.registry, instead);
    } finally {
      this.counting = false;
    }
  }

  /**
   * Makes everything durable, ends sealing, and leaves the mark of a clean stop; waits for reads that began before. Idempotent.
   * @throws unavailable: the disk refused; what was answered is as safe as after a crash, and everything is closed
   */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.parts.collector.stop();
    const groupSequence = await this.journal.stop();
    // Reads that began before still need their files.
    await this.sealing.versions.idle();
    await this.history.idle();
    try {
      await this.journal.closeFiles();
      await this.sealing.stop();
      await this.parts.collector.idle();
      // Without the mark the next open recovers as after a crash.
      const isWhole = this.readOnlyReason === undefined && groupSequence !== undefined;
      if (isWhole) await this.sealing.publish({ clean: { groupSequence } });
    } finally {
      await this.parts.close();
    }
  }

  assertWritable(): void {
    if (this.noWrites === undefined) return;
    throw new SternwayError(this.isFenced ? "fenced" : "unavailable", `the vault is read-only: ${this.noWrites}`);
  }

  /** Pins what a read needs. Checked in the same turn, so that what is let go from now on does not concern it. */
  private acquire(strand: number, at: Lsn): Version {
    if (this.stopped) throw new SternwayError("unavailable", "the vault is stopped");
    this.checkKept(strand, at);
    return this.sealing.versions.acquire();
  }

  /**
   * Law 3: a moment that retention let go would read as a mixture of what is left.
   * @throws not_found
   */
  private checkKept(strand: number, at: Lsn): void {
    this.readable ??= needsOf(this.registry, Number.MAX_SAFE_INTEGER as Lsn);
    if (isNeeded(this.readable.get(strand), at, at + 1)) return;
    throw new SternwayError("not_found", `LSN ${at} of strand ${strand} is no longer kept`, { strand, lsn: at });
  }

  private activeTable(fileSequence: number): Memtable {
    const { memtable } = this.active;
    assert(memtable?.fileSequence === fileSequence, "appends go to the newest journal file");
    return memtable;
  }

  private afterAppend(table: Memtable): void {
    if (table.nodeCount >= MEMTABLE_NODES_MAX) this.journal.rotate();
    this.journal.pace();
  }
}
