/** `sternway timeline`: what happened to a volume, drawn within 80 columns. */
import type { Command } from "commander";
import { formatSize, formatTime, micros, parseTime, type Micros } from "../base/units.ts";
import type { WireFlushPoints, WireTimeline } from "../contract/contract.ts";
import { MOMENT_HELP, integerArgument } from "./arguments.ts";
import { examples, invocation, type Context } from "./context.ts";
import { count, showSeconds, showTime, sparkline, table } from "./text.ts";

interface TimelineOptions {
  from?: string;
  to?: string;
  buckets: number;
  flushPoints?: boolean;
  after?: number;
  limit: number;
}

/** As many as fit beside the label in 80 columns. */
const BUCKETS_DEFAULT = 60;
const SPARKLINE_WIDTH_MAX = 70;

export function registerTimeline(program: Command, context: Context): void {
  examples(
    program
      .command("timeline")
      .description("writes, bytes and flush points of a volume over time, with its bookmarks and rollbacks")
      .argument("<volume>")
      .option("--from <moment>", "where it begins (default: the volume's creation)")
      .option("--to <moment>", "where it ends (default: now)")
      .option("--buckets <n>", "number of intervals", integerArgument(1, 10_000), BUCKETS_DEFAULT)
      .option("--flush-points", "list flush points one by one instead: moments at which file systems recover best")
      .option(
        "--after <lsn>",
        "with --flush-points: only those after this LSN",
        integerArgument(0, Number.MAX_SAFE_INTEGER),
      )
      .option("--limit <n>", "with --flush-points: how many", integerArgument(1, 10_000), 100)
      .action(async (volume: string, options: TimelineOptions, command: Command) => {
        const run = invocation(context, command);
        const client = run.client();
        if (options.flushPoints === true) {
          const { limit, after } = options;
          const page = await client.flushPoints(volume, { limit, ...(after === undefined ? {} : { after }) });
          run.print(page, flushPointText(volume, page));
          return;
        }
        const { from, to, buckets } = options;
        const timeline = await client.timeline(volume, {
          buckets,
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
        });
        run.print(timeline, timelineText(volume, timeline));
      }),
    "sternway timeline web1",
    "sternway timeline web1 --from -1h --buckets 60",
    "sternway timeline web1 --flush-points --after 1200 --limit 20",
  ).addHelpText("after", MOMENT_HELP);
}

/** The timeline as text: a curve of bytes, then a row for each interval in which something happened, with the marks between. */
export function timelineText(volume: string, timeline: WireTimeline): string {
  const { buckets } = timeline;
  const from = at(timeline.from);
  const to = at(timeline.to);
  const seconds = (to - from) / 1e6 / Math.max(1, buckets.length);
  const head =
    `${volume}: ${count(buckets.length, "interval")} of ${showSeconds(seconds)}\n` +
    `  from ${showTime(timeline.from)}\n    to ${showTime(timeline.to)}\n\n`;
  const bytes = buckets.map((bucket) => bucket.writtenBytes + bucket.clearedBytes);
  const busy = buckets.filter((bucket) => bucket.writes > 0 || bucket.clearedBytes > 0 || bucket.flushPoints > 0);
  const rows = [
    ...busy.map((bucket) => ({
      at: at(bucket.from),
      mark: false,
      cells: [
        timeCell(at(bucket.from), seconds),
        bucket.writes.toLocaleString("en-US"),
        formatSize(bucket.writtenBytes),
        bucket.clearedBytes === 0 ? "" : formatSize(bucket.clearedBytes),
        bucket.flushPoints === 0 ? "" : bucket.flushPoints.toLocaleString("en-US"),
        bucket.lastLsn === 0 ? "" : String(bucket.lastLsn),
      ],
    })),
  ];
  const lines = table(
    [
      { title: "from (UTC)" },
      { title: "writes", align: "right" },
      { title: "written", align: "right" },
      { title: "cleared", align: "right" },
      { title: "flushes", align: "right" },
      { title: "last lsn", align: "right" },
    ],
    rows.map((row) => row.cells),
  )
    .trimEnd()
    .split("\n");
  return (
    head +
    curve(bytes) +
    withMarks(lines, rows, timeline.marks)
      .map((line) => `${line}\n`)
      .join("")
  );
}

function curve(bytes: readonly number[]): string {
  if (bytes.every((value) => value === 0)) return "nothing was written in this time\n\n";
  // Wider than the screen: several intervals share a character.
  const share = Math.ceil(bytes.length / SPARKLINE_WIDTH_MAX);
  const shown: number[] = [];
  for (let i = 0; i < bytes.length; i += share)
    shown.push(bytes.slice(i, i + share).reduce((sum, value) => sum + value, 0));
  return `  bytes |${sparkline(shown)}|\n\n`;
}

function withMarks(lines: readonly string[], rows: readonly { at: Micros }[], marks: WireTimeline["marks"]): string[] {
  const out = [lines[0] ?? ""];
  const waiting = [...marks].sort((a, b) => at(a.time) - at(b.time));
  for (const [i, row] of rows.entries()) {
    // A mark stands before the first interval that begins after it.
    while (waiting[0] !== undefined && at(waiting[0].time) < row.at) out.push(markLine(waiting.shift()!));
    out.push(lines[i + 1] ?? "");
  }
  out.push(...waiting.map(markLine));
  return out;
}

function markLine(mark: WireTimeline["marks"][number]): string {
  return `  * ${mark.time}  ${mark.kind}${mark.detail === "" ? "" : ` ${mark.detail}`}, lsn ${mark.lsn}`;
}

/** As precise as intervals of this length need. */
function timeCell(time: Micros, seconds: number): string {
  const text = formatTime(time).replace("T", " ");
  const length = seconds >= 60 ? 16 : seconds >= 1 ? 19 : seconds >= 1e-3 ? 23 : 26;
  return text.slice(0, length);
}

function at(time: string): Micros {
  return parseTime(time) ?? micros(0);
}

function flushPointText(volume: string, page: WireFlushPoints): string {
  if (page.flushPoints.length === 0) return `${volume} has no flush points there\n`;
  const text = table(
    [{ title: "lsn", align: "right" }, { title: "flush point" }],
    page.flushPoints.map((point) => [String(point.lsn), showTime(point.time)]),
  );
  return page.next === undefined
    ? text
    : `${text}more: sternway timeline ${volume} --flush-points --after ${page.next}\n`;
}
