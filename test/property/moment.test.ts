import { test } from "bun:test";
import fc from "fast-check";
import { lsn, micros } from "../../src/base/units.ts";
import { formatMoment, parseMoment } from "../../src/volume/moment.ts";
import type { Moment } from "../../src/volume/volumes.ts";

const moment: fc.Arbitrary<Moment> = fc.oneof(
  fc.constant<Moment>({ kind: "now" }),
  fc.integer({ min: 0, max: 999_999_999_999_999 }).map<Moment>((n) => ({ kind: "lsn", lsn: lsn(n) })),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/).map<Moment>((name) => ({ kind: "bookmark", name })),
  fc.maxSafeNat().map<Moment>((n) => ({ kind: "time", time: micros(n) })),
  fc.integer({ min: 0, max: 2 ** 40 }).map<Moment>((ageMicros) => ({ kind: "age", ageMicros })),
);

test("parseMoment() reads back whatever formatMoment() writes", () => {
  fc.assert(
    fc.property(moment, (value) => Bun.deepEquals(parseMoment(formatMoment(value)), value)),
    { numRuns: 2000 },
  );
});

test("parseMoment() gives a moment or an invalid error, whatever it is given", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      try {
        return parseMoment(text).kind !== undefined;
      } catch (error) {
        return (error as { kind?: string }).kind === "invalid";
      }
    }),
    { numRuns: 2000 },
  );
});
