import { describe, expect, test } from "bun:test";
import { emptyResolution, TARGET_HOLE, TARGET_ZERO } from "../../../src/vault/map.ts";
import { isMemoryTarget, Memtable, nodeOf } from "../../../src/vault/memtable.ts";

const at = (table: Memtable, block: number, maxLsn = 1000): { lsn: number; target: number } => {
  const found = emptyResolution(block, 1);
  table.collect(1, found, maxLsn);
  return { lsn: found.lsn[0]!, target: found.target[0]! };
};

describe("Memtable", () => {
  test("is silent about what it never saw, and about other strands", () => {
    const table = new Memtable(1);
    expect(at(table, 0).lsn).toBe(-1);
    table.addBlock(2, 0, 5, 0, 0n);
    expect(at(table, 0).lsn).toBe(-1);
    table.addBlock(1, 0, 6, 0, 0n);
    expect(at(table, 0, 5).lsn).toBe(-1);
    expect(at(table, 0, 6).lsn).toBe(6);
  });

  test("keeps every version of a block", () => {
    const table = new Memtable(1);
    for (let lsn = 1; lsn <= 100; lsn++) table.addBlock(1, 7, lsn, lsn * 10, BigInt(lsn));
    for (const lsn of [1, 50, 100]) {
      const { target } = at(table, 7, lsn);
      expect(isMemoryTarget(target)).toBe(true);
      expect(table.locationOf(nodeOf(target))).toBe(lsn * 10);
    }
  });

  test("takes a terabyte's trim in a thousand nodes, and a write into it comes before it", () => {
    const table = new Memtable(1);
    expect(table.addCleared(1, 0, 2 ** 28, 1, true)).toBe(1024);
    table.addBlock(1, 12_345_678, 2, 0, 0n);
    table.addCleared(1, 256, 256, 3, false);
    expect(table.nodeCount).toBe(1026);
    expect(at(table, 2 ** 28 - 1)).toEqual({ lsn: 1, target: TARGET_HOLE });
    expect(at(table, 12_345_678).lsn).toBe(2);
    expect(at(table, 12_345_678, 1)).toEqual({ lsn: 1, target: TARGET_HOLE });
    expect(at(table, 300)).toEqual({ lsn: 3, target: TARGET_ZERO });
    expect(at(table, 300, 2)).toEqual({ lsn: 1, target: TARGET_HOLE });
    expect(at(table, 2 ** 28).lsn).toBe(-1);
  });

  test("a clear of a range that fits no grid takes blocks at its ends and chunks between", () => {
    const table = new Memtable(1);
    expect(table.addCleared(1, 255, 258, 1, true)).toBe(3);
    expect(at(table, 254).lsn).toBe(-1);
    expect(at(table, 255).lsn).toBe(1);
    expect(at(table, 512).lsn).toBe(1);
    expect(at(table, 513).lsn).toBe(-1);
  });

  test("names the shards that it touched, of all levels", () => {
    const table = new Memtable(1);
    table.addBlock(1, 5, 1, 0, 0n);
    table.addCleared(1, 3 * 2 ** 18, 2 ** 18, 2, true);
    table.addCleared(1, 5 * 2 ** 18 + 256, 256, 3, true);
    const shards = new Set<number>();
    table.shardsOf(1, shards);
    expect([...shards].sort((a, b) => a - b)).toEqual([0, 3, 5]);
    expect([table.firstLsn, table.lastLsn]).toEqual([1, 3]);
  });

  test("does not take over a place for which a later LSN is known", () => {
    const table = new Memtable(1);
    table.addBlock(1, 0, 5, 0, 0n);
    const found = emptyResolution(0, 2);
    found.lsn[0] = 9;
    found.target[0] = TARGET_ZERO;
    found.missing = 1;
    table.collect(1, found, 1000);
    expect([found.lsn[0], found.target[0], found.missing]).toEqual([9, TARGET_ZERO, 1]);
  });
});
