/** `sternway notify rule list|add|set|remove` */
import { InvalidArgumentError, Option, type Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { EVENT_LEVELS, EVENT_TOPICS, type EventLevel, type EventTopic } from "../contract/event-kinds.ts";
import type { RuleSettings, RuleSettingsInput, WireRule } from "../contract/notify.ts";
import { collect, given, integerArgument, replaced, wordArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { table } from "./text.ts";

interface RuleOptions {
  channel: string[];
  level?: EventLevel;
  topic?: EventTopic[];
  kind?: string[];
  about?: string[];
  quiet?: { from: string; to: string };
  zone?: string;
  alertsToo?: boolean;
  remindHours?: number;
}

/** What is false is taken away; what is absent stays. */
interface RuleChange {
  channel?: string[];
  level?: EventLevel;
  topic?: EventTopic[] | false;
  kind?: string[] | false;
  about?: string[] | false;
  quiet?: { from: string; to: string } | false;
  zone?: string;
  alertsToo?: boolean;
  remindHours?: number;
  on?: true;
  off?: true;
}

export function registerNotifyRules(notify: Command, context: Context): void {
  const rule = notify.command("rule").description("who gets which notifications");

  examples(
    rule
      .command("list")
      .description("list the rules")
      .action(async (_options: object, command: Command) => {
        const run = invocation(context, command);
        const rules = await run.client().rules();
        run.print({ rules }, rules.length === 0 ? "there are no rules: nothing is sent\n" : ruleTable(rules));
      }),
    "sternway notify rule list",
  );

  examples(
    rule
      .command("add")
      .description("add a rule; what is not given is not asked for")
      .argument("<name>")
      .requiredOption("--channel <name>", "where to; may be given several times", collect)
      .option("--level <level>", "this and worse: info, warning (default), alert", wordArgument(EVENT_LEVELS))
      .option("--topic <topic>", "only of these topics; may be given several times", topicArgument)
      .option("--kind <kind>", "only of these kinds; `notify kinds` lists them", collect)
      .option("--about <name>", "only about this volume, machine, vault or tier", collect)
      .option("--quiet <from-to>", "wait in these hours, such as 22:00-06:00; alerts come", quietArgument)
      .option("--zone <zone>", "whose hours they are (default: the appliance's)")
      .option("--alerts-too", "alerts wait too")
      .option("--remind-hours <n>", "tell what goes on again (default: 24; 0: never)", integerArgument(0, 720))
      .action(async (name: string, options: RuleOptions, command: Command) => {
        const run = invocation(context, command);
        const made = await run.client().createRule(name, settingsOf(options));
        run.print(made, `added rule ${name}\n`);
      }),
    "sternway notify rule add all --channel ops",
    "sternway notify rule add night --channel chat --level alert",
    "sternway notify rule add web --channel ops --about web1 --quiet 22:00-06:00",
  ).addHelpText("after", `\nTopics: ${EVENT_TOPICS.slice(0, 8).join(", ")},\n  ${EVENT_TOPICS.slice(8).join(", ")}`);

  examples(
    rule
      .command("set")
      .description("change a rule; what is not named stays")
      .argument("<name>")
      .option("--channel <name>", "where to, in place of what was; may be given several times", collect)
      .option("--level <level>", "this and worse: info, warning, alert", wordArgument(EVENT_LEVELS))
      .option("--topic <topic>", "only of these topics; may be given several times", topicArgument)
      .option("--no-topic", "of all topics")
      .option("--kind <kind>", "only of these kinds; `notify kinds` lists them", collect)
      .option("--no-kind", "of all kinds")
      .option("--about <name>", "only about this volume, machine, vault or tier", collect)
      .option("--no-about", "whatever it is about")
      .option("--quiet <from-to>", "wait in these hours, such as 22:00-06:00", quietArgument)
      .option("--no-quiet", "at all hours")
      .option("--zone <zone>", "whose hours they are")
      .option("--alerts-too", "alerts wait too")
      .option("--no-alerts-too", "alerts come at all hours")
      .option("--remind-hours <n>", "tell what goes on again (0: never)", integerArgument(0, 720))
      .addOption(new Option("--off", "switch it off; it stays as it is").conflicts("on"))
      .option("--on", "switch it on again")
      .action(async (name: string, options: RuleChange, command: Command) => {
        const run = invocation(context, command);
        if (Object.keys(options).length === 0) throw new SternwayError("invalid", "say what is to be changed");
        const changed = await run.client().reviseRule(name, (now) => revisedRule(now, options));
        run.print(changed, `changed rule ${name}\n${ruleTable([changed])}`);
      }),
    "sternway notify rule set night --level warning --channel ops",
    "sternway notify rule set web --quiet 21:00-07:00 --alerts-too",
    "sternway notify rule set all --off",
  );

  examples(
    rule
      .command("remove")
      .description("remove a rule")
      .argument("<name>")
      .action(async (name: string, _options: object, command: Command) => {
        const run = invocation(context, command);
        await run.client().deleteRule(name);
        run.print({ removed: name }, `removed rule ${name}\n`);
      }),
    "sternway notify rule remove night",
  );
}

function settingsOf(options: RuleOptions): RuleSettingsInput {
  const { channel, level, topic, kind, about, quiet, zone, alertsToo, remindHours } = options;
  return {
    channels: channel,
    ...(level === undefined ? {} : { level }),
    ...(topic === undefined ? {} : { topics: topic }),
    ...(kind === undefined ? {} : { kinds: kind }),
    ...(about === undefined ? {} : { about }),
    ...(remindHours === undefined ? {} : { remindHours }),
    ...(quiet === undefined
      ? {}
      : {
          quiet: {
            ...quiet,
            ...(zone === undefined ? {} : { zone }),
            ...(alertsToo === true ? { alsoAlerts: true } : {}),
          },
        }),
  };
}

/** @throws invalid: what belongs to quiet hours, where there are none */
function revisedRule(now: RuleSettings, change: RuleChange): RuleSettingsInput {
  const { topics, kinds, about, quiet, ...rest } = now;
  return {
    ...rest,
    ...given({ channels: change.channel, level: change.level, remindHours: change.remindHours }),
    ...(change.on === true ? { enabled: true } : change.off === true ? { enabled: false } : {}),
    ...given({
      topics: replaced(topics, change.topic),
      kinds: replaced(kinds, change.kind),
      about: replaced(about, change.about),
      quiet: revisedQuiet(quiet, change),
    }),
  };
}

function revisedQuiet(
  before: RuleSettings["quiet"],
  { quiet, zone, alertsToo }: RuleChange,
): RuleSettingsInput["quiet"] | undefined {
  const hours = replaced<{ from: string; to: string }>(before, quiet);
  if (hours) return { ...before, ...hours, ...given({ zone, alsoAlerts: alertsToo }) };
  if (zone === undefined && alertsToo === undefined) return undefined;
  throw new SternwayError("invalid", "--zone and --alerts-too are about quiet hours: give --quiet FROM-TO with them");
}

function ruleTable(rules: readonly WireRule[]): string {
  return table(
    [{ title: "name" }, { title: "to" }, { title: "from" }, { title: "only" }, { title: "quiet" }],
    rules.map(({ name, channels, enabled, level, topics, kinds, about, quiet }) => [
      name,
      channels.join(", "),
      enabled ? `${level} on` : "switched off",
      [...(topics ?? []), ...(kinds ?? []), ...(about ?? [])].join(", "),
      quiet === undefined ? "" : `${quiet.from}-${quiet.to}`,
    ]),
  );
}

function topicArgument(text: string, before: EventTopic[] | undefined): EventTopic[] {
  return [...(before ?? []), wordArgument(EVENT_TOPICS)(text)];
}

function quietArgument(text: string): { from: string; to: string } {
  const match = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text);
  if (!match) throw new InvalidArgumentError("It must be two times of day such as 22:00-06:00.");
  return { from: match[1]!, to: match[2]! };
}
