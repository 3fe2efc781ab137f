/**
 * Disks that fail, lie, fill up and rot, beneath a vault at work.
 */
import { describe } from "bun:test";
import { crashRun } from "../support/crash-run.ts";
import { flipBits, injectErrors, injectLies, isTold, isUnavailable } from "../support/faults.ts";
import { forSeeds } from "../support/seeds.ts";

const MB = 1_000_000;

describe("law 1 on a disk with errors", () => {
  // 8, 22, 24, 29, 52: LSNs given out twice, a clean mark for what was not written, files left open. 962: a group that was moved
  // behind a later one. 665: a manifest that cannot be read taken for a damaged one.
  forSeeds(
    "EIO on any operation loses nothing that was answered and damages nothing",
    100,
    [22, 29, 52, 152, 665, 962],
    (seed) => crashRun(seed, { faults: injectErrors, workload: { mayFail: isUnavailable } }),
  );
});

describe("law 8", () => {
  forSeeds(
    "a full disk refuses writers, loses nothing that was answered, and goes on when space returns",
    30,
    [],
    (seed) =>
      crashRun(seed, {
        sabotage: (disk, random, round) => {
          disk.capacityBytes = round % 2 === 1 ? 3 * MB + random.below(6 * MB) : 2 ** 40;
        },
        workload: { mayFail: isUnavailable },
      }),
  );
});

describe("law 3", () => {
  forSeeds(
    "stale and misdirected writes give the right bytes, a typed error, or a vault that says it is damaged",
    80,
    [],
    (seed) => crashRun(seed, { rounds: 3, faults: injectLies, disksLie: true, workload: { mayFail: isTold } }),
  );
  forSeeds("flipped bits in any file at rest do too", 100, [], (seed) =>
    crashRun(seed, { rounds: 3, damage: flipBits }),
  );
});
