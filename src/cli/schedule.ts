/** `sternway schedule list|show|add|change|pause|resume|remove|run|preview`, `sternway script list` */
import type { Command } from "commander";
import { REPORT_KINDS } from "../contract/reports.ts";
import { examples, invocation, type Context } from "./context.ts";
import {
  durationArgument,
  lastText,
  scheduleText,
  taskOf,
  taskText,
  TASK_HELP,
  timingOf,
  timingText,
  type TaskOptions,
  type TimingOptions,
} from "./schedule-text.ts";
import { integerArgument } from "./arguments.ts";
import { withScriptOptions } from "./script-options.ts";
import { showTime, table } from "./text.ts";

interface ScheduleOptions extends TaskOptions, TimingOptions {
  description?: string;
  jitter?: number;
  missed?: "run" | "skip";
  paused?: boolean;
}

export function registerSchedule(program: Command, context: Context): void {
  const schedule = program.command("schedule").description("what the appliance does by itself, and when");

  examples(
    schedule
      .command("list")
      .description("list the schedules")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const schedules = await run.client().schedules();
        const text = table(
          [{ title: "name" }, { title: "does" }, { title: "when" }, { title: "next" }, { title: "last" }],
          schedules.map((each) => [
            each.name,
            taskText(each.task),
            timingText(each.timing),
            each.paused ? "paused" : each.nextAt === undefined ? "never" : showTime(each.nextAt),
            lastText(each),
          ]),
        );
        run.print({ schedules }, schedules.length === 0 ? "no schedules yet\n" : text);
      }),
    "sternway schedule list",
  );

  examples(
    schedule
      .command("show")
      .description("show a schedule, its next times and its last runs")
      .argument("<schedule>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const shown = await run.client().schedule(name);
        run.print(shown, scheduleText(shown));
      }),
    "sternway schedule show nightly",
  );

  examples(
    withTask(
      schedule
        .command("add")
        .description("make a schedule")
        .argument("<schedule>", "its name")
        .argument("<task>", "what it does"),
    ).action(async (name: string, task: string, options: ScheduleOptions, command: Command) => {
      const run = invocation(context, command);
      const made = await run.client().createSchedule({
        name,
        task: taskOf(task, options),
        timing: timingOf(options),
        ...settingsOf(options),
      });
      run.print(made, scheduleText(made));
    }),
    'sternway schedule add nightly bookmark --machine web --at "30 1 * * *" --keep 30',
    "sternway schedule add hourly bookmark --volume web1 --every 1h --keep 24 --jitter 5m",
    "sternway schedule add proof check --at weekly --zone Europe/Berlin",
    "sternway schedule add daily report --report growth --span day --channel ops --at daily",
    "sternway schedule add offsite verify-tier --vault default --tier cloud --at monthly",
  ).addHelpText("after", TASK_HELP);

  examples(
    withTask(
      schedule
        .command("change")
        .description("change a schedule; what is not named stays")
        .argument("<schedule>")
        .option("--task <task>", "what it does from now on, with all of its options"),
    ).action(async (name: string, options: ScheduleOptions & { task?: string }, command: Command) => {
      const run = invocation(context, command);
      const isTimed = options.at !== undefined || options.every !== undefined;
      const changed = await run.client().changeSchedule(name, {
        ...(options.task === undefined ? {} : { task: taskOf(options.task, options) }),
        ...(isTimed ? { timing: timingOf(options) } : {}),
        ...settingsOf(options),
      });
      run.print(changed, scheduleText(changed));
    }),
    'sternway schedule change nightly --at "0 3 * * *"',
    "sternway schedule change nightly --task bookmark --machine web --keep 60",
  ).addHelpText("after", TASK_HELP);

  for (const [word, paused] of [
    ["pause", true],
    ["resume", false],
  ] as const) {
    examples(
      schedule
        .command(word)
        .description(
          paused ? "let a schedule rest until it is resumed" : "let a paused schedule go on; it has missed nothing",
        )
        .argument("<schedule>")
        .action(async (name: string, _options, command: Command) => {
          const run = invocation(context, command);
          const changed = await run.client().changeSchedule(name, { paused });
          const next = changed.nextAt === undefined ? "" : `; it is due next at ${showTime(changed.nextAt)}`;
          run.print(changed, `${word}d schedule ${name}${next}\n`);
        }),
      `sternway schedule ${word} nightly`,
    );
  }

  examples(
    schedule
      .command("remove")
      .description("forget a schedule; what it made stays")
      .argument("<schedule>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteSchedule(name);
        run.print({ removed: name }, `removed schedule ${name}\n`);
      }),
    "sternway schedule remove nightly",
  );

  examples(
    schedule
      .command("run")
      .description("do now what a schedule does, also while it is paused")
      .argument("<schedule>")
      .action(async (name: string, _options, command: Command) => {
        const run = invocation(context, command);
        const begun = await run.client().runSchedule(name);
        const job = begun.job === undefined ? "" : ` as job ${begun.job}`;
        run.print(begun, `schedule ${name} runs${job}; see \`sternway schedule show ${name}\`\n`);
      }),
    "sternway schedule run nightly",
  );

  examples(
    withTiming(schedule.command("preview").description("show the next ten times of a timing before it is used")).action(
      async (options: TimingOptions, command: Command) => {
        const run = invocation(context, command);
        const preview = await run.client().previewSchedule(timingOf(options));
        run.print(preview, preview.next.map((time) => `${showTime(time)}\n`).join(""));
      },
    ),
    'sternway schedule preview --at "30 2 * * 0" --zone Europe/Berlin',
    "sternway schedule preview --every 6h",
  );

  const script = program.command("script").description("scripts that run around bookmarks");
  examples(
    script
      .command("list")
      .description("list the scripts that an administrator placed, and whether each would be run")
      .action(async (_options, command: Command) => {
        const run = invocation(context, command);
        const listed = await run.client().scripts();
        const text = table(
          [{ title: "name" }, { title: "owner", align: "right" }, { title: "mode" }, { title: "would run" }],
          listed.scripts.map((each) => [
            each.name,
            each.owner === undefined ? "" : String(each.owner),
            each.mode ?? "",
            each.fit ? "yes" : `no: ${each.reason ?? ""}`,
          ]),
        );
        const none = listed.reason ?? `no scripts in ${listed.folder}`;
        run.print(listed, listed.scripts.length === 0 ? `${none}\n` : text);
      }),
    "sternway script list",
  );
}

function withTiming(command: Command): Command {
  return command
    .option("--at <when>", "hourly, daily, weekly, monthly, or a cron expression")
    .option("--zone <zone>", "whose hours --at means (default: the appliance's)")
    .option("--every <duration>", "every so often, such as 15m or 6h", durationArgument(60));
}

function withTask(command: Command): Command {
  return withScriptOptions(
    withTiming(command)
      .option("--jitter <duration>", "put each run off by up to so much", durationArgument(0))
      .option("--missed <what>", "after the appliance was off: run (once) or skip")
      .option("--description <text>", "what it is for")
      .option("--machine <name>", "of bookmark: the machine")
      .option("--volume <name>", "of bookmark: a volume by itself")
      .option("--keep <n>", "of bookmark: how many of its own stay", integerArgument(1, 1000))
      .option("--prefix <text>", "of bookmark: how names begin (default: the schedule's name)")
      .option("--vault <name>", "of check, scrub, gc, sync-tier, verify-tier: the vault")
      .option("--tier <name>", "of sync-tier, verify-tier: the tier")
      .option("--quick", "of check: structure alone")
      .option("--repair", "of verify-tier: put right what is wrong there")
      .option("--report <kind>", `of report: ${REPORT_KINDS.join(", ")}`)
      .option("--span <span>", "of report: the last day, week or month")
      .option("--channel <name>", "of report: the notification channel through which it goes")
      .option("--paused", "begin paused"),
  );
}

function settingsOf({ description, jitter, missed, paused }: ScheduleOptions) {
  return {
    ...(description === undefined ? {} : { description }),
    ...(jitter === undefined ? {} : { jitterSeconds: jitter }),
    ...(missed === undefined ? {} : { missed }),
    ...(paused === undefined ? {} : { paused }),
  };
}
