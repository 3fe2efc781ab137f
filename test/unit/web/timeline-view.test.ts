import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BUCKETS_MAX, gridFor, serves, stepUp } from "../../../src/web/console/timeline/grid.ts";
import { keyStep } from "../../../src/web/console/timeline/strip-keys.ts";
import { ticksOf } from "../../../src/web/console/timeline/ticks.ts";
import { DAY, HOUR, microsOf, MINUTE, wireTime } from "../../../src/web/console/timeline/time.ts";
import {
  clamped,
  following,
  panned,
  pinched,
  recentView,
  revealing,
  SPAN_MIN,
  spanOf,
  timeAt,
  wheelFactor,
  wholeView,
  xOf,
  zoomed,
} from "../../../src/web/console/timeline/view.ts";

const NOW = microsOf("2026-11-21T09:00:00Z");
const CREATED = NOW - 3 * 365 * DAY;
const BOUNDS = wholeView(CREATED, NOW);
const BERLIN = "Europe/Berlin";

const anyView = fc
  .tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([place, size]) => {
    const span = SPAN_MIN * (spanOf(BOUNDS) / SPAN_MIN) ** size;
    const from = BOUNDS.from + place * (spanOf(BOUNDS) - span);
    return clamped({ from, to: from + span }, BOUNDS);
  });

describe("the view", () => {
  test("zooming keeps what is under the pointer there, inside the bounds, down to single microseconds", () => {
    fc.assert(
      fc.property(
        anyView,
        fc.double({ min: 0.05, max: 20, noNaN: true }),
        fc.integer({ min: 0, max: 1000 }),
        (view, factor, x) => {
          const anchor = timeAt(view, 1000, x);
          const next = zoomed(view, factor, anchor, BOUNDS);
          expect(next.from).toBeGreaterThanOrEqual(BOUNDS.from);
          expect(next.to).toBeLessThanOrEqual(BOUNDS.to);
          expect(Number.isSafeInteger(next.from) && Number.isSafeInteger(next.to)).toBe(true);
          expect(spanOf(next)).toBeGreaterThanOrEqual(SPAN_MIN);
          const isAtEdge = next.from === BOUNDS.from || next.to === BOUNDS.to;
          if (!isAtEdge) expect(Math.abs(xOf(next, 1000, anchor) - x)).toBeLessThan(2);
        },
      ),
    );
  });

  test("from years to milliseconds in few turns of the wheel, and back to everything", () => {
    let view = BOUNDS;
    let turns = 0;
    while (spanOf(view) > 1_000 && turns < 1000) {
      view = zoomed(view, wheelFactor(-100, 0), NOW - 5 * HOUR, BOUNDS);
      turns++;
    }
    expect(turns).toBeLessThan(160);
    expect(NOW - 5 * HOUR).toBeGreaterThanOrEqual(view.from);
    expect(NOW - 5 * HOUR).toBeLessThanOrEqual(view.to);
    for (let i = 0; i < turns + 5; i++) view = zoomed(view, wheelFactor(100, 0), NOW, BOUNDS);
    expect(view).toEqual(BOUNDS);
  });

  test("panning keeps the length and stops at the ends", () => {
    const day = recentView(DAY, BOUNDS, NOW);
    expect(spanOf(panned(day, -400 * DAY, BOUNDS))).toBe(spanOf(day));
    expect(panned(day, -4000 * DAY, BOUNDS).from).toBe(BOUNDS.from);
    expect(panned(day, 4000 * DAY, BOUNDS).to).toBe(BOUNDS.to);
  });

  test("two fingers: what was under them is under them still", () => {
    const day = recentView(DAY, BOUNDS, NOW - 100 * DAY);
    const view = clamped({ from: day.from - 100 * DAY, to: day.to - 100 * DAY }, BOUNDS);
    const next = pinched(view, 400, [100, 200], [80, 320], BOUNDS);
    expect(xOf(next, 400, timeAt(view, 400, 100))).toBeCloseTo(80, 0);
    expect(xOf(next, 400, timeAt(view, 400, 200))).toBeCloseTo(320, 0);
  });

  test("a moment outside is brought into the middle; one inside moves nothing", () => {
    const day = recentView(DAY, BOUNDS, NOW);
    expect(revealing(day, NOW - HOUR, BOUNDS)).toBe(day);
    expect(xOf(revealing(day, NOW - 90 * DAY, BOUNDS), 1000, NOW - 90 * DAY)).toBeCloseTo(500, 0);
  });

  test("following() goes on showing everything as time goes on, and leaves alone what somebody zoomed", () => {
    const later = NOW + MINUTE;
    const before = wholeView(NOW - 20 * MINUTE, NOW);
    const bounds = wholeView(NOW - 20 * MINUTE, later);
    expect(before.to).toBeLessThan(later);
    expect(following(before, bounds, later).to).toBeGreaterThan(later);
    expect(following(before, bounds, NOW)).toBe(before);
    const near = { from: NOW - 1e6, to: NOW };
    expect(following(near, bounds, later)).toBe(near);
  });
});

describe("the grid", () => {
  test("its edges are multiples of a width of the ladder, it covers the view and more, and never asks for too much", () => {
    fc.assert(
      fc.property(anyView, fc.integer({ min: 200, max: 4000 }), (view, width) => {
        const grid = gridFor(view, width);
        expect(grid.from % grid.width).toBe(0);
        expect((grid.to - grid.from) / grid.width).toBe(grid.count);
        expect(grid.count).toBeLessThanOrEqual(BUCKETS_MAX);
        expect(grid.from).toBeLessThanOrEqual(view.from);
        expect(grid.to).toBeGreaterThanOrEqual(view.to);
        expect(["1", "2", "5"]).toContain(String(grid.width)[0]!);
        const shown = spanOf(view) / grid.width;
        expect(shown).toBeLessThanOrEqual(width / 2.4);
        expect(shown).toBeGreaterThan(Math.min(width / 8, spanOf(view) / 2));
      }),
    );
  });

  test("panning within the margin is served by what is there; zooming in is not", () => {
    const view = clamped({ from: NOW - 60 * DAY, to: NOW - 50 * DAY }, BOUNDS);
    const grid = gridFor(view, 1000);
    expect(serves(grid, panned(view, 4 * DAY, BOUNDS), 1000)).toBe(true);
    expect(serves(grid, panned(view, 6 * DAY, BOUNDS), 1000)).toBe(false);
    expect(serves(grid, zoomed(view, 0.2, NOW - 55 * DAY, BOUNDS), 1000)).toBe(false);
    expect(stepUp(3)).toBe(5);
    expect(stepUp(5)).toBe(5);
    expect(stepUp(5.1)).toBe(10);
  });
});

describe("the axis", () => {
  const labels = (from: string, to: string, width = 1000): string[] =>
    ticksOf({ from: microsOf(from), to: microsOf(to) }, width, BERLIN).map((tick) => tick.label);

  test("never crowds its labels, at any length", () => {
    fc.assert(
      fc.property(anyView, fc.integer({ min: 200, max: 2000 }), (view, width) => {
        const ticks = ticksOf(view, width, BERLIN);
        expect(ticks.length).toBeLessThanOrEqual(width / 60 + 2);
        for (const [i, tick] of ticks.entries()) {
          expect(tick.time).toBeGreaterThanOrEqual(view.from);
          expect(tick.time).toBeLessThan(view.to);
          if (i > 0) expect(tick.time).toBeGreaterThan(ticks[i - 1]!.time);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("midnight stays midnight where clocks are set back and forth", () => {
    const autumn = ticksOf(
      { from: microsOf("2026-10-24T10:00:00Z"), to: microsOf("2026-10-26T10:00:00Z") },
      1000,
      BERLIN,
    );
    expect(autumn.filter((tick) => tick.isMajor).map((tick) => wireTime(tick.time))).toEqual([
      "2026-10-24T22:00:00.000000Z",
      "2026-10-25T23:00:00.000000Z",
    ]);
    // 02:00 comes twice.
    expect(
      labels("2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z", 600).filter((label) => label === "02:00"),
    ).toHaveLength(2);
    expect(labels("2026-03-29T00:10:00Z", "2026-03-29T02:10:00Z", 600)).not.toContain("02:00");
    expect(labels("2026-03-29T00:10:00Z", "2026-03-29T02:10:00Z", 600)).toContain("03:00");
  });

  test("labels say what differs from tick to tick", () => {
    expect(labels("2023-01-05T00:00:00Z", "2026-11-21T00:00:00Z", 600)).toEqual(["2024", "2025", "2026"]);
    expect(labels("2026-11-20T20:31:05.100Z", "2026-11-20T20:31:05.900Z", 600)).toEqual([
      ".200",
      ".400",
      ".600",
      ".800",
    ]);
    expect(labels("2026-11-20T20:31:04.500Z", "2026-11-20T20:31:05.500Z", 600)).toContain("21:31:05");
    expect(labels("2026-11-20T20:31:05.100000Z", "2026-11-20T20:31:05.100900Z", 600)).toContain(".100 400");
    expect(labels("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z", 800)).toContain("8 Nov");
  });
});

describe("keys of the handle", () => {
  const view = recentView(DAY, BOUNDS, NOW);
  const state = { view, bounds: BOUNDS, now: NOW, first: CREATED, at: NOW - HOUR };
  const press = (key: string, more: object = {}) =>
    keyStep({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more }, state);

  test("arrows and pages move, ends are the ends, and nothing goes past them", () => {
    const left = press("ArrowLeft");
    const shifted = press("ArrowLeft", { shiftKey: true });
    expect(left).toMatchObject({ kind: "time" });
    expect(left?.kind === "time" && state.at - left.time).toBeCloseTo(spanOf(view) / 200, -1);
    expect(shifted?.kind === "time" && state.at - shifted.time).toBeCloseTo(spanOf(view) / 40, -1);
    expect(press("Home")).toEqual({ kind: "time", time: CREATED });
    expect(press("End")).toEqual({ kind: "time", time: NOW });
    expect(
      keyStep({ key: "PageUp", shiftKey: false, ctrlKey: false, altKey: false, metaKey: false }, { ...state, at: NOW }),
    ).toEqual({
      kind: "time",
      time: NOW,
    });
  });

  test("plus and minus zoom around the handle, brackets step by flush points, the rest is the browser's", () => {
    const closer = press("+");
    expect(closer?.kind === "view" && spanOf(closer.view)).toBeLessThan(spanOf(view));
    expect(closer?.kind === "view" && xOf(closer.view, 1000, state.at)).toBeCloseTo(xOf(view, 1000, state.at), 0);
    expect(press("0")).toEqual({ kind: "view", view: BOUNDS });
    expect(press("[")).toEqual({ kind: "flush-point", direction: -1 });
    expect(press("]")).toEqual({ kind: "flush-point", direction: 1 });
    expect(press("+", { ctrlKey: true })).toBeUndefined();
    expect(press("Tab")).toBeUndefined();
  });
});
