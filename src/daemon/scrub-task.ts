/**
 * The scrub of one vault in a running appliance: one object at a time, spread evenly over the configured cycle, and later whenever clients
 * need the sealer. What it finds and repairs becomes events and metrics. Somebody may also run it at full speed; both are one scrub, and
 * go on where the other stopped.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, isSternwayError, SternwayError } from "../base/errors.ts";
import { formatTime, micros } from "../base/units.ts";
import type { CatalogEvent } from "../catalog/catalog.ts";
import type { ScrubLine, ScrubRequest, VaultScrub } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { Scrub, type RepairReport, type ScrubStep } from "../vault/scrubbing/scrub.ts";
import type { Vault } from "../vault/vault.ts";

export type ScrubRunLine = Exclude<ScrubLine, { line: "failed" }>;

const DAY_MICROS = 86_400e6;
/** Looked at again at least so often, since the vault grows and the clock may be set. */
const WAIT_MS_MAX = 600_000;
/** Between two objects when the scrub is late: 64 MiB four times a second is the most it reads by itself. */
const WAIT_MS_MIN = 250;
/** While clients need the sealer, and after a failure. */
const PAUSE_MS = 5_000;
/** How often a copy of what is lost is looked for where a client may have written one. */
const RETRY_MICROS = 3_600e6;

export interface ScrubTaskOptions {
  vault: Vault;
  /** As the appliance calls the vault. */
  name: string;
  cycleDays: number;
  clock: Clock;
  log: Log;
  metrics: Metrics;
  tell: (event: Omit<CatalogEvent, "id" | "time">) => void;
}

export class ScrubTask {
  private readonly options: ScrubTaskOptions;
  private readonly scrub: Scrub;
  private timer: Timer | undefined;
  private working: Promise<void> | undefined;
  private isRunning = false;
  private isPaused = false;
  private isStopped = false;
  private trouble: string | undefined;
  private lastRetry: number;

  /** Begins to scrub. @throws unavailable: the record of how far it came cannot be read */
  static async start(options: ScrubTaskOptions): Promise<ScrubTask> {
    const task = new ScrubTask(options, await Scrub.open(options.vault));
    task.wait();
    return task;
  }

  private constructor(options: ScrubTaskOptions, scrub: Scrub) {
    this.options = options;
    this.scrub = scrub;
    this.lastRetry = options.clock.monotonic();
  }

  status(): VaultScrub {
    const { startedAt, last, ...status } = this.scrub.status();
    return {
      vault: this.options.name,
      state: this.isRunning ? "running" : this.isPaused ? "paused" : "waiting",
      ...status,
      startedAt: formatTime(micros(startedAt)),
      ...(this.trouble === undefined ? {} : { trouble: this.trouble }),
      ...(last && {
        last: { ...last, startedAt: formatTime(micros(last.startedAt)), endedAt: formatTime(micros(last.endedAt)) },
      }),
    };
  }

  /** Blocks in quarantine now. */
  get quarantined(): number {
    return this.scrub.status().quarantined;
  }

  /**
   * Goes through what the cycle has left, as fast as it can; ends with a line `end`, or without one when it was aborted.
   * @throws conflict: it runs already; unavailable: the disk failed
   */
  async *run({ full = false }: ScrubRequest, signal: AbortSignal): AsyncGenerator<ScrubRunLine, void, undefined> {
    if (this.isRunning) {
      throw new SternwayError("conflict", `the scrub of vault ${this.options.name} is running already`);
    }
    this.isRunning = true;
    this.timer?.cancel();
    try {
      await this.working;
      if (full) this.scrub.restart();
      const end = { line: "end" as const, objects: 0, bytes: 0, findings: 0, restored: 0, damaged: 0 };
      for (let isOver = false; !isOver && !signal.aborted && !this.isStopped;) {
        const { bytes, bytesLeft } = this.scrub.status();
        yield { line: "progress", what: `vault ${this.options.name}`, done: bytes, total: bytes + bytesLeft };
        const step = await this.owned(this.step());
        isOver = step.endsCycle;
        if (!isOver) end.objects++;
        end.bytes += step.sizeBytes;
        end.findings += step.findings.length;
        const isWhole = step.restored.includes(step.subject);
        if (!isWhole) end.damaged += step.findings.filter(({ finding }) => finding.kind !== "pack-damaged").length;
        for (const { finding, isKnown } of step.findings) {
          const { subject, message, facts } = finding;
          yield { line: "finding", subject, message, known: isKnown, facts };
        }
        for (const { pack, report } of step.repairs) {
          end.restored += blocks(report);
          yield { line: "repair", subject: `pack ${pack}`, ...report };
        }
        for (const subject of step.restored) yield { line: "repair", subject, restored: {}, freed: 0, lost: 0 };
        // What was brought back in the end is damaged no more, so this is counted last.
        if (isOver) end.damaged += this.heldPacks();
      }
      if (signal.aborted || this.isStopped) return;
      yield end;
    } finally {
      this.isRunning = false;
      this.wait();
    }
  }

  /** Ends after the object at hand. Idempotent. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timer?.cancel();
    await this.working;
  }

  /** Lets {@link stop} wait for a step that somebody asked for. */
  private async owned(step: Promise<ScrubStep>): Promise<ScrubStep> {
    const ended = Promise.withResolvers<void>();
    this.working = ended.promise;
    try {
      return await step;
    } finally {
      this.working = undefined;
      ended.resolve();
    }
  }

  private heldPacks(): number {
    return this.options.vault.sealing.manifest.quarantine?.length ?? 0;
  }

  private wait(): void {
    if (this.isStopped || this.isRunning) return;
    this.timer?.cancel();
    const due = this.scrub.dueIn(this.options.cycleDays * DAY_MICROS);
    const delay = this.isPaused || this.trouble !== undefined ? PAUSE_MS : Math.max(due, WAIT_MS_MIN);
    this.timer = this.options.clock.timer(Math.min(delay, WAIT_MS_MAX), () => this.wake());
  }

  private wake(): void {
    if (this.isStopped || this.isRunning || this.working) return;
    this.working = this.work().finally(() => {
      this.working = undefined;
      this.wait();
    });
  }

  private async work(): Promise<void> {
    const { vault, clock, cycleDays, log } = this.options;
    const { sealing } = vault;
    this.isPaused = sealing.backlog > 1 || vault.parts.pressure.effort === "raw";
    if (this.isPaused) return;
    try {
      if (this.scrub.dueIn(cycleDays * DAY_MICROS) === 0) await this.step();
      else if (clock.monotonic() - this.lastRetry >= RETRY_MICROS) await this.retry();
      this.trouble = undefined;
    } catch (error) {
      if (!isSternwayError(error)) throw error;
      if (this.isStopped) return;
      if (this.trouble === undefined) log.error({ err: error }, "the scrub met trouble; it tries again");
      this.trouble = errorText(error);
    }
  }

  private async retry(): Promise<void> {
    this.lastRetry = this.options.clock.monotonic();
    for (const { pack, report } of await this.scrub.retryRepairs()) this.tellRepair(pack, report, false);
  }

  private async step(): Promise<ScrubStep> {
    const { name, metrics, tell, log } = this.options;
    const step = await this.scrub.step();
    metrics.scrubbedBytes.inc({ vault: name }, step.sizeBytes);
    for (const { finding, isKnown } of step.findings) {
      if (isKnown) continue;
      metrics.damage.inc();
      log.error(finding.facts, finding.message);
      tell({ level: "alert", kind: "damage", subject: finding.subject, message: `vault ${name}: ${finding.message}` });
    }
    for (const { pack, report } of step.repairs) this.tellRepair(pack, report, step.findings.some(isNew));
    if (step.endsCycle) log.info({ subject: step.subject }, "a scrub cycle has ended");
    return step;
  }

  /** @param isNews - the damage was found just now, so that what could not be done is news too */
  private tellRepair(pack: number, report: RepairReport, isNews: boolean): void {
    const { name, metrics, tell, log } = this.options;
    const restored = blocks(report);
    metrics.restoredBlocks.inc({ vault: name }, restored);
    log.info({ pack, ...report }, "a damaged pack was worked on");
    const subject = `pack ${pack}`;
    if (restored > 0 || report.freed > 0) {
      const rest = report.lost === 0 ? "" : `, ${blockText(report.lost)} still lost`;
      const message = `vault ${name}: ${subject} was repaired: ${blockText(restored)} brought back, ${report.freed} not needed any more${rest}`;
      tell({ level: report.lost === 0 ? "info" : "warning", kind: "repaired", subject, message });
    } else if (isNews && report.lost > 0) {
      const why = report.obstacle ?? "no copy of them was found";
      tell({
        level: "alert",
        kind: "lost",
        subject,
        message: `vault ${name}: ${subject}: ${blockText(report.lost)} lost: ${why}`,
      });
    }
  }
}

const blockText = (count: number): string => (count === 1 ? "1 block" : `${count} blocks`);
const isNew = ({ isKnown }: { isKnown: boolean }): boolean => !isKnown;
const blocks = (report: RepairReport): number => Object.values(report.restored).reduce((sum, count) => sum + count, 0);
