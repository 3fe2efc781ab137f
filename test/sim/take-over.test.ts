/** Law 7: one writer. A vault is taken over while its old writer works on, sleeps, or is cut off, with tiers that fail. */
import { describe } from "bun:test";
import { forSeeds } from "../support/seeds.ts";
import { takeOverRun } from "../support/take-over-run.ts";

describe("a vault is taken over while its old writer works", () => {
  forSeeds("the old one stops by itself, and nothing that it does later can be seen", 80, [911, 1342], (seed) =>
    takeOverRun(seed),
  );
});
