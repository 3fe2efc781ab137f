/** The planner, the calendar and the ledger of time against what they promise, by seed. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lsn, micros, type Micros } from "../../src/base/units.ts";
import { bucketEnd, bucketOf, bucketStart, RHYTHMS } from "../../src/retention/calendar.ts";
import { allowedHorizon, choosePoints, horizonTime, usefulEdges, type Choice } from "../../src/retention/planner.ts";
import { newestOfAge, untilOfAge, withNote, type TimeLedger } from "../../src/vault/time-ledger.ts";
import type { KeptPoint, RetentionPolicy } from "../../src/volume/retention.ts";

const HOUR = 3600e6;
const DAY = 24 * HOUR;
const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/St_Johns",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
  "America/Sao_Paulo",
  "Pacific/Apia",
];

const zone = fc.constantFrom(...ZONES);
/** 2009 to 2030: Samoa skipped a day in 2011, Brazil changed at midnight. */
const time = fc.integer({ min: 1_230_000_000, max: 1_900_000_000 }).map((seconds) => micros(seconds * 1e6));
const length = (unit: number, most: number) => fc.integer({ min: 0, max: most }).map((count) => count * unit);
const policy: fc.Arbitrary<RetentionPolicy> = fc.record({
  allMicros: length(HOUR, 72).map((micros) => micros + HOUR),
  hourlyMicros: length(DAY, 10),
  dailyMicros: length(DAY, 60),
  weeklyMicros: length(7 * DAY, 30),
  monthlyMicros: length(31 * DAY, 30),
});

describe("buckets", () => {
  test("a bucket begins and ends where its name does", () => {
    fc.assert(
      fc.property(time, zone, fc.constantFrom(...RHYTHMS), (at, where, rhythm) => {
        const end = bucketEnd(at, rhythm, where);
        expect(end).toBeGreaterThan(at);
        const start = bucketStart(at, rhythm, where);
        expect(start).toBeLessThanOrEqual(at);
        expect(bucketOf(start, rhythm, where)).toBe(bucketOf(at, rhythm, where));
        expect(bucketOf(micros(start - 1000), rhythm, where)).not.toBe(bucketOf(at, rhythm, where));
        expect(bucketOf(micros(end - 1000), rhythm, where)).toBe(bucketOf(at, rhythm, where));
        expect(bucketOf(end, rhythm, where)).not.toBe(bucketOf(at, rhythm, where));
      }),
      { numRuns: 1500 },
    );
  });

  test("useful edges never cut an hour in two where hours count, and cover what they should", () => {
    fc.assert(
      fc.property(time, policy, zone, length(HOUR, 2000), (now, rules, where, back) => {
        const to = micros(now - rules.allMicros);
        const edges = usefulEdges(rules, now, micros(to - back), to, where);
        for (let i = 1; i < edges.length; i++) expect(edges[i]!).toBeGreaterThan(edges[i - 1]!);
        if (edges.length === 0) return;
        expect(edges.at(-1)).toBe(to);
        const starts = RHYTHMS.filter((rhythm) => rules[`${rhythm}Micros`] > 0).map((rhythm) =>
          bucketStart(micros(now - rules[`${rhythm}Micros`]), rhythm, where),
        );
        expect(edges[0]).toBe(micros(Math.max(to - back, Math.min(...starts))));
        for (let i = 1; i < edges.length - 1; i++) expect(bucketStart(edges[i]!, "hourly", where)).toBe(edges[i]!);
      }),
      { numRuns: 300 },
    );
  });
});

/** A history of some days: each moment is a write or a flush. */
const history = fc.array(
  fc.record({
    gap: fc.integer({ min: 1, max: 12 * 3600 }),
    flush: fc.boolean(),
    named: fc.integer({ min: 0, max: 9 }),
  }),
  {
    minLength: 1,
    maxLength: 120,
  },
);

interface Moment {
  lsn: number;
  time: Micros;
  flushPoint: boolean;
  named: boolean;
}

describe("choosePoints()", () => {
  /** Evaluates a policy again and again while time passes, as the appliance does. */
  function live(
    rules: RetentionPolicy,
    where: string,
    steps: { gap: number; flush: boolean; named: number }[],
    lock: number | undefined,
  ) {
    let now = 1_790_000_000e6;
    const moments = steps.map(({ gap, flush, named }, i): Moment => {
      now += gap * 1e6;
      return { lsn: 10 * (i + 1), time: micros(now), flushPoint: flush, named: named === 0 };
    });
    const rounds: { now: Micros; horizon: number; points: KeptPoint[]; readable: Set<number> }[] = [];
    let horizon = 1;
    let points: KeptPoint[] = [];
    let readable = new Set(moments.map((moment) => moment.lsn));
    const last = now;
    for (let present = moments[0]!.time; present <= last + 40 * DAY; present = micros(present + 1.7 * DAY)) {
      const wanted = horizonTime(rules, present);
      const found = moments.findLast((moment) => wanted !== undefined && moment.time <= wanted)?.lsn ?? 0;
      const lockedFrom =
        lock === undefined ? undefined : lsn(moments.findLast((moment) => present - moment.time >= lock)?.lsn ?? 0);
      const next = allowedHorizon(lsn(found), lsn(horizon), lockedFrom);
      const choice: Choice = {
        policy: rules,
        now: present,
        zone: where,
        horizonLsn: next,
        lockedFrom,
        kept: points.map((point) => ({
          ...point,
          flushPoint: moments.find((moment) => moment.lsn === point.lsn)!.flushPoint,
        })),
        candidates: moments
          .filter((moment) => moment.lsn >= horizon && moment.lsn < next)
          .map((moment) => ({ ...moment, lsn: lsn(moment.lsn) })),
        named: moments.filter((moment) => moment.named).map((moment) => ({ ...moment, lsn: lsn(moment.lsn) })),
      };
      points = choosePoints(choice);
      horizon = next;
      const kept = new Set(points.map((point) => point.lsn));
      const left = new Set(
        [...readable].filter(
          (at) => at >= horizon || kept.has(at) || moments.find((moment) => moment.lsn === at)!.named,
        ),
      );
      for (const at of kept) expect(readable.has(at)).toBe(true);
      rounds.push({ now: present, horizon, points, readable: left });
      readable = left;
    }
    return { moments, rounds };
  }

  test("never invents a moment, never moves the horizon back, and keeps every write for as long as it says", () => {
    fc.assert(
      fc.property(policy, zone, history, (rules, where, steps) => {
        const { moments, rounds } = live(rules, where, steps, undefined);
        let before = 0;
        for (const { now, horizon, readable } of rounds) {
          expect(horizon).toBeGreaterThanOrEqual(before);
          before = horizon;
          for (const moment of moments) {
            const isYoung = now - moment.time < rules.allMicros;
            if (isYoung || moment.named) expect(readable.has(moment.lsn)).toBe(true);
          }
          expect(readable.has(moments.at(-1)!.lsn)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("while a rhythm lasts, each of its hours, days, weeks and months that something was written in has a moment left", () => {
    fc.assert(
      fc.property(policy, zone, history, (rules, where, steps) => {
        const { moments, rounds } = live(rules, where, steps, undefined);
        for (const { now, readable } of rounds) {
          for (const rhythm of RHYTHMS) {
            for (const moment of moments) {
              if (now - moment.time > rules[`${rhythm}Micros`] || moment.time > now) continue;
              const bucket = bucketOf(moment.time, rhythm, where);
              const isCovered = moments.some(
                (other) => readable.has(other.lsn) && bucketOf(other.time, rhythm, where) === bucket,
              );
              expect(isCovered).toBe(true);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("nothing younger than the lock goes", () => {
    fc.assert(
      fc.property(policy, zone, history, length(HOUR, 24 * 40), (rules, where, steps, lock) => {
        const { moments, rounds } = live({ ...rules, allMicros: HOUR }, where, steps, lock);
        for (const { now, readable } of rounds) {
          for (const moment of moments) if (now - moment.time < lock) expect(readable.has(moment.lsn)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("prefers a bookmark to a flush point, and that to a later write", () => {
    const rules = { allMicros: HOUR, hourlyMicros: 0, dailyMicros: 30 * DAY, weeklyMicros: 0, monthlyMicros: 0 };
    const day = 1_790_000_000e6;
    const moment = (at: number, minute: number, flushPoint: boolean) => ({
      lsn: lsn(at),
      time: micros(day + minute * 60e6),
      flushPoint,
    });
    const choice = (named: Choice["named"], flush: boolean): Choice => ({
      policy: rules,
      now: micros(day + DAY),
      zone: "UTC",
      horizonLsn: lsn(100),
      lockedFrom: undefined,
      kept: [],
      candidates: [moment(10, 1, false), moment(20, 2, flush), moment(30, 3, false)],
      named,
    });
    expect(choosePoints(choice([], false)).map((point) => point.lsn)).toEqual([30]);
    expect(choosePoints(choice([], true)).map((point) => point.lsn)).toEqual([20]);
    expect(choosePoints(choice([moment(10, 1, false)], true)).map((point) => point.lsn)).toEqual([10]);
  });
});

describe("the ledger of time", () => {
  test("never calls anything older than it is, at most a 32nd and one interval younger, and stays small", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 7200 }),
        fc.integer({ min: 1, max: 1500 }),
        length(HOUR, 5000),
        (interval, count, age) => {
          let ledger: TimeLedger | undefined;
          for (let i = 0; i < count; i++) {
            ledger = withNote(ledger, { lsn: i + 1, elapsedMicros: i * interval * 1e6 }, 0);
          }
          const now = (count - 1) * interval * 1e6;
          const madeAt = (at: number): number => (at - 1) * interval * 1e6;
          const newest = newestOfAge(ledger, now, age);
          if (newest > 0) expect(now - madeAt(newest)).toBeGreaterThanOrEqual(age);
          const late = age * (1 + 1 / 16) + 2 * interval * 1e6;
          if (now >= late) expect(now - madeAt(newest)).toBeLessThanOrEqual(late);
          expect(untilOfAge(ledger, now, Math.max(1, newest), age)).toBe(
            newest > 0 ? 0 : untilOfAge(ledger, now, 1, age),
          );
          expect(ledger!.notes.length).toBeLessThan(700);
        },
      ),
      { numRuns: 60 },
    );
  });
});
