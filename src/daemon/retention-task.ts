/**
 * Carries out retention: notes how much time has passed, applies every policy, and gives the space back. By itself every quarter of an hour and
 * once after the start, and whenever somebody asks (`sternway gc run`). One run at a time.
 *
 * By itself it collects only where something was let go of, since collecting reads all of a vault's map; asked, it always does. A volume or
 * vault that fails is told about and keeps what it has; the others go on.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import { formatSize, formatTime } from "../base/units.ts";
import type { RetentionAdmin } from "../api/app.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { GcRequest, GcRunLine } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import { applyRetention, changes, type RetentionPlan } from "../retention/retention.ts";
import type { Volumes } from "../volume/volumes.ts";

/** What collecting did; of {@link GcRunLine} `collected`. */
export type Collected = Omit<Extract<GcRunLine, { line: "collected" }>, "line" | "vault">;

/** An open vault, as retention sees it. */
export interface RetainedVault {
  readonly name: string;
  readonly volumes: Volumes;
  /** Undefined where nothing can be written. */
  readonly collect: (() => Promise<Collected>) | undefined;
}

export interface RetentionTaskOptions {
  /** The vaults that are open now, or the one of a name. @throws not_found, or why that one is closed */
  vaults: (name: string | undefined) => readonly RetainedVault[];
  clock: Clock;
  intervalMinutes: number;
  zone: string;
  log: Log;
  /** Keeps an event for people; never throws. */
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

/** A wall clock that is further ahead than this was set wrong, or the appliance was off for long. */
const CLOCK_AHEAD_MICROS = 86_400e6;

const NOTHING: Collected = { packsDeleted: 0, packsRepacked: 0, freedBytes: 0, copiedBytes: 0, deadBytes: 0 };

export class RetentionTask implements RetentionAdmin {
  readonly zone: string;
  private readonly options: RetentionTaskOptions;
  private running = false;
  private readonly stopping = new AbortController();
  private round: Promise<void> | undefined;
  private timer: Timer | undefined;
  /** Volumes of each vault at the last evaluation: one that went leaves space to collect. */
  private readonly known = new Map<string, ReadonlySet<string>>();
  /** What was last told of a volume or vault that fails, so that it is told once. */
  private readonly told = new Map<string, string>();

  constructor(options: RetentionTaskOptions) {
    this.options = options;
    this.zone = options.zone;
  }

  /** Begins with a first evaluation at once. */
  start(): void {
    this.round = this.evaluate().finally(() => {
      if (this.stopping.signal.aborted) return;
      this.timer = this.options.clock.timer(this.options.intervalMinutes * 60_000, () => this.start());
    });
  }

  /** Begins nothing more. Collecting that is under way ends when its vault stops. */
  stop(): void {
    this.stopping.abort();
    this.timer?.cancel();
  }

  /** Resolves when no evaluation is under way. */
  async idle(): Promise<void> {
    await this.round;
  }

  /** One evaluation by itself; what fails is logged and tried again the next time. */
  private async evaluate(): Promise<void> {
    try {
      for await (const line of this.run({}, this.stopping.signal, false)) this.options.log.debug(line, "retention");
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      // Somebody's own run does the same.
      if (error.kind !== "conflict") this.options.log.error({ err: error }, "retention could not be carried out");
    }
  }

  async *run(
    request: GcRequest,
    signal: AbortSignal,
    collectsAlways = true,
  ): AsyncGenerator<GcRunLine, void, undefined> {
    if (this.running)
      throw new SternwayError("conflict", "retention is being carried out already; GET /v1/jobs shows it");
    this.running = true;
    try {
      const vaults = this.options.vaults(request.vault);
      const end = { line: "end" as const, volumesThinned: 0, failures: 0, ...NOTHING };
      for (const [i, vault] of vaults.entries()) {
        if (signal.aborted) return;
        yield { line: "progress", what: `vault ${vault.name}`, done: i, total: vaults.length };
        if (!vault.collect) continue;
        let isDue = this.noteVolumes(vault) || collectsAlways;
        for await (const line of this.thin(vault, signal)) {
          if (line.line === "thinned") end.volumesThinned++;
          else end.failures++;
          isDue ||= line.line === "thinned";
          yield line;
        }
        if (!isDue || signal.aborted) continue;
        const collected = await this.collect(vault.name, vault.collect);
        if (!collected) {
          end.failures++;
          continue;
        }
        for (const key of Object.keys(NOTHING) as (keyof Collected)[]) end[key] += collected[key];
        yield { line: "collected", vault: vault.name, ...collected };
      }
      yield end;
    } finally {
      this.running = false;
    }
  }

  /** @returns whether volumes went since the last time, or nothing is known of a last time */
  private noteVolumes({ name, volumes }: RetainedVault): boolean {
    const names = new Set(volumes.list().map((info) => info.name));
    const before = this.known.get(name);
    this.known.set(name, names);
    return before === undefined || [...before].some((volume) => !names.has(volume));
  }

  private async *thin(
    { name, volumes }: RetainedVault,
    signal: AbortSignal,
  ): AsyncGenerator<Extract<GcRunLine, { line: "thinned" | "kept" }>, void, undefined> {
    try {
      await volumes.noteTime();
    } catch (error) {
      // Nothing is thought older than it is without: policies and locks only last longer.
      this.failed(`the time of vault ${name}`, name, error);
    }
    for (const { name: volume } of volumes.list()) {
      if (signal.aborted) return;
      try {
        const plan = await applyRetention(volumes, volume, { zone: this.zone });
        this.told.delete(`retention of volume ${volume}`);
        this.watchClock(name, plan);
        if (!changes(plan)) continue;
        this.tellThinned(plan);
        const { to, writes, goingPoints, points } = plan;
        yield {
          line: "thinned",
          volume,
          to: { lsn: to.lsn, time: formatTime(to.time) },
          writes,
          goingPoints: goingPoints.length,
          pointCount: points.length,
        };
      } catch (error) {
        this.failed(`retention of volume ${volume}`, volume, error);
        yield { line: "kept", volume, reason: errorText(error) };
      }
    }
  }

  private async collect(vault: string, collect: () => Promise<Collected>): Promise<Collected | undefined> {
    try {
      const { packsDeleted, packsRepacked, freedBytes, copiedBytes, deadBytes } = await collect();
      this.told.delete(`collecting in vault ${vault}`);
      if (freedBytes > 0) {
        const message = `vault ${vault} gave back ${formatSize(freedBytes)}`;
        this.options.tell({ level: "info", kind: "collected", subject: vault, message });
      }
      return { packsDeleted, packsRepacked, freedBytes, copiedBytes, deadBytes };
    } catch (error) {
      this.failed(`collecting in vault ${vault}`, vault, error);
      return undefined;
    }
  }

  private tellThinned({ volume, to, writes, goingPoints, points }: RetentionPlan): void {
    const message = `volume ${volume} keeps every write from ${formatTime(to.time)} on and ${points.length} points before; ${writes} writes and ${goingPoints.length} points came behind that`;
    this.options.tell({ level: "info", kind: "retention-applied", subject: volume, message });
  }

  private watchClock(vault: string, { clockAheadMicros, now }: RetentionPlan): void {
    const key = `clock ${vault}`;
    if (clockAheadMicros < CLOCK_AHEAD_MICROS) {
      this.told.delete(key);
      return;
    }
    if (this.told.has(key)) return;
    this.told.set(key, "ahead");
    const daysAhead = Math.floor(clockAheadMicros / 86_400e6);
    const message = `the clock is ${daysAhead} days ahead of what vault ${vault} has seen pass: it was set forward, or the appliance was off. Policies count from ${formatTime(now)} and catch up at twice the speed of time; check the clock`;
    this.options.log.warn({ vault, clockAheadMicros }, "the clock is ahead of the vault's time");
    this.options.tell({ level: "warning", kind: "clock-ahead", subject: vault, message });
  }

  /** Tells of a failure once for as long as it stays the same. @throws a defect of ours */
  private failed(what: string, subject: string, error: unknown): void {
    if (!isSternwayError(error)) throw error;
    const text = errorText(error);
    if (this.told.get(what) === text || this.stopping.signal.aborted) return;
    this.told.set(what, text);
    this.options.log.error({ err: error, what }, "retention met an error");
    const message = `${what} failed: ${text}; nothing is lost by that, and it is tried again`;
    this.options.tell({ level: "warning", kind: "retention-failed", subject, message });
  }
}
