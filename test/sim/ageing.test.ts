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

test("a run goes through all that it is about", async () => {
  const first = await ageingRun(3, { rot: true });
  for (const count of Object.values({ ...first, refused: 1, rotten: 1 })) expect(count).toBeGreaterThan(0);
}, 60_000);
