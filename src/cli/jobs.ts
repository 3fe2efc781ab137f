/** `sternway jobs [show|cancel]`: what the appliance does and did in the background. */
import type { Command } from "commander";
import type { WireJob } from "../contract/contract.ts";
import { integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { facts, showTime, table } from "./text.ts";

export function registerJobs(program: Command, context: Context): void {
  const jobs = examples(
    program
      .command("jobs")
      .description("what the appliance does and did in the background, newest first")
      .option("--limit <n>", "how many", integerArgument(1, 1000), 20)
      .action(async (options: { limit: number }, command: Command) => {
        const run = invocation(context, command);
        const page = await run.client().jobs(options);
        const text = table(
          [
            { title: "id", align: "right" },
            { title: "what" },
            { title: "of" },
            { title: "started" },
            { title: "by" },
            // Last, since it says in full why a job failed.
            { title: "state" },
          ],
          page.jobs.map((job) => [
            String(job.id),
            job.kind,
            job.subject,
            showTime(job.startedAt),
            job.askedBy ?? "",
            stateText(job),
          ]),
        );
        run.print(page, page.jobs.length === 0 ? "no jobs yet\n" : text);
      }),
    "sternway jobs",
    "sternway jobs --limit 100 --json",
    "sternway jobs cancel 7",
  );

  examples(
    jobs
      .command("show")
      .description("one job: how far it is, or how it ended")
      .argument("<id>", "its number", jobId)
      .action(async (id: number, _options: object, command: Command) => {
        const run = invocation(context, command);
        const job = await run.client().job(id);
        run.print(job, jobText(job));
      }),
    "sternway jobs show 7",
  );

  examples(
    jobs
      .command("cancel")
      .description("stop a job that runs; it ends at its next good place")
      .argument("<id>", "its number", jobId)
      .action(async (id: number, _options: object, command: Command) => {
        const run = invocation(context, command);
        const job = await run.client().cancelJob(id);
        run.print(job, `job ${id} (${job.kind} of ${job.subject}) stops\n`);
      }),
    "sternway jobs cancel 7",
  );
}

const jobId = integerArgument(1, Number.MAX_SAFE_INTEGER);

function stateText({ state, progress, error }: WireJob): string {
  if (state === "running") return `running, ${Math.floor(progress * 100)}%`;
  return error === undefined ? state : `${state}: ${error}`;
}

function jobText(job: WireJob): string {
  return facts([
    ["job", String(job.id)],
    ["what", job.kind],
    ["of", job.subject],
    ["state", stateText(job)],
    ["started", showTime(job.startedAt)],
    ["ended", job.finishedAt === undefined ? "not yet" : showTime(job.finishedAt)],
    ["by", job.askedBy ?? "the appliance itself"],
  ]);
}
