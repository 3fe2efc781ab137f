/**
 * Part "tiers": what it costs to keep a vault in a second place, and how soon it can be had from there. The column `sternway` is the same without a tier; the others are places of tiers,
 * not peers. An S3 service here answers from the memory of another process of this machine, which competes for the processor; what a network adds must be added.
 */
import type { Bench } from "./main.ts";
import { measureAnswers, type AnswerCase } from "./tiers-answers.ts";
import { measureCopies } from "./tiers-copy.ts";
import { measureLag, measureOutage } from "./tiers-lag.ts";
import { isPlaceAvailable, PlaceMissing } from "./tiers-places.ts";
import { measureTails } from "./tiers-tail.ts";

const ANSWER_CASES: readonly AnswerCase[] = [
  { place: "directory", mode: "continuous" },
  { place: "S3", mode: "continuous" },
  { place: "directory", mode: "sync" },
  { place: "S3", mode: "sync" },
  { place: "S3 20 ms away", mode: "sync" },
  { place: "peer", mode: "sync" },
];

export async function runTiersPart(bench: Bench): Promise<void> {
  await measureAnswers(bench, ANSWER_CASES);
  await measureTails(bench, ["directory", "S3", "S3 20 ms away", "peer"]);
  await measureLag(bench, ["directory", "S3", "peer"]);
  await measureOutage(bench, ["directory", "S3", "peer"]);
  await measureCopies(bench, ["directory", "S3", "S3 20 ms away", "peer"]);
  if (isPlaceAvailable("Ceph")) await measureCeph(bench);
  else bench.say("Ceph is not there and is left out (scripts/test-packages lists what to install)");
}

/** By itself and last: it does not come up on every machine, and what it lacks must not cost the other figures. */
async function measureCeph(bench: Bench): Promise<void> {
  try {
    await measureAnswers(bench, [{ place: "Ceph", mode: "sync" }]);
    await measureLag(bench, ["Ceph"]);
    await measureCopies(bench, ["Ceph"]);
  } catch (error) {
    if (!(error instanceof PlaceMissing)) throw error;
    bench.say(`${error.message}, and is left out from here on`);
  }
}
