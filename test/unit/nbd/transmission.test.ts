import { expect, test } from "bun:test";
import fc from "fast-check";
import type { SessionServices } from "../../../src/nbd/execution.ts";
import { DEFAULT_NBD_LIMITS } from "../../../src/nbd/limits.ts";
import { MemoryBudget, SlabPool } from "../../../src/nbd/memory.ts";
import { Outgoing } from "../../../src/nbd/outgoing.ts";
import { Transmission } from "../../../src/nbd/transmission.ts";
import { MemoryDevice } from "../../support/memory-device.ts";
import { wire } from "../../support/nbd-harness.ts";

const SIZE = 2 ** 20;

interface Fixture {
  device: MemoryDevice;
  transmission: Transmission;
  services: SessionServices & { failed: string | undefined; failures: number };
  /** What was answered so far. */
  sent(): Buffer;
}

function fixture(options: { limits?: Partial<typeof DEFAULT_NBD_LIMITS>; delay?: () => Promise<void> } = {}): Fixture {
  const device = new MemoryDevice(SIZE, options.delay === undefined ? {} : { delay: options.delay });
  const budget = new MemoryBudget(1e9);
  const out = new Outgoing(budget);
  const parts: Uint8Array[] = [];
  out.sink = {
    write(data, offset = 0, length = data.length - offset) {
      parts.push(data.slice(offset, offset + length));
      return length;
    },
  };
  const services = {
    out,
    budget,
    slabs: new SlabPool(2 ** 25),
    limits: { ...DEFAULT_NBD_LIMITS, ...options.limits },
    failed: undefined as string | undefined,
    failures: 0,
    answered() {},
    fail(reason: string) {
      this.failed = reason;
    },
    disconnect() {},
    requestFailed() {
      this.failures++;
    },
  };
  const transmission = new Transmission(
    services,
    { readOnly: false, device, description: "" },
    { structured: false, allocation: false },
  );
  return {
    device,
    transmission,
    services,
    sent() {
      out.send();
      return Buffer.concat(parts);
    },
  };
}

const sector = fc.integer({ min: 0, max: SIZE / 512 - 129 });
const operation = fc.record({
  type: fc.constantFrom(1, 1, 1, 4, 6, 3, 99),
  sector,
  sectors: fc.integer({ min: 0, max: 128 }),
  fill: fc.integer({ min: 1, max: 255 }),
  past: fc.boolean(),
});

test("feed() does the same whatever the pieces that the bytes arrive in", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 20 }),
      (operations, pieces) => {
        const bytes = Buffer.concat(
          operations.flatMap(({ type, sector: at, sectors, fill, past }, i) => {
            // Some reach past the end, so that refused payloads are drained too.
            const offset = past && fill < 40 ? SIZE : at * 512;
            const request = wire.request(type, offset, sectors * 512, { cookie: i + 1 });
            return type === 1 ? [request, new Uint8Array(sectors * 512).fill(fill)] : [request];
          }),
        );
        const whole = fixture();
        expect(whole.transmission.feed(bytes, 0)).toBe(bytes.length);
        const split = fixture();
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const piece = new Uint8Array(bytes.subarray(at, at + pieces[i % pieces.length]!));
          expect(split.transmission.feed(piece, 0)).toBe(piece.length);
          at += piece.length;
        }
        expect(Buffer.compare(split.device.bytes, whole.device.bytes)).toBe(0);
        const flushes = operations.filter(({ type }) => type === 3).length;
        expect(whole.sent().length).toBe(16 * (operations.length - flushes));
        expect(split.sent().equals(whole.sent())).toBe(true);
        expect(split.transmission.midRequest).toBe(false);
      },
    ),
    { numRuns: 100 },
  );
});

test("feed() hands a write that is whole in its input on as a view of it, without a copy", () => {
  const { device, transmission } = fixture();
  let seen: Uint8Array | undefined;
  device.write = (_offset, data) => void (seen = data);
  const input = new Uint8Array(Buffer.concat([wire.request(1, 0, 4096), new Uint8Array(4096).fill(5)]));
  transmission.feed(input, 0);
  expect(seen?.buffer).toBe(input.buffer);
  expect(seen?.byteOffset).toBe(input.byteOffset + 28);
});

test("feed() puts payloads in pieces into reused slabs", () => {
  const { device, transmission } = fixture();
  const seen = new Set<unknown>();
  device.write = (_offset, data) => void seen.add(data.buffer);
  for (let i = 0; i < 20; i++) {
    transmission.feed(wire.request(1, 0, 65536), 0);
    transmission.feed(new Uint8Array(30_000), 0);
    transmission.feed(new Uint8Array(35_536), 0);
  }
  expect(seen.size).toBe(1);
});

test("feed() stops at a request boundary at the limit of requests, and goes on when one has ended", async () => {
  const gates: (() => void)[] = [];
  const f = fixture({ limits: { requestsInFlightMax: 2 }, delay: () => new Promise((resolve) => gates.push(resolve)) });
  const input = Buffer.concat(
    Array.from({ length: 4 }, (_, i) =>
      Buffer.concat([wire.request(1, i * 512, 512), new Uint8Array(512).fill(i + 1)]),
    ),
  );
  const reached = f.transmission.feed(input, 0);
  expect(reached).toBe(2 * 540);
  gates.shift()!();
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  expect(f.transmission.execution.inFlight).toBe(1);
  expect(f.transmission.feed(input, reached)).toBe(3 * 540);
});

test("feed() stops while too many bytes are unsent, though nothing is in flight", () => {
  const f = fixture({ limits: { sessionBytesMax: 1000 } });
  f.services.out.sink = { write: () => 0 };
  f.services.out.append(new Uint8Array(1000));
  expect(f.transmission.feed(wire.request(4, 0, 512), 0)).toBe(0);
});

test("end() halfway through a payload gives its memory back", () => {
  const f = fixture();
  f.transmission.feed(wire.request(1, 0, 65536), 0);
  expect(f.services.budget.usedBytes).toBe(65536);
  f.transmission.end();
  expect(f.services.budget.usedBytes).toBe(0);
});

test("a device that gives a wrong number of bytes is an error, not wrong bytes", async () => {
  const f = fixture();
  f.device.read = async () => new Uint8Array(511);
  f.transmission.feed(wire.request(0, 0, 512), 0);
  await f.transmission.execution.idle();
  await Promise.resolve();
  expect(f.sent().readUInt32BE(4)).toBe(5);
  expect(f.sent().length).toBe(16);
  expect(f.services.failures).toBe(1);
});
