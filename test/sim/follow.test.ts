/** Law 3 for a reader that follows its tier: a writer goes on, collects and is overtaken, and no open moment changes. */
import { describe } from "bun:test";
import { followRun } from "../support/follow-run.ts";
import { forSeeds } from "../support/seeds.ts";

describe("a reader follows the tier of a vault", () => {
  forSeeds(
    "it shows what a writer held, keeps what is open, and ends with the last writer's state",
    60,
    [],
    async (seed) => {
      await followRun(seed);
    },
  );
});
