/**
 * Machines: volumes that belong together and are restored to one moment. Which they are is noted in the catalog, and is all that is lost with it: what was
 * bookmarked, rolled back and branched lies in the vaults, and a machine that is made anew from the same volumes finds its bookmarks again.
 */
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import type { Micros } from "../base/units.ts";
import { type FrozenTable, type Machine, type MachineTable, type VolumeReference } from "../catalog/catalog.ts";
import type { BookmarkScripts } from "../contract/scripts.ts";
import type { Log } from "../observe/log.ts";
import { parseMoment } from "../volume/moment.ts";
import type { VolumeInfo, Volumes } from "../volume/volumes.ts";
import { cut, stamp } from "./bookmark-text.ts";
import { aroundBookmark, type ScriptContext, type Surrounded } from "./around-bookmark.ts";
import { FrozenNotes } from "./frozen-notes.ts";
import {
  bookmarkAll,
  branchAll,
  branchNames,
  removeFromAll,
  requireDetached,
  requireFreeName,
  rollbackAll,
  toMachineBookmark,
  type MachineBookmark,
  type VolumeRollback,
} from "./machine-history.ts";
import { momentOfAll, requireOne, type MachineMoment } from "./machine-moment.ts";
import type { ScriptFolder } from "./script-folder.ts";
import { identityOf, meantAmong, referenceOf, volumeMeant, whyMissing, type FindMeant } from "./volume-reference.ts";

/** A bookmark's note has 1,024 bytes: these are for what somebody wrote, and the rest for what is added here. */
const NOTE_BYTES_MAX = 600;
const ADDED_BYTES_MAX = 250;

export interface MachineState extends Omit<Machine, "volumes"> {
  volumes: VolumeInfo[];
  missing: (VolumeReference & { reason: string })[];
}

export interface BookmarkRequest {
  name: string;
  /** A moment as people write it; default: now, which is made durable first. */
  at?: string | undefined;
  note?: string | undefined;
  approximate?: boolean | undefined;
  /** Around a bookmark of the present. */
  scripts?: BookmarkScripts | undefined;
  /** Put at the end of the note. */
  mark?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface MachineDeskOptions {
  volumes: Volumes;
  table: MachineTable;
  frozen: FrozenTable;
  folder: ScriptFolder;
  clock: Clock;
  log: Log;
  tell: ScriptContext["tell"];
  /** The appliance stops: what has not begun does not begin, and scripts come to their end. */
  stopping: AbortSignal;
}

/** Every method throws not_found for an unknown machine, and conflict where one of its volumes is needed and cannot be had. */
export class MachineDesk {
  private readonly options: MachineDeskOptions;
  private readonly frozen: FrozenNotes;
  /** What is being done to machines and volumes now: one thing at a time, since scripts freeze and thaw. */
  private readonly busy = new Map<string, Promise<unknown>>();
  /** What the catalog has: asked for with each event and request, and changed here alone. */
  private records: readonly Machine[] | undefined;
  /** The machines' names by what their volumes are; forgotten with the records. */
  private machinesByVolume: Map<string, string> | undefined;

  constructor(options: MachineDeskOptions) {
    this.options = options;
    this.frozen = new FrozenNotes(options);
  }

  /** Resolves when nothing is being done. */
  async idle(): Promise<void> {
    while (this.busy.size > 0) await Promise.all(this.busy.values());
  }

  /** By name. */
  list(): MachineState[] {
    const infos = this.options.volumes.list();
    const meant = meantAmong(infos);
    return this.all().map((machine) => stateOf(machine, infos, meant));
  }

  get(name: string): MachineState {
    return stateOf(this.record(name), this.options.volumes.list());
  }

  /** Names of a machine's volumes; none where there is no such machine. */
  volumesOf(name: string): string[] {
    if (!this.all().some((machine) => machine.name === name)) return [];
    return this.get(name).volumes.map((volume) => volume.name);
  }

  /** The machine that a volume belongs to. */
  machineOf(volume: string): string | undefined {
    const info = this.options.volumes.list().find((each) => each.name === volume);
    return info && this.byVolume().get(identityOf(info));
  }

  /** The machines of all volumes that belong to one, by the volumes' names: for lists, which would otherwise be gone through once for each of their lines. */
  owners(): ReadonlyMap<string, string> {
    const machines = this.byVolume();
    return new Map(
      this.options.volumes.list().flatMap((info): [string, string][] => {
        const machine = machines.get(identityOf(info));
        return machine === undefined ? [] : [[info.name, machine]];
      }),
    );
  }

  /** @throws conflict: the name is taken, or a volume belongs to another machine; not_found: no such volume */
  add(wanted: {
    name: string;
    description: string;
    volumes: readonly string[];
    scripts: BookmarkScripts | null;
  }): MachineState {
    const { table, clock } = this.options;
    const volumes = this.references(wanted.name, wanted.volumes);
    table.add({ ...wanted, volumes, createdAt: clock.wall() });
    this.forget();
    return this.get(wanted.name);
  }

  /** @throws conflict: a volume belongs to another machine; not_found: no such volume */
  change(
    name: string,
    change: {
      description?: string | undefined;
      volumes?: readonly string[] | undefined;
      scripts?: BookmarkScripts | null | undefined;
    },
  ): MachineState {
    const { description, volumes, scripts } = change;
    this.options.table.change(name, {
      ...(description === undefined ? {} : { description }),
      ...(scripts === undefined ? {} : { scripts }),
      ...(volumes === undefined ? {} : { volumes: this.references(name, volumes) }),
    });
    this.forget();
    return this.get(name);
  }

  /** Forgets that they belong together. */
  remove(name: string): void {
    this.options.table.remove(name);
    this.forget();
  }

  async resolve(name: string, at: string): Promise<MachineMoment> {
    return await this.moment(this.members(name), at);
  }

  /** Those that all volumes have, oldest first. */
  bookmarks(name: string): MachineBookmark[] {
    const members = this.members(name);
    const [first, ...others] = members.map((info) => ({ info, bookmarks: this.options.volumes.bookmarks(info.name) }));
    const common = (first?.bookmarks ?? []).flatMap((bookmark) => {
      const found = [{ info: first!.info, bookmark }];
      for (const { info, bookmarks } of others) {
        const same = bookmarks.find((each) => each.name === bookmark.name);
        if (!same) return [];
        found.push({ info, bookmark: same });
      }
      return [toMachineBookmark(bookmark.name, found)];
    });
    return common.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Bookmarks all volumes of a machine at one moment, between its scripts. @throws conflict: the name is taken on one of them */
  async bookmark(name: string, request: BookmarkRequest): Promise<Surrounded<MachineBookmark>> {
    return await this.bookmarkOf(this.members(name), name, request);
  }

  /** The same of one volume. */
  async bookmarkVolume(volume: string, request: BookmarkRequest): Promise<Surrounded<MachineBookmark>> {
    return await this.bookmarkOf([this.options.volumes.get(volume)], "", request);
  }

  async removeBookmark(name: string, bookmark: string): Promise<void> {
    const names = this.members(name).map((info) => info.name);
    await removeFromAll(this.options.volumes, names, bookmark);
  }

  /** Sets all volumes back to one moment; the state before is bookmarked first. */
  async rollback(
    name: string,
    to: string,
    options: { force?: boolean | undefined; approximate?: boolean | undefined },
  ): Promise<{ undo: string; volumes: VolumeRollback[] }> {
    return await this.alone(`machine ${name}`, async () => {
      const { volumes, clock } = this.options;
      const members = this.members(name);
      const force = options.force ?? false;
      const moment = await this.moment(members, to);
      requireOne(moment, to, options.approximate);
      requireDetached(members, force);
      const undo = this.freeUndoName(members, clock.wall());
      const before = await momentOfAll(volumes, members, { kind: "now" }, clock.wall());
      // Also the proof that each vault can be written to.
      await bookmarkAll(volumes, before, undo, `machine ${name} before it was rolled back to ${to}`);
      return { undo: `bookmark:${undo}`, volumes: await rollbackAll(volumes, moment, before, force) };
    });
  }

  /** Branches all volumes at one moment; all of them or none. */
  async branch(
    name: string,
    at: string,
    options: { prefix?: string | undefined; suffix?: string | undefined; approximate?: boolean | undefined },
  ): Promise<VolumeInfo[]> {
    const { volumes } = this.options;
    const members = this.members(name);
    const names = branchNames(volumes, members, options);
    const moment = await this.moment(members, at);
    requireOne(moment, at, options.approximate);
    return await branchAll(volumes, moment, names);
  }

  /** Runs the scripts after bookmarks that an appliance which was killed owes, and tells of each. Never rejects. */
  async thawLeftovers(): Promise<void> {
    try {
      await this.alone("what was left frozen", () => this.frozen.thawAll(this.options.volumes.list()));
    } catch (error) {
      if (!(error instanceof SternwayError)) throw error;
      this.options.log.error({ err: error }, "what scripts may have left frozen could not be thawed");
    }
  }

  /**
   * The encrypted vault that a machine has volumes in: nothing that names the machine may be kept in the clear. Where a volume is not to be had, because its
   * vault is closed or it was deleted, its vault may be encrypted unless it is known to be plain.
   * @param vaultNaming - the encrypted vault that has a volume of a name
   */
  secretVaultOf(
    machine: string,
    vaultNaming: (volume: string) => string | undefined,
    isPlain: (vault: string) => boolean,
  ): string | undefined {
    const record = this.all().find((each) => each.name === machine);
    if (!record) return undefined;
    const infos = this.options.volumes.list();
    for (const reference of record.volumes) {
      const info = volumeMeant(infos, reference);
      const vault = info ? vaultNaming(info.name) : isPlain(reference.vault) ? undefined : reference.vault;
      if (vault !== undefined) return vault;
    }
    return undefined;
  }

  private async bookmarkOf(
    members: readonly VolumeInfo[],
    machine: string,
    request: BookmarkRequest,
  ): Promise<Surrounded<MachineBookmark>> {
    const { volumes, folder, clock, log, tell, stopping } = this.options;
    const { name: bookmark, at = "now", note = "", mark, approximate } = request;
    const signal = request.signal ? AbortSignal.any([request.signal, stopping]) : stopping;
    if (Buffer.byteLength(note) > NOTE_BYTES_MAX) {
      throw new SternwayError("invalid", `a note has at most ${NOTE_BYTES_MAX} bytes here`);
    }
    const names = members.map((info) => info.name);
    const subject = machine === "" ? `volume ${names.join(", ")}` : `machine ${machine}`;
    return await this.alone(subject, async () => {
      // Before anything is frozen for nothing.
      requireFreeName(volumes, names, bookmark);
      const isPresent = parseMoment(at).kind === "now";
      const scripts = isPresent ? request.scripts : undefined;
      const noteFrozen = (script: string, timeoutSeconds: number) =>
        this.frozen.note({ script, timeoutSeconds, machine, volumes: members.map(referenceOf), since: clock.wall() });
      const around = { folder, clock, log, machine, volumes: names, bookmark, signal, noteFrozen, tell };
      return await aroundBookmark(scripts, around, async (consistency) => {
        const moment = await this.moment(members, at);
        requireOne(moment, at, approximate);
        const parts = [note, machine === "" ? "" : subject, cut(consistency, ADDED_BYTES_MAX), mark ?? ""];
        const made = await bookmarkAll(volumes, moment, bookmark, parts.filter((part) => part !== "").join("; "));
        return toMachineBookmark(
          bookmark,
          made.map((each, i) => ({ info: members[i]!, bookmark: each.bookmark })),
          moment.isOne,
        );
      });
    });
  }

  private async moment(members: readonly VolumeInfo[], at: string): Promise<MachineMoment> {
    return await momentOfAll(this.options.volumes, members, parseMoment(at), this.options.clock.wall());
  }

  /** @throws conflict: something is being done to it already */
  private async alone<Result>(subject: string, work: () => Promise<Result>): Promise<Result> {
    if (this.busy.has(subject)) {
      throw new SternwayError(
        "conflict",
        `${subject} is being bookmarked or rolled back already: wait for that to end`,
      );
    }
    if (this.options.stopping.aborted) throw new SternwayError("unavailable", "the appliance is stopping");
    const ended = work();
    // Who asked for it hears of its failure.
    this.busy.set(
      subject,
      ended.catch(() => undefined),
    );
    try {
      return await ended;
    } finally {
      this.busy.delete(subject);
    }
  }

  private all(): readonly Machine[] {
    return (this.records ??= this.options.table.list());
  }

  private forget(): void {
    this.records = undefined;
    this.machinesByVolume = undefined;
  }

  private byVolume(): ReadonlyMap<string, string> {
    return (this.machinesByVolume ??= new Map(
      this.all().flatMap(({ name, volumes }) => volumes.map((each) => [identityOf(each), name])),
    ));
  }

  private record(name: string): Machine {
    const machine = this.all().find((each) => each.name === name);
    if (machine) return machine;
    throw new SternwayError("not_found", `there is no machine ${name}`, { machine: name });
  }

  private members(name: string): VolumeInfo[] {
    const { volumes, missing } = this.get(name);
    if (missing.length === 0) return volumes;
    const reasons = missing.map(({ createdLsn, reason }) => `the one made at lsn ${createdLsn}: ${reason}`).join("; ");
    const message = `machine ${name} has volumes that cannot be had (${reasons}): open the vault, or change which volumes the machine has`;
    throw new SternwayError("conflict", message, { machine: name, missing: missing.length });
  }

  private references(machine: string, names: readonly string[]): VolumeReference[] {
    return names.map((name) => {
      const info = this.options.volumes.get(name);
      const owner = this.machineOf(name);
      if (owner === undefined || owner === machine) return referenceOf(info);
      const message = `volume ${name} belongs to machine ${owner} already: take it out there first`;
      throw new SternwayError("conflict", message, { volume: name, machine: owner });
    });
  }

  private freeUndoName(members: readonly VolumeInfo[], now: Micros): string {
    const base = `before-rollback-${stamp(now)}`;
    const taken = new Set(members.flatMap(({ name }) => this.options.volumes.bookmarks(name)).map(({ name }) => name));
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
    return name;
  }
}

function stateOf(
  { volumes, ...machine }: Machine,
  infos: readonly VolumeInfo[],
  meant: FindMeant = (reference) => volumeMeant(infos, reference),
): MachineState {
  const state: MachineState = { ...machine, volumes: [], missing: [] };
  for (const reference of volumes) {
    const info = meant(reference);
    if (info) state.volumes.push(info);
    else state.missing.push({ ...reference, reason: whyMissing(infos, reference) });
  }
  return state;
}
