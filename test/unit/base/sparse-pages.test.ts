import { expect, test } from "bun:test";
import fc from "fast-check";
import { SparsePages } from "../../../src/base/sparse-pages.ts";

const SIZE = 3 * 2 ** 20;

test("SparsePages reads as a plain array does, and forks do not see each other's writes", () => {
  const write = fc.record({
    side: fc.integer({ min: 0, max: 1 }),
    offset: fc.integer({ min: 0, max: SIZE - 20_000 }),
    length: fc.integer({ min: 0, max: 20_000 }),
    fill: fc.integer({ min: 0, max: 3 }),
    fork: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
      const sides = [new SparsePages(), new SparsePages()];
      const models = [new Uint8Array(SIZE), new Uint8Array(SIZE)];
      const sizes = [0, 0];
      for (const { side, offset, length, fill, fork } of writes) {
        const missing = sides[side]!.missingPages(offset, length);
        const before = sides[side]!.pageCount;
        sides[side]!.write(new Uint8Array(length).fill(fill), offset);
        expect(sides[side]!.pageCount - before).toBe(missing);
        models[side]!.fill(fill, offset, offset + length);
        if (length > 0) sizes[side] = Math.max(sizes[side]!, offset + length);
        if (!fork) continue;
        sides[1 - side] = sides[side]!.fork();
        models[1 - side] = models[side]!.slice();
        sizes[1 - side] = sizes[side]!;
      }
      for (const side of [0, 1]) {
        const into = new Uint8Array(SIZE);
        expect(sides[side]!.read(into, 0)).toBe(sizes[side]!);
        expect(Buffer.compare(into, models[side]!)).toBe(0);
      }
    }),
    { numRuns: 100 },
  );
});
