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
import { isSternwayError, SternwayError } from "../base/errors.ts";
import { xxh64 } from "../base/hash.ts";
import { BLOCK_SIZE, type Lsn } from "../base/units.ts";
import { ENTRY_FLUSH, ENTRY_MARK, ENTRY_TRIM, ENTRY_WRITE, ENTRY_ZERO } from "../journal/format.ts";
import { LOCATION_GROUP, type Journal } from "../journal/journal.ts";
import type { Damage } from "../journal/recover.ts";
import type { ChronicleBuilder } from "./chronicles/chronicle-builder.ts";
import type { Collector, CollectReport } from "./collecting/collect.ts";
import type { History } from "./chronicles/history.ts";
import type { VaultIdentity } from "./identity.ts";
import { emptyResolution, SHARD_BLOCKS, TARGET_ADDRESS_MIN, type Resolution } from "./map.ts";
import type { ChronicleRecord, LayerRecord, Manifest } from "./manifest.ts";
import { FILE_NUMBERS, fileNumberOf, isMemoryTarget, nodeOf, type Memtable } from "./memtable.ts";
import type { LayerSet } from "./open-set.ts";
import type { PackStore } from "./packs/pack-reader.ts";
import type { Pressure } from "./sealing/pressure.ts";
import { isNeeded, needsOf } from "./needs.ts";
import type { Needs } from "./layers/thin.ts";
import { encodeEvent, type Registry, type RegistryEvent } from "./registry.ts";
import type { SpaceReport } from "./collecting/space.ts";
import { accountSpace } from "./collecting/space-report.ts";
import { resolveLayers } from "./layers/resolve.ts";
import { sealedChronicle, sealedLayer, sealedPack, type RestoreFile, type SealedFile } from "./sealed-files.ts";
import type { Sealing } from "./sealing/sealing.ts";
import type { Version } from "./sealing/versions.ts";

export type { RestoreFile, SealedFile } from "./sealed-files.ts";

/** Blocks of one append: 1 MiB. A larger request is sequenced as several writes, as a disk would. */
export const WRITE_BLOCKS_MAX = 256;
/** Blocks of one trim or zero: 1 TiB, so that counts fit their fields. */
export const CLEAR_BLOCKS_MAX = 2 ** 28;
/** A memory map with so many nodes has its file closed, however few bytes that holds. */
export const MEMTABLE_NODES_MAX = 2 ** 18;
/** Damaged files that one read has brought back before it gives up: each may lie behind another one. */
const RESTORES_MAX = 16;
/** Most blocks one read may ask for: 32 MiB. */
export const READ_BLOCKS_MAX = 8192;

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
      return await this.resolveIn(version, strand, at, firstBlock, count);
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
        if (restores === RESTORES_MAX || !(await this.restoreDamaged(error))) throw error;
      }
    }
  }

  /** Brings back the file that an error is about, from another place that has it. @returns false: it is about none, or there is no other copy */
  async restoreDamaged(error: unknown): Promise<boolean> {
    if (!isSternwayError(error, "corrupt") || !this.parts.restoreFile || this.stopped) return false;
    const { pack, layer } = error.facts;
    const { sealing, packs, restoreFile } = this.parts;
    if (typeof pack === "number") {
      const record = sealing.locate(pack);
      if (!record || !(await restoreFile(sealedPack(record)))) return false;
      await packs.forget(pack);
      return true;
    }
    const record = sealing.manifest.layers.find(({ id }) => id === layer);
    return record !== undefined && (await this.restoreLayer(record));
  }

  /** Puts a sound copy of a layer in its place; who reads it already goes on with the old one. @returns false: there is none to be had */
  async restoreLayer(record: LayerRecord): Promise<boolean> {
    const { restoreFile } = this.parts;
    if (!restoreFile || !(await restoreFile(sealedLayer(record)))) return false;
    await this.renew(sealedLayer(record));
    return true;
  }

  /** As {@link restoreLayer}. */
  async restoreChronicle(record: ChronicleRecord): Promise<boolean> {
    const { restoreFile } = this.parts;
    if (!restoreFile || !(await restoreFile(sealedChronicle(record)))) return false;
    await this.renew(sealedChronicle(record));
    return true;
  }

  /** Another file lies in the place of a sealed one: whoever reads it next opens that, and who reads the old one already goes on. */
  async renew({ kind, id }: SealedFile): Promise<void> {
    const { sealing, layers, packs } = this.parts;
    switch (kind) {
      case "pack":
        return await packs.forget(id);
      case "layer":
        // Its readers pin versions. Nobody waits for the old file to be closed.
        layers
          .renew(id, () => sealing.versions.idle())
          .catch((failure: unknown) => {
            if (!isSternwayError(failure)) throw failure;
          });
        return;
      case "chronicle":
        return await this.history.renew(id);
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
      const found = await this.resolveIn(version, strand, at, firstBlock, into.length / BLOCK_SIZE);
      await this.fetch(version, found, into);
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

  private async resolveIn(
    version: Version,
    strand: number,
    at: Lsn,
    firstBlock: number,
    count: number,
  ): Promise<Resolution> {
    assert(count > 0 && count <= READ_BLOCKS_MAX, "a read asks for 1 to 8,192 blocks");
    const chain = this.registry.chain(strand as never, at);
    const found = emptyResolution(firstBlock, count);
    // Memory first, for the whole chain's first strand, without waiting: what is found there is of this very moment.
    for (const link of chain) {
      for (const table of version.memtables) {
        if (found.missing === 0) break;
        table.collect(link.strand, found, link.lsn);
      }
      const pending = this.resolveSealed(version, link.strand, link.lsn, found);
      if (pending) await pending;
      if (found.missing === 0) break;
    }
    return found;
  }

  /** Layers are asked shard by shard. */
  private resolveSealed(version: Version, strand: number, at: Lsn, found: Resolution): Promise<void> | undefined {
    const { firstBlock, count } = found;
    const firstShard = Math.floor(firstBlock / SHARD_BLOCKS);
    const lastShard = Math.floor((firstBlock + count - 1) / SHARD_BLOCKS);
    if (firstShard === lastShard) return resolveLayers(version.layers, this.parts.layers, strand, at, found);
    return this.resolveAcross(version, strand, at, found);
  }

  private async resolveAcross(version: Version, strand: number, at: Lsn, found: Resolution): Promise<void> {
    const end = found.firstBlock + found.count;
    for (let start = found.firstBlock; start < end;) {
      const next = Math.min(end, (Math.floor(start / SHARD_BLOCKS) + 1) * SHARD_BLOCKS);
      const from = start - found.firstBlock;
      const part: Resolution = {
        firstBlock: start,
        count: next - start,
        lsn: found.lsn.subarray(from, from + next - start),
        target: found.target.subarray(from, from + next - start),
        missing: 0,
      };
      part.missing = part.lsn.reduce((sum, known) => (known < 0 ? sum + 1 : sum), 0);
      const before = part.missing;
      await resolveLayers(version.layers, this.parts.layers, strand, at, part);
      found.missing -= before - part.missing;
      start = next;
    }
  }

  /** Brings the bytes of a resolution: holes and zeroes are filled in, the rest is read and checked. */
  private async fetch(version: Version, found: Resolution, into: Uint8Array): Promise<void> {
    const { target, count } = found;
    if (!target.some(isMemoryTarget)) return await this.parts.packs.readMany(target, into);
    const work: Promise<void>[] = [];
    const stored: number[] = [];
    for (let i = 0; i < count;) {
      const here = target[i]!;
      if (isMemoryTarget(here)) {
        const end = this.journalRun(version, found, i);
        work.push(this.fetchJournal(version, found, i, end, into));
        i = end;
      } else {
        if (here >= TARGET_ADDRESS_MIN) stored.push(i);
        else into.fill(0, i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE);
        i++;
      }
    }
    if (stored.length > 0) work.push(this.fetchStored(found, stored, into));
    // Wait for all of them, so that none still writes into the buffer after an error.
    for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
  }

  private async fetchStored(found: Resolution, places: readonly number[], into: Uint8Array): Promise<void> {
    const { packs } = this.parts;
    let failure: SternwayError | undefined;
    await packs.visit(
      places.map((i) => found.target[i]!),
      {
        block: (n, bytes, offset) => into.set(bytes.subarray(offset, offset + BLOCK_SIZE), places[n]! * BLOCK_SIZE),
        failed: (_n, error) => {
          failure ??= error;
        },
      },
    );
    if (failure) throw failure;
  }

  /** The end of the run from `start` whose blocks lie side by side in one group of one journal file. */
  private journalRun(version: Version, found: Resolution, start: number): number {
    const table = tableOf(version, found.target[start]!);
    const first = table.locationOf(nodeOf(found.target[start]!));
    let end = start + 1;
    while (end < found.count) {
      const next = found.target[end]!;
      if (!isMemoryTarget(next) || fileNumberOf(next) !== fileNumberOf(found.target[start]!)) break;
      const location = table.locationOf(nodeOf(next));
      if (location !== first + end - start || location % LOCATION_GROUP === 0) break;
      end++;
    }
    return end;
  }

  private async fetchJournal(
    version: Version,
    found: Resolution,
    start: number,
    end: number,
    into: Uint8Array,
  ): Promise<void> {
    const table = tableOf(version, found.target[start]!);
    const bytes = into.subarray(start * BLOCK_SIZE, end * BLOCK_SIZE);
    await this.journal.read(table.fileSequence, table.locationOf(nodeOf(found.target[start]!)), bytes);
    for (let i = start; i < end; i++) {
      const block = into.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE);
      const node = nodeOf(found.target[i]!);
      if (xxh64(block, this.parts.identity.seed) === table.printOf(node)) continue;
      throw new SternwayError(
        "corrupt",
        `block ${found.firstBlock + i} is damaged in journal file ${table.fileSequence}`,
        {
          block: found.firstBlock + i,
          lsn: table.lsnOf(node),
        },
      );
    }
  }
}

function tableOf(version: Version, target: number): Memtable {
  const number = fileNumberOf(target);
  const table = version.memtables.find((candidate) => candidate.fileSequence % FILE_NUMBERS === number);
  assert(table !== undefined, "a memory target's table belongs to the version it was found in");
  return table;
}
