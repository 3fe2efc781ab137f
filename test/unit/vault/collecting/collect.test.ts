import { describe, expect, test } from "bun:test";
import type { WritableDevice } from "../../../../src/base/device.ts";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { BLOCK_SIZE, lsn } from "../../../../src/base/units.ts";
import { checkVault } from "../../../../src/vault/checking/check.ts";
import { planCollect, shareOf } from "../../../../src/vault/collecting/collect-policy.ts";
import { packPath } from "../../../../src/vault/packs/pack-format.ts";
import type { Vault } from "../../../../src/vault/vault.ts";
import { VAULT_DIR } from "../../../support/vault-bed.ts";
import { all, blockOf, inWorld, noise, type World } from "../../../support/world.ts";

const MIB = 2 ** 20;

type Bed = Awaited<ReturnType<World["open"]>>;

/** A vault with volumes `a` and `b` of 16 MiB, attached. */
function story(
  seed: number,
  tell: (story: World & { bed: Bed; a: WritableDevice; b: WritableDevice }) => Promise<void>,
): Promise<void> {
  return inWorld(seed, async (world) => {
    const bed = await world.open({ journalFilesMax: 8 });
    for (const name of ["a", "b"]) await bed.volumes.create(name, 16 * MIB);
    const [a, b] = [await bed.volumes.openLive("a"), await bed.volumes.openLive("b")];
    await tell({ ...world, bed, a, b });
    await a.close();
    await b.close();
  });
}

const thinned = (vault: Vault, volume: number, horizonLsn: number, points: number[]): Promise<unknown> =>
  vault.mark(() => ({
    kind: "thinned",
    volume,
    horizonLsn,
    points: points.map((point) => ({ lsn: point, time: 0, why: "hourly" as const })),
    time: 0,
  }));

async function expectSound(vault: Vault): Promise<void> {
  const steps = await all(checkVault(vault, { deep: true }));
  expect(steps.filter((step) => step.line === "finding")).toEqual([]);
}

const refusal = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "none",
    (error: unknown) => error,
  );
const packFiles = (world: Pick<World, "disk">): string[] => world.disk.paths().filter((path) => path.endsWith(".pack"));

describe("Vault.collect()", () => {
  test("deleting a volume gives back the packs that only it used", () =>
    story(1, async ({ bed, a, b, ...world }) => {
      await a.write(0, noise(1, 64), false);
      await bed.vault.seal();
      await b.write(0, noise(2, 64), false);
      await bed.vault.seal();
      expect(packFiles(world)).toHaveLength(2);
      await bed.volumes.delete("a", { force: true });
      const report = await bed.vault.collect();
      expect(report).toMatchObject({ packsExamined: 2, packsDeleted: 1, packsRepacked: 0, packsDamaged: 0 });
      expect(report.freedBytes).toBeGreaterThan(63 * BLOCK_SIZE);
      await bed.vault.sealing.discarded();
      expect(packFiles(world)).toHaveLength(1);
      expect(await b.read(0, 64 * BLOCK_SIZE)).toEqual(noise(2, 64));
      await expectSound(bed.vault);
    }));

  test("a pack that is partly dead is repacked: same slots, next generation, less space, and it reads as before, also after a restart", () =>
    story(2, async ({ bed, a, b, open, ...world }) => {
      // Both in one stretch, so in one pack; `a` comes first and takes most of it.
      await a.write(0, noise(1, 96), false);
      await b.write(0, noise(2, 32), false);
      await bed.vault.seal();
      const [before] = bed.vault.sealing.manifest.packs;
      await bed.volumes.delete("a", { force: true });
      const report = await bed.vault.collect();
      expect(report).toMatchObject({ packsDeleted: 0, packsRepacked: 1 });
      const [after] = bed.vault.sealing.manifest.packs;
      expect(after).toMatchObject({ pack: before!.pack, generation: 1, slots: 128, freed: 96 });
      expect(after!.sizeBytes).toBeLessThan(35 * BLOCK_SIZE);
      await bed.vault.sealing.discarded();
      expect(packFiles(world)).toEqual([`${VAULT_DIR}/${packPath(1, 1)}`]);
      expect(await b.read(0, 32 * BLOCK_SIZE)).toEqual(noise(2, 32));
      await expectSound(bed.vault);
      expect(await bed.vault.collect()).toMatchObject({ packsDeleted: 0, packsRepacked: 0, freedBytes: 0 });
      await bed.vault.stop();
      const again = await open();
      const device = await again.volumes.openLive("b");
      expect(await device.read(0, 32 * BLOCK_SIZE)).toEqual(noise(2, 32));
      await expectSound(again.vault);
      await device.close();
    }));

  test("a repacked pack stays quarantined in what is damaged and live of it, and in nothing else", () =>
    story(20, async ({ bed, a, b }) => {
      await a.write(0, noise(1, 96), false);
      await b.write(0, noise(2, 32), false);
      await bed.vault.seal();
      const { sealing } = bed.vault;
      await sealing.perform(() =>
        Promise.resolve({
          changes: { quarantine: [{ pack: 1, generation: 0, slots: [{ first: 90, count: 10 }] }] },
        }),
      );
      await bed.volumes.delete("a", { force: true });
      expect(await bed.vault.collect()).toMatchObject({ packsRepacked: 1 });
      expect(sealing.manifest.quarantine).toEqual([{ pack: 1, generation: 1, slots: [{ first: 96, count: 4 }] }]);
    }));

  test("expiring history gives the space of what was written over back, and keeps points, bookmarks and the horizon", () =>
    story(3, async ({ bed, a, ...world }) => {
      const at: number[] = [];
      for (let round = 0; round < 6; round++) {
        await a.write(0, noise(100 + round, 64), false);
        await a.flush();
        at.push(bed.vault.lastLsn);
        await bed.vault.seal();
      }
      await bed.volumes.bookmark("a", "kept", { kind: "lsn", lsn: lsn(at[1]!) }, "");
      expect(packFiles(world)).toHaveLength(6);
      await thinned(bed.vault, 1, at[4]!, [at[2]!]);
      const report = await bed.vault.collect();
      expect(report.packsDeleted).toBe(2);
      for (const [round, point] of at.entries()) {
        const opening = bed.volumes.openAt("a", { kind: "lsn", lsn: lsn(point) });
        if (round === 0 || round === 3) {
          expect(isSternwayError(await refusal(opening), "not_found")).toBe(true);
          continue;
        }
        const past = await opening;
        expect(await past.read(0, 64 * BLOCK_SIZE)).toEqual(noise(100 + round, 64));
        await past.close();
      }
      await expectSound(bed.vault);
      await bed.volumes.removeBookmark("a", "kept");
      expect(await bed.vault.collect()).toMatchObject({ packsDeleted: 1 });
      await expectSound(bed.vault);
    }));

  test("a branch keeps what it shares, after its origin was deleted", () =>
    story(4, async ({ bed, a }) => {
      await a.write(0, noise(1, 32), false);
      await a.flush();
      const moment = bed.vault.lastLsn;
      await a.write(16 * BLOCK_SIZE, noise(2, 32), false);
      await bed.volumes.branch("a", { kind: "lsn", lsn: moment }, "c");
      await bed.volumes.delete("a", { force: true });
      const report = await bed.vault.collect();
      expect(report.packsRepacked).toBe(1);
      const branch = await bed.volumes.openLive("c");
      expect(await branch.read(0, 32 * BLOCK_SIZE)).toEqual(noise(1, 32));
      expect(bed.vault.sealing.manifest.packs[0]).toMatchObject({ slots: 64, freed: 32 });
      await branch.close();
      await expectSound(bed.vault);
    }));

  test("what was freed is stored anew when it is written again, and what lives is still shared", () =>
    story(5, async ({ bed, a, b }) => {
      await a.write(0, noise(1, 64), false);
      await b.write(0, noise(2, 64), false);
      await bed.vault.seal();
      await bed.volumes.delete("a", { force: true });
      expect(await bed.vault.collect()).toMatchObject({ packsRepacked: 1 });
      await b.write(MIB, noise(1, 64), false);
      await b.write(2 * MIB, noise(2, 64), false);
      await bed.vault.seal();
      expect(bed.vault.sealing.manifest.packs.map(({ slots }) => slots)).toEqual([128, 64]);
      expect(await b.read(MIB, 64 * BLOCK_SIZE)).toEqual(noise(1, 64));
      expect(await b.read(2 * MIB, 64 * BLOCK_SIZE)).toEqual(noise(2, 64));
      await expectSound(bed.vault);
    }));

  test("what is written between the slices of a survey keeps the blocks that it shares", () =>
    story(6, async ({ bed, a, b }) => {
      await a.write(0, noise(1, 64), false);
      await bed.vault.seal();
      await bed.volumes.delete("a", { force: true });
      await bed.vault.seal();
      // Everything that `a` held is dead now; `b` writes the same while collecting is under way.
      const collecting = bed.vault.parts.collector.collect();
      await b.write(0, noise(1, 64), false);
      await bed.vault.seal();
      await collecting;
      expect(await b.read(0, 64 * BLOCK_SIZE)).toEqual(noise(1, 64));
      await expectSound(bed.vault);
    }));

  test("files stay until the last read that began before is done", () =>
    story(7, async ({ bed, a, ...world }) => {
      await a.write(0, noise(1, 64), false);
      await bed.vault.seal();
      const version = bed.vault.sealing.versions.acquire();
      await bed.volumes.delete("a", { force: true });
      expect(await bed.vault.collect()).toMatchObject({ packsDeleted: 1 });
      expect(packFiles(world)).toHaveLength(1);
      bed.vault.sealing.versions.release(version);
      await bed.vault.sealing.discarded();
      expect(packFiles(world)).toHaveLength(0);
    }));

  test("a pack in which something live is damaged is left as it is, and told", () =>
    story(8, async ({ bed, a, b, disk }) => {
      await a.write(0, noise(1, 64), false);
      await b.write(0, noise(2, 64), false);
      await bed.vault.seal();
      await bed.volumes.delete("a", { force: true });
      const [pack] = bed.vault.sealing.manifest.packs;
      // The last of its frames holds blocks of `b`.
      disk.flipBit(`${VAULT_DIR}/${packPath(1, 0)}`, pack!.sizeBytes - 8 * BLOCK_SIZE);
      expect(await bed.vault.collect()).toMatchObject({ packsRepacked: 0, packsDamaged: 1, freedBytes: 0 });
      expect(bed.vault.sealing.manifest.packs[0]).toEqual(pack!);
      expect(await b.read(0, 16 * BLOCK_SIZE)).toEqual(noise(2, 64).subarray(0, 16 * BLOCK_SIZE));
    }));

  test("begins by itself when much was dropped", () =>
    inWorld(9, async (world) => {
      const { vault, volumes } = await world.open({ collectDroppedMin: 32 });
      await volumes.create("a", MIB);
      const a = await volumes.openLive("a");
      await a.write(0, noise(1, 64), false);
      await vault.seal();
      await volumes.delete("a", { force: true });
      await vault.seal();
      await vault.parts.collector.idle();
      expect(vault.sealing.manifest.packs).toEqual([]);
      await a.close();
    }));
});

describe("a moment that was let go", () => {
  test("is refused for reading, branching, rolling back and bookmarks, and times before the horizon mean the newest point", () =>
    story(20, async ({ bed, a, sim }) => {
      const { volumes, vault } = bed;
      const at: { lsn: number; time: number }[] = [];
      for (let round = 0; round < 4; round++) {
        await a.write(0, blockOf(round), false);
        await a.flush();
        at.push({ lsn: vault.lastLsn, time: sim.clock.wall() });
        await sim.clock.sleep(1000);
      }
      const open = await volumes.openAt("a", { kind: "lsn", lsn: lsn(at[1]!.lsn) });
      await thinned(vault, 1, at[3]!.lsn, [at[0]!.lsn]);
      const gone = { kind: "lsn", lsn: lsn(at[1]!.lsn) } as const;
      for (const asked of [
        volumes.openAt("a", gone),
        volumes.branch("a", gone, "c"),
        volumes.rollback("a", gone, { force: true }),
        volumes.bookmark("a", "x", gone, ""),
        open.read(0, BLOCK_SIZE),
      ]) {
        expect(isSternwayError(await refusal(asked), "not_found")).toBe(true);
      }
      expect(String(await refusal(volumes.openAt("a", gone)))).toContain(`lsn:${at[0]!.lsn} `);
      const resolved = await volumes.resolve("a", { kind: "time", time: at[2]!.time as never });
      expect(resolved.lsn as number).toBe(at[0]!.lsn);
      const past = await volumes.openAt("a", { kind: "time", time: at[2]!.time as never });
      expect(await past.read(0, BLOCK_SIZE)).toEqual(blockOf(0));
      await past.close();
      await open.close();
      expect(await a.read(0, BLOCK_SIZE)).toEqual(blockOf(3));
    }));
});

describe("planCollect()", () => {
  const pack = (number: number, live: number, slots = 100, freed = 0): ReturnType<typeof shareOf> =>
    shareOf({ pack: number, generation: 0, sizeBytes: 1000, slots, checksum: "", freed }, live);
  const chosen = (...shares: ReturnType<typeof shareOf>[]): number[] =>
    planCollect(shares).map(({ record }) => record.pack);

  test("takes those with a quarter or more dead, most dead first", () => {
    expect(chosen(pack(1, 100), pack(2, 50), pack(3, 0), pack(4, 76), pack(5, 75))).toEqual([3, 2, 5]);
  });

  test("takes less dead ones when most of what is dead lies in those", () => {
    expect(chosen(pack(1, 80), pack(2, 85), pack(3, 95))).toEqual([1, 2]);
    expect(chosen(pack(1, 95), pack(2, 95), pack(3, 95))).toEqual([]);
  });

  test("counts what was freed before as neither live nor dead", () => {
    expect(pack(1, 40, 100, 50)).toMatchObject({ deadSlots: 10, deadShare: 0.2, deadBytes: 200 });
    expect(chosen(pack(1, 50, 100, 50))).toEqual([]);
    expect(chosen(pack(1, 0, 100, 100))).toEqual([1]);
  });
});
