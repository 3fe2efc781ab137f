import { describe, expect, test } from "bun:test";
import { BLOCK_SIZE, lsn } from "../../../../src/base/units.ts";
import { SHORT_TURN_MICROS, Turn } from "../../../../src/base/turns.ts";
import type { ChronicleBuilder } from "../../../../src/vault/chronicles/chronicle-builder.ts";
import { emptyTally } from "../../../../src/vault/chronicles/chronicle-reader.ts";
import { History } from "../../../../src/vault/chronicles/history.ts";
import type { ChronicleSet } from "../../../../src/vault/open-set.ts";
import type { Bed } from "../../../support/vault-bed.ts";
import { all, blockOf, inWorld } from "../../../support/world.ts";

const MIB = 2 ** 20;

/** Writes block i at its own time, with a flush each, sealing every `sealEach`. @returns LSN and time of each write */
async function fill(
  { vault, volumes }: Bed,
  sleep: (ms: number) => Promise<void>,
  sealEach: number,
): Promise<{ lsn: number; time: number }[]> {
  await volumes.create("a", MIB);
  const device = await volumes.openLive("a");
  const written: { lsn: number; time: number }[] = [];
  for (let i = 0; i < 24; i++) {
    await device.write(i * BLOCK_SIZE, blockOf(i + 1), false);
    const at = vault.lastLsn;
    await device.flush();
    written.push({ lsn: at, time: vault.parts.clock.wall() });
    await sleep(1000);
    if (i % sealEach === sealEach - 1) await vault.seal();
  }
  await device.close();
  return written;
}

describe("History", () => {
  test("lsnAt() and timeAt() agree with when things were written, in sealed, merged and live history", () =>
    inWorld(1, async ({ open, sim }) => {
      const bed = await open();
      const written = await fill(bed, (ms) => sim.clock.sleep(ms), 2);
      const { history } = bed.vault;
      expect(bed.vault.sealing.manifest.chronicles.some((record) => record.rank > 0)).toBe(true);
      for (const [i, { lsn: at, time }] of written.entries()) {
        const found = (await history.lsnAt(time + 500_000))!;
        expect(found).toBeGreaterThanOrEqual(at);
        expect(found).toBeLessThan(written[i + 1]?.lsn ?? Infinity);
        const dated = (await history.timeAt(at, sim.clock.wall()))!;
        expect(Math.abs(dated - time)).toBeLessThan(500_000);
      }
      expect(await history.lsnAt(written[0]!.time - 60e6)).toBeUndefined();
      expect(await history.timeAt(0, sim.clock.wall())).toBeUndefined();
    }));

  test("tally() counts sealed, live and open rows in the intervals that hold their times, in turns as at once", () =>
    inWorld(4, async ({ open, sim }) => {
      const bed = await open();
      const written = await fill(bed, (ms) => sim.clock.sleep(ms), 7);
      const { history } = bed.vault;
      const device = await bed.volumes.openLive("a");
      await device.write(0, blockOf(99), false);
      const now = sim.clock.wall();
      const starts = written.map((each) => each.time - 500_000);
      const strand = bed.vault.registry.find("a")!.strands[0]!.strand;
      const span = { strand, afterLsn: 0, throughLsn: Number.MAX_SAFE_INTEGER };
      const everything = await history.tally([span], [...starts, now, now + 1], now);
      // The last write has no group yet, and no flush.
      expect(everything.map((tally) => tally.writes)).toEqual(Array(25).fill(1));
      expect(everything.map((tally) => tally.flushPoints)).toEqual([...Array<number>(24).fill(1), 0]);
      let pauses = 0;
      let at = 0;
      const clock = { monotonic: () => (at += 300), sleep: async () => void pauses++ };
      for (let start = 0; start < 24; start++) {
        for (const end of [start + 1, start + 9, 24].filter((each) => each <= 24)) {
          const edges = [...starts.slice(start, end), starts[end] ?? now];
          const expected = everything.slice(start, end);
          expect(await history.tally([span], edges, now)).toEqual(expected);
          expect(await history.tally([span], edges, now, new Turn(clock, SHORT_TURN_MICROS))).toEqual(expected);
        }
      }
      expect(pauses).toBeGreaterThan(0);
      expect((await history.tally([span], [now + 1e9, now + 2e9], now))[0]).toEqual(emptyTally());
      await device.flush();
      await device.close();
    }));

  test("tally() looks at no live row of other times", async () => {
    const looked = new Set<number>();
    const rows = Array.from({ length: 4_096 }, (_, i) => ({
      ...{ firstLsn: i + 1, lastLsn: i + 1, time: i * 10, writes: 1, writtenBytes: 1, flushLsn: 0, clearedBytes: 0 },
      get strand() {
        looked.add(i);
        return 1;
      },
    }));
    const history = new History({} as ChronicleSet, { rows, openRows: [] } as unknown as ChronicleBuilder);
    const span = { strand: 1, afterLsn: 0, throughLsn: Number.MAX_SAFE_INTEGER };
    const [tally] = await history.tally([span], [1_001, 1_031], 99_999);
    expect(tally).toEqual({ writes: 3, writtenBytes: 3, clearedBytes: 0, flushPoints: 0, lastLsn: 104 });
    expect([...looked]).toEqual([101, 102, 103]);
    // A time that is an edge belongs to the interval that begins there.
    looked.clear();
    const tallies = await history.tally([span], [1_000, 1_020, 1_030], 99_999);
    expect(tallies.map((each) => each.lastLsn)).toEqual([102, 103]);
    expect([...looked]).toEqual([100, 101, 102]);
  });

  test("dates what is not yet in a group with now", () =>
    inWorld(2, async ({ open, sim }) => {
      const { vault, volumes } = await open();
      await volumes.create("a", MIB);
      const device = await volumes.openLive("a");
      await device.write(0, blockOf(1), false);
      expect(await vault.history.timeAt(vault.lastLsn, 12345)).toBe(12345);
      await device.close();
      await sim.clock.sleep(100);
    }));

  test("survives merging of the chronicles that it reads", () =>
    inWorld(3, async ({ open, sim }) => {
      const bed = await open();
      const reading: Promise<unknown>[] = [];
      const written = await fill(
        bed,
        async (ms) => {
          for (let bucketCount = 1; bucketCount < 6; bucketCount++)
            reading.push(bed.volumes.timeline("a", { bucketCount }));
          reading.push(bed.volumes.flushPoints("a", { after: lsn(0), limit: 1000 }));
          await sim.clock.sleep(ms);
        },
        1,
      );
      await Promise.all(reading);
      expect(await bed.volumes.flushPoints("a", { after: lsn(0), limit: 1000 })).toHaveLength(written.length);
    }));

  test("flushPointsBack() gives what flushPoints() gives, from the other end, across seals and rollbacks", () =>
    inWorld(5, async ({ open, sim }) => {
      const { vault, volumes } = await open();
      await fill({ vault, volumes } as Bed, (ms) => sim.clock.sleep(ms), 5);
      const half = (await volumes.flushPoints("a", { after: lsn(0), limit: 12 })).at(-1)!;
      await volumes.rollback("a", { kind: "lsn", lsn: half.lsn });
      const device = await volumes.openLive("a");
      await device.write(0, blockOf(99), false);
      await device.flush();
      await device.close();
      const forward = await volumes.flushPoints("a", { after: lsn(0), limit: 1000 });
      expect(forward.length).toBeGreaterThan(20);
      const ahead = lsn(vault.lastLsn + 1);
      expect(await volumes.flushPoints("a", { before: ahead, limit: 1000 })).toEqual(forward.toReversed());
      for (const [i, point] of forward.entries()) {
        const before = await volumes.flushPoints("a", { before: point.lsn, limit: 2 });
        expect(before).toEqual(forward.slice(Math.max(0, i - 2), i).toReversed());
      }
    }));

  test("a damaged chronicle hides times, and neither volumes nor moments", () =>
    inWorld(4, async ({ open, sim, disk }) => {
      const first = await open();
      const written = await fill(first, (ms) => sim.clock.sleep(ms), 24);
      await first.vault.seal();
      await first.vault.stop();
      for (const path of disk.paths().filter((name) => name.endsWith(".chronicle"))) disk.flipBit(path, 70);
      const { volumes } = await open();
      expect(volumes.list().map((info) => info.name)).toEqual(["a"]);
      for (const [i, { lsn: at }] of written.entries()) {
        const device = await volumes.openAt("a", { kind: "lsn", lsn: lsn(at) });
        expect(await device.read(i * BLOCK_SIZE, BLOCK_SIZE)).toEqual(blockOf(i + 1));
        expect(device.moment.time).toBeLessThanOrEqual(sim.clock.wall());
        await device.close();
      }
      // What only times can tell is an error, not a guess.
      const error = await volumes.resolve("a", { kind: "age", ageMicros: 5e6 }).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ kind: "corrupt" });
      expect(await all(volumes.diff("a", { kind: "lsn", lsn: lsn(written[3]!.lsn) }, { kind: "now" }))).toEqual([
        { offset: 4 * BLOCK_SIZE, length: 20 * BLOCK_SIZE },
      ]);
      await volumes.branch("a", { kind: "lsn", lsn: lsn(written[0]!.lsn) }, "b");
    }));
});
