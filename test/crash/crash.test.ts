/**
 * Crashes at any moment of many lives of a vault, with both orders in which a disk may lose names.
 */
import { describe } from "bun:test";
import { crashRun } from "../support/crash-run.ts";
import { forSeeds } from "../support/seeds.ts";

/** Once found: 65 a client's sector after a rollback, 13 and 40 files left open by a stop. */
const REGRESSIONS = [65, 13];

describe("laws 1, 2 and 5", () => {
  forSeeds(
    "a crash at any point leaves an exact prefix, and every moment before it readable",
    90,
    REGRESSIONS,
    (seed) => crashRun(seed),
  );
  forSeeds(
    "many short lives with crashes in opening and recovery do too, and no LSN is given out twice",
    60,
    REGRESSIONS,
    (seed) => crashRun(seed, { rounds: 8, operations: 20 }),
  );
});
