import { expect, test } from "bun:test";
import fc from "fast-check";
import { emptyResolution, TARGET_HOLE, TARGET_ZERO } from "../../src/vault/map.ts";
import { fileNumberOf, forEachPlace, isMemoryTarget, Memtable, nodeOf } from "../../src/vault/memtable.ts";

const BLOCKS = 2 ** 18 + 3 * 256;

interface Operation {
  strand: number;
  kind: "write" | "zero" | "trim";
  firstBlock: number;
  count: number;
}

/** Blocks near the edges of chunks and of the shard, where the grids meet. */
const edge = fc.constantFrom(
  0,
  1,
  255,
  256,
  257,
  511,
  512,
  2 ** 18 - 257,
  2 ** 18 - 1,
  2 ** 18,
  2 ** 18 + 1,
  2 ** 18 + 256,
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    strand: fc.integer({ min: 1, max: 2 }),
    kind: fc.constant<"write">("write"),
    firstBlock: edge,
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    strand: fc.integer({ min: 1, max: 2 }),
    kind: fc.constantFrom<"zero" | "trim">("zero", "trim"),
    firstBlock: edge,
    count: fc.oneof(fc.integer({ min: 1, max: 700 }), fc.constantFrom(2 ** 18, 2 ** 18 + 300)),
  }),
);

/** What the latest operation up to an LSN left at a block; the LSN of operation i is i + 1. */
function naive(
  operations: readonly Operation[],
  strand: number,
  block: number,
  maxLsn: number,
): { lsn: number; kind: string } {
  for (let i = Math.min(maxLsn, operations.length) - 1; i >= 0; i--) {
    const { firstBlock, count, kind, strand: of } = operations[i]!;
    if (of === strand && block >= firstBlock && block < firstBlock + count) return { lsn: i + 1, kind };
  }
  return { lsn: -1, kind: "nothing" };
}

/** Lays operations into a table; a write's location is its LSN × 16 + its place in the write. */
function tableOf(operations: readonly Operation[], fileSequence: number): Memtable {
  const table = new Memtable(fileSequence);
  for (const [i, { strand, kind, firstBlock, count }] of operations.entries()) {
    if (kind !== "write") table.addCleared(strand, firstBlock, count, i + 1, kind === "trim");
    else for (let n = 0; n < count; n++) table.addBlock(strand, firstBlock + n, i + 1, (i + 1) * 16 + n, BigInt(i));
  }
  return table;
}

function sameAsNaive(
  table: Memtable,
  operations: readonly Operation[],
  strand: number,
  maxLsn: number,
  from: number,
  count: number,
): void {
  const found = emptyResolution(from, count);
  table.collect(strand, found, maxLsn);
  let missing = 0;
  for (let i = 0; i < count; i++) {
    const block = from + i;
    const expected = naive(operations, strand, block, maxLsn);
    expect({ block, lsn: found.lsn[i]! }).toEqual({ block, lsn: expected.lsn });
    if (expected.lsn < 0) missing++;
    else if (expected.kind === "trim") expect(found.target[i]).toBe(TARGET_HOLE);
    else if (expected.kind === "zero") expect(found.target[i]).toBe(TARGET_ZERO);
    else {
      const target = found.target[i]!;
      expect(isMemoryTarget(target)).toBe(true);
      expect(fileNumberOf(target)).toBe(table.fileSequence % 2 ** 20);
      const { firstBlock } = operations[expected.lsn - 1]!;
      expect(table.locationOf(nodeOf(target))).toBe(expected.lsn * 16 + block - firstBlock);
      expect(table.printOf(nodeOf(target))).toBe(BigInt(expected.lsn - 1));
      expect(table.lsnOf(nodeOf(target))).toBe(expected.lsn);
    }
  }
  expect(found.missing).toBe(missing);
}

test("Memtable.collect() gives what the naive replay of the operations up to the LSN gives", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 0, max: 31 }),
      edge,
      fc.integer({ min: 1, max: 600 }),
      (operations, maxLsn, from, count) => {
        // A file sequence beyond 2^20 shares its number with an older one.
        const table = tableOf(operations, 2 ** 20 + 5);
        for (const strand of [1, 2, 3]) {
          sameAsNaive(table, operations, strand, maxLsn, from, count);
          sameAsNaive(table, operations, strand, maxLsn, from, 1);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test("Memtable.copyGroups() moves exactly the versions of the moved groups, in order", () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 2, maxLength: 20 }), fc.nat(), (operations, cutAt) => {
      const fromLsn = 1 + (cutAt % operations.length);
      const source = tableOf(operations, 1);
      const target = new Memtable(2);
      // Each operation is a group of its own: location = LSN × 16 + place.
      const ordinals = new Map<number, number>();
      for (let at = fromLsn; at <= operations.length; at++) ordinals.set(at, at - fromLsn);
      source.copyGroups(target, ordinals, 16, fromLsn);
      let versions = 0;
      target.forEachVersion((_strand, _level, _index, node) => {
        versions++;
        const at = target.lsnOf(node);
        expect(at).toBeGreaterThanOrEqual(fromLsn);
        if (target.hasBytes(node)) expect(Math.floor(target.locationOf(node) / 16)).toBe(at - fromLsn);
      });
      expect(versions).toBe(target.nodeCount);
      for (const { strand, firstBlock } of operations.slice(fromLsn - 1)) {
        const [moved, kept] = [emptyResolution(firstBlock, 1), emptyResolution(firstBlock, 1)];
        target.collect(strand, moved, operations.length);
        source.collect(strand, kept, operations.length);
        expect(moved.lsn[0]).toBe(kept.lsn[0]);
      }
    }),
    { numRuns: 150 },
  );
});

test("forEachPlace() covers every block of a range once, on the coarsest grids that fit", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: BLOCKS }), fc.integer({ min: 1, max: 3 * 2 ** 18 }), (firstBlock, count) => {
      let next = firstBlock;
      let places = 0;
      forEachPlace(firstBlock, count, (level, index) => {
        const size = [1, 256, 2 ** 18][level]!;
        expect(index * size).toBe(next);
        next += size;
        places++;
      });
      expect(next).toBe(firstBlock + count);
      expect(places).toBeLessThanOrEqual(2 * 255 + 2 * 1023 + count / 2 ** 18);
    }),
    { numRuns: 300 },
  );
});
