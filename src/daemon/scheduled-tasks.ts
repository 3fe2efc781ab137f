/** What schedules have done by the appliance, and how their runs become jobs. */
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { Appliance, JobRunner, RetentionAdmin, ScrubAdmin, TierAdmin } from "../api/app.ts";
import type { StartJob, TaskJob, Tasks } from "../automation/automation.ts";

export interface TaskSources {
  check: Appliance["check"];
  scrub: ScrubAdmin;
  retention: RetentionAdmin;
  tiers: Pick<TierAdmin, "sync" | "verify">;
  /** Makes one report and sends it where it goes. @returns what was done, in words */
  report: Tasks["report"];
}

export function scheduledTasks({ check, scrub, retention, tiers, report }: TaskSources): Tasks {
  return {
    async check({ vault, quick }, job) {
      const end = await follow(check({ vault, quick }, job.signal), job);
      if (end.findings > 0) throw found(`the check found ${end.findings} things; \`sternway check\` shows them`);
      return `${end.objects} objects and ${formatSize(end.bytes)} are whole`;
    },
    async scrub({ vault }, job) {
      const end = await follow(scrub.run({ vault }, job.signal), job);
      if (end.damaged > 0) throw found(`the scrub left ${end.damaged} places damaged`);
      return `${end.objects} objects were scrubbed; ${end.restored} blocks were brought back`;
    },
    async gc({ vault }, job) {
      const end = await follow(retention.run({ vault }, job.signal), job);
      if (end.failures > 0)
        throw new SternwayError("unavailable", `${end.failures} parts of it failed; events tell which`);
      return `${end.volumesThinned} volumes were thinned, ${formatSize(end.freedBytes)} given back`;
    },
    async syncTier({ vault, tier }, job) {
      await follow(tiers.sync(vault, tier, job.signal), job);
      return tier === undefined ? `all tiers of vault ${vault} have everything` : `tier ${tier} has everything`;
    },
    async verifyTier({ vault, tier, repair = false }, job) {
      const end = await follow(tiers.verify(vault, tier, repair, job.signal), job);
      if (end.findings > end.repaired)
        throw found(`${end.findings - end.repaired} of its objects are not as they should be`);
      return `tier ${tier} is whole`;
    },
    report,
  };
}

type Line = { line: string };
/** Work counts in one of two ways. */
type Progress = { done?: number; total?: number; objects?: number; objectsTotal?: number };

/** Goes through lines to their end. @throws unavailable: they stopped before it */
async function follow<Each extends Line>(
  lines: AsyncIterable<Each>,
  job: TaskJob,
): Promise<Extract<Each, { line: "end" }>> {
  for await (const line of lines) {
    const { done, total, objects = done, objectsTotal = total } = line as Progress;
    if (line.line === "progress" && objects !== undefined && (objectsTotal ?? 0) > 0)
      job.progress(objects / objectsTotal!);
    if (line.line === "end") return line as Extract<Each, { line: "end" }>;
  }
  throw new SternwayError("unavailable", "it was stopped before its end");
}

const found = (message: string): SternwayError => new SternwayError("corrupt", message);

/** Steps in which progress is told. */
const STEPS = 1_000;

/** Schedules' runs as jobs of the runner. */
export function jobStarter(jobs: () => Pick<JobRunner, "start">): StartJob {
  return (kind, subject, work) => {
    const result = Promise.withResolvers<string>();
    async function* run(
      signal: AbortSignal,
    ): AsyncGenerator<{ line: string; done?: number; total?: number; text?: string }> {
      let fraction = 0;
      let moved = Promise.withResolvers<void>();
      // First, so that work which fails at once is a job all the same.
      yield { line: "progress", done: 0, total: STEPS };
      const progress = (to: number): void => {
        fraction = to;
        moved.resolve();
      };
      const working = work({ signal, progress });
      working.then(result.resolve, result.reject);
      const ended = working.then(() => true);
      // Whoever waits for the result hears of it.
      ended.catch(() => undefined);
      while (!(await Promise.race([ended, moved.promise.then(() => false)]))) {
        moved = Promise.withResolvers();
        yield { line: "progress", done: Math.round(fraction * STEPS), total: STEPS };
      }
      yield { line: "end", text: await working };
    }
    const started = jobs().start({
      kind: kind === "sync-tier" ? "sync-tiers" : kind,
      subject,
      askedBy: undefined,
      run,
      read: ({ line, done = 0 }) => ({
        passing: line === "progress",
        ...(line === "progress" ? { progress: done / STEPS } : {}),
      }),
    });
    const id = started.then(
      (job) => job.id,
      (error: unknown) => {
        result.reject(error);
        return undefined;
      },
    );
    return { id, ended: result.promise };
  };
}
