/**
 * Opens a vault: identity, newest manifest, journal recovery, and the parts wired together.
 */
import type { Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { lsn, micros } from "../base/units.ts";
import { GROUP_ENTRIES_MAX, GROUP_PAGES_MAX } from "../journal/format.ts";
import { Journal, LOCATION_GROUP, type JournalListener } from "../journal/journal.ts";
import { recover, type Recovered } from "../journal/recover.ts";
import { SlotPool } from "../journal/slots.ts";
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
import { Registry } from "./registry.ts";
import { Replay } from "./replay.ts";
import { inlineSealer, type SealerRunner } from "./sealing/sealer-runner.ts";
import { Sealing } from "./sealing/sealing.ts";
import { assertEmpty, makeFolders } from "./vault-folder.ts";
import type { VaultOptions } from "./vault-options.ts";
import { Vault, WRITE_BLOCKS_MAX } from "./vault.ts";

export type { Plants, VaultOptions } from "./vault-options.ts";

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
  const { disk, dir, random, readOnly = false, journalFileBytes = 64 * MIB, encrypt, openedAs } = options;
  if (!readOnly) {
    await makeFolders(disk, dir);
    const isNew = (await disk.sizeOf(identityPath(dir))) === undefined;
    if (isNew) await createIdentity(disk, dir, random, { journalFileBytes, encrypt });
  }
  const identity = await openIdentity(disk, dir, random, options.unlock ?? encrypt, {
    observe: options.plant?.onSeal,
    mustBeEncrypted: options.mustBeEncrypted ?? openedAs?.isEncrypted ?? false,
    openedAs: openedAs && { id: idText(openedAs.parts.identity.id), cipher: openedAs.parts.identity.cipher },
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

class Opening {
  private readonly options: VaultOptions;
  private readonly identity: VaultIdentity;
  private readonly manifest: Manifest;
  private readonly loaded: LoadedManifest;
  private readonly registry: Registry;
  private readonly sealedRegistry: Registry;
  private readonly live = new ChronicleBuilder();
  private readonly replay: Replay;
  private readonly active: { memtable: Memtable | undefined } = { memtable: undefined };
  private sealTimer: Timer | undefined;
  private runner: SealerRunner | undefined;

  constructor(options: VaultOptions, identity: VaultIdentity, loaded: LoadedManifest) {
    this.options = options;
    this.identity = identity;
    this.loaded = loaded;
    this.manifest = loaded.manifest;
    this.registry = new Registry(loaded.manifest.registry);
    this.sealedRegistry = new Registry(loaded.manifest.registry);
    this.replay = new Replay(loaded.manifest, this.registry, this.live);
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
      this.loaded.damage ??
      (recovered.damage && describeDamage(recovered.damage)) ??
      this.replay.newerWriter(recovered);
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
      (group, file, ordinal) => this.replay.add(group, file, ordinal),
    );
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
    const memtables = [...this.replay.files.values()].map((state) => state.memtable).reverse();
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
    for (const mark of this.replay.marks) sealing.addMark(lsn(mark.lsn), mark.event);
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
      Math.max(this.replay.lastLsn + 1, manifest.firstLsn) +
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
      lsn(readOnlyReason === undefined ? nextLsn : this.replay.lastLsn + 1),
      micros(this.replay.lastWall),
    );
    late.journal = journal;
    for (const state of this.replay.files.values()) {
      const slot = pool.byName(state.file.slot)!;
      const durable = { sizeBytes: state.sizeBytes, lastLsn: lsn(state.lastLsn) };
      journal.adopt(slot, state.file.fileSequence, state.payloadOffsets, state.seals, durable);
    }
    if (readOnlyReason === undefined) {
      for (const state of this.replay.files.values()) {
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
      recoveredLsn: lsn(this.replay.lastLsn),
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
