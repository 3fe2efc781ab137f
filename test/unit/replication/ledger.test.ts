import { describe, expect, test } from "bun:test";
import { readWhole } from "../../../src/base/disk.ts";
import { SimulatedDisk } from "../../../src/base/simulated-disk.ts";
import { holding, intending, Ledger, ledgerPath, type TierRecord } from "../../../src/replication/ledger.ts";
import { inWorld } from "../../support/world.ts";

const record = (name: string): TierRecord => ({
  settings: { name, url: `file:///${name}`, mode: "continuous", rpoSeconds: 5 },
});
const revision = (number: number): { number: number; sha256: string } => ({ number, sha256: `${number}`.repeat(4) });
const HELD = { lsn: 7, at: 1_700_000_000_000_000 };

describe("Ledger", () => {
  test("change() is durable when it resolves, and each sees the one before", () =>
    inWorld(1, async ({ sim, disk }) => {
      await disk.mkdir("/v");
      const ledger = await Ledger.open(disk, "/v");
      expect(ledger.state.tiers).toEqual([]);
      await Promise.all(
        ["a", "b", "c"].map((name) =>
          ledger.change((before) => ({ ...before, tiers: [...before.tiers, record(name)] })),
        ),
      );
      await disk.syncDir("/");
      const again = await Ledger.open(disk.crashed(sim), "/v");
      expect(again.state.tiers.map(({ settings }) => settings.name)).toEqual(["a", "b", "c"]);
    }));

  test("a change that fails leaves the state as it was, and the next one goes on", () =>
    inWorld(2, async ({ disk }) => {
      await disk.mkdir("/v");
      const ledger = await Ledger.open(disk, "/v");
      disk.inject({ effect: "EIO", operations: ["sync"] });
      await expect(ledger.change((before) => ({ ...before, role: "reader" }))).rejects.toMatchObject({
        kind: "unavailable",
      });
      expect(ledger.state.role).toBeUndefined();
      await ledger.change((before) => ({ ...before, role: "arriving" }));
      expect((await Ledger.open(disk, "/v")).state.role).toBe("arriving");
    }));

  test("one that is damaged anywhere is refused, and says what to do", () =>
    inWorld(3, async ({ disk }) => {
      await disk.mkdir("/v");
      const ledger = await Ledger.open(disk, "/v");
      await ledger.change((before) => ({ ...before, tiers: [record("a")] }));
      const { length } = await readWhole(disk, ledgerPath("/v"));
      for (let offset = 0; offset < length; offset += 7) {
        // The line end between checksum and content says nothing.
        if (offset === 16) continue;
        disk.flipBit(ledgerPath("/v"), offset, offset % 8);
        await expect(Ledger.open(disk, "/v")).rejects.toMatchObject({ kind: "corrupt" });
        disk.flipBit(ledgerPath("/v"), offset, offset % 8);
      }
      expect((await Ledger.open(disk, "/v")).state.tiers).toHaveLength(1);
    }));

  test("what was intended stays until something newer is known to be there, however often it was tried", () => {
    let known = holding(record("a"), revision(1), HELD);
    for (let number = 2; number < 100; number++) known = intending(known, revision(number));
    expect(known.old).toEqual(revision(1));
    expect(known.intended?.at(-1)).toEqual(revision(99));
    expect(known.intended!.length).toBeLessThanOrEqual(64);
    expect(holding(known, revision(99), HELD).intended).toBeUndefined();
  });

  test("is empty where there is none", async () =>
    inWorld(4, async ({ sim }) => {
      expect((await Ledger.open(new SimulatedDisk(sim), "/nowhere")).state).toEqual({ format: 1, tiers: [] });
    }));
});
