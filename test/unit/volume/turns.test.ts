import { expect, test } from "bun:test";
import { lsn } from "../../../src/base/units.ts";
import { SHARD_BLOCKS, type Resolution } from "../../../src/vault/map.ts";
import type { Vault } from "../../../src/vault/vault.ts";
import { diffRanges } from "../../../src/volume/diff.ts";
import { extentsAt } from "../../../src/volume/reading.ts";

/** A vault whose maps are all in memory, and in which each window takes 1 ms of the thread. */
function busyVault(turns: { windows: number; longest: number }) {
  let now = 0;
  const clock = {
    monotonic: () => now,
    sleep: async () => {
      turns.windows = 0;
    },
  };
  const resolve = async (_strand: number, _at: number, block: number, count: number): Promise<Resolution> => {
    now += 1_000;
    turns.longest = Math.max(turns.longest, ++turns.windows);
    const target = Float64Array.from({ length: count }, (_, i) => 100 + ((block + i) % 3));
    return { target, lsn: new Float64Array(count) } as unknown as Resolution;
  };
  const shards = new Set([0, 1]);
  return {
    parts: { clock },
    resolve,
    isUniform: async () => false,
    shardsOf: () => shards,
    changedShards: () => shards,
  } as unknown as Vault;
}

const sizeBytes = 2 * SHARD_BLOCKS * 4096;

test("diffRanges() and extentsAt() let whoever waits have a turn every few milliseconds, though all is in memory", async () => {
  const turns = { windows: 0, longest: 0 };
  const vault = busyVault(turns);
  for await (const _range of diffRanges(vault, { strand: 1, lsn: lsn(1) }, { strand: 1, lsn: lsn(2) }, sizeBytes));
  expect(turns.longest).toBeGreaterThan(1);
  expect(turns.longest).toBeLessThanOrEqual(6);
  turns.windows = turns.longest = 0;
  await extentsAt(vault, 1, lsn(1), 0, sizeBytes);
  expect(turns.longest).toBeGreaterThan(1);
  expect(turns.longest).toBeLessThanOrEqual(6);
});
