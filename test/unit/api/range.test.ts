import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseRange, type WantedRange } from "../../../src/api/range.ts";

const whole: WantedRange = { kind: "whole" };
const none: WantedRange = { kind: "unsatisfiable" };
const range = (start: number, end: number): WantedRange => ({ kind: "range", start, end });

describe("parseRange() of 1,000 bytes", () => {
  const table: [header: string | undefined, wanted: WantedRange][] = [
    [undefined, whole],
    ["", whole],
    ["bytes=0-0", range(0, 1)],
    ["bytes=0-", range(0, 1000)],
    ["bytes=0-999", range(0, 1000)],
    ["bytes=0-1000", range(0, 1000)],
    ["bytes=999-999", range(999, 1000)],
    ["bytes=999-", range(999, 1000)],
    ["bytes=1000-", none],
    ["bytes=1000-1001", none],
    ["bytes=-1", range(999, 1000)],
    ["bytes=-1000", range(0, 1000)],
    ["bytes=-5000", range(0, 1000)],
    ["bytes=-0", none],
    ["bytes=5-4", whole],
    ["bytes=-", whole],
    ["bytes=", whole],
    ["bytes=a-b", whole],
    ["bytes=1 - 2", whole],
    ["bytes=+1-2", whole],
    ["bytes=0x1-2", whole],
    ["bytes=1.5-2", whole],
    ["bytes=--1", whole],
    ["items=0-1", whole],
    ["0-1", whole],
    ["BYTES=0-1", range(0, 2)],
    ["  bytes=0-1 ", range(0, 2)],
    ["bytes=0-1,", range(0, 2)],
    ["bytes=,0-1", range(0, 2)],
    ["bytes=0-1,3-4", whole],
    ["bytes=0-1,-5", whole],
    ["bytes=0-99999999999999999999999", range(0, 1000)],
    ["bytes=99999999999999999999999-", none],
    ["bytes=99999999999999999999999-99999999999999999999998", whole],
    [`bytes=${"9".repeat(300)}-`, none],
    ["bytes=-99999999999999999999999", range(0, 1000)],
    [`bytes=${"9".repeat(500)}-${"1".repeat(450)}`, whole],
    [`bytes=${"9".repeat(450)}-${"9".repeat(500)}`, none],
    [`bytes=${"0".repeat(500)}5-${"0".repeat(450)}7`, range(5, 8)],
    ["bytes=00-009", range(0, 10)],
    ["bytes=0-18446744073709551616", range(0, 1000)],
    ["bytes=18446744073709551616-", none],
    ["bytes=9007199254740993-9007199254740992", whole],
    ["bytes=-00", none],
    ["bytes=-1-2", whole],
    ["bytes=1-2-3", whole],
    ["bytes=\u0661-\u0662", whole],
    ["bytes=0-1;3-4", whole],
    ["bytes = 0-1", whole],
    ["bytes=0-0,-1", whole],
    ["bytes=1000-,2000-", whole],
  ];
  for (const [header, wanted] of table) {
    test(`${header} is ${JSON.stringify(wanted)}`, () => expect(parseRange(header, 1000)).toEqual(wanted));
  }
});

test.each(["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])("parseRange(%p) of nothing is unsatisfiable", (header) =>
  expect(parseRange(header, 0)).toEqual(none),
);

test("parseRange() never gives a range that is empty or past the end", () => {
  const text = fc.oneof(
    fc.string(),
    fc.tuple(fc.string({ unit: fc.constantFrom(..."0123456789-, ") })).map(([s]) => `bytes=${s}`),
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 2 ** 44 }), (header, size) => {
      const wanted = parseRange(header, size);
      return wanted.kind !== "range" || (wanted.start >= 0 && wanted.start < wanted.end && wanted.end <= size);
    }),
  );
});
