/** The rounds of test/crash/kill.test.ts, many of them: each restart opens what every one before it left behind. */
import { afterAll, expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { killRounds } from "../support/daemon-kill-rounds.ts";
import { removeScratch, scratchFolder } from "../support/daemon-process.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = 100;
const TIMEOUT_MS = 900_000;
/** Opening reads what was not sealed, at most a few journal files of 4 MiB: its time must not grow with the rounds. */
const START_MS_MAX = 5000;

const folder = scratchFolder();
afterAll(() => removeScratch(folder));

test(
  `${ROUNDS} kills of one vault each leave an exact prefix, and every moment kept on the way (seed ${seed})`,
  async () => {
    const report = await killRounds({
      dataDir: `${folder}/vault`,
      random: seededRandom(seed),
      rounds: ROUNDS,
      checkEvery: 20,
    });
    const sorted = report.startMs.toSorted((a, b) => a - b);
    const middle = Math.round(sorted[ROUNDS >> 1]!);
    const worst = Math.round(sorted.at(-1)!);
    console.log(
      `${ROUNDS} kills: start after one ${middle} ms in the middle, ${worst} ms at worst; ${report.answeredCount} writes answered, ${report.lostCount} unflushed ones lost, ${report.flushCount} flushes, ${report.sealedCount} stretches sealed, ${report.packCount} packs and ${report.layerCount} layers at the end`,
    );
    expect(report.momentCount).toBe(ROUNDS);
    expect(report.sealedCount).toBeGreaterThan(ROUNDS);
    expect(worst).toBeLessThan(START_MS_MAX);
  },
  TIMEOUT_MS,
);
