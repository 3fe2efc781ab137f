/**
 * The door of the room: a vault and its tiers. Before the vault is opened it gives the disk with the tiers behind it and says whether the vault may be
 * written to; once it is open, it keeps every tier equal to it, holds answers to flushes until synchronous tiers have them, and stops the vault's
 * writing when another installation has taken over (law 7).
 */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Lsn } from "../base/units.ts";
import type { ObjectStore } from "../tiers/store.ts";
import { readIdentity } from "../vault/identity.ts";
import type { SealedFile } from "../vault/sealed-files.ts";
import type { Vault } from "../vault/vault.ts";
import { adopt } from "./admission.ts";
import { catchUp, newestLsn, sendLast } from "./catching-up.ts";
import type { Claim } from "./claims.ts";
import { FlushGate } from "./flush-gate.ts";
import { checkSettings, Ledger, TIERS_MAX, type TierSettings } from "./ledger.ts";
import { LsnTimes } from "./lsn-times.ts";
import { Pacing } from "./pacing.ts";
import { ReadCache } from "./read-cache.ts";
import type { CopyStatus } from "./copy-status.ts";
import { TierCopy } from "./tier-copy.ts";
import { lagEvent, stateEvent, type ReplicationEvent } from "./tier-events.ts";
import { readerStatus, stopLink, TierLinks, type Link, type OpenStore, type TierLinksOptions } from "./tier-links.ts";
import { TierReads } from "./tier-reads.ts";
import { VaultDisk } from "./vault-disk.ts";
import { verifyTier, type VerifyLine } from "./verify-tier.ts";

export type { CopyState, CopyStatus } from "./copy-status.ts";
export { readLedger, type TierMode, type TierSettings } from "./ledger.ts";
export type { ReplicationEvent } from "./tier-events.ts";
export type { OpenStore } from "./tier-links.ts";
export type { VerifyLine } from "./verify-tier.ts";

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
  tierPauses?: TierLinksOptions["tierPauses"];
}

export interface TierStatus extends CopyStatus {
  settings: TierSettings;
  url: string;
  attempts: number;
  failures: number;
}

export class Replication {
  readonly ledger: Ledger;
  private readonly options: ReplicationOptions;
  private readonly links: TierLinks;
  private readonly pacing: Pacing;
  private readonly reads: TierReads;
  private readonly cache: ReadCache;
  private readonly own: VaultDisk;
  private readonly gate: FlushGate;
  private readonly times: LsnTimes;
  private vault: Vault | undefined;
  private isLeaving = false;
  private stopping = false;
  private arriving: Promise<void> | undefined;

  /** Reads the ledger; a tier with settings that make no sense is told of and left out. @throws corrupt */
  static async open(options: ReplicationOptions): Promise<Replication> {
    const ledger = await Ledger.open(options.disk, options.dir);
    const replication = new Replication(options, ledger);
    for (const { settings } of ledger.state.tiers) {
      const { id } = await readIdentity(options.disk, options.dir);
      replication.tryLink(settings, id);
    }
    return replication;
  }

  private constructor(options: ReplicationOptions, ledger: Ledger) {
    const { disk, dir, clock } = options;
    this.options = options;
    this.ledger = ledger;
    this.times = new LsnTimes(clock);
    this.links = new TierLinks(options);
    this.pacing = new Pacing({
      clock,
      links: this.links,
      times: this.times,
      onLag: (link, lagSeconds) => options.tell(lagEvent(link, lagSeconds)),
    });
    this.reads = new TierReads(
      () => this.links.readable(() => this.stopping),
      (tier, file, error) =>
        this.tell(
          "alert",
          "tier-damaged",
          tier,
          `${file.kind} ${file.id} is damaged at tier ${tier}: ${error.message}`,
        ),
    );
    this.cache = new ReadCache(disk, `${dir}/cache`, options.cacheBytes ?? 4 * 2 ** 30);
    this.own = this.diskFor(dir, (file) => this.tellRestored(file));
    this.gate = new FlushGate(
      clock,
      () => this.links.copies,
      () => newestLsn(this.vault!),
    );
  }

  /** The disk that the vault is to be opened on. */
  get disk(): Disk {
    return this.own.disk;
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
  readonly restoreFile = (file: SealedFile): Promise<boolean> => this.own.restoreFile(file);

  /** The disk for a view beside the vault's own folder, of a vault that is read here; the same tiers are behind it. */
  viewDisk(dir: string): VaultDisk {
    return this.diskFor(dir);
  }

  /** The tier that a vault which is only read here came from; undefined: it did not, or that one cannot be used. */
  get origin(): { name: string; store: ObjectStore } | undefined {
    const name = this.ledger.state.tiers[0]?.settings.name;
    const link =
      this.ledger.state.role === "reader" ? this.links.all.find((each) => each.settings.name === name) : undefined;
    return link && { name: link.settings.name, store: link.tier };
  }

  /** Tells that a reader's tier cannot be followed, or can again. */
  tellFollowing(kind: "tier-online" | "tier-offline", tier: string, message: string): void {
    this.tell(kind === "tier-online" ? "info" : "warning", kind, tier, message);
  }

  /** What is verified, and said of the tiers, means this view from now on. */
  movedTo(view: Vault): void {
    this.vault = view;
  }

  /** The vault is open: from now on its tiers follow it, where it is written to here. */
  start(vault: Vault): void {
    this.vault = vault;
    this.own.follow(vault);
    if (vault.readOnlyReason !== undefined) return;
    vault.journal.onDurable = () => this.times.note(vault.journal.durableLsn);
    vault.sealing.publishListeners.add(() => {
      for (const copy of this.links.copies) copy.wake();
    });
    for (const link of this.links.all) this.startCopy(link);
    this.setBarrier();
    this.pacing.start(vault);
    if (this.isArriving) this.arriving = this.arrive(vault);
  }

  /** Stops following; call it while the vault still takes requests, and before it is stopped. */
  async stop(): Promise<void> {
    if (this.stopping || this.isLeaving) return;
    this.isLeaving = true;
    this.pacing.stop();
    const { vault } = this;
    if (vault && vault.readOnlyReason === undefined) await sendLast(vault, this.links, this.options.clock);
    this.stopping = true;
    if (this.vault) {
      this.vault.journal.onDurable = undefined;
      this.vault.barrier = undefined;
      this.vault.dragMsPerMiB = 0;
    }
    this.gate.open();
    await this.links.stop();
    await this.arriving;
  }

  status(): TierStatus[] {
    return this.links.all.map(({ settings, tier, copy }) => ({
      settings,
      url: tier.url,
      attempts: tier.attempts,
      failures: tier.failures,
      ...(copy?.status() ?? readerStatus(tier, settings, this.ledger, this.vault?.lastLsn ?? 0)),
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
    if (this.links.all.length >= TIERS_MAX)
      throw new SternwayError("conflict", `a vault has at most ${TIERS_MAX} tiers`);
    const store = await this.options.openStore(settings);
    try {
      const known = this.links.all.find(({ tier }) => tier.url === store.url);
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
    const link = this.links.add(settings, vault.sealing.manifest.vault);
    this.startCopy(link);
    this.setBarrier();
  }

  /** Lets go of a tier. What it holds stays there. @throws not_found; conflict: the vault is read from there, or written to there by another one */
  async remove(name: string): Promise<void> {
    const link = this.links.named(name);
    const { overtaken, role, tiers } = this.ledger.state;
    const origin = overtaken?.tier ?? (role === undefined ? undefined : tiers[0]?.settings.name);
    if (origin === name) {
      const why = "not all of the vault is here: take it over first, and wait until its files are here";
      throw new SternwayError("conflict", `tier ${name} cannot be let go: ${why}`, { tier: name });
    }
    this.links.remove(link);
    this.setBarrier();
    this.gate.release();
    await stopLink(link);
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
    const links = names.length === 0 ? [...this.links.all] : names.map((name) => this.links.named(name));
    if (links.length === 0)
      throw new SternwayError("not_found", "the vault has no tiers: `sternway tier add` gives it one");
    for await (const _ of catchUp(vault, links, this.options.clock, signal)) {
      yield* this.status().filter(({ settings }) => links.some((link) => link.settings.name === settings.name));
    }
  }

  /**
   * Reads everything that a tier should hold and compares it with the manifest.
   * @param isRepair - what is damaged or missing there is put there anew @throws fenced: another one writes there; unavailable; not_found
   */
  verify(name: string, isRepair: boolean, signal: AbortSignal): AsyncGenerator<VerifyLine, void, undefined> {
    const vault = this.vault;
    if (!vault) throw new SternwayError("unavailable", "the vault is not open");
    if (isRepair) this.writable();
    const { tier, copy } = this.links.named(name);
    if (copy?.state === "foreign" || copy?.state === "overtaken") {
      // What is missing there is missing for us alone, and nothing may be put there (law 7).
      throw new SternwayError("fenced", `tier ${name}: ${copy.status().reason ?? copy.state}`, { tier: name });
    }
    return verifyTier({
      vault,
      store: tier,
      tier: name,
      // Where another one writes, what this one put there last says nothing.
      record: () =>
        copy && copy.state !== "foreign" && copy.state !== "overtaken" ? this.ledger.tier(name) : undefined,
      reachedLsn: () => copy?.reached ?? 0,
      holds: () => copy?.holds,
      isRepair,
      restore: this.restoreFile,
      signal,
    });
  }

  private writable(): Vault {
    if (!this.vault) throw new SternwayError("unavailable", "the vault is not open");
    const { overtaken } = this.ledger.state;
    if (overtaken) throw new SternwayError("fenced", this.readOnlyReason!, { tier: overtaken.tier });
    this.vault.assertWritable();
    return this.vault;
  }

  private tryLink(settings: TierSettings, identity: string): void {
    try {
      this.links.add(settings, identity);
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      this.tell("alert", "tier-offline", settings.name, `tier ${settings.name} cannot be used: ${errorText(error)}`);
    }
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
      onState: (copy, before) => {
        const event = stateEvent(link, copy, before);
        if (event) this.options.tell(event);
        this.gate.release();
      },
      onProgress: () => this.gate.release(),
      onOvertaken: (claim) => void this.overtaken(link.settings.name, claim),
      restore: this.restoreFile,
    });
    link.copy.start();
  }

  private diskFor(dir: string, onRestored: (file: SealedFile) => void = () => undefined): VaultDisk {
    const { reads, cache } = this;
    const { disk: home, clock } = this.options;
    const isPartial = (): boolean => this.ledger.state.role !== undefined;
    return new VaultDisk({ home, clock, dir, reads, cache, onRestored, isPartial });
  }

  private tellRestored({ kind, id }: SealedFile): void {
    // What has yet to arrive was never here.
    if (this.ledger.state.role !== undefined) return;
    const text = `${kind} ${id} was damaged or missing here, and was brought back from a tier`;
    this.tell("warning", "file-restored", "", text);
  }

  /** Brings the files that are not here yet, so that the vault is whole on this machine. */
  private async arrive(vault: Vault): Promise<void> {
    if (!(await this.own.bringAll(vault, () => this.stopping))) return;
    await this.ledger.change(({ role: _, ...before }) => before);
    this.tell("info", "vault-arrived", "", "every file of the vault is on this machine now");
  }

  private setBarrier(): void {
    if (!this.vault || this.vault.readOnlyReason !== undefined) return;
    const isNeeded = this.links.all.some(({ settings }) => settings.mode === "sync");
    this.vault.barrier = isNeeded ? (target) => this.reachedBySync(target) : undefined;
  }

  private async reachedBySync(flushed: Lsn): Promise<void> {
    await this.gate.pass(flushed);
    // Fenced meanwhile: nothing more may be answered as written here (law 7).
    this.vault?.assertWritable();
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

  private tell(level: ReplicationEvent["level"], kind: ReplicationEvent["kind"], tier: string, message: string): void {
    this.options.tell({ level, kind, tier, message });
  }
}
