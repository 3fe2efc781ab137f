/** `sternway alarm [list|acknowledge|sensitivity]`, `sternway signals VOLUME`: ransomware signals. */
import { Argument, Option, type Command } from "commander";
import { formatSize } from "../base/units.ts";
import type { WireAlarm, WireVolumeSignals } from "../contract/contract.ts";
import { integerArgument, MOMENT_HELP } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { showTime, table } from "./text.ts";

const SENSITIVITIES = ["off", "low", "normal", "high"] as const;
const id = integerArgument(1, Number.MAX_SAFE_INTEGER);

export function registerSignals(program: Command, context: Context): void {
  const alarm = program.command("alarm").description("alarms: volumes that somebody seems to encrypt");

  examples(
    alarm
      .command("list", { isDefault: true })
      .description("list alarms, newest first")
      .option("--limit <n>", "how many", integerArgument(1, 1000), 20)
      .action(async (options: { limit: number }, command: Command) => {
        const run = invocation(context, command);
        const page = await run.client().alarms(options);
        run.print(page, page.alarms.length === 0 ? "no alarms\n" : alarmTable(page.alarms));
      }),
    "sternway alarm list",
    "sternway alarm list --limit 100 --json",
  );

  examples(
    alarm
      .command("acknowledge")
      .description("say what an alarm was; its hold stays until it is released")
      .argument("<id>", "its number", id)
      .option("--mine", "you did it and meant it: as much of it gives no alarm for 30 days")
      .addOption(new Option("--attack", "somebody did it who must not").conflicts("mine"))
      .option("--note <text>", "what was found out")
      .action(async (number: number, options: { mine?: true; attack?: true; note?: string }, command: Command) => {
        const run = invocation(context, command);
        const verdict = options.mine ? "mine" : options.attack ? "attack" : "unclear";
        const { note } = options;
        const answer = { verdict, ...(note === undefined ? {} : { note }) } as const;
        const made = await run.client().acknowledgeAlarm(number, answer);
        const { volume = "VOLUME", hold } = made;
        const kept =
          hold === undefined
            ? ""
            : `hold ${hold} stays: \`sternway hold release ${volume} ${hold}\` when nobody needs it any more\n`;
        run.print(made, `alarm ${number} is acknowledged\n${kept}`);
      }),
    "sternway alarm acknowledge 3 --mine --note 'disk encryption was turned on'",
    "sternway alarm acknowledge 4 --attack",
  );

  examples(
    program
      .command("signals")
      .description("what a volume's writes were like, and what looks like encryption")
      .argument("<volume>")
      .option("--from <moment>", "where it begins (default: a day before the end)")
      .option("--to <moment>", "where it ends (default: now)")
      .option("--buckets <n>", "number of intervals", integerArgument(1, 2000), 24)
      .action(async (volume: string, options: { from?: string; to?: string; buckets: number }, command: Command) => {
        const run = invocation(context, command);
        const found = await run.client().signals(volume, options);
        run.print(found, signalText(found));
      }),
    "sternway signals web1",
    "sternway signals web1 --from -1h --buckets 60",
  ).addHelpText("after", MOMENT_HELP);

  examples(
    alarm
      .command("sensitivity")
      .description("set how sensitively a volume is watched for ransomware")
      .argument("<volume>")
      .addArgument(new Argument("<level>", "how little is enough for an alarm").choices(SENSITIVITIES))
      .action(
        async (volume: string, sensitivity: (typeof SENSITIVITIES)[number], _options: object, command: Command) => {
          const run = invocation(context, command);
          const made = await run.client().setSignals(volume, { sensitivity });
          const text = sensitivity === "off" ? "is not watched any more" : `is watched with sensitivity ${sensitivity}`;
          run.print(made, `${volume} ${text}\n`);
        },
      ),
    "sternway alarm sensitivity web1 high",
    "sternway alarm sensitivity scratch off",
  );
}

function alarmTable(alarms: readonly WireAlarm[]): string {
  return table(
    [
      { title: "id", align: "right" },
      { title: "volume" },
      { title: "raised" },
      { title: "state" },
      { title: "turned", align: "right" },
      { title: "restore to" },
      { title: "hold" },
    ],
    alarms.map((alarm) => [
      String(alarm.id),
      alarm.volume ?? "(not open)",
      showTime(alarm.raisedAt),
      stateText(alarm),
      formatSize(alarm.turnedBytes),
      `lsn:${alarm.before.lsn}`,
      alarm.hold ?? "NOT HELD",
    ]),
  );
}

const stateText = ({ state, acknowledged }: WireAlarm): string =>
  acknowledged ? `${state}, ${acknowledged.verdict} (${acknowledged.by})` : state;

function signalText({ volume, sensitivity, score, from, to, buckets, alarms }: WireVolumeSignals): string {
  const head =
    `${volume}: suspicion ${percent(score)} of an alarm, sensitivity ${sensitivity}\n` +
    `  from ${showTime(from)}\n    to ${showTime(to)}\n\n`;
  const busy = buckets.filter(({ writtenBytes }) => writtenBytes > 0);
  const rows = busy.map((bucket) => [
    showTime(bucket.from),
    formatSize(bucket.writtenBytes),
    percent(bucket.newShare),
    percent(bucket.duplicateShare),
    percent(bucket.rewriteShare),
    percent(bucket.compressibility),
    bucket.turnedBytes === 0 ? "" : formatSize(bucket.turnedBytes),
  ]);
  const titles = ["written", "new", "known", "rewritten", "smaller by", "turned"];
  const text =
    busy.length === 0
      ? "nothing was written and sealed in this time\n"
      : table([{ title: "from" }, ...titles.map((title) => ({ title, align: "right" as const }))], rows);
  return head + text + (alarms.length === 0 ? "" : `\nalarms:\n${alarmTable(alarms)}`);
}

const percent = (share: number | undefined): string => (share === undefined ? "" : `${Math.round(share * 100)}%`);
