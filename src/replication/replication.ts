/**
 * The door of the room: a vault and its tiers. Before the vault is opened it gives the disk with the tiers behind it and says whether the vault may be
 * written to; once it is open, it keeps every tier equal to it, holds answers to flushes until synchronous tiers have them, and stops the vault's
 * writing when another installation has taken over (law 7).
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Lsn } from "../base/units.ts";
import { Bandwidth, checkBandwidth } from "../tiers/bandwidth.ts";
import { checkSchedule } from "../tiers/schedule.ts";
import type { ObjectStore } from "../tiers/store.ts";
import { Tier } from "../tiers/tier.ts";
import { readIdentity } from "../vault/identity.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import type { Vault } from "../vault/vault.ts";
import { adopt } from "./admission.ts";
import type { Claim } from "./claims.ts";
import { FlushGate } from "./flush-gate.ts";
import { Ledger, TIERS_MAX, type LedgerState, type TierSettings } from "./ledger.ts";
import { LsnTimes } from "./lsn-times.ts";
import { ReadCache } from "./read-cache.ts";
import { Restoration } from "./restoration.ts";
import { TierCopy, type CopyState, type CopyStatus } from "./tier-copy.ts";
import { TieredDisk } from "./tiered-disk.ts";
import { TierReads, type ReadableTier } from "./tier-reads.ts";
import { verifyTier, type VerifyLine } from "./verify-tier.ts";

export type { CopyState, CopyStatus } from "./tier-copy.ts";
export type { TierMode, TierSettings } from "./ledger.ts";
export type { VerifyLine } from "./verify-tier.ts";

/** Makes a store of what settings say: reads secrets, opens nothing. @throws invalid, denied, not_found */
export type OpenStore = (settings: TierSettings) => Promise<ObjectStore>;

export interface ReplicationOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  /** The vault's folder. */
  dir: string;
  openStore: OpenStore;
  /** The host, for people elsewhere. */
  host: string;
  /** IANA name; whose hours schedules and bandwidths mean. */
  zone: string;
  /** For people; must not throw. */
  tell: (event: ReplicationEvent) => void;
  /** Pieces of remote files kept here. Default 4 GiB. */
  cacheBytes?: number;
  /** How long tiers keep what no manifest names any more. Default 10 minutes. */
  graceMs?: number;
  /** Test hook: shorter pauses of tiers. */
  tierPauses?: {
    attemptsMax?: number;
    pauseMsMin?: number;
    pauseMsMax?: number;
    probeMsMin?: number;
    probeMsMax?: number;
  };
}

export interface ReplicationEvent {
  level: "info" | "warning" | "alert";
  kind:
    | "tier-online"
    | "tier-offline"
    | "tier-foreign"
    | "tier-lagging"
    | "tier-caught-up"
    | "tier-damaged"
    | "file-restored"
    | "vault-overtaken"
    | "vault-arrived";
  tier: string;
  message: string;
}

export interface TierStatus extends CopyStatus {
  settings: TierSettings;
  url: string;
  attempts: number;
  failures: number;
}

/** A tier that may be read from, and a copy of the vault when this installation is its writer. */
interface Link {
  settings: TierSettings;
  tier: Tier;
  copy: TierCopy | undefined;
  isLagging: boolean;
}

/** A MiB written takes so much longer when a backlog is at its bound: half a MiB a second passes. */
const DRAG_MS_MAX = 2_000;
const LOOK_MS = 250;
/** How long a stop waits for the journal's tail to reach tiers that are online. */
const LEAVE_MS = 5_000;
const LEAVE_LOOK_MS = 20;

export class Replication {
  readonly ledger: Ledger;
  private readonly options: ReplicationOptions;
  private readonly links: Link[] = [];
  private readonly reads: TierReads;
  private readonly cache: ReadCache;
  private readonly overlay: TieredDisk;
  private readonly restoration: Restoration;
  private readonly gate: FlushGate;
  private readonly times: LsnTimes;
  private vault: Vault | undefined;
  private timer: Timer | undefined;
  private isLeaving = false;
  private stopping = false;
  private arriving: Promise<void> | undefined;

  /** Reads the ledger and makes the stores; a tier that cannot even be made of its settings is told of and left out until they are mended. @throws corrupt */
  static async open(options: ReplicationOptions): Promise<Replication> {
    const ledger = await Ledger.open(options.disk, options.dir);
    const replication = new Replication(options, ledger);
    for (const { settings } of ledger.state.tiers) {
      const { id } = await readIdentity(options.disk, options.dir);
      await replication.tryLink(settings, id);
    }
    return replication;
  }

  private constructor(options: ReplicationOptions, ledger: Ledger) {
    const { disk, dir, clock } = options;
    this.options = options;
    this.ledger = ledger;
    this.times = new LsnTimes(clock);
    this.reads = new TierReads(
      () => this.readable(),
      (tier, file, error) =>
        this.tell(
          "alert",
          "tier-damaged",
          tier,
          `${file.kind} ${file.id} is damaged at tier ${tier}: ${error.message}`,
        ),
    );
    this.cache = new ReadCache(disk, `${dir}/cache`, options.cacheBytes ?? 4 * 2 ** 30);
    const { reads, cache } = this;
    this.restoration = new Restoration({
      disk,
      clock,
      dir,
      reads,
      cache,
      onRestored: (file) => this.tellRestored(file),
    });
    this.gate = new FlushGate(
      clock,
      () => this.links.flatMap(({ copy }) => (copy ? [copy] : [])),
      () => this.newestLsn(this.vault!),
    );
    this.overlay = new TieredDisk({
      home: disk,
      dir,
      reads: this.reads,
      cache: this.cache,
      lookUp: (path) => this.restoration.lookUp(path),
      isDistrusted: (path) => this.restoration.isDistrusted(path),
      isPartial: () => this.ledger.state.role !== undefined,
    });
  }

  /** The disk that the vault is to be opened on. */
  get disk(): Disk {
    return this.overlay;
  }

  /** Why the vault may not be written to here; undefined: it may. */
  get readOnlyReason(): string | undefined {
    const { role, overtaken } = this.ledger.state;
    if (overtaken) return `${overtaken.by} took it over at tier ${overtaken.tier}: that is where it is written to now`;
    if (role !== "reader") return undefined;
    return "it was opened from a tier to be read; `sternway vault take-over` makes this appliance its writer";
  }

  /** Not all files are here yet. */
  get isArriving(): boolean {
    return this.ledger.state.role === "arriving";
  }

  /** Brings back a sealed file that is damaged or missing here. */
  readonly restoreFile = (file: SealedFile): Promise<boolean> => this.restoration.restore(file);

  /** The vault is open: from now on its tiers follow it, where it is written to here. */
  start(vault: Vault): void {
    this.vault = vault;
    this.restoration.follow(vault);
    if (vault.readOnlyReason !== undefined) return;
    vault.journal.onDurable = () => this.noteDurable();
    vault.sealing.publishListeners.add(() => {
      for (const { copy } of this.links) copy?.wake();
    });
    for (const link of this.links) this.startCopy(link);
    this.setBarrier();
    this.look();
    if (this.isArriving) this.arriving = this.arrive(vault);
  }

  /** Stops following; call it while the vault still takes requests, and before it is stopped. */
  async stop(): Promise<void> {
    if (this.stopping || this.isLeaving) return;
    this.isLeaving = true;
    this.timer?.cancel();
    await this.leave();
    this.stopping = true;
    if (this.vault) {
      this.vault.journal.onDurable = undefined;
      this.vault.barrier = undefined;
      this.vault.dragMsPerMiB = 0;
    }
    this.gate.open();
    await Promise.all(
      this.links.map(async ({ copy, tier }) => {
        const stopped = copy?.stop();
        await tier.close();
        await stopped;
      }),
    );
    await this.arriving;
  }

  status(): TierStatus[] {
    return this.links.map(({ settings, tier, copy }) => ({
      settings,
      url: tier.url,
      attempts: tier.attempts,
      failures: tier.failures,
      ...(copy?.status() ?? this.readerStatus(settings, tier)),
    }));
  }

  /**
   * Makes a place a tier of the vault: attaches it, and copies all there is to it, in the background.
   * @throws conflict: the name is taken, there are eight, or the place belongs to another vault, or to a newer history of this one; invalid: the
   *   settings, or the place is not fit; unavailable, denied
   */
  async add(settings: TierSettings): Promise<void> {
    const vault = this.writable();
    checkSettings(settings);
    if (this.ledger.tier(settings.name)) {
      throw new SternwayError("conflict", `there is a tier ${settings.name} already`, { tier: settings.name });
    }
    if (this.links.length >= TIERS_MAX) throw new SternwayError("conflict", `a vault has at most ${TIERS_MAX} tiers`);
    const store = await this.options.openStore(settings);
    try {
      const known = this.links.find(({ tier }) => tier.url === store.url);
      if (known)
        throw new SternwayError("conflict", `${store.url} is tier ${known.settings.name} already`, {
          tier: known.settings.name,
        });
      const identity = vault.sealing.manifest.vault;
      await store.attach(identity);
      await store.connect(identity);
      const adopted = await adopt(vault, store);
      await this.ledger.change((before) => ({ ...before, tiers: [...before.tiers, { settings, ...adopted }] }));
    } finally {
      await store.close();
    }
    const link = await this.link(settings, vault.sealing.manifest.vault);
    this.startCopy(link);
    this.setBarrier();
  }

  /** Lets go of a tier. What it holds stays there. @throws not_found; conflict: the vault is read from there, or written to there by another one */
  async remove(name: string): Promise<void> {
    const link = this.linkOf(name);
    const { overtaken, role, tiers } = this.ledger.state;
    const origin = overtaken?.tier ?? (role === undefined ? undefined : tiers[0]?.settings.name);
    if (origin === name) {
      const why = "not all of the vault is here: take it over first, and wait until its files are here";
      throw new SternwayError("conflict", `tier ${name} cannot be let go: ${why}`, { tier: name });
    }
    this.links.splice(this.links.indexOf(link), 1);
    this.setBarrier();
    this.gate.release();
    const stopped = link.copy?.stop();
    await link.tier.close();
    await stopped;
    await this.ledger.change((before) => ({
      ...before,
      tiers: before.tiers.filter(({ settings }) => settings.name !== name),
    }));
  }

  /**
   * Brings tiers up to what the vault holds now, and waits for it.
   * @param names - empty: all @throws fenced: another installation writes there; unavailable: a tier is away, or the signal was aborted
   */
  async *sync(names: readonly string[], signal: AbortSignal): AsyncGenerator<TierStatus, void, undefined> {
    const vault = this.writable();
    const links = names.length === 0 ? [...this.links] : names.map((name) => this.linkOf(name));
    if (links.length === 0)
      throw new SternwayError("not_found", "the vault has no tiers: `sternway tier add` gives it one");
    await vault.seal();
    const target = this.newestLsn(vault);
    for (const { copy } of links) copy?.ask();
    for (;;) {
      const open = links.filter(({ copy }) => copy !== undefined && copy.reached < target);
      for (const { copy, settings } of open) {
        const { state, reason = "" } = copy!.status();
        if (state === "foreign" || state === "overtaken")
          throw new SternwayError("fenced", reason, { tier: settings.name });
        if (state === "offline")
          throw new SternwayError("unavailable", `tier ${settings.name}: ${reason}`, { tier: settings.name });
      }
      yield* this.status().filter(({ settings }) => links.some((link) => link.settings.name === settings.name));
      if (open.length === 0) return;
      signal.throwIfAborted();
      await this.options.clock.sleep(LOOK_MS);
    }
  }

  /**
   * Reads everything that a tier should hold and compares it with the manifest.
   * @param isRepair - what is damaged or missing there is put there anew
   */
  verify(name: string, isRepair: boolean, signal: AbortSignal): AsyncGenerator<VerifyLine, void, undefined> {
    const vault = this.vault;
    if (!vault) throw new SternwayError("unavailable", "the vault is not open");
    if (isRepair) this.writable();
    return verifyTier(vault, this.linkOf(name).tier, name, isRepair, this.restoreFile, signal);
  }

  /** Tiers that are within reach get the rest of the journal's tail: a machine that was shut down may never be started again. */
  private async leave(): Promise<void> {
    const { vault } = this;
    if (!vault || vault.readOnlyReason !== undefined) return;
    await vault.journal.durable(vault.lastLsn).catch((error: unknown) => {
      // The journal says so itself when it is stopped.
      if (!isSternwayError(error)) throw error;
    });
    const ready = (): TierCopy[] =>
      this.links.flatMap(({ copy }) =>
        copy?.state === "online" && copy.settings.mode !== "scheduled" && copy.reached < this.newestLsn(vault)
          ? [copy]
          : [],
      );
    const { clock } = this.options;
    const until = clock.monotonic() + LEAVE_MS * 1000;
    // A copy that is being brought up sends nothing new until it is done.
    while (ready().length > 0 && clock.monotonic() < until) {
      for (const copy of ready()) copy.send();
      await clock.sleep(LEAVE_LOOK_MS);
    }
  }

  private writable(): Vault {
    if (!this.vault) throw new SternwayError("unavailable", "the vault is not open");
    const { overtaken } = this.ledger.state;
    if (overtaken) throw new SternwayError("fenced", this.readOnlyReason!, { tier: overtaken.tier });
    this.vault.assertWritable();
    return this.vault;
  }

  private linkOf(name: string): Link {
    const link = this.links.find(({ settings }) => settings.name === name);
    if (link) return link;
    const known = this.links.map(({ settings }) => settings.name).join(", ") || "none";
    throw new SternwayError("not_found", `the vault has no tier ${name}; it has: ${known}`, { tier: name });
  }

  private async tryLink(settings: TierSettings, identity: string): Promise<void> {
    try {
      await this.link(settings, identity);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      this.tell("alert", "tier-offline", settings.name, `tier ${settings.name} cannot be used: ${errorText(error)}`);
    }
  }

  private async link(settings: TierSettings, identity: string): Promise<Link> {
    const { clock, random, zone, openStore, tierPauses } = this.options;
    const store = await openStore(settings);
    const link: Link = {
      settings,
      tier: new Tier({
        store,
        identity,
        clock,
        random,
        bandwidth: settings.bandwidth === undefined ? undefined : new Bandwidth(settings.bandwidth, clock, zone),
        onState: () => link.copy?.wake(),
        ...tierPauses,
      }),
      copy: undefined,
      isLagging: false,
    };
    this.links.push(link);
    return link;
  }

  private startCopy(link: Link): void {
    const { clock, random, host, zone, graceMs } = this.options;
    link.copy = new TierCopy({
      vault: this.vault!,
      store: link.tier,
      settings: link.settings,
      ledger: this.ledger,
      clock,
      random,
      times: this.times,
      host,
      zone,
      graceMs,
      onState: (copy, before) => this.tellState(copy, before),
      onProgress: () => this.gate.release(),
      onOvertaken: (claim) => void this.overtaken(link.settings.name, claim),
      restore: this.restoreFile,
    });
    link.copy.start();
  }

  private readable(): ReadableTier[] {
    return this.links.map(({ settings, tier, copy }, i) => ({
      name: settings.name,
      store: tier,
      rank: () => {
        if (tier.state === "offline" || this.stopping) return undefined;
        const isSecondChoice = copy !== undefined && copy.state !== "online";
        return isSecondChoice ? i + TIERS_MAX : i;
      },
    }));
  }

  private tellRestored({ kind, id }: SealedFile): void {
    // What has yet to arrive was never here.
    if (this.ledger.state.role !== undefined) return;
    const text = `${kind} ${id} was damaged or missing here, and was brought back from a tier`;
    this.tell("warning", "file-restored", "", text);
  }

  /** Brings the files that are not here yet, so that the vault is whole on this machine. */
  private async arrive(vault: Vault): Promise<void> {
    if (!(await this.restoration.bringAll(vault, () => this.stopping))) return;
    await this.ledger.change(({ role: _, ...before }) => before);
    this.tell("info", "vault-arrived", "", "every file of the vault is on this machine now");
  }

  private setBarrier(): void {
    if (!this.vault || this.vault.readOnlyReason !== undefined) return;
    const isNeeded = this.links.some(({ settings }) => settings.mode === "sync");
    this.vault.barrier = isNeeded ? (target) => this.reachedBySync(target) : undefined;
  }

  private async reachedBySync(flushed: Lsn): Promise<void> {
    await this.gate.pass(flushed);
    // Fenced meanwhile: nothing more may be answered as written here (law 7).
    this.vault?.assertWritable();
  }

  /** The newest LSN that is durable here. The vault's last one may have been skipped after a crash: it is nothing's, and comes nowhere. */
  private newestLsn({ sealing, journal }: Vault): number {
    return Math.max(sealing.manifest.sealed.lsn, ...journal.tail().map(({ lastLsn }) => lastLsn));
  }

  private noteDurable(): void {
    this.times.note(this.vault!.journal.durableLsn);
  }

  /** Now and then: sends tails that are due, and tells who lags. */
  private look(): void {
    if (this.stopping) return;
    let slowest = Number.MAX_SAFE_INTEGER;
    for (const link of this.links) {
      const { copy, settings } = link;
      if (!copy) continue;
      slowest = Math.min(slowest, copy.reached);
      if (settings.mode === "scheduled") continue;
      const lagSeconds = this.times.ageBeyond(copy.reached) / 1e6;
      // Half of it may pass before, and the way there takes its time.
      if (copy.state === "online" && lagSeconds > settings.rpoSeconds / 2) copy.send();
      this.tellLag(link, lagSeconds);
    }
    this.pace();
    this.times.forgetThrough(slowest);
    this.timer = this.options.clock.timer(LOOK_MS, () => this.look());
  }

  /** Law 8: when more waits for a tier than it may, writers are slowed, the more the longer, so that they come to go at its pace. */
  private pace(): void {
    const { vault } = this;
    if (!vault) return;
    let share = 0;
    for (const { copy, settings } of this.links) {
      if (copy && settings.backlogBytesMax !== undefined)
        share = Math.max(share, copy.lagBytes / settings.backlogBytesMax);
    }
    const over = Math.min(1, Math.max(0, share * 2 - 1));
    vault.dragMsPerMiB = over * over * DRAG_MS_MAX;
  }

  private tellLag(link: Link, lagSeconds: number): void {
    const { name, rpoSeconds } = link.settings;
    const isLagging = lagSeconds > rpoSeconds;
    if (isLagging === link.isLagging) return;
    link.isLagging = isLagging;
    if (isLagging) {
      const lag = lagSeconds.toFixed(1);
      this.tell(
        "warning",
        "tier-lagging",
        name,
        `tier ${name} lags ${lag} s behind; it should be ${rpoSeconds} s at the most`,
      );
    } else this.tell("info", "tier-caught-up", name, `tier ${name} is within ${rpoSeconds} s again`);
  }

  private tellState(copy: TierCopy, before: CopyState): void {
    const { name, state } = copy;
    const { reason } = copy.status();
    if (state === "online") this.tell("info", "tier-online", name, `tier ${name} is equal to the vault`);
    if (state === "offline") this.tell("warning", "tier-offline", name, `tier ${name} is offline: ${reason}`);
    if (state === "foreign" && before !== "foreign")
      this.tell("alert", "tier-foreign", name, `tier ${name}: ${reason}`);
    this.gate.release();
  }

  /** Never rejects. */
  private async overtaken(tier: string, claim: Claim): Promise<void> {
    const vault = this.vault!;
    const by = `${claim.host} (${new Date(claim.at / 1000).toISOString()})`;
    const text = `${by} took the vault over at tier ${tier}: nothing is written here any more`;
    vault.fence(new SternwayError("fenced", text, { tier }));
    this.gate.release();
    this.tell("alert", "vault-overtaken", tier, text);
    try {
      await this.ledger.change((before) => ({ ...before, overtaken: { tier, by, at: claim.at } }));
    } catch (error) {
      // It finds out again at the next start, before it writes anything.
      if (!isSternwayError(error)) throw error;
    }
  }

  private readerStatus(settings: TierSettings, tier: Tier): CopyStatus {
    const { overtaken } = this.ledger.state;
    const isOvertaken = overtaken?.tier === settings.name;
    return {
      state: isOvertaken ? "overtaken" : tier.state,
      since: isOvertaken ? overtaken.at : 0,
      reason: isOvertaken ? `${overtaken.by} took the vault over` : tier.offlineReason?.message,
      revision: this.ledger.tier(settings.name)?.old,
      reachedLsn: this.vault?.lastLsn ?? 0,
      lagSeconds: 0,
      lagBytes: 0,
      progress: undefined,
      objectsPut: 0,
      bytesPut: 0,
    };
  }

  private tell(level: ReplicationEvent["level"], kind: ReplicationEvent["kind"], tier: string, message: string): void {
    this.options.tell({ level, kind, tier, message });
  }
}

/** @throws invalid */
export function checkSettings({ mode, schedule, bandwidth }: TierSettings): void {
  if (mode === "scheduled") {
    if (schedule === undefined) throw new SternwayError("invalid", "a scheduled tier needs a schedule, such as daily");
    checkSchedule(schedule);
  } else if (schedule !== undefined) throw new SternwayError("invalid", `a ${mode} tier has no schedule`);
  if (bandwidth !== undefined) checkBandwidth(bandwidth);
}

/** What a vault's folder says of its tiers, while the vault is closed. @throws corrupt */
export async function readLedger(disk: Disk, dir: string): Promise<LedgerState> {
  return (await Ledger.open(disk, dir)).state;
}
