/** All laws while history is let go of, scrubbed and rekeyed beside clients, over crashes, failing disks and rot: support/ageing-run.ts. */
import { describe, expect, test } from "bun:test";
import { ageingRun } from "../support/ageing-run.ts";
import { injectErrors } from "../support/faults.ts";
import { forSeeds } from "../support/seeds.ts";

describe("all laws", () => {
  forSeeds("hold with every actor at work, over crashes at any step", 20, [], (seed) => ageingRun(seed));
  forSeeds("hold where disks fail besides", 20, [], (seed) => ageingRun(seed, { faults: injectErrors }));
  forSeeds("hold where packs rot at the end", 20, [], (seed) => ageingRun(seed, { rot: true }));
});

test("the runs go through all that they are about", async () => {
  const total: Record<string, number> = {};
  // Encrypted ones, for the keeper of keys.
  for (const seed of [3, 6, 9, 12]) {
    const stats = { ...(await ageingRun(seed, { rot: true })) };
    for (const [what, count] of Object.entries(stats)) total[what] = (total[what] ?? 0) + count;
  }
  for (const [what, count] of Object.entries(total)) {
    // Without faults nothing is refused, and rot may be repaired before anybody meets it.
    if (what !== "refused" && what !== "rotten") expect(count, what).toBeGreaterThan(0);
  }
}, 300_000);
