/**
 * Planted bugs: each breaks one law on purpose, and the crash runs must find it within their first seeds. Were one not found, the runs
 * that pass would prove nothing.
 */
import { describe, expect, test } from "bun:test";
import type { SimulatedDisk } from "../../src/base/simulated-disk.ts";
import { crashRun, type CrashRunOptions } from "../support/crash-run.ts";

const SEEDS_MAX = 20;

const ignoring =
  (operation: "sync" | "syncDir", path: RegExp) =>
  (disk: SimulatedDisk): void => {
    disk.inject({ effect: "ignored", operations: [operation], path, times: Infinity });
  };

const PLANTS: [string, CrashRunOptions][] = [
  ["a forgotten sync of packs", { sabotage: ignoring("sync", /packs/) }],
  ["a forgotten sync of layers and chronicles", { sabotage: ignoring("sync", /layers|chronicles/) }],
  ["a forgotten sync of manifests", { sabotage: ignoring("sync", /manifest/) }],
  ["a forgotten sync of the layers' directory", { sabotage: ignoring("syncDir", /layers$/) }],
  ["a forgotten sync of the packs' directory", { sabotage: ignoring("syncDir", /packs\/\d+$/) }],
  ["a forgotten sync of the journal's directory", { sabotage: ignoring("syncDir", /journal$/) }],
  ["a forgotten sync of the manifests' directory", { sabotage: ignoring("syncDir", /manifest$/) }],
  ["a manifest before its data", { vault: { plant: { manifestFirst: true } } }],
  ["an answer before it is durable", { vault: { plant: { answerEarly: true } } }],
  ["a match accepted without comparing", { vault: { plant: { trustFingerprints: true, fingerprintBits: 4 } } }],
];

/** The first seed that fails, or undefined. */
async function finding(options: CrashRunOptions): Promise<{ seed: number; message: string } | undefined> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    try {
      await crashRun(seed, options);
    } catch (error) {
      return { seed, message: (error as Error).message };
    }
  }
  return undefined;
}

describe("the crash runs find", () => {
  test.each(PLANTS)(
    "%s",
    async (_, options) => {
      const found = await finding(options);
      expect(found?.message).toMatch(/^seed \d+/);
      // Found by what the vault did wrong, not by an accident of the test.
      expect(found?.message).not.toMatch(/TypeError|assertion failed|deadlock/);
    },
    300_000,
  );
});

describe("law 4", () => {
  test("with fingerprints of four bits, where strangers meet all the time, comparing keeps every block right", async () => {
    for (let seed = 1; seed <= 10; seed++) await crashRun(seed, { vault: { plant: { fingerprintBits: 4 } } });
  }, 300_000);
});
