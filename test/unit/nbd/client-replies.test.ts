/** Servers that lie: whatever they answer, the client gives the right bytes or an error, and never hangs on to a request. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Extent } from "../../../src/base/device.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { ClientReplies, type PendingRequest } from "../../../src/nbd/client-replies.ts";
import { wire } from "../../support/nbd-harness.ts";

const { u32, u64 } = wire;
const u16 = (value: number): number[] => [value >>> 8, value & 255];

const simple = (serial: number, slot: number, errno = 0): number[] => [
  ...u32(0x67446698),
  ...u32(errno),
  ...u32(serial),
  ...u32(slot),
];
const chunk = (slot: number, type: number, payload: number[], done = true, serial = 1): number[] => [
  ...u32(0x668e33ef),
  ...u16(done ? 1 : 0),
  ...u16(type),
  ...u32(serial),
  ...u32(slot),
  ...u32(payload.length),
  ...payload,
];

interface Outcome {
  /** `waiting`, `done`, or an error's message. */
  state: string;
  into: Uint8Array;
  extents: Extent[];
}

function fixture(): {
  replies: ClientReplies;
  ask(type: number, offset: number, length: number): Outcome;
  failed(): string | undefined;
} {
  let failed: string | undefined;
  const replies: ClientReplies = new ClientReplies(5, (reason) => {
    failed ??= reason;
    replies.failAll(new SternwayError("unavailable", reason));
  });
  return {
    replies,
    failed: () => failed,
    ask(type, offset, length) {
      const outcome: Outcome = { state: "waiting", into: new Uint8Array(length).fill(0xee), extents: [] };
      const pending: PendingRequest = {
        type,
        offset,
        length,
        into: type === 0 ? outcome.into : undefined,
        extents: type === 7 ? outcome.extents : undefined,
        coveredBytes: 0,
        error: undefined,
        resolve: () => (outcome.state = "done"),
        reject: (error) => (outcome.state = error.message),
      };
      replies.add(pending);
      return outcome;
    },
  };
}

test("receive() puts data and holes where they belong, in any order and any pieces", () => {
  const answer = [
    ...chunk(0, 1, [...u64(4096 + 6), 3, 4], false),
    ...simple(1, 1),
    ...chunk(0, 2, [...u64(4096 + 2), ...u32(4)], false),
    ...chunk(0, 1, [...u64(4096), 1, 2], true),
  ];
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (pieces) => {
      const { replies, ask } = fixture();
      const read = ask(0, 4096, 8);
      const write = ask(1, 0, 512);
      for (let at = 0, i = 0; at < answer.length; i++) {
        const size = pieces[i % pieces.length]!;
        replies.receive(Uint8Array.from(answer.slice(at, at + size)));
        at += size;
      }
      expect(read.state).toBe("done");
      expect([...read.into]).toEqual([1, 2, 0, 0, 0, 0, 3, 4]);
      expect(write.state).toBe("done");
      expect(replies.pendingCount).toBe(0);
    }),
  );
});

test("receive() of an error chunk rejects with errno and message, and the connection goes on", () => {
  const { replies, ask, failed } = fixture();
  const read = ask(0, 0, 8);
  replies.receive(Uint8Array.from(chunk(0, 32769, [...u32(28), ...u16(4), ...Buffer.from("full")])));
  expect(read.state).toContain("full (ENOSPC)");
  const next = ask(1, 0, 512);
  replies.receive(Uint8Array.from(simple(2, 0)));
  expect(next.state).toBe("done");
  expect(failed()).toBeUndefined();
});

test("receive() of block status merges, and calls a hole that does not read as zeroes data", () => {
  const { replies, ask } = fixture();
  const status = ask(7, 1000, 100);
  const payload = [5, 10, 3, 10, 3, 20, 2, 10, 1, 500, 0].flatMap(u32);
  replies.receive(Uint8Array.from(chunk(0, 5, payload)));
  expect(status.state).toBe("done");
  expect(status.extents).toEqual([
    { offset: 1000, length: 20, kind: "hole" },
    { offset: 1020, length: 20, kind: "zero" },
    { offset: 1040, length: 60, kind: "data" },
  ]);
});

const LIES: [string, number[]][] = [
  ["a wrong magic number", [...u32(0x12345678), ...u32(0)]],
  ["an answer to nobody", simple(1, 9)],
  ["an answer to an older request of the slot", simple(0, 0)],
  ["data before the range", chunk(0, 1, [...u64(4090), 1, 2, 3, 4, 5, 6, 7, 8])],
  ["data past the range", chunk(0, 1, [...u64(4100), 1, 2, 3, 4, 5, 6, 7, 8])],
  ["more data than was asked for", chunk(0, 1, [...u64(4096), ...Array.from({ length: 9 }, () => 1)])],
  [
    "the same data twice",
    [...chunk(0, 1, [...u64(4096), 1, 2, 3, 4, 5, 6, 7, 8], false), ...chunk(0, 1, [...u64(4096), 1], true)],
  ],
  ["too little data", chunk(0, 1, [...u64(4096), 1, 2, 3])],
  ["no data at all", chunk(0, 0, [])],
  ["a hole past the range", chunk(0, 2, [...u64(4096), ...u32(9)])],
  ["an empty hole", chunk(0, 2, [...u64(4096), ...u32(0)])],
  ["a hole chunk of a wrong size", chunk(0, 2, [...u64(4096)])],
  ["block status for a read", chunk(0, 5, [...u32(5), ...u32(8), ...u32(0)])],
  ["an unknown chunk", chunk(0, 77, [1, 2])],
  ["a huge chunk", [...chunk(0, 5, []).slice(0, 16), ...u32(0x7fffffff)]],
];

for (const [name, bytes] of LIES) {
  test(`receive() of ${name} ends the connection and rejects the request`, () => {
    const { replies, ask, failed } = fixture();
    const read = ask(0, 4096, 8);
    replies.receive(Uint8Array.from(bytes));
    expect(failed()).toBeDefined();
    expect(read.state).toBe(failed()!);
    expect(replies.pendingCount).toBe(0);
  });
}

test("receive() of any bytes never throws, and settles or keeps the request", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 3 }), (noise, start) => {
      const { replies, ask } = fixture();
      const read = ask(0, 4096, 8);
      const good = chunk(0, 1, [...u64(4096), 1, 2, 3, 4, 5, 6, 7, 8]);
      replies.receive(Uint8Array.from([...good.slice(0, start * 10), ...noise]));
      if (read.state === "done") expect(read.into.length).toBe(8);
    }),
    { numRuns: 500 },
  );
});
