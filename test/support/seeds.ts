/**
 * Which seeds a seeded suite runs: `TEST_SEED=n` one alone, `STERNWAY_SOAK=1` twenty times as many, else the usual ones and those that
 * once failed. Seeds are run in batches of a few, each a test of its own, so that a slow machine does not run into a test's time limit.
 */
import { test } from "bun:test";

const SOAK_FACTOR = 20;
const BATCH = 10;

export function forSeeds(
  name: string,
  count: number,
  regressions: readonly number[],
  run: (seed: number) => Promise<unknown>,
): void {
  const one = process.env["TEST_SEED"];
  if (one !== undefined) {
    test(`${name} (seed ${one})`, async () => {
      await run(Number(one));
    }, 600_000);
    return;
  }
  const total = count * (process.env["STERNWAY_SOAK"] === "1" ? SOAK_FACTOR : 1);
  const seeds = [...regressions, ...Array.from({ length: total }, (_, i) => i + 1)];
  for (let start = 0; start < seeds.length; start += BATCH) {
    const batch = seeds.slice(start, start + BATCH);
    test(`${name} (seeds ${batch[0]} to ${batch.at(-1)})`, async () => {
      for (const seed of batch) await run(seed);
    }, 300_000);
  }
}
