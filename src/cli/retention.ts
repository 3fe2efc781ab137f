/** `sternway retention set|show|plan|clear|lock` */
import type { Command } from "commander";
import { SternwayError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { WirePlan, WirePolicy, WireRetention } from "../contract/contract.ts";
import { describePolicy, parsePolicy, POLICY_PARTS, type PolicyPart } from "../retention/policy.ts";
import { integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { count, facts, showSeconds, showTime } from "./text.ts";

type PolicyOptions = Partial<Record<PolicyPart, string>>;

const DAY_SECONDS = 86_400;
const LOCK_DAYS_MAX = 36_525;

const LENGTH_HELP = `
A LENGTH is a number and s, m, h, d, w, mo (months of 31 days) or y: 48h, 8w, 24mo.
After --monthly m means months too: 24m. Each counts back from now, so an older part
reaches as far as its own length says and not so much further than the one before.
Bookmarks and holds stay whatever the policy says.`;

function withPolicyOptions(command: Command): Command {
  return command
    .option("--all <length>", "keep every write for so long")
    .option("--hourly <length>", "one point of each hour")
    .option("--daily <length>", "one point of each day")
    .option("--weekly <length>", "one point of each week")
    .option("--monthly <length>", "one point of each month");
}

export function registerRetention(program: Command, context: Context): void {
  const retention = program.command("retention").description("how long a volume's history is kept");

  examples(
    withPolicyOptions(
      retention
        .command("set")
        .description("set a volume's policy; what it lets go of cannot be had back")
        .argument("<volume>"),
    )
      .option("--yes", "although it lets go of something at once")
      .action(async (volume: string, options: PolicyOptions & { yes?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const policy = policyOf(options);
        const client = run.client();
        if (options.yes !== true) {
          const plan = await client.planRetention(volume, policy);
          if (plan.writes > 0 || plan.goingPoints.length > 0) {
            if (!run.json) run.terminal.out(planText(plan));
            throw new SternwayError(
              "conflict",
              `nothing was changed: this policy lets go of history at once, which cannot be undone. Add --yes to set it all the same`,
              { volume, writes: plan.writes, goingPoints: plan.goingPoints.length },
            );
          }
        }
        const set = await client.setRetention(volume, policy, { expire: options.yes === true });
        run.print(
          set,
          `volume ${volume} keeps ${policyText(policy)}\n` +
            "what is older goes within a quarter of an hour, or with `sternway gc run`; until then `sternway retention clear` keeps it\n",
        );
      }),
    "sternway retention set web1 --all 48h --hourly 14d --daily 8w --monthly 24m",
    "sternway retention set scratch --all 2h --yes",
  ).addHelpText("after", LENGTH_HELP);

  examples(
    retention
      .command("show")
      .description("show a volume's policy and lock, and what is kept")
      .argument("<volume>")
      .action(async (volume: string, _options, command: Command) => {
        const run = invocation(context, command);
        const shown = await run.client().retention(volume);
        run.print(shown, stateText(shown));
      }),
    "sternway retention show web1",
  );

  examples(
    withPolicyOptions(
      retention
        .command("plan")
        .description("what would go now, and how much space that frees; changes nothing")
        .argument("<volume>"),
    ).action(async (volume: string, options: PolicyOptions, command: Command) => {
      const run = invocation(context, command);
      const isTrial = POLICY_PARTS.some((part) => options[part] !== undefined);
      const plan = await run.client().planRetention(volume, isTrial ? policyOf(options) : undefined);
      run.print(plan, planText(plan));
    }),
    "sternway retention plan web1",
    "sternway retention plan web1 --all 24h --daily 4w",
  ).addHelpText("after", LENGTH_HELP);

  examples(
    retention
      .command("clear")
      .description("take the policy away: from now on everything is kept")
      .argument("<volume>")
      .action(async (volume: string, _options, command: Command) => {
        const run = invocation(context, command);
        const shown = await run.client().clearRetention(volume);
        run.print(
          shown,
          `volume ${volume} has no policy: everything from ${showTime(shown.everyWriteFrom.time)} on is kept, and what is kept before that\n`,
        );
      }),
    "sternway retention clear web1",
  );

  examples(
    retention
      .command("lock")
      .description("nothing younger than so many days goes, by anybody; cannot be shortened or taken back")
      .argument("<volume>")
      .requiredOption("--days <count>", "how many days", integerArgument(1, LOCK_DAYS_MAX))
      .option("--yes", "it is meant")
      .action(async (volume: string, options: { days: number; yes?: boolean }, command: Command) => {
        const run = invocation(context, command);
        const { days } = options;
        if (options.yes !== true) {
          throw new SternwayError(
            "invalid",
            `nothing was changed. A lock of ${count(days, "day")} means: for that long nobody, with any rights, can delete volume ${volume} or anything of its history, ` +
              "nor its bookmarks and holds of that time, whatever space is left; the lock can be made longer and never shorter. Add --yes to set it",
          );
        }
        const shown = await run.client().lockRetention(volume, days * DAY_SECONDS);
        run.print(shown, `volume ${volume} is locked: nothing younger than ${count(days, "day")} can go, by anybody\n`);
      }),
    "sternway retention lock web1 --days 30 --yes",
  ).addHelpText(
    "after",
    "\nThe days count while the vault is open: neither a clock set forward nor time\nswitched off shortens them. A lock lasts a few percent longer than asked.",
  );
}

function policyOf(options: PolicyOptions): WirePolicy {
  const policy = parsePolicy(options);
  const seconds = POLICY_PARTS.map((part) => [`${part}Seconds`, Math.round(policy[`${part}Micros`] / 1e6)]);
  return Object.fromEntries(seconds) as WirePolicy;
}

function policyText(wire: WirePolicy): string {
  return describePolicy({
    allMicros: wire.allSeconds * 1e6,
    hourlyMicros: wire.hourlySeconds * 1e6,
    dailyMicros: wire.dailySeconds * 1e6,
    weeklyMicros: wire.weeklySeconds * 1e6,
    monthlyMicros: wire.monthlySeconds * 1e6,
  });
}

function stateText(shown: WireRetention): string {
  const points = shown.points.map((point) => `  lsn:${point.lsn}  ${showTime(point.time)}  ${point.why}\n`);
  const lock =
    shown.lockSeconds === 0 ? "none" : `nothing younger than ${showSeconds(shown.lockSeconds)} can go, by anybody`;
  return (
    facts([
      ["volume", shown.volume],
      ["policy", shown.policy === undefined ? "none: everything is kept" : policyText(shown.policy)],
      ["lock", lock],
      ["every write", `from ${showTime(shown.everyWriteFrom.time)} on, lsn ${shown.everyWriteFrom.lsn}`],
      ["points before", points.length === 0 ? "none" : String(points.length)],
      ["time zone", shown.timeZone],
      ...clockFacts(shown),
    ]) + points.join("")
  );
}

function planText(plan: WirePlan): string {
  const { volume, policy } = plan;
  if (policy === undefined) return `volume ${volume} has no policy: everything is kept\n`;
  const isMoving = plan.to.lsn > plan.from.lsn;
  const rows: [label: string, value: string][] = [
    ["volume", volume],
    ["policy", policyText(policy)],
    ["every write", `${isMoving ? "would be kept" : "stays kept"} from ${showTime(plan.to.time)} on`],
  ];
  if (isMoving) rows.push(["", `now from ${showTime(plan.from.time)} on`]);
  const goes =
    plan.writes === 0 && plan.goingPoints.length === 0
      ? "nothing"
      : `${count(plan.writes, "write")} (${formatSize(plan.writtenBytes)}), of which ${count(plan.newPoints.length, "point")} would stay, and ${count(plan.goingPoints.length, "older point")}`;
  rows.push(["goes", goes]);
  if (goes !== "nothing") rows.push(["", "what is bookmarked or held of that stays"]);
  if (plan.freedBytes !== undefined) rows.push(["frees", `${formatSize(plan.freedBytes)} of what is stored`]);
  rows.push(["points before", String(plan.pointCount)]);
  if (plan.lockHolds) rows.push(["lock", "it keeps some of what the policy would let go of"]);
  return facts([...rows, ...clockFacts(plan)]);
}

/** Worth a line only when it is wrong by more than leeway. */
function clockFacts({ clockAheadSeconds, now }: { clockAheadSeconds: number; now: string }): [string, string][] {
  if (clockAheadSeconds < 3600) return [];
  return [
    ["clock", `ahead by ${showSeconds(clockAheadSeconds)}: lengths count from ${showTime(now)} until it is caught up`],
  ];
}
