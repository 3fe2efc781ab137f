/**
 * Keeps one tier equal to the vault: admits it, brings it up to the newest manifest, sends the journal's tail, and says how far it is.
 *
 * A tier is admitted whenever it is reached anew: its revision must be what the ledger says it held or was to hold, its highest claim of a writer must be
 * ours, and what it holds is listed. From then on what it holds is known, and no listing is made. Then, again and again: hold the newest manifest's
 * files, put what is missing, put the manifest (if absent: law 7), delete what it no longer names (law 5), and note the revision.
 *
 * While much is missing, the tier is *unsynchronised*: it is not asked before others, and no flush waits for it. A manifest published meanwhile aborts the
 * attempt after the object at hand; what was copied stays, and the next attempt wants the newer manifest's files. An attempt with little left is not aborted,
 * or a vault that is written to without pause would never be done; so it converges whenever the tier is faster than what comes in.
 */
import type { Clock } from "../base/clock.ts";
import { readWhole } from "../base/disk.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { bytesSource, type ObjectStore } from "../tiers/store.ts";
import { identityPath } from "../vault/identity.ts";
import { manifestName, type Manifest } from "../vault/manifest.ts";
import type { HeldFiles, RestoreFile, Vault } from "../vault/vault.ts";
import { admit, fenced, isSame, strangerAt, type AdmissionOptions, type Stranger } from "./admission.ts";
import { isStillHighest, type Claim } from "./claims.ts";
import type { CopyState, CopyStatus, Progress } from "./copy-status.ts";
import { DueTime } from "./due-time.ts";
import { JournalTail } from "./journal-tail.ts";
import { holding, intending, type Ledger, type Revision, type TierSettings } from "./ledger.ts";
import type { LsnTimes } from "./lsn-times.ts";
import { newestOf } from "./manifests-there.ts";
import { manifestObject, sealedObjects, VAULT_OBJECT, type ManifestThere } from "./objects.ts";
import { Rest } from "./rest.ts";
import { putAll } from "./shipment.ts";
import { UnnamedObjects } from "./unnamed-objects.ts";

export interface TierCopyOptions {
  vault: Vault;
  store: ObjectStore;
  settings: TierSettings;
  ledger: Ledger;
  clock: Clock;
  random: Random;
  times: LsnTimes;
  /** For people. */
  host: string;
  /** IANA name; whose hours a schedule means. */
  zone: string;
  onState: (copy: TierCopy, before: CopyState) => void;
  /** Told whenever more can be had from the tier than before. */
  onProgress: () => void;
  /** Another installation took the vault over. */
  onOvertaken: (claim: Claim) => void;
  /** Default 10 minutes. */
  graceMs?: number | undefined;
  /** Brings back a file that is damaged on this machine. */
  restore: RestoreFile;
}

/** An attempt with no more left than this is not aborted any more; and a tier that lacks more than this is unsynchronised. */
export const FINISH_BYTES = 256 * 2 ** 20;
/** What no manifest names any more stays so long, for those who read from the one before (`sternway vault refresh`). */
const GRACE_MS = 600_000;
/** How often a writer that has nothing to write asks whether it still is. */
const CONFIRM_MS = 30_000;
/** A tier that refused for a reason of its own is asked again after so long. */
const RETRY_MS = 5_000;

interface Admitted {
  claim: Claim;
  /** Those that are there, oldest first. */
  manifests: ManifestThere[];
  unnamed: UnnamedObjects;
  revision: Revision | undefined;
  tail: JournalTail;
  /** A manifest of this writer is there: from then on pieces of its tail mean something. */
  isOurs: boolean;
  confirmedLsn: number;
}

export class TierCopy {
  readonly settings: TierSettings;
  private readonly options: TierCopyOptions;
  private admitted: Admitted | undefined;
  /** Sealed objects that are there: name and size. Kept while the tier is away. */
  private have = new Map<string, number>();
  /** `vault.json` as it is there. */
  private identity: Uint8Array | undefined;
  private missing: { number: number; have: Map<string, number>; count: number; bytes: number } | undefined;
  private current: CopyState = "connecting";
  private since: number;
  private reason: string | undefined;
  private progress: Progress | undefined;
  private objectsPut = 0;
  private bytesPut = 0;
  private stopping = false;
  private readonly abort = new AbortController();
  private readonly rest: Rest;
  private work: Promise<void> | undefined;
  private sending: Promise<void> | undefined;
  private isSendWanted = false;
  /** When nobody had claimed after us, in monotonic microseconds. */
  private confirmedAt = 0;
  private lastConfirmedLsn = 0;
  /** Since when it lacks something, wall microseconds, while it was out of reach ever since the start. */
  private awaySince: number | undefined;
  /** A synchronous tier that is about to be online: flushes wait for it already, so that none is answered without it once it is. */
  private isJoining = false;
  private readonly due: DueTime;

  constructor(options: TierCopyOptions) {
    this.options = options;
    this.settings = options.settings;
    this.since = options.clock.wall();
    this.due = new DueTime(options.clock, options.settings, options.zone);
    this.rest = new Rest(options.clock);
  }

  get name(): string {
    return this.settings.name;
  }

  get state(): CopyState {
    return this.current;
  }

  /**
   * Everything up to here can be had from the tier, and will be by whoever takes over: it was there before the last time that nobody had claimed after us.
   */
  get reached(): number {
    return this.admitted?.confirmedLsn ?? 0;
  }

  /** {@link reached} as it was when the tier was within reach last: what it lacks is counted from there while it is away. */
  get lastReached(): number {
    const isOurs = this.current !== "foreign" && this.current !== "overtaken";
    return isOurs ? Math.max(this.reached, this.lastConfirmedLsn) : 0;
  }

  /** For how long the tier has lacked something, as far as is known; 0: nothing. */
  get lagSeconds(): number {
    const { times, clock } = this.options;
    const age = times.ageBeyond(this.lastReached);
    return (this.awaySince === undefined ? age : Math.max(age, clock.wall() - this.awaySince)) / 1e6;
  }

  /** Sealed objects that are there, name and size; undefined: it was not looked at since the start. */
  get holds(): ReadonlyMap<string, number> | undefined {
    return this.admitted || this.have.size > 0 ? this.have : undefined;
  }

  status(): CopyStatus {
    return {
      state: this.current,
      since: this.since,
      reason: this.reason,
      revision: this.admitted?.revision ?? this.options.ledger.tier(this.name)?.old,
      reachedLsn: this.reached,
      lagSeconds: this.lagSeconds,
      lagBytes: this.lagBytes,
      progress: this.progress,
      objectsPut: this.objectsPut,
      bytesPut: this.bytesPut,
    };
  }

  start(): void {
    this.due.done();
    this.work = this.loop();
  }

  /** Flushes are answered only when this tier has them, too. */
  get holdsFlushes(): boolean {
    return this.settings.mode === "sync" && (this.current === "online" || this.isJoining);
  }

  /** It said nothing for too long while a flush waited. It is brought up like one that was away, as soon as it answers. */
  stall(waitedMs: number): void {
    this.isJoining = false;
    if (this.current !== "online") return;
    const why = `it kept a flush waiting for ${waitedMs / 1000} s: none waits for it until it has caught up`;
    this.become("unsynchronised", why);
    this.wake();
  }

  /** Something is new, or the tier may be back. */
  wake(): void {
    this.rest.wake();
  }

  /** A scheduled tier is brought up now. */
  ask(): void {
    this.due.ask();
    this.wake();
  }

  /** Asks for the tail to be sent; what was asked for while one is on its way goes with the next. */
  send(): void {
    this.isSendWanted = true;
    this.sending ??= this.sendAll().finally(() => {
      this.sending = undefined;
      if (this.isSendWanted && this.admitted && !this.stopping) this.send();
    });
  }

  /** Ends after the object at hand. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.abort.abort();
    this.rest.end();
    await this.work;
    await this.sending;
  }

  private async loop(): Promise<void> {
    // Who was overtaken has nothing left to ask there.
    while (!this.stopping && this.current !== "overtaken") {
      try {
        if (!this.admitted) await this.admit();
        const seen = this.rest.wakeCount;
        if ((await this.bringUp()) || seen !== this.rest.wakeCount) continue;
        await this.rest.wait(this.due.isScheduled ? this.due.untilMs : CONFIRM_MS);
        await this.confirmIdle();
      } catch (error) {
        this.failed(error);
        if (!this.stopping) await this.rest.wait(RETRY_MS);
      }
    }
  }

  /** A writer that has nothing to write must find out, too, that it is none any more. */
  private async confirmIdle(): Promise<void> {
    const { admitted } = this;
    if (!admitted || this.stopping || this.options.clock.monotonic() - this.confirmedAt < CONFIRM_MS * 1000) return;
    await this.confirm(admitted);
  }

  private failed(error: unknown): void {
    if (!isSternwayError(error)) throw error;
    this.admitted = undefined;
    this.isJoining = false;
    this.options.onProgress();
    if (this.stopping) return;
    if (this.current === "overtaken") return;
    if (error.kind === "fenced") return this.become("foreign", error.message);
    if (this.confirmedAt === 0) this.awaySince ??= this.lacksSince();
    this.become("offline", errorText(error));
  }

  /** What was written before the start, and when, no clock of this process knows: the ledger does. */
  private lacksSince(): number | undefined {
    const { vault, ledger } = this.options;
    const held = ledger.tier(this.name)?.held;
    return held && held.lsn < vault.lastLsn ? held.at : undefined;
  }

  /** @throws fenced: another installation writes there */
  private async admit(): Promise<void> {
    const { vault, store } = this.options;
    if (this.current !== "offline" && this.current !== "foreign") this.become("connecting", undefined);
    const outcome = await admit(this.admissionOptions);
    if ("stranger" in outcome) throw this.met(outcome.stranger);
    const { claim, revision, manifests, have, pieces } = outcome;
    await this.putIdentity();
    // Only what is published from here on says what is there.
    const nothing = { fileSequence: 0, lsn: 0 };
    const tail = new JournalTail(vault.journal, store, claim.sequence, pieces, nothing);
    this.have = have;
    this.admitted = { claim, manifests, unnamed: new UnnamedObjects(), revision, tail, isOurs: false, confirmedLsn: 0 };
  }

  private get admissionOptions(): AdmissionOptions {
    return { ...this.options, name: this.name };
  }

  private met({ error, tookOver }: Stranger): SternwayError {
    // A piece of tail and a manifest may meet it at the same time.
    if (tookOver && this.current !== "overtaken") {
      this.become("overtaken", error.message);
      this.options.onOvertaken(tookOver);
    }
    return error;
  }

  /** The one object that is replaced, when the vault's keys changed. */
  private async putIdentity(): Promise<void> {
    const { vault, store } = this.options;
    const { disk, dir } = vault.parts;
    const ours = await readWhole(disk, identityPath(dir));
    this.identity ??= await store.get(VAULT_OBJECT).catch(nothingThere);
    if (this.identity && Buffer.compare(this.identity, ours) === 0) return;
    await store.put(VAULT_OBJECT, bytesSource(ours));
    this.identity = ours;
  }

  /** @returns false: nothing is left to do for now */
  private async bringUp(): Promise<boolean> {
    const admitted = this.admitted!;
    const { vault } = this.options;
    const { due } = this;
    if (!due.isDue && admitted.revision) {
      if (this.current !== "online") this.become("online", undefined);
      return false;
    }
    if (due.isScheduled && due.isDue) {
      // What a schedule asks for is the vault as it is then, not what happens to be sealed.
      await vault.seal();
    }
    const { manifest, manifestSha256 } = vault.sealing;
    const isEqual = isSame(admitted.revision, { number: manifest.number, sha256: manifestSha256 });
    // Under the number of a writer before the last take-over it would let that one's late pieces of tail count.
    const isCounted = (admitted.manifests.at(-1)?.writer ?? 0) >= admitted.claim.tookOverAt;
    if (isEqual && isCounted) {
      // After a new connection, nothing may have changed.
      if (!admitted.isOurs) await this.settle(admitted, manifest);
      await this.clean(admitted, manifest);
      await this.join(admitted);
      return false;
    }
    if (manifest.sealed.lsn < vault.recoveredLsn) {
      // The first manifest of a writer covers all that it recovered (objects.ts). The sealer is at it, and says when it has one.
      this.become("unsynchronised", undefined);
      return false;
    }
    const held = vault.holdFiles();
    try {
      await this.copy(admitted, held);
    } finally {
      this.progress = undefined;
      held.release();
    }
    return true;
  }

  private async copy(admitted: Admitted, { manifest, sha256 }: HeldFiles): Promise<void> {
    const { vault, ledger, clock, onProgress } = this.options;
    const { disk, dir } = vault.parts;
    const path = `${dir}/manifest/${manifestName(manifest.number)}`;
    // At once: only the newest few are kept.
    const bytes = await readWhole(disk, path).catch(nothingThere);
    if (!bytes) return;
    const wanted = sealedObjects(manifest);
    const missing = [...wanted.values()].filter(({ name, file }) => this.have.get(name) !== file.sizeBytes);
    const totalBytes = missing.reduce((sum, { file }) => sum + file.sizeBytes, 0);
    if (totalBytes > FINISH_BYTES || this.current !== "online") this.become("unsynchronised", undefined);
    const progress = { doneBytes: 0, totalBytes };
    this.progress = progress;
    const intended: Revision = { number: manifest.number, sha256 };
    await ledger.changeTier(this.name, (before) => intending(before, intended));
    const { signal } = this.abort;
    const isWhole = await putAll(
      { ...this.options, signal },
      missing,
      ({ name, file }) => {
        this.have.set(name, file.sizeBytes);
        this.objectsPut++;
        this.bytesPut += file.sizeBytes;
        progress.doneBytes += file.sizeBytes;
      },
      () => {
        const isMuchLeft = progress.totalBytes - progress.doneBytes > FINISH_BYTES;
        return this.stopping || (isMuchLeft && vault.sealing.manifest.number !== manifest.number);
      },
    );
    if (!isWhole) return;
    await this.putIdentity();
    await this.publish(admitted, manifest.number, bytes);
    admitted.revision = intended;
    const held = { lsn: manifest.sealed.lsn, at: clock.wall() };
    await ledger.changeTier(this.name, (before) => holding(before, intended, held));
    await this.settle(admitted, manifest);
    // Only what was confirmed: whoever took over reads on from the manifest before, and still needs what that names.
    await this.clean(admitted, manifest);
    await this.join(admitted);
    onProgress();
  }

  private async join(admitted: Admitted): Promise<void> {
    this.due.done();
    if (this.current === "online") return;
    if (this.settings.mode === "sync") {
      this.isJoining = true;
      await this.sending;
      await admitted.tail.send(this.abort.signal);
      await this.confirm(admitted);
    }
    this.become("online", undefined);
    this.isJoining = false;
  }

  private async settle(admitted: Admitted, manifest: Manifest): Promise<void> {
    admitted.tail.sealed(manifest.sealed);
    await this.confirm(admitted);
    admitted.isOurs = true;
  }

  /** What is there by now counts, if nobody claimed after us: whoever does from now on finds it. @throws fenced */
  private async confirm(admitted: Admitted): Promise<void> {
    const { reached } = admitted.tail;
    if (!(await isStillHighest(this.options.store, admitted.claim.sequence))) throw await this.overtaken();
    admitted.confirmedLsn = reached;
    this.lastConfirmedLsn = reached;
    this.confirmedAt = this.options.clock.monotonic();
    this.awaySince = undefined;
  }

  /** @throws fenced: somebody else published as this writer */
  private async publish({ claim, manifests }: Admitted, number: number, bytes: Uint8Array): Promise<void> {
    const { store } = this.options;
    const name = manifestObject(claim.sequence, number);
    try {
      await store.put(name, bytesSource(bytes), { ifAbsent: true });
    } catch (error) {
      if (!isSternwayError(error, "conflict")) throw error;
      // Ours, when an earlier try was done and its answer was lost.
      if (Buffer.compare(await store.get(name), bytes) !== 0) throw await this.overtaken(error);
    }
    manifests.push({ name, writer: claim.sequence, number });
    this.objectsPut++;
    this.bytesPut += bytes.length;
  }

  /** Finds out who it is. */
  private async overtaken(cause?: unknown): Promise<SternwayError> {
    const stranger = await strangerAt(this.admissionOptions);
    return stranger ? this.met(stranger) : fenced(this.admissionOptions, "has other manifests", cause);
  }

  /** Removes what the tier's manifest does not name any more. */
  private async clean(admitted: Admitted, manifest: Manifest): Promise<void> {
    const { store, clock, graceMs = GRACE_MS } = this.options;
    for (const name of admitted.unnamed.due(this.have.keys(), sealedObjects(manifest), clock.monotonic(), graceMs)) {
      await store.remove(name);
      this.have.delete(name);
      admitted.unnamed.forget(name);
    }
    const kept = newestOf(admitted.manifests);
    for (const old of admitted.manifests.filter((each) => !kept.includes(each))) await store.remove(old.name);
    admitted.manifests = kept;
    await admitted.tail.removeSealed();
  }

  private async sendAll(): Promise<void> {
    const { admitted } = this;
    this.isSendWanted = false;
    if (admitted?.isOurs !== true || this.due.isScheduled || this.stopping) return;
    try {
      await admitted.tail.send(this.abort.signal);
      if (admitted.tail.reached === admitted.confirmedLsn) return;
      await this.confirm(admitted);
      this.options.onProgress();
    } catch (error) {
      if (this.admitted === admitted) this.failed(error);
      else if (!isSternwayError(error)) throw error;
      this.wake();
    }
  }

  /** What is here and not there, as far as is known; of a tier that was never reached since the start, all of it. */
  get lagBytes(): number {
    const { manifest } = this.options.vault.sealing;
    const unsent = this.admitted?.tail.unsentBytes ?? 0;
    const { have } = this;
    // Asked for several times a second, and a manifest of a large vault names tens of thousands of files.
    if (this.missing?.number !== manifest.number || this.missing.have !== have || this.missing.count !== have.size) {
      let bytes = 0;
      for (const { name, file } of sealedObjects(manifest).values()) if (!have.has(name)) bytes += file.sizeBytes;
      this.missing = { number: manifest.number, have, count: have.size, bytes };
    }
    return unsent + this.missing.bytes;
  }

  private become(state: CopyState, reason: string | undefined): void {
    this.reason = reason;
    if (state === this.current) return;
    const before = this.current;
    this.current = state;
    this.since = this.options.clock.wall();
    this.options.onState(this, before);
    // Who waits for a flush must not wait for a tier that is away.
    this.options.onProgress();
  }
}

function nothingThere(error: unknown): undefined {
  if (isSternwayError(error, "not_found")) return undefined;
  throw error;
}
