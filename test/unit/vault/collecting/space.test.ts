import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../../../src/base/device.ts";
import { BLOCK_SIZE, lsn, type Lsn } from "../../../../src/base/units.ts";
import { needsOf } from "../../../../src/vault/needs.ts";
import { Registry } from "../../../../src/vault/registry.ts";
import type { SpaceReport, VolumeSpace } from "../../../../src/vault/collecting/space.ts";
import type { Vault } from "../../../../src/vault/vault.ts";
import { inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;
/** Packs of incompressible blocks take a little more than those: header, directory and trailer. */
const OVERHEAD = 1.02;

function story(
  seed: number,
  tell: (
    story: World & {
      vault: Vault;
      volumes: Awaited<ReturnType<World["open"]>>["volumes"];
      a: WritableDevice;
      b: WritableDevice;
    },
  ) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const { vault, volumes } = await world.open({ journalFilesMax: 8 });
    for (const name of ["a", "b"]) await volumes.create(name, 16 * MIB);
    const [a, b] = [await volumes.openLive("a"), await volumes.openLive("b")];
    await tell({ ...world, vault, volumes, a, b });
    await a.close();
    await b.close();
  });
}

const of = (report: SpaceReport, volume: number): VolumeSpace => report.volumes.find((each) => each.volume === volume)!;
const nearBlocks = (bytes: number, blocks: number): void => {
  expect(bytes).toBeGreaterThanOrEqual(blocks * BLOCK_SIZE);
  expect(bytes).toBeLessThanOrEqual(blocks * BLOCK_SIZE * OVERHEAD);
};
const stored = (vault: Vault): number => vault.sealing.manifest.packs.reduce((sum, pack) => sum + pack.sizeBytes, 0);

describe("Vault.space()", () => {
  test("tells apart what one volume holds alone and what several share", () =>
    story(1, async ({ vault, a, b }) => {
      await a.write(0, noise(1, 64), false);
      await a.write(MIB, noise(2, 32), false);
      await vault.seal();
      await b.write(0, noise(2, 32), false);
      await b.write(MIB, noise(3, 16), false);
      await vault.seal();
      const report = await vault.space();
      nearBlocks(of(report, 1).uniqueBytes, 64);
      nearBlocks(of(report, 1).sharedBytes, 32);
      nearBlocks(of(report, 2).uniqueBytes, 16);
      nearBlocks(of(report, 2).sharedBytes, 32);
      expect(of(report, 1).mappedBytes).toBe(96 * BLOCK_SIZE);
      expect(of(report, 2).mappedBytes).toBe(48 * BLOCK_SIZE);
      expect(report.deadBytes).toBeCloseTo(0, 3);
      expect(report.liveBytes + report.deadBytes).toBeCloseTo(report.storedBytes, 3);
      expect(report.storedBytes).toBe(stored(vault));
    }));

  test("a branch shares what it started with, and holds what it wrote", () =>
    story(2, async ({ vault, volumes, a }) => {
      await a.write(0, noise(1, 64), false);
      await volumes.branch("a", { kind: "now" }, "c");
      const c = await volumes.openLive("c");
      await c.write(0, noise(2, 16), false);
      await vault.seal();
      const report = await vault.space();
      expect(of(report, 1).uniqueBytes).toBe(0);
      nearBlocks(of(report, 1).sharedBytes, 64);
      nearBlocks(of(report, 3).sharedBytes, 64);
      nearBlocks(of(report, 3).uniqueBytes, 16);
      await c.close();
    }));

  test("says what expiring would free, and that much is given back", () =>
    story(3, async ({ vault, a }) => {
      const at: number[] = [];
      for (let round = 0; round < 5; round++) {
        await a.write(0, noise(10 + round, 64), false);
        await a.write(MIB * (1 + round), noise(50 + round, 16), false);
        await a.flush();
        at.push(vault.lastLsn);
        await vault.seal();
      }
      const event = {
        kind: "thinned",
        volume: 1,
        horizonLsn: at[3]!,
        points: [{ lsn: at[1]!, time: 0, why: "daily" as const }],
        time: 0,
      } as const;
      const future = new Registry(vault.registry.toState());
      future.apply(lsn(vault.lastLsn + 1), { ...event, points: [...event.points] });
      const before = await vault.space(needsOf(future, Number.MAX_SAFE_INTEGER as Lsn));
      // Rounds 0 and 2 were written over before any moment that is kept; what was written once stays.
      nearBlocks(before.wouldBeFreedBytes, 128);
      expect(before.deadBytes).toBeCloseTo(0, 3);
      await vault.mark(() => ({ ...event, points: [...event.points] }));
      const after = await vault.space();
      expect(after.deadBytes).toBeCloseTo(before.wouldBeFreedBytes, 3);
      const { freedBytes } = await vault.collect();
      expect(Math.abs(freedBytes - before.wouldBeFreedBytes)).toBeLessThan(0.05 * before.wouldBeFreedBytes);
      const collected = await vault.space();
      expect(collected.deadBytes).toBeCloseTo(0, 3);
      expect(collected.storedBytes).toBe(stored(vault));
    }));

  test("what nobody needs is dead at once, before it is collected", () =>
    story(4, async ({ vault, volumes, a, b }) => {
      await a.write(0, noise(1, 64), false);
      await b.write(0, noise(2, 16), false);
      await vault.seal();
      await volumes.delete("a", { force: true });
      const report = await vault.space();
      nearBlocks(report.deadBytes, 64);
      nearBlocks(report.liveBytes, 16);
      expect(report.volumes.map(({ volume }) => volume)).toEqual([2]);
    }));

  test("an empty vault holds nothing; one count runs at a time", () =>
    story(5, async ({ vault }) => {
      const first = vault.space();
      const second = await vault.space().catch((error: unknown) => error);
      expect(second).toMatchObject({ kind: "conflict" });
      expect(await first).toMatchObject({ liveBytes: 0, deadBytes: 0, storedBytes: 0, wouldBeFreedBytes: 0 });
    }));
});
