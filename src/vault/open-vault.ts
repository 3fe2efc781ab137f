/**
 * Opens a vault: identity, newest manifest, journal recovery, and the parts wired together.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { lsn, micros } from "../base/units.ts";
import { GROUP_ENTRIES_MAX, GROUP_PAGES_MAX, PAGE_SIZE } from "../journal/format.ts";
import { Journal, LOCATION_GROUP, type JournalListener } from "../journal/journal.ts";
import { recover, type Recovered, type RecoveredFile } from "../journal/recover.ts";
import { claimedSequenceOf, type ScannedGroup } from "../journal/scan.ts";
import { SlotPool } from "../journal/slots.ts";
import type { ObserveSealing } from "../security/cipher.ts";
import type { Secret } from "../security/secret.ts";
import { ChronicleBuilder } from "./chronicles/chronicle-builder.ts";
import { Collector } from "./collecting/collect.ts";
import { removeOrphans } from "./orphans.ts";
import { History } from "./chronicles/history.ts";
import { createIdentity, idText, identityPath, openIdentity, type NewVault, type VaultIdentity } from "./identity.ts";
import { IMAGE_ENTRIES_MIN } from "./layers/merge-policy.ts";
import { loadNewestManifest, type LoadedManifest, type Manifest } from "./manifest.ts";
import { Memtable } from "./memtable.ts";
import { chronicleSet, layerSet } from "./open-set.ts";
import { PackStore } from "./packs/pack-reader.ts";
import { Pressure } from "./sealing/pressure.ts";
import { decodeEvent, Registry } from "./registry.ts";
import { inlineSealer, type SealerRunner, type StartSealer } from "./sealing/sealer-runner.ts";
import { Sealing, type SealProgress } from "./sealing/sealing.ts";
import { Vault, WRITE_BLOCKS_MAX, type RestoreFile } from "./vault.ts";

export interface VaultOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's folder; made if it does not exist. */
  dir: string;
  /** Default: on the caller's thread. */
  sealer?: StartSealer;
  /** Encrypts a vault that is made, for good; what unlocks it from then on. The caller wipes it once the vault is open. */
  encrypt?: Secret | undefined;
  /** Unlocks an encrypted vault; default: what `encrypt` says. The caller wipes it once the vault is open. */
  unlock?: Secret | undefined;
  /** Refuse, before anything is written, to open a vault that is not encrypted. */
  mustBeEncrypted?: boolean;
  /** Size of journal files for a new vault, bytes. Default 64 MiB: one stretch fills one pack. */
  journalFileBytes?: number;
  /** Default 32. */
  journalFilesMax?: number;
  /** Payload pages of one group, up to 1,024. Default 1,024 (4 MiB). */
  groupPages?: number;
  /** Default 64 (256 KiB). */
  groupEagerPages?: number;
  /** Default 5. */
  groupLingerMs?: number;
  /** A journal file is sealed at the latest so long after its first write. Default 5 minutes. */
  sealAfterMs?: number;
  /** Decoded map pages. Default 64 MiB. */
  pageCacheBytes?: number;
  /** Decompressed frames. Default 64 MiB. */
  frameCacheBytes?: number;
  /** The sealer's own. Default 32 MiB. */
  sealerCacheBytes?: number;
  /** For each TiB of unique data. Default 256 MiB. */
  indexBudgetBytes?: number;
  /** What merging, thinning and images may read and write a second while clients write, unless merges are overdue. Default 64 MiB. */
  mergeBytesPerSecond?: number;
  /** Entries of layers that one slice of merging or surveying passes: what sealing may have to wait for. Default 2^20, some 100 ms. */
  sliceEntries?: number;
  /** What collecting may read and write a second while clients write. Default 64 MiB. */
  collectBytesPerSecond?: number;
  /** Collecting begins by itself when so many blocks' addresses were dropped … Default 65,536: 256 MiB. */
  collectDroppedMin?: number;
  /** … and this share of all that packs hold, 0 to 1. Default 0.125. */
  collectDroppedShare?: number;
  /** Disk space that journal growth leaves free. Default 1 GiB. */
  reserveBytes?: number;
  /** Entries in a shard since its last image that make the next one due. Default 65,536. */
  imageEntriesMin?: number;
  /** Open without writing anything: for checking a stopped vault, and for reading one whose writer is elsewhere. */
  readOnly?: boolean;
  /** Why, for people. Default: that it was opened for reading. */
  readOnlyReason?: string | undefined;
  /** Another installation wrote to it before, and what that gave out last is not known here. */
  takesOver?: boolean;
  /** Brings back a sealed file that is damaged or missing, from another place that holds it. */
  restoreFile?: RestoreFile | undefined;
  onTrouble?: (error: SternwayError | undefined) => void;
  onSealed?: (progress: SealProgress) => void;
  /** Test hooks; none is set outside of tests. */
  plant?: Plants;
}

/** Defects to be planted, to show that the tests find them. */
export interface Plants {
  /** Breaks law 4: takes equal fingerprints for equal blocks. */
  trustFingerprints?: boolean;
  /** Breaks nothing by itself: proposes duplicates by so few bits of the fingerprint that strangers meet often. */
  fingerprintBits?: number;
  /** Breaks law 5: publishes a manifest that names a stretch's pack and layer before they are written. */
  manifestFirst?: boolean;
  /** Breaks law 1: answers a flush before what it covers is durable. */
  answerEarly?: boolean;
  /** Breaks nothing: is told of each use of a key and a nonce. */
  onSeal?: ObserveSealing;
}

const MIB = 2 ** 20;

/** LSNs that may have been given out and lost in a crash: two groups' worth. They are skipped, so that none is ever used twice. */
const LSN_GAP = 4 * GROUP_ENTRIES_MAX;
/** What a writer may have given out that no tier ever heard of: a day at 50,000 writes a second. There is room for two million such jumps. */
const LSN_GAP_TAKEN_OVER = 2 ** 32;

/**
 * Makes a vault in a folder without opening it; durable when it resolves.
 * @throws conflict: there is one already; corrupt: there are parts of one
 */
export async function createVault(disk: Disk, dir: string, random: Random, options: NewVault): Promise<void> {
  await makeFolders(disk, dir);
  await createIdentity(disk, dir, random, options);
}

/**
 * Opens the vault in a folder, or makes one there.
 * @throws corrupt: no readable manifest, or a missing part; damage that leaves a readable prefix opens it read-only instead; denied: it is
 *   encrypted, and its key is missing or wrong; invalid: it is not encrypted, and there is a key
 */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { disk, dir, random, readOnly = false, journalFileBytes = 64 * MIB, encrypt } = options;
  if (!readOnly) {
    await makeFolders(disk, dir);
    const isNew = (await disk.sizeOf(identityPath(dir))) === undefined;
    if (isNew) await createIdentity(disk, dir, random, { journalFileBytes, encrypt });
  }
  const identity = await openIdentity(disk, dir, random, options.unlock ?? encrypt, {
    observe: options.plant?.onSeal,
    mustBeEncrypted: options.mustBeEncrypted ?? false,
  });
  const { cipher } = identity;
  try {
    const vaultText = idText(identity.id);
    let loaded = await loadNewestManifest(disk, `${dir}/manifest`, vaultText, cipher);
    if (!loaded) await assertEmpty(disk, dir);
    loaded ??= { manifest: firstManifest(vaultText), sha256: "", damage: undefined };
    return await new Opening(options, identity, loaded).run();
  } catch (error) {
    cipher?.wipe();
    throw error;
  }
}

async function makeFolders(disk: Disk, dir: string): Promise<void> {
  // Folders above that are made on the way must be durable too, or a crash takes the whole vault with them.
  const made: string[] = [];
  for (let path = parentOf(dir); path !== "/" && path !== "."; path = parentOf(path)) {
    const parent = parentOf(path);
    if (!(await disk.list(parent)).includes(path.slice(path.lastIndexOf("/") + 1))) made.push(parent);
  }
  for (const name of ["journal", "packs", "layers", "chronicles", "manifest"]) await disk.mkdir(`${dir}/${name}`);
  for (const path of [dir, parentOf(dir), ...made]) await disk.syncDir(path);
}

/** A vault without any manifest is a new one. One that has lost them must not be taken for that: what no manifest names is removed. */
async function assertEmpty(disk: Disk, dir: string): Promise<void> {
  for (const name of ["packs", "layers", "chronicles"]) {
    if ((await disk.list(`${dir}/${name}`)).length === 0) continue;
    throw new SternwayError(
      "corrupt",
      `the vault in ${dir} has ${name} and no manifest: restore its manifests from a copy`,
    );
  }
  // Nor one that was never sealed: its writer's first manifest was durable before its first group (law 7).
  for (const name of await disk.list(`${dir}/journal`)) {
    const file = await disk.open(`${dir}/journal/${name}`, "read");
    try {
      if ((await claimedSequenceOf(file)) === 0) continue;
    } finally {
      await file.close();
    }
    throw new SternwayError(
      "corrupt",
      `the vault in ${dir} has a journal and no manifest: restore its manifests from a copy`,
    );
  }
}

/** The folder above; `/` and `.` are their own. */
function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at > 0 ? path.slice(0, at) : at === 0 ? "/" : ".";
}

function firstManifest(vault: string): Manifest {
  return {
    format: 1,
    vault,
    number: 0,
    epoch: 0,
    previous: "",
    sealed: { lsn: 0, fileSequence: 0, groupSequence: 0, groupChecksum: "0000000000000000", wall: 0 },
    firstLsn: 1,
    next: { pack: 1, layer: 1, chronicle: 1 },
    packs: [],
    layers: [],
    chronicles: [],
    registry: { volumes: [], strands: [] },
  };
}

/** One recovered journal file as it is replayed. */
interface ReplayedFile {
  file: RecoveredFile;
  memtable: Memtable;
  payloadOffsets: number[];
  /** Where its last recovered group ends. */
  sizeBytes: number;
  /** What opens its groups' pages, in an encrypted vault. */
  seals: ScannedGroup["seal"][];
  lastLsn: number;
  wall: number;
  lastGroupSequence: number;
  lastGroupChecksum: bigint;
}

class Opening {
  private readonly options: VaultOptions;
  private readonly identity: VaultIdentity;
  private readonly manifest: Manifest;
  private readonly loaded: LoadedManifest;
  private readonly registry: Registry;
  private readonly sealedRegistry: Registry;
  private readonly live = new ChronicleBuilder();
  private readonly replayed = new Map<number, ReplayedFile>();
  private readonly marks: { lsn: number; event: ReturnType<typeof decodeEvent> }[] = [];
  private readonly active: { memtable: Memtable | undefined } = { memtable: undefined };
  private sealTimer: Timer | undefined;
  private runner: SealerRunner | undefined;
  private lastLsn: number;
  private lastWall: number;
  /** Of the groups that were recovered. */
  private lastEpoch = 0;

  constructor(options: VaultOptions, identity: VaultIdentity, loaded: LoadedManifest) {
    this.options = options;
    this.identity = identity;
    this.loaded = loaded;
    this.manifest = loaded.manifest;
    this.registry = new Registry(loaded.manifest.registry);
    this.sealedRegistry = new Registry(loaded.manifest.registry);
    this.lastLsn = loaded.manifest.sealed.lsn;
    this.lastWall = loaded.manifest.sealed.wall;
  }

  async run(): Promise<Vault> {
    const { disk, dir } = this.options;
    const slotOptions = {
      disk,
      dir: `${dir}/journal`,
      fileBytes: this.identity.journalFileBytes,
      filesMax: this.options.journalFilesMax ?? 32,
      reserveBytes: this.options.reserveBytes ?? 1024 * MIB,
    };
    const isReadOnly = this.options.readOnly === true;
    const names = await SlotPool.list(slotOptions);
    const recovered = await this.recover(names);
    const damage =
      this.loaded.damage ?? (recovered.damage && describeDamage(recovered.damage)) ?? this.newerWriter(recovered);
    const reason = damage ?? (isReadOnly ? (this.options.readOnlyReason ?? "it was opened for reading") : undefined);
    if (reason === undefined) {
      await SlotPool.find(slotOptions);
      await removeOrphans(disk, dir, this.manifest);
    }
    const pool = await SlotPool.open(slotOptions, names, reason !== undefined);
    try {
      return await this.assemble(pool, recovered, reason);
    } catch (error) {
      await this.runner?.stop();
      await pool.close();
      throw error;
    }
  }

  private async recover(slots: readonly string[]): Promise<Recovered> {
    const { sealed, clean } = this.manifest;
    return await recover(
      {
        disk: this.options.disk,
        dir: `${this.options.dir}/journal`,
        slots,
        fileBytes: this.identity.journalFileBytes,
        vaultId: this.identity.id,
        seed: this.identity.seed,
        cipher: this.identity.cipher,
        sealedFileSequence: sealed.fileSequence,
        sealedGroupSequence: sealed.groupSequence,
        sealedGroupChecksum: BigInt(`0x${sealed.groupChecksum}`),
        cleanGroupSequence: clean?.groupSequence,
      },
      (group, file, ordinal) => this.replay(group, file, ordinal),
    );
  }

  /** An epoch is durable in a manifest before its writer writes (law 7): a group of a later one tells of manifests that were taken away. */
  private newerWriter({ lastGroupSequence }: Recovered): string | undefined {
    if (this.lastEpoch <= this.manifest.epoch) return undefined;
    return `the journal was written up to group ${lastGroupSequence} in epoch ${this.lastEpoch}, but the newest manifest is of epoch ${this.manifest.epoch}: newer ones are missing`;
  }

  private replay(group: ScannedGroup, file: RecoveredFile, ordinal: number): void {
    let state = this.replayed.get(file.fileSequence);
    if (!state) {
      state = {
        file,
        memtable: new Memtable(file.fileSequence),
        payloadOffsets: [],
        sizeBytes: 0,
        seals: [],
        lastLsn: this.lastLsn,
        wall: this.lastWall,
        lastGroupSequence: 0,
        lastGroupChecksum: 0n,
      };
      this.replayed.set(file.fileSequence, state);
    }
    const { header } = group;
    this.lastEpoch = Math.max(this.lastEpoch, header.epoch);
    state.payloadOffsets[ordinal] = group.offset + header.headerBytes;
    state.sizeBytes = group.offset + header.headerBytes + group.payload.length;
    state.seals[ordinal] = group.seal;
    for (const entry of group.entries) {
      this.live.add(entry);
      switch (entry.kind) {
        case "write":
          for (let i = 0; i < entry.count; i++) {
            const location = ordinal * LOCATION_GROUP + entry.page + i;
            state.memtable.addBlock(
              entry.strand,
              entry.firstBlock + i,
              entry.lsn,
              location,
              group.print(entry.page + i),
            );
          }
          break;
        case "zero":
        case "trim":
          state.memtable.addCleared(entry.strand, entry.firstBlock, entry.count, entry.lsn, entry.kind === "trim");
          break;
        case "mark": {
          const start = entry.page * PAGE_SIZE;
          const event = decodeEvent(group.payload.subarray(start, start + entry.byteCount));
          this.registry.apply(entry.lsn, event);
          this.marks.push({ lsn: entry.lsn, event });
          break;
        }
        case "flush":
          break;
      }
    }
    this.live.closeGroup(header.wall);
    this.lastLsn = header.firstLsn + header.lsnCount - 1;
    this.lastWall = header.wall;
    state.lastLsn = this.lastLsn;
    state.wall = header.wall;
    state.lastGroupSequence = header.groupSequence;
    state.lastGroupChecksum = header.checksum;
  }

  private async assemble(pool: SlotPool, recovered: Recovered, readOnlyReason: string | undefined): Promise<Vault> {
    const { options, identity, manifest } = this;
    const { disk, clock, dir, sliceEntries = 2 ** 20 } = options;
    const { id: vaultId, seed, cipher } = identity;
    const layers = layerSet(disk, dir, vaultId, options.pageCacheBytes ?? 64 * MIB, cipher, options.restoreFile);
    const chronicles = chronicleSet(disk, dir, vaultId, 8 * MIB, cipher, options.restoreFile);
    const history = new History(chronicles, this.live);
    // Made last, and known to those before it.
    const late: { journal: Journal | undefined } = { journal: undefined };
    const pressure: Pressure = new Pressure(
      clock,
      () => late.journal?.fill ?? 0,
      () => sealing.mergeDebt,
    );
    const startSealer = options.sealer ?? inlineSealer;
    const runner = (this.runner = startSealer(disk, {
      dir,
      vaultId,
      seed,
      cipher,
      journalFileBytes: identity.journalFileBytes,
      indexBudgetBytes: options.indexBudgetBytes ?? 256 * MIB,
      cacheBytes: options.sealerCacheBytes ?? 32 * MIB,
      plantTrustFingerprints: options.plant?.trustFingerprints ?? false,
      ...(options.plant?.fingerprintBits === undefined ? {} : { fingerprintBits: options.plant.fingerprintBits }),
    }));
    const memtables = [...this.replayed.values()].map((state) => state.memtable).reverse();
    const sealing: Sealing = new Sealing(
      {
        disk,
        clock,
        dir,
        cipher,
        runner,
        pressure,
        history,
        live: this.live,
        layers,
        chronicles,
        registry: this.sealedRegistry,
        onTrouble: (error, holdsJournal) => {
          refuseWhenFull(late.journal, holdsJournal ? error : undefined);
          options.onTrouble?.(error);
        },
        onSealed: (progress) => options.onSealed?.(progress),
        lastLsn: () => late.journal?.lastLsn ?? 0,
        mergeBytesPerSecond: options.mergeBytesPerSecond ?? 64 * MIB,
        sliceEntries,
        onDropped: (blocks) => collector.noteDropped(blocks),
        imageEntriesMin: options.imageEntriesMin ?? IMAGE_ENTRIES_MIN,
        plantManifestFirst: options.plant?.manifestFirst ?? false,
      },
      manifest,
      this.loaded.sha256,
      memtables,
    );
    for (const mark of this.marks) sealing.addMark(lsn(mark.lsn), mark.event);
    const packs = new PackStore({
      disk,
      dir,
      vaultId,
      seed,
      cipher,
      locate: (pack) => sealing.locate(pack),
      frameCacheBytes: options.frameCacheBytes ?? 64 * MIB,
    });
    const collector: Collector = new Collector({
      clock,
      sealing,
      packs,
      lastLsn: () => late.journal?.lastLsn ?? 0,
      bytesPerSecond: options.collectBytesPerSecond ?? 64 * MIB,
      sliceEntries,
      droppedBlocksMin: options.collectDroppedMin ?? 65_536,
      droppedShareMin: options.collectDroppedShare ?? 0.125,
      onTrouble: (error) => options.onTrouble?.(error),
    });
    const epoch = manifest.epoch + 1;
    const isExact = manifest.clean !== undefined || manifest.number === 0;
    const nextLsn =
      Math.max(this.lastLsn + 1, manifest.firstLsn) +
      (options.takesOver === true ? LSN_GAP_TAKEN_OVER : isExact ? 0 : LSN_GAP);
    if (readOnlyReason === undefined) {
      // The new epoch is durable before this writer writes anything (law 7), and so is where its LSNs begin.
      await sealing.publish({ epoch, firstLsn: nextLsn });
    }
    const journal = new Journal(
      {
        disk,
        clock,
        dir: `${dir}/journal`,
        vaultId,
        seed,
        cipher,
        epoch,
        fileBytes: identity.journalFileBytes,
        filesMax: options.journalFilesMax ?? 32,
        groupPages: options.groupPages ?? 1024,
        eagerPages: options.groupEagerPages ?? 64,
        lingerMs: options.groupLingerMs ?? 5,
        plantAnswerEarly: options.plant?.answerEarly ?? false,
        listener: this.listener(sealing, options, () => journal),
      },
      pool,
      recovered,
      lsn(readOnlyReason === undefined ? nextLsn : this.lastLsn + 1),
      micros(this.lastWall),
    );
    late.journal = journal;
    for (const state of this.replayed.values()) {
      const slot = pool.byName(state.file.slot)!;
      const durable = { sizeBytes: state.sizeBytes, lastLsn: lsn(state.lastLsn) };
      journal.adopt(slot, state.file.fileSequence, state.payloadOffsets, state.seals, durable);
    }
    if (readOnlyReason === undefined) {
      for (const state of this.replayed.values()) {
        sealing.enqueue({
          slot: state.file.slot,
          fileSequence: state.file.fileSequence,
          groupCount: state.file.groupCount,
          lastGroupSequence: state.lastGroupSequence,
          lastGroupChecksum: state.lastGroupChecksum,
          lastLsn: state.lastLsn,
          wall: state.wall,
        });
      }
      // Ahead of the first stretch, so that it finds its duplicates.
      void runner.run({ kind: "packs", packs: manifest.packs, index: true, quarantine: manifest.quarantine ?? [] });
      sealing.start(journal);
    } else {
      journal.close(new SternwayError("unavailable", `the vault is read-only: ${readOnlyReason}`));
    }
    return new Vault({
      disk,
      clock,
      dir,
      identity,
      journal,
      sealing,
      registry: this.registry,
      history,
      live: this.live,
      layers,
      packs,
      collector,
      pressure,
      recoveredLsn: lsn(this.lastLsn),
      writeBlocksMax: Math.min(WRITE_BLOCKS_MAX, options.groupPages ?? GROUP_PAGES_MAX),
      readOnlyReason,
      journalDamage: recovered.damage,
      restoreFile: options.restoreFile,
      mayLackManifests: options.takesOver === true || (options.readOnly === true && options.restoreFile !== undefined),
      active: this.active,
      close: async () => {
        this.sealTimer?.cancel();
        await packs.close();
        await layers.close();
        await chronicles.close();
        cipher?.wipe();
      },
    });
  }

  private listener(sealing: Sealing, options: VaultOptions, journal: () => Journal): JournalListener {
    const ends = new Map<number, { lastLsn: number; wall: number }>();
    return {
      fileOpened: (fileSequence) => {
        const memtable = new Memtable(fileSequence);
        this.active.memtable = memtable;
        const { memtables, layers } = sealing.versions.current;
        sealing.versions.advance([memtable, ...memtables], layers);
        // One file is open at a time, so one timer does; it must not keep a stopped vault's process alive.
        this.sealTimer?.cancel();
        this.sealTimer = options.clock.timer(options.sealAfterMs ?? 300_000, () => journal().rotate(fileSequence));
      },
      groupClosed: ({ fileSequence, lastLsn, wall }) => {
        this.live.closeGroup(wall);
        ends.set(fileSequence, { lastLsn, wall });
      },
      fileClosed: (file) => {
        const end = ends.get(file.fileSequence);
        ends.delete(file.fileSequence);
        // A file whose every group moved elsewhere holds nothing: it is released by the seal of an empty stretch.
        sealing.enqueue({ ...file, lastLsn: end?.lastLsn ?? sealing.manifest.sealed.lsn, wall: end?.wall ?? 0 });
      },
      relocated: (from, to, ordinals, fromLsn) => {
        const tables = sealing.versions.current.memtables;
        const source = tables.find((table) => table.fileSequence === from);
        const target = tables.find((table) => table.fileSequence === to);
        source?.copyGroups(target!, ordinals, LOCATION_GROUP, fromLsn);
        const end = ends.get(from);
        if (end) ends.set(to, end);
        ends.set(from, { lastLsn: fromLsn - 1, wall: end?.wall ?? 0 });
      },
    };
  }
}

function refuseWhenFull(journal: Journal | undefined, error: SternwayError | undefined): void {
  if (!error) {
    journal?.refuse(undefined);
    return;
  }
  const code = error.facts["code"] === "ENOSPC" ? "ENOSPC" : "EIO";
  const message = `the journal is full and cannot be sealed: ${error.message}`;
  journal?.refuse(new SternwayError("unavailable", message, { code }, { cause: error }));
}

const describeDamage = (damage: { slot: string; offset: number; message: string }): string =>
  `journal file ${damage.slot} is damaged at ${damage.offset}: ${damage.message}`;
