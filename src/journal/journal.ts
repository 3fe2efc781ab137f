/**
 * The door of the room: the journal, which makes an answered FLUSH durable (law 1).
 *
 * Appends are sequenced at once into a filling group; groups are written one at a time to prewritten files, and a group's
 * completion makes everything up to its last LSN durable. While one group is being written the next one fills, so the
 * more clients wait, the larger the groups. A lone plain write does not start a group: a FLUSH usually follows and takes
 * it along, else the linger timer does.
 *
 * Files are slots that are recycled: free → open → closed (waits for the sealer) → free. A slot whose write failed is never
 * used again, since nobody knows what it holds; its unfinished groups move to a new file.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { SternwayError } from "../base/errors.ts";
import { lsn, micros, type Lsn, type Micros } from "../base/units.ts";
import type { FileCipher, VaultCipher } from "../security/cipher.ts";
import { notSealedHere, WRITER_SALT_BYTES } from "../security/cipher.ts";
import { PAGE_SIZE } from "./format.ts";
import { journalCipher, type GroupSeal } from "./group-seal.ts";
import { FillingGroup } from "./group.ts";
import type { Recovered } from "./recover.ts";
import { SlotPool, type Slot } from "./slots.ts";

export interface JournalOptions {
  disk: Disk;
  clock: Clock;
  dir: string;
  vaultId: Uint8Array;
  seed: bigint;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  epoch: number;
  /** Size of one file; a multiple of 4,096. */
  fileBytes: number;
  /** At most so many files; together they bound what may wait for the sealer. As the slot pool's. */
  filesMax: number;
  /** Payload pages of one group. */
  groupPages: number;
  /** A filling group of so many pages is written without waiting for a flush. */
  eagerPages: number;
  /** A plain write waits at most so long for company. */
  lingerMs: number;
  listener: JournalListener;
  /** Test hook for planted bugs: answers before the group is durable (breaks law 1). */
  plantAnswerEarly?: boolean;
}

/** What the vault is told, synchronously. */
export interface JournalListener {
  /** Appends from now on go to this file. */
  fileOpened(fileSequence: number): void;
  /** A group has its time; its appends are complete. */
  groupClosed(group: { fileSequence: number; firstLsn: Lsn; lastLsn: Lsn; wall: Micros }): void;
  /** All groups of the file are durable: it can be sealed. */
  fileClosed(file: ClosedFile): void;
  /** Unfinished groups, from `fromLsn` on, moved to another file after a failed write; `ordinals` maps their old place to the new one. */
  relocated(from: number, to: number, ordinals: Map<number, number>, fromLsn: Lsn): void;
}

export interface ClosedFile {
  slot: string;
  fileSequence: number;
  groupCount: number;
  lastGroupSequence: number;
  lastGroupChecksum: bigint;
}

/** Where an append went. Reused by the next append: read it at once. */
export interface Placement {
  lsn: Lsn;
  fileSequence: number;
  /** Group ordinal in its file × 4,096 + first payload page in the group. */
  location: number;
  /** Fingerprints of its pages are `prints[printsFrom…]`. */
  prints: BigUint64Array;
  printsFrom: number;
}

/** How far one file is durable: the piece of the journal's tail that lies in it. */
export interface TailFile {
  slot: string;
  fileSequence: number;
  /** Of whole durable groups. */
  sizeBytes: number;
  /** The newest LSN in them. */
  lastLsn: Lsn;
  /** No further group comes. */
  isClosed: boolean;
}

interface FileState {
  slot: Slot;
  fileSequence: number;
  /** Groups opened in it so far: the next one's ordinal. */
  opened: number;
  /** Groups that have their place in it. */
  laid: number;
  /** Offset of each placed group's payload, by ordinal. */
  payloadOffsets: number[];
  /** In an encrypted vault: what groups written here are sealed with, and what opens each, by ordinal. */
  cipher: FileCipher | undefined;
  seals: (GroupSeal | undefined)[];
  /** Where the next group goes. */
  end: number;
  /** The end of the newest group known to be durable here, and its last LSN. */
  durableEnd: number;
  durableLsn: Lsn;
  /** No further group will be opened in it. */
  full: boolean;
  closedReported: boolean;
  lastGroupSequence: number;
  lastGroupChecksum: bigint;
  /** After a failed write: where its unfinished groups went, by their old ordinal. */
  moved?: { to: FileState; ordinals: ReadonlyMap<number, number> };
}

interface Waiter {
  lsn: Lsn;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export const LOCATION_GROUP = 4096;
/** Files that one group is tried in: a disk that refuses so many in a row refuses the next one too, and each costs its space. */
const ATTEMPTS_MAX = 4;

export class Journal {
  /** Everything up to here is durable. */
  durableLsn: Lsn;
  /** The newest LSN given out. */
  lastLsn: Lsn;
  readonly placed: Placement;
  /** Groups written, for metrics. */
  groupCount = 0;
  groupBytes = 0;
  lastGroupMicros = 0;
  /** Told after each group that became durable; must not throw. */
  onDurable: (() => void) | undefined;

  private readonly options: JournalOptions;
  /** In an encrypted vault: memory for the sealed copy of the group that is being written, and the salt of this writer's keys. */
  private readonly sealed: { memory: Uint8Array; cipher: VaultCipher; writerSalt: Uint8Array } | undefined;
  private readonly slots: SlotPool;
  private readonly files = new Map<number, FileState>();
  private current: FileState | undefined;
  private filling: FillingGroup;
  private fillingFile: FileState | undefined;
  private spare: FillingGroup;
  private inFlight: { group: FillingGroup; file: FileState; done: Promise<void> } | undefined;
  /** The group that could not be written before the journal gave up: it can still be read. */
  private stranded: { group: FillingGroup; file: FileState } | undefined;
  private commitWanted = false;
  private linger: Timer | undefined;
  private waiters: Waiter[] = [];
  private roomWaiters: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  private nextFileSequence: number;
  private groupSequence: number;
  private groupChecksum: bigint;
  private lastWall = 0;
  private failure: SternwayError | undefined;
  private refusal: SternwayError | undefined;

  constructor(options: JournalOptions, slots: SlotPool, recovered: Recovered, nextLsn: Lsn, lastWall: Micros) {
    this.options = options;
    this.slots = slots;
    this.lastLsn = lsn(nextLsn - 1);
    this.durableLsn = this.lastLsn;
    this.lastWall = lastWall;
    this.nextFileSequence = recovered.lastFileSequence + 1;
    this.groupSequence = recovered.lastGroupSequence;
    this.groupChecksum = recovered.lastGroupChecksum;
    const { disk, groupPages, seed, cipher } = options;
    this.filling = new FillingGroup(disk, groupPages, seed, cipher !== undefined);
    this.spare = new FillingGroup(disk, groupPages, seed, cipher !== undefined);
    this.sealed = cipher && {
      memory: disk.allocate(this.filling.bytesMax),
      cipher,
      writerSalt: cipher.newSalt(WRITER_SALT_BYTES),
    };
    this.placed = { lsn: this.lastLsn, fileSequence: 0, location: 0, prints: this.filling.prints, printsFrom: 0 };
    slots.onFree = () => this.wakeRoomWaiters();
    slots.onStuck = () => this.refuse(this.refusal);
  }

  /** Sequences one operation, if there is room now. @returns false: wait for {@link room}, then try again */
  append(kind: number, strand: number, a: number, b: number, data: Uint8Array | undefined): boolean {
    if (this.failure) throw this.failure;
    const pages = data ? Math.ceil(data.length / PAGE_SIZE) : 0;
    assert(pages <= this.options.groupPages, "an append fits a group");
    if (!this.fillingFile && !this.openGroup(pages)) return false;
    const group = this.filling;
    const file = this.fillingFile!;
    if (!group.hasRoomFor(pages)) {
      this.commit();
      return false;
    }
    const page = data ? group.addPages(data) : 0;
    group.addEntry(kind, strand, a, b, page);
    this.lastLsn = lsn(this.lastLsn + 1);
    const { placed } = this;
    placed.lsn = this.lastLsn;
    placed.fileSequence = file.fileSequence;
    placed.location = group.ordinal * LOCATION_GROUP + page;
    placed.prints = group.prints;
    placed.printsFrom = page;
    return true;
  }

  /** To be called after the bookkeeping of an append: starts writing when enough has come together, else within the linger time. */
  pace(): void {
    if (this.filling.pageCount >= this.options.eagerPages && this.fillingFile) this.commit();
    else this.armLinger();
  }

  /** Resolves when an append may succeed. @throws unavailable: no file is free, and the vault refuses writes until one is */
  room(): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    if (this.refusal && this.isOutOfFiles) return Promise.reject(this.refusal);
    return new Promise((resolve, reject) => this.roomWaiters.push({ resolve, reject }));
  }

  /** True when appends wait for a file that only the sealer can free: not merely for a group, or for one that is being made. */
  get isOutOfFiles(): boolean {
    return !this.current && !this.slots.hasFree && !this.slots.isCreating;
  }

  /** Share of the files that wait for the sealer, 0 to 1. */
  get fill(): number {
    return Math.min(1, this.files.size / this.options.filesMax);
  }

  /** Makes writers that wait for a free file fail with `error` until it is lifted with undefined. Those that find room go on. */
  refuse(error: SternwayError | undefined): void {
    this.refusal = error;
    if (!error || !this.isOutOfFiles) return;
    for (const waiter of this.roomWaiters.splice(0)) waiter.reject(error);
  }

  /** Resolves when `target` is durable; asks for its group to be written. */
  durable(target: Lsn): Promise<void> {
    if (target <= this.durableLsn) return Promise.resolve();
    if (this.failure) return Promise.reject(this.failure);
    const promise = new Promise<void>((resolve, reject) => this.waiters.push({ lsn: target, resolve, reject }));
    // What the group in flight already holds needs no further one.
    const inFlight = this.inFlight?.group;
    if (!inFlight || target >= inFlight.firstLsn + inFlight.lsnCount) this.commit();
    if (this.options.plantAnswerEarly === true) {
      promise.catch(() => undefined);
      return Promise.resolve();
    }
    return promise;
  }

  /** Ends the current file early, so that what it holds can be sealed. fileClosed tells when. @param only - if it is this one */
  rotate(only?: number): void {
    const file = this.current;
    if (!file || file.opened === 0 || (only !== undefined && file.fileSequence !== only)) return;
    this.endFile(file);
    if (this.fillingFile === file) this.commit();
  }

  /**
   * Copies payload pages of an append into `into`, from memory while its group is not yet written. The caller keeps the file from
   * being released meanwhile.
   * @param location - as in {@link Placement}
   */
  async read(fileSequence: number, location: number, into: Uint8Array): Promise<void> {
    let file = this.files.get(fileSequence);
    assert(file !== undefined, "a journal file is read only while it is held");
    let ordinal = Math.floor(location / LOCATION_GROUP);
    // A reader whose version is older than the move still knows the old place.
    for (let next = file.moved?.ordinals.get(ordinal); next !== undefined; next = file.moved?.ordinals.get(ordinal)) {
      file = file.moved!.to;
      ordinal = next;
    }
    const page = location % LOCATION_GROUP;
    const group = this.groupInMemory(file, ordinal);
    if (group) {
      for (let i = 0; i * PAGE_SIZE < into.length; i++) into.set(group.page(page + i), i * PAGE_SIZE);
      return;
    }
    const offset = file.payloadOffsets[ordinal];
    assert(offset !== undefined, "a written group has its place");
    const got = await file.slot.file.read(into, offset + page * PAGE_SIZE);
    if (got !== into.length) throw new SternwayError("corrupt", `journal file ${file.slot.name} is too short`);
    if (this.sealed && file.seals[ordinal]?.openPages(into, page) !== true) {
      throw notSealedHere(`journal file ${file.slot.name} at ${offset + page * PAGE_SIZE}`);
    }
  }

  /** The files that wait for the sealer or for readers, oldest first, each with its groups that are durable: for the check. */
  held(): { slot: string; fileSequence: number; groupCount: number }[] {
    return [...this.files.values()].map((file) => ({
      slot: file.slot.name,
      fileSequence: file.fileSequence,
      groupCount: this.inFlight?.file === file ? file.laid - 1 : file.laid,
    }));
  }

  /** The files that are not sealed yet, or still held by a reader, oldest first; those that hold nothing durable are left out. */
  tail(): TailFile[] {
    return [...this.files.values()]
      .filter((file) => file.durableEnd > 0)
      .map(({ slot, fileSequence, durableEnd, durableLsn, closedReported }) => ({
        slot: slot.name,
        fileSequence,
        sizeBytes: durableEnd,
        lastLsn: durableLsn,
        isClosed: closedReported,
      }));
  }

  /** Reads durable bytes of a file as they are stored. @returns false: the file was recycled meanwhile, and what was read means nothing */
  async readStored(fileSequence: number, into: Uint8Array, offset: number): Promise<boolean> {
    const file = this.files.get(fileSequence);
    if (!file || offset + into.length > file.durableEnd) return false;
    const got = await file.slot.file.read(into, offset);
    if (this.files.get(fileSequence) !== file) return false;
    if (got !== into.length) throw new SternwayError("corrupt", `journal file ${file.slot.name} is too short`);
    return true;
  }

  /** Recycles a file: it is sealed, the manifest says so, and nobody reads from it any more. */
  release(fileSequence: number): void {
    const file = this.files.get(fileSequence);
    assert(file?.closedReported === true, "only a closed file is released");
    this.files.delete(fileSequence);
    this.slots.give(file.slot);
  }

  /** Registers files that recovery found, so that they can be read and released like others. @param seals - of their groups, in an encrypted vault */
  adopt(
    slot: Slot,
    fileSequence: number,
    payloadOffsets: number[],
    seals: (GroupSeal | undefined)[] = [],
    durable: { sizeBytes: number; lastLsn: Lsn } = { sizeBytes: 0, lastLsn: lsn(0) },
  ): void {
    this.slots.take(slot);
    this.files.set(fileSequence, {
      slot,
      fileSequence,
      opened: payloadOffsets.length,
      laid: payloadOffsets.length,
      payloadOffsets,
      cipher: undefined,
      seals,
      end: durable.sizeBytes,
      durableEnd: durable.sizeBytes,
      durableLsn: durable.lastLsn,
      full: true,
      closedReported: true,
      lastGroupSequence: 0,
      lastGroupChecksum: 0n,
    });
  }

  /**
   * Makes everything durable and takes no appends any more; {@link closeFiles} comes when nobody reads any more.
   * @returns the last group's sequence, for the clean-stop mark; undefined when not everything could be made durable
   */
  async stop(): Promise<number | undefined> {
    while (!this.failure && (this.inFlight || this.fillingFile)) {
      this.commit();
      await this.inFlight?.done;
    }
    this.linger?.cancel();
    const isWhole = !this.failure;
    this.failure ??= new SternwayError("unavailable", "the journal is stopped");
    for (const waiter of this.roomWaiters.splice(0)) waiter.reject(this.failure);
    return isWhole ? this.groupSequence : undefined;
  }

  /** Closes the files. */
  async closeFiles(): Promise<void> {
    await this.slots.close();
  }

  /** Takes no appends any more: a vault that is only read, or whose writer is another one now. Reading goes on; who waits gets the reason. */
  close(reason: SternwayError): void {
    this.failure = reason;
    for (const waiter of this.waiters.splice(0)) waiter.reject(reason);
    for (const waiter of this.roomWaiters.splice(0)) waiter.reject(reason);
  }

  private openGroup(pages: number): boolean {
    const { groupPages, fileBytes } = this.options;
    const pagesWorth = Math.max(pages, Math.min(16, groupPages));
    const needed = FillingGroup.bytesNeeded(pagesWorth, groupPages, this.sealed !== undefined);
    if (this.current && fileBytes - this.current.end < needed) this.endFile(this.current);
    this.current ??= this.openFile();
    if (!this.current) return false;
    this.fillingFile = this.current;
    this.filling.open(this.current.opened++, this.lastLsn + 1, fileBytes - this.current.end);
    return true;
  }

  private openFile(): FileState | undefined {
    const slot = this.slots.takeFree();
    if (!slot) return undefined;
    const fileSequence = this.nextFileSequence++;
    const { epoch } = this.options;
    const file: FileState = {
      slot,
      fileSequence,
      opened: 0,
      laid: 0,
      payloadOffsets: [],
      cipher: this.sealed && journalCipher(this.sealed.cipher, { ...this.sealed, fileSequence, epoch }),
      seals: [],
      end: 0,
      durableEnd: 0,
      durableLsn: this.durableLsn,
      full: false,
      closedReported: false,
      lastGroupSequence: 0,
      lastGroupChecksum: 0n,
    };
    this.files.set(file.fileSequence, file);
    this.options.listener.fileOpened(file.fileSequence);
    return file;
  }

  private endFile(file: FileState): void {
    file.full = true;
    if (this.current === file) this.current = undefined;
    this.maybeReportClosed(file);
  }

  private maybeReportClosed(file: FileState): void {
    if (!file.full || file.closedReported || this.inFlight?.file === file || this.fillingFile === file) return;
    file.closedReported = true;
    this.options.listener.fileClosed({
      slot: file.slot.name,
      fileSequence: file.fileSequence,
      groupCount: file.laid,
      lastGroupSequence: file.lastGroupSequence,
      lastGroupChecksum: file.lastGroupChecksum,
    });
  }

  /** Writes the filling group, now or as soon as the one in flight is done. */
  private commit(): void {
    this.commitWanted = true;
    if (!this.inFlight) this.issue();
  }

  private issue(): void {
    const file = this.fillingFile;
    if (this.failure || !file || this.filling.isEmpty) {
      this.commitWanted = false;
      return;
    }
    this.commitWanted = false;
    const group = this.filling;
    this.filling = this.spare;
    this.spare = group;
    this.fillingFile = undefined;
    this.lastWall = Math.max(this.options.clock.wall(), this.lastWall);
    this.groupSequence++;
    this.options.listener.groupClosed({
      fileSequence: file.fileSequence,
      firstLsn: lsn(group.firstLsn),
      lastLsn: lsn(group.firstLsn + group.lsnCount - 1),
      wall: micros(this.lastWall),
    });
    this.inFlight = { group, file, done: Promise.resolve() };
    this.inFlight.done = this.write(group, file);
  }

  /** Writes a closed group; after an error, again in another file, until none is left. */
  private async write(group: FillingGroup, into: FileState): Promise<void> {
    let file = into;
    for (let attempt = 1; ; attempt++) {
      const { bytes, checksum } = this.lay(group, file);
      const started = this.options.clock.monotonic();
      try {
        await file.slot.file.write(bytes, file.end - bytes.length);
      } catch (error) {
        file.slot.failed = true;
        // A new vault has one file only until its next one is prewritten: wait for that rather than give up.
        if ((!this.current || this.current === file) && !this.slots.hasFree) await this.slots.provideNow();
        const other = attempt < ATTEMPTS_MAX ? this.relocate(group, file, error) : this.giveUp(file, error);
        if (!other) return;
        file = other;
        continue;
      }
      this.groupCount++;
      this.groupBytes += bytes.length;
      this.lastGroupMicros = this.options.clock.monotonic() - started;
      this.groupChecksum = checksum;
      this.inFlight = undefined;
      this.durableLsn = lsn(group.firstLsn + group.lsnCount - 1);
      file.durableEnd = file.end;
      file.durableLsn = this.durableLsn;
      this.maybeReportClosed(file);
      this.settle();
      return;
    }
  }

  /** Gives a group its place at the end of a file. */
  private lay(group: FillingGroup, file: FileState): { bytes: Uint8Array; checksum: bigint } {
    const { clock, vaultId, seed, cipher, epoch } = this.options;
    const closed = group.close(
      { vaultId, seed, cipher, fileSequence: file.fileSequence },
      {
        epoch,
        groupSequence: this.groupSequence,
        wall: micros(this.lastWall),
        monotonic: clock.monotonic(),
        previousChecksum: this.groupChecksum,
        durableLsn: this.durableLsn,
        writerSalt: this.sealed?.writerSalt,
      },
      this.sealed && { cipher: file.cipher!, into: this.sealed.memory },
    );
    file.seals[group.ordinal] = closed.seal;
    file.payloadOffsets[group.ordinal] = file.end + group.headerBytes;
    file.laid++;
    file.end += closed.bytes.length;
    file.lastGroupSequence = this.groupSequence;
    file.lastGroupChecksum = closed.checksum;
    return closed;
  }

  /** After a durable group: answers, starts the next one if asked, lets writers in. */
  private settle(): void {
    let ready = 0;
    while (ready < this.waiters.length && this.waiters[ready]!.lsn <= this.durableLsn) ready++;
    const answered = this.waiters.splice(0, ready);
    if (this.commitWanted || this.waiters.length > 0) this.issue();
    for (const waiter of answered) waiter.resolve();
    this.wakeRoomWaiters();
    this.onDurable?.();
  }

  private wakeRoomWaiters(): void {
    for (const waiter of this.roomWaiters.splice(0)) waiter.resolve();
  }

  /**
   * Law 1 after EIO: never retry the same file. The unfinished groups move to a new one.
   * @returns undefined: there is none, and the journal takes no more writes
   */
  private relocate(group: FillingGroup, from: FileState, cause: unknown): FileState | undefined {
    from.laid--;
    from.lastGroupSequence = this.groupSequence - 1;
    from.lastGroupChecksum = this.groupChecksum;
    if (this.current === from) this.current = undefined;
    // What fills already has later LSNs: this group goes before it, into its file, even when that was closed to further groups.
    const ahead = this.fillingFile === from ? undefined : this.fillingFile;
    const to = ahead ?? this.current ?? this.openFile();
    if (!to) return this.giveUp(from, cause);
    if (!to.full) this.current = to;
    const ordinals = new Map([[group.ordinal, to.opened]]);
    group.ordinal = to.opened++;
    if (this.fillingFile === from) {
      ordinals.set(this.filling.ordinal, to.opened);
      this.filling.ordinal = to.opened++;
      this.fillingFile = to;
    }
    this.inFlight!.file = to;
    from.moved = { to, ordinals };
    this.options.listener.relocated(from.fileSequence, to.fileSequence, ordinals, lsn(group.firstLsn));
    from.full = true;
    this.maybeReportClosed(from);
    return to;
  }

  private giveUp(file: FileState, cause: unknown): undefined {
    const message = `writing to journal file ${file.slot.name} failed and no other file is free: the vault takes no more writes`;
    this.fail(new SternwayError("unavailable", message, { code: "EIO" }, { cause }));
    return undefined;
  }

  private fail(error: SternwayError): void {
    this.failure = error;
    this.stranded = this.inFlight;
    this.inFlight = undefined;
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    for (const waiter of this.roomWaiters.splice(0)) waiter.reject(error);
  }

  private groupInMemory(file: FileState, ordinal: number): FillingGroup | undefined {
    if (this.fillingFile === file && this.filling.ordinal === ordinal) return this.filling;
    const written = this.inFlight ?? this.stranded;
    if (written?.file === file && written.group.ordinal === ordinal) return written.group;
    return undefined;
  }

  private armLinger(): void {
    if (this.linger) return;
    this.linger = this.options.clock.timer(this.options.lingerMs, () => {
      this.linger = undefined;
      this.commit();
    });
  }
}
