/**
 * The benchmark: Sternway and its peers in one run, side by side and in turn, with medians, spreads and ratios; scripts/bench calls it.
 * A contender that is not installed is named and left out. Every figure comes from this run; nothing is stored or assumed.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BLOCK_CONTENDERS, isAvailable } from "./block-servers.ts";
import { runAgeingPart } from "./ageing-part.ts";
import { runConsolePart } from "./console-part.ts";
import { runDedupPart } from "./dedup-part.ts";
import { runEncryptionPart } from "./encryption-part.ts";
import { runIngestPart } from "./ingest-part.ts";
import { runMomentsPart } from "./moments-part.ts";
import { runNbdPart } from "./nbd-part.ts";
import { describeMachine, stopAllServers } from "./process.ts";
import { runTimelinePart } from "./timeline-part.ts";
import { runTiersPart } from "./tiers-part.ts";
import { formatTables, summarize, type Sample, type Unit } from "./table.ts";

const USAGE = `Usage: scripts/bench [options]

Measures Sternway beside qemu-nbd, nbdkit, restic, borg and qemu-img, and prints Markdown tables:
median (min…max) of the rounds, then how many times better Sternway is than each peer.

  --only PARTS    some of nbd, ingest, dedup, moments, memory, ageing, encryption, tiers, console,
                  timeline (comma-separated); default all
                  (what is stored is measured with ingest, memory with nbd)
  --rounds N      rounds of each measurement, default 3
  --quick         one round, smaller disks, shorter runs: for a look, not for a claim
  --long          also the moment part with 10,000,000 writes (over an hour, 30 GB), and the ageing part (20
                  minutes, 20 GB) and the timeline part with as many
  --scratch DIR   where all data lies, default ${join(tmpdir(), "sternway-bench")}; its images/ are kept for the next run
  --json FILE     also write every sample and summary there
  --help
`;

const PARTS = [
  "nbd",
  "ingest",
  "dedup",
  "moments",
  "memory",
  "ageing",
  "encryption",
  "tiers",
  "console",
  "timeline",
] as const;
type Part = (typeof PARTS)[number];

/** What the parts share: the options of this run, and where measurements go. */
export interface Bench {
  /** Scratch folder of this run, removed at its end. */
  folder: string;
  /** Kept between runs: source images, which take minutes to build. */
  imagesFolder: string;
  quick: boolean;
  long: boolean;
  rounds: number;
  record(part: Part, row: string, contender: string, unit: Unit, value: number): void;
  say: (text: string) => void;
  /** The contenders in an order that turns from round to round. */
  turned<T>(list: readonly T[], round: number): T[];
}

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    scratch: { type: "string", default: join(tmpdir(), "sternway-bench") },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function fail(message: string): never {
  console.error(`bench: ${message}\n\n${USAGE}`);
  process.exit(2);
}

if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const only = (values.only?.split(",") ?? [...PARTS]).map(
  (name) => PARTS.find((part) => part === name) ?? fail(`there is no part "${name}"`),
);
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) fail("--rounds is a number from 1 to 100");

const scratch = resolve(values.scratch);
mkdirSync(scratch, { recursive: true });
// Named by process, so that runs beside each other do not meet, and what a killed one left is known to be no one's.
for (const name of readdirSync(scratch)) {
  const pid = /^run-(\d+)$/.exec(name)?.[1];
  if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(scratch, name), { recursive: true, force: true });
}
const folder = join(scratch, `run-${process.pid}`);
mkdirSync(folder);

const samples: Sample[] = [];
const bench: Bench = {
  folder,
  imagesFolder: join(scratch, "images"),
  quick: values.quick,
  long: values.long,
  rounds,
  record(part, row, contender, unit, value) {
    // Parts that are measured on the way of another are left out of the table unless they were asked for.
    if (!only.includes(part)) return;
    samples.push({ part, row, contender, unit, value });
    console.error(`bench: ${part}: ${row}: ${contender}: ${value.toPrecision(4)} ${unit}`);
  },
  say: (text) => console.error(`bench: ${text}`),
  turned: (list, round) => list.map((_, index) => list[(index + round) % list.length]!),
};

async function runParts(): Promise<void> {
  if (only.includes("nbd") || only.includes("memory")) await runNbdPart(bench);
  if (only.includes("ingest")) await runIngestPart(bench);
  if (only.includes("dedup")) await runDedupPart(bench);
  if (only.includes("moments")) await runMomentsPart(bench);
  if (only.includes("ageing")) await runAgeingPart(bench);
  if (only.includes("encryption")) await runEncryptionPart(bench);
  if (only.includes("tiers")) await runTiersPart(bench);
  if (only.includes("console")) await runConsolePart(bench);
  if (only.includes("timeline")) await runTimelinePart(bench);
}

// A second interrupt must still be able to end a clean-up that hangs.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void stopAllServers().finally(() => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(130);
    });
  });
}

for (const contender of BLOCK_CONTENDERS) {
  if (!isAvailable(contender))
    bench.say(`${contender.name} is not there and is left out (scripts/test-packages lists what to install)`);
}
const machine = describeMachine(folder);
const startedAt = new Date().toISOString();
try {
  await runParts();
} finally {
  await stopAllServers();
  rmSync(folder, { recursive: true, force: true });
}
const rows = summarize(samples);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ machine, startedAt, rounds, samples, rows }, null, 2)}\n`);
console.log(
  `${machine}; ${rounds} round${rounds === 1 ? "" : "s"}${values.quick ? ", quick" : ""}, ${startedAt.slice(0, 10)}\n`,
);
console.log(formatTables(rows));
