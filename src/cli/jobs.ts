/** `sternway jobs` */
import type { Command } from "commander";
import { integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

export function registerJobs(program: Command, context: Context): void {
  examples(
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
            { title: "state" },
            { title: "started" },
          ],
          page.jobs.map((job) => [
            String(job.id),
            job.kind,
            job.subject,
            job.state === "running"
              ? `running, ${Math.floor(job.progress * 100)}%`
              : job.error === undefined
                ? job.state
                : `${job.state}: ${job.error}`,
            showTime(job.startedAt),
          ]),
        );
        run.print(page, page.jobs.length === 0 ? "no jobs yet\n" : text);
      }),
    "sternway jobs",
    "sternway jobs --limit 100 --json",
  );
}
