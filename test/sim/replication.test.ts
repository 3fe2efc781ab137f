/** Tiers that fail in every way, with the vault's model as the judge. Law 7 and section "Tiers" of the architecture. */
import { describe } from "bun:test";
import { replicationRun } from "../support/replication-run.ts";
import { forSeeds } from "../support/seeds.ts";

describe("tiers under faults", () => {
  forSeeds("all become equal, and each gives back the vault", 100, [], (seed) => replicationRun(seed));
});
