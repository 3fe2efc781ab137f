import { expect, test } from "bun:test";
import fc from "fast-check";
import { MemoryBudget, SlabPool } from "../../../src/nbd/memory.ts";
import { Outgoing } from "../../../src/nbd/outgoing.ts";

/** Takes what `takes` says next, again and again. */
class FakeSocket {
  readonly written: number[] = [];
  readonly #takes: number[];
  calls = 0;

  constructor(takes: number[]) {
    this.#takes = takes;
  }

  write(data: Uint8Array, offset = 0, length = data.length - offset): number {
    const taken = Math.min(length, this.#takes[this.calls++ % this.#takes.length]!);
    for (let i = 0; i < taken; i++) this.written.push(data[offset + i]!);
    return taken;
  }
}

test("send() gives every byte once and in order, whatever the socket takes at a time", () => {
  const piece = fc.record({ size: fc.integer({ min: 1, max: 40_000 }), reserve: fc.boolean(), send: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      fc.array(fc.integer({ min: 0, max: 50_000 }), { minLength: 1, maxLength: 5 }),
      (pieces, takes) => {
        const budget = new MemoryBudget(1e9);
        const out = new Outgoing(budget);
        const socket = new FakeSocket([...takes, 1000]);
        out.sink = socket;
        const expected: number[] = [];
        let next = 0;
        for (const { size, reserve, send } of pieces) {
          const data = Uint8Array.from({ length: size }, () => next++ & 255);
          for (const byte of data) expected.push(byte);
          if (reserve) {
            const at = out.reserve(size);
            out.bytes.set(data, at);
          } else {
            out.append(data);
          }
          if (send) out.send();
          expect(budget.usedBytes).toBe(out.unsentBytes);
        }
        for (let i = 0; i < 1000 && out.unsentBytes > 0; i++) out.send();
        expect(Buffer.from(socket.written).equals(Buffer.from(expected))).toBe(true);
        expect(out.sentBytes).toBe(expected.length);
        expect(budget.usedBytes).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

test("append() leaves a small payload free to change, and a thousand small answers leave in one write", () => {
  const out = new Outgoing(new MemoryBudget(1e9));
  const socket = new FakeSocket([1e9]);
  out.sink = socket;
  const data = new Uint8Array(16).fill(1);
  for (let i = 0; i < 1000; i++) out.append(data);
  data.fill(2);
  out.send();
  expect(socket.calls).toBe(1);
  expect(socket.written.every((byte) => byte === 1)).toBe(true);
});

test("send() tells a closed socket, and discard() gives the memory back", () => {
  const budget = new MemoryBudget(1e9);
  const out = new Outgoing(budget);
  out.sink = { write: () => -1 };
  out.append(new Uint8Array(100_000));
  expect(out.send()).toBe(false);
  expect(budget.usedBytes).toBe(100_000);
  out.discard();
  expect(budget.usedBytes).toBe(0);
});

test("SlabPool gives buffers large enough, reuses them, and keeps no more than its bound", () => {
  const pool = new SlabPool(2 ** 20);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 25 }), (length) => {
      const slab = pool.take(length);
      expect(slab.length).toBeGreaterThanOrEqual(length);
      expect(slab.length).toBeLessThan(Math.max(2 * length, 4097));
    }),
    { numRuns: 50 },
  );
  const first = pool.take(600_000);
  pool.give(first);
  expect(pool.take(1_000_000)).toBe(first);
  pool.give(first);
  const second = new Uint8Array(2 ** 20);
  pool.give(second);
  expect(pool.take(2 ** 20)).toBe(first);
  expect(pool.take(2 ** 20)).not.toBe(second);
});
