import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { micros } from "../../../src/base/units.ts";
import { forecastSpace, type FreeSpace } from "../../../src/report/forecast.ts";

const HOUR = 3_600e6;
const DAY = 24 * HOUR;
const NOW = micros(1_795_000_000_000_000);
const GIB = 2 ** 30;

/** Hourly readings of the last `days` days. @param free - by days before now */
function readings(days: number, free: (daysAgo: number) => number): FreeSpace[] {
  return Array.from({ length: days * 24 + 1 }, (_, i) => {
    const time = micros(NOW - (days * 24 - i) * HOUR);
    return { time, freeBytes: Math.round(free((NOW - time) / DAY)) };
  });
}

describe("forecastSpace()", () => {
  test("of a steady shrinking finds the day, with a narrow interval", () => {
    const forecast = forecastSpace(
      readings(28, (ago) => 100 * GIB + ago * 10 * GIB),
      NOW,
      0,
    );
    expect(forecast.kind).toBe("ends");
    if (forecast.kind !== "ends") return;
    expect(forecast.daysLeft).toBeCloseTo(10, 1);
    expect(forecast.bytesPerDay / GIB).toBeCloseTo(10, 1);
    expect((forecast.earliest - NOW) / DAY).toBeGreaterThan(9);
    expect((forecast.latest! - NOW) / DAY).toBeLessThan(11);
  });

  test("counts to the reserve, below which writes are refused", () => {
    const forecast = forecastSpace(
      readings(28, (ago) => 100 * GIB + ago * 10 * GIB),
      NOW,
      50 * GIB,
    );
    expect(forecast.kind === "ends" && forecast.daysLeft).toBeCloseTo(5, 1);
  });

  test("is not moved by one clean-up, one bad reading, days and nights", () => {
    const random = seededRandom(1);
    const noisy = readings(28, (ago) => {
      const cleanedUp = ago < 1 ? 60 * GIB : 0;
      const night = Math.sin(ago * 2 * Math.PI) * 3 * GIB;
      return 200 * GIB + ago * 5 * GIB + cleanedUp + night + random.unit() * GIB;
    });
    noisy[100] = { ...noisy[100]!, freeBytes: 0 };
    const forecast = forecastSpace(noisy, NOW, 0);
    expect(forecast.kind === "ends" && forecast.bytesPerDay / GIB).toBeGreaterThan(4);
    expect(forecast.kind === "ends" && forecast.bytesPerDay / GIB).toBeLessThan(5.5);
    expect(forecast.kind === "ends" && forecast.earliest < forecast.at).toBe(true);
  });

  test("says so when there is not enough data, and counts what there is", () => {
    expect(forecastSpace([], NOW, 0)).toEqual({ kind: "not-enough-data", haveDays: 0, needDays: 7 });
    expect(
      forecastSpace(
        readings(3, () => GIB),
        NOW,
        0,
      ),
    ).toEqual({ kind: "not-enough-data", haveDays: 3, needDays: 7 });
    // Two readings ten days apart are a line through anything.
    const two = readings(10, () => GIB).filter((_, i, all) => i === 0 || i === all.length - 1);
    expect(forecastSpace(two, NOW, 0).kind).toBe("not-enough-data");
    const old = readings(28, () => GIB).map(({ time, freeBytes }) => ({ time: micros(time - 40 * DAY), freeBytes }));
    expect(forecastSpace(old, NOW, 0).kind).toBe("not-enough-data");
  });

  test("does not invent an end where space stays or grows", () => {
    expect(
      forecastSpace(
        readings(28, () => 10 * GIB),
        NOW,
        0,
      ),
    ).toEqual({ kind: "not-growing", bytesPerDay: 0 });
    expect(
      forecastSpace(
        readings(28, (ago) => 100 * GIB - ago * GIB),
        NOW,
        0,
      ).kind,
    ).toBe("not-growing");
  });

  test("has no latest day where it may never end", () => {
    const wavering = readings(28, (ago) => 100 * GIB + ago * 0.2 * GIB + Math.sin((ago / 7) * 2 * Math.PI) * 10 * GIB);
    const forecast = forecastSpace(wavering, NOW, 0);
    if (forecast.kind === "ends") expect(forecast.latest).toBeUndefined();
    else expect(forecast.kind).toBe("not-growing");
  });
});
