/**
 * A store that is tried again: each operation up to ten times, with growing pauses and a new connection between tries; then the tier is offline, and says so
 * at once to whoever asks, while a probe now and then finds out whether it is back.
 *
 * What another try cannot help (not_found, conflict, denied, invalid, corrupt) is not tried again; nor is a put whose source fails, which is no
 * fault of the tier's. A place that turns out to be another one, or that refuses the credentials, is offline at once. Only a connection that was made
 * brings the tier online, so nothing is asked of a place that was not proven.
 *
 * A put that should have created an object and meets one after a try of unknown outcome says `conflict` with facts.ambiguous: it may be its own.
 *
 * Nothing here is durable: after a crash a tier begins anew, as `connecting`.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/units.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { ObjectInfo, ObjectSource, ObjectStore, PutOptions, ReadOptions } from "./store.ts";
import { givenUp, LinkedSignal, pause, unlessAborted } from "./waiting.ts";
import { WatchedSource } from "./watched-source.ts";

export interface TierOptions {
  /** The tier's from now on: it closes it. */
  store: ObjectStore;
  /** What the place must be: the vault's id. */
  identity: string;
  clock: Clock;
  random: Random;
  /** Told of each change, when it has happened; must not throw. */
  onState?: (state: TierState) => void;
  /** Default 10. */
  attemptsMax?: number;
  /** Pauses between tries double from the first to the last, and are up to half shorter by chance. Default 100 ms to 5 s: 21 s at the most in all, and no more than 5 s until it is found out that the place is back. */
  pauseMsMin?: number;
  pauseMsMax?: number;
  /** Between probes of a tier that is offline, likewise. Default 2 s to 15 s. */
  probeMsMin?: number;
  probeMsMax?: number;
  /** For puts and gets; may be shared with other tiers. */
  bandwidth?: Bandwidth | undefined;
}

/**
 * - `connecting`: not reached yet, and not given up
 * - `online`: reached; calls that fail are being tried again, if any
 * - `offline`: given up until a probe succeeds; every call but attach and identify fails at once
 */
export type TierState = "connecting" | "online" | "offline";

/** A connection that is being made or was made; `ready` gives why it was not. */
interface Connection {
  ready: Promise<SternwayError | undefined>;
}

const ATTEMPTS_MAX = 10;
const PAUSE_MS = { min: 100, max: 5_000 };
const PROBE_MS = { min: 2_000, max: 15_000 };
/** A store ends its calls when they are given up; one that does not is not waited for any longer than this. */
const STOP_MS_MAX = 5_000;

export class Tier implements ObjectStore {
  private readonly options: TierOptions;
  private readonly attemptsMax: number;
  private readonly pauseMs: { min: number; max: number };
  private readonly probeMs: { min: number; max: number };
  private readonly stopping = new AbortController();
  private stopped: Promise<void> | undefined;
  /** Aborted when the tier goes offline: whoever pauses is told at once. */
  private lull = new AbortController();
  private connection: Connection | undefined;
  private readonly ongoing = new Set<Promise<unknown>>();
  private current: { state: TierState; since: Micros; reason: SternwayError | undefined };
  private probe: Timer | undefined;
  private nextProbeMs: number;
  private counts = { attempts: 0, failures: 0 };

  constructor(options: TierOptions) {
    this.options = options;
    this.attemptsMax = options.attemptsMax ?? ATTEMPTS_MAX;
    this.pauseMs = { min: options.pauseMsMin ?? PAUSE_MS.min, max: options.pauseMsMax ?? PAUSE_MS.max };
    this.probeMs = { min: options.probeMsMin ?? PROBE_MS.min, max: options.probeMsMax ?? PROBE_MS.max };
    this.nextProbeMs = this.probeMs.min;
    this.current = { state: "connecting", since: options.clock.wall(), reason: undefined };
  }

  get url(): string {
    return this.options.store.url;
  }

  get state(): TierState {
    return this.current.state;
  }

  /** Wall time of the last change of state. */
  get since(): Micros {
    return this.current.since;
  }

  /** Why it is offline; undefined: it is not. `invalid`: the place is not what it should be; `denied`: it refuses the credentials. */
  get offlineReason(): SternwayError | undefined {
    return this.current.reason;
  }

  /** Tries and probes begun since the start. */
  get attempts(): number {
    return this.counts.attempts;
  }

  /** Those of them that the place failed. */
  get failures(): number {
    return this.counts.failures;
  }

  /** Connects in the background, as the first call otherwise would: whether it is there is known soon. */
  run(): void {
    void this.connect(this.options.identity).catch((error: unknown) => {
      // The state says what came of it.
      if (!isSternwayError(error)) throw error;
    });
  }

  async put(name: string, source: ObjectSource, options: PutOptions = {}): Promise<void> {
    let isAmbiguous = false;
    const failed = await this.tried(`put ${name}`, options.signal, async (store, signal) => {
      const watched = new WatchedSource(source, this.options.bandwidth, signal);
      try {
        await store.put(name, watched, { ...options, signal });
        return undefined;
      } catch (error) {
        if (watched.failure) return watched.failure;
        if (isAmbiguous && options.ifAbsent === true && isSternwayError(error, "conflict")) {
          throw new SternwayError("conflict", error.message, { ...error.facts, ambiguous: true }, { cause: error });
        }
        isAmbiguous ||= isSternwayError(error, "unavailable");
        throw error;
      }
    });
    if (failed) throw failed.error;
  }

  async get(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    return await this.tried(`get ${name}`, options.signal, async (store, signal) => {
      const bytes = await store.get(name, { ...options, signal });
      await this.options.bandwidth?.take(bytes.length, signal);
      return bytes;
    });
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    return await this.tried(`stat ${name}`, signal, (store, linked) => store.stat(name, linked));
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    await this.tried(`remove ${name}`, signal, (store, linked) => store.remove(name, linked));
  }

  /** As one operation: a list that breaks off is begun anew, so all of it is in memory before the first is given. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    yield* await this.tried(`list ${prefix}`, signal, async (store, linked) => {
      const found: ObjectInfo[] = [];
      for await (const info of store.list(prefix, linked)) found.push(info);
      return found;
    });
  }

  /** Connects anew. @param identity - the tier's own @throws invalid, denied: what took it offline; unavailable: it is offline already */
  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    if (identity !== this.options.identity) {
      throw new SternwayError("invalid", `${this.url} is a tier of ${this.options.identity}, not of ${identity}`);
    }
    const wasOffline = this.state === "offline";
    this.connection = undefined;
    try {
      await this.tried("connect", signal, () => Promise.resolve());
    } catch (error) {
      throw wasOffline ? error : (this.offlineReason ?? error);
    }
  }

  /** Tried again like every call, also while offline: it is what makes a place the tier's that was not. */
  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    await this.tried("attach", signal, (store, linked) => store.attach(identity, linked), false);
    if (this.state === "offline") await this.look();
  }

  /** Likewise: it proves nothing, so it needs no connection. */
  async identify(signal?: AbortSignal): Promise<string | undefined> {
    return await this.tried("identify", signal, (store, linked) => store.identify(linked), false);
  }

  /** {@link stop}, as a store. */
  async close(): Promise<void> {
    await this.stop();
  }

  /**
   * Ends probes and pauses, gives up what is under way, and closes the store; calls fail from now on. Idempotent.
   * @param timeMsMax - how long tries that are under way are waited for, and the closing of the store; one that hangs ends by its own time limit later
   */
  stop(timeMsMax = STOP_MS_MAX): Promise<void> {
    return (this.stopped ??= this.end(timeMsMax));
  }

  private async end(timeMsMax: number): Promise<void> {
    this.stopping.abort();
    this.probe?.cancel();
    await this.within(timeMsMax, Promise.allSettled(this.ongoing));
    await this.within(timeMsMax, this.options.store.close());
  }

  private async within(timeMsMax: number, work: Promise<unknown>): Promise<void> {
    const late = new AbortController();
    const timer = this.options.clock.timer(timeMsMax, () => late.abort());
    try {
      await unlessAborted(work, late.signal, undefined);
    } finally {
      timer.cancel();
    }
  }

  private async tried<Result>(
    what: string,
    callers: AbortSignal | undefined,
    work: (store: ObjectStore, signal: AbortSignal) => Promise<Result>,
    needsConnection = true,
  ): Promise<Result> {
    using linked = new LinkedSignal(callers, this.stopping.signal);
    const { signal } = linked;
    for (let attempt = 1, pauseMs = this.pauseMs.min; ; attempt++, pauseMs *= 2) {
      this.checkGivenUp(what, signal);
      if (needsConnection && this.state === "offline") throw this.offlineError();
      this.counts.attempts++;
      const connection = needsConnection ? this.connected() : undefined;
      const refusal = connection && (await unlessAborted(connection.ready, signal, undefined));
      this.checkGivenUp(what, signal);
      let failure = refusal;
      if (!refusal) {
        try {
          return await this.tracked(work(this.options.store, signal));
        } catch (error) {
          this.checkGivenUp(what, signal);
          if (!isSternwayError(error)) throw error;
          // The place may have become another one, or ceased to know us: the next call finds out before it asks.
          if (["unavailable", "denied", "invalid"].includes(error.kind)) this.drop(connection);
          if (error.kind !== "unavailable") throw error;
          failure = error;
        }
      }
      this.counts.failures++;
      const isHopeless = refusal !== undefined && refusal.kind !== "unavailable";
      if (failure && (isHopeless || attempt >= this.attemptsMax)) {
        if (needsConnection) this.goOffline(failure);
        throw isHopeless ? this.offlineError() : failure;
      }
      using resting = new LinkedSignal(signal, this.lull.signal);
      await pause(this.options.clock, this.jittered(Math.min(pauseMs, this.pauseMs.max)), resting.signal);
    }
  }

  /** One connection is made for all who wait. */
  private connected(): Connection {
    if (this.connection) return this.connection;
    const connection: Connection = { ready: this.tracked(this.reach(() => this.drop(connection))) };
    this.connection = connection;
    return connection;
  }

  /** Connects once. @returns why it did not */
  private async reach(drop: () => void): Promise<SternwayError | undefined> {
    try {
      await this.options.store.connect(this.options.identity, this.stopping.signal);
    } catch (error) {
      drop();
      if (!isSternwayError(error)) throw error;
      return error;
    }
    this.probe?.cancel();
    this.become("online", undefined);
    return undefined;
  }

  /** A failure on an old connection says nothing about a newer one. */
  private drop(connection: Connection | undefined): void {
    if (this.connection === connection) this.connection = undefined;
  }

  private tracked<Result>(work: Promise<Result>): Promise<Result> {
    const done = work.finally(() => this.ongoing.delete(done));
    this.ongoing.add(done);
    return done;
  }

  private checkGivenUp(what: string, signal: AbortSignal): void {
    if (this.stopping.signal.aborted) {
      throw new SternwayError("unavailable", `${what}: ${this.url} was let go`, { aborted: true });
    }
    if (signal.aborted) throw givenUp(`${what} at ${this.url}`);
  }

  private offlineError(): SternwayError {
    const { reason } = this.current;
    const facts = reason ? { offline: true, reason: reason.kind } : { offline: true };
    return new SternwayError("unavailable", `${this.url} is offline`, facts, { cause: reason });
  }

  private goOffline(reason: SternwayError): void {
    if (this.stopping.signal.aborted) return;
    if (this.state !== "offline") this.nextProbeMs = this.probeMs.min;
    this.connection = undefined;
    this.probe?.cancel();
    this.probe = this.options.clock.timer(this.jittered(this.nextProbeMs), () => void this.look());
    this.nextProbeMs = Math.min(this.nextProbeMs * 2, this.probeMs.max);
    this.become("offline", reason);
  }

  /** A probe; rejects only where there is a defect. */
  private async look(): Promise<void> {
    this.counts.attempts++;
    const refusal = await this.connected().ready;
    if (!refusal) return;
    this.counts.failures++;
    this.goOffline(refusal);
  }

  private become(state: TierState, reason: SternwayError | undefined): void {
    if (this.stopping.signal.aborted) return;
    const isChange = this.current.state !== state;
    this.current = { state, since: isChange ? this.options.clock.wall() : this.current.since, reason };
    if (!isChange) return;
    if (state === "offline") {
      this.lull.abort();
      this.lull = new AbortController();
    }
    this.options.onState?.(state);
  }

  private jittered(delayMs: number): number {
    return delayMs * (0.5 + 0.5 * this.options.random.unit());
  }
}
