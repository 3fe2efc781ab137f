/**
 * Law 1 on a real process and a real disk: the daemon is killed without warning in the middle of what it does, many times on
 * one vault, and what it brings back is held against what it had answered. Journal files are as small as they may be, so that
 * kills meet seals, merges and manifests.
 *
 * A killed process loses nothing that it handed to the kernel; what a power cut loses is the simulation's matter.
 */
import { afterAll, expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { killRounds } from "../support/daemon-kill-rounds.ts";
import { removeScratch, scratchFolder } from "../support/daemon-process.ts";

const seed = Number(process.env["STERNWAY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const folder = scratchFolder();
afterAll(() => removeScratch(folder));

const ROUNDS = 15;

test(`a daemon killed while clients write brings back an exact prefix that holds every flushed write (seed ${seed})`, async () => {
  const report = await killRounds({ dataDir: `${folder}/writes`, random: seededRandom(seed), rounds: ROUNDS });
  expect(report.startMs).toHaveLength(ROUNDS + 1);
  // Rounds that wrote nothing, or never lost anything, would prove nothing.
  expect(report.answeredCount).toBeGreaterThan(ROUNDS * 10);
  expect(report.sealedCount).toBeGreaterThan(0);
}, 120_000);
