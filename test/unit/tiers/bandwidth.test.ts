/** Limits of tiers' bandwidths: what goes by when, in simulated time. */
import { describe, expect, test } from "bun:test";
import { isSternwayError } from "../../../src/base/errors.ts";
import { Simulation } from "../../../src/base/simulation.ts";
import { parseTime } from "../../../src/base/units.ts";
import { Bandwidth, checkBandwidth } from "../../../src/tiers/bandwidth.ts";
import { CountingClock } from "../../support/counting-clock.ts";

const MIB = 2 ** 20;
const BERLIN = "Europe/Berlin";

function rateAt(text: string, time: string, zone: string): number {
  return new Bandwidth(text, new Simulation(1, parseTime(time)).clock, zone).bytesPerSecond;
}

/** Seconds that `count` pieces take, one after the other. */
async function secondsOf(text: string, pieces: readonly number[], startsAt = "2026-06-10T00:00:00Z"): Promise<number> {
  const sim = new Simulation(1, parseTime(startsAt));
  const bandwidth = new Bandwidth(text, sim.clock, "UTC");
  await sim.run(async () => {
    for (const piece of pieces) await bandwidth.take(piece);
  });
  return sim.nowMicros / 1e6;
}

describe("bytesPerSecond", () => {
  test("is the first window's that fits, by the zone's clock", () => {
    const text = "08:00-18:00=5MiB/s, 12:00-20:00=1MiB/s, *=unlimited";
    expect(rateAt(text, "2026-06-10T05:59:59Z", BERLIN)).toBe(Infinity);
    expect(rateAt(text, "2026-06-10T06:00:00Z", BERLIN)).toBe(5 * MIB);
    expect(rateAt(text, "2026-06-10T15:59:59Z", BERLIN)).toBe(5 * MIB);
    expect(rateAt(text, "2026-06-10T16:00:00Z", BERLIN)).toBe(MIB);
    expect(rateAt(text, "2026-06-10T18:00:00Z", BERLIN)).toBe(Infinity);
  });

  test("windows cross midnight", () => {
    const text = "22:00-06:30=unlimited,*=1MiB/s";
    expect(rateAt(text, "2026-06-10T21:59:00Z", "UTC")).toBe(MIB);
    expect(rateAt(text, "2026-06-10T22:00:00Z", "UTC")).toBe(Infinity);
    expect(rateAt(text, "2026-06-10T00:00:00Z", "UTC")).toBe(Infinity);
    expect(rateAt(text, "2026-06-10T06:30:00Z", "UTC")).toBe(MIB);
    expect(rateAt("22:00-24:00=1MiB/s", "2026-06-10T23:59:59Z", "UTC")).toBe(MIB);
    expect(rateAt("22:00-24:00=1MiB/s", "2026-06-10T00:00:00Z", "UTC")).toBe(Infinity);
  });

  test("windows move with the switches of the zone's clock", () => {
    const text = "03:00-04:00=5MiB/s,*=1MiB/s";
    expect(rateAt(text, "2026-03-28T01:30:00Z", BERLIN)).toBe(MIB); // 02:30
    expect(rateAt(text, "2026-03-29T01:30:00Z", BERLIN)).toBe(5 * MIB); // 03:30, summer time
    const twice = "02:00-03:00=5MiB/s,*=1MiB/s";
    expect(rateAt(twice, "2026-10-25T00:30:00Z", BERLIN)).toBe(5 * MIB); // 02:30
    expect(rateAt(twice, "2026-10-25T01:30:00Z", BERLIN)).toBe(5 * MIB); // 02:30 again
    expect(rateAt(twice, "2026-10-25T02:30:00Z", BERLIN)).toBe(MIB);
  });
});

describe("take()", () => {
  test("lets through what the rate allows, whatever the pieces' size", async () => {
    for (const size of [MIB / 16, MIB, 16 * MIB]) {
      const seconds = await secondsOf("4MiB/s", Array<number>((64 * MIB) / size).fill(size));
      // The last piece goes on credit.
      expect(seconds).toBeGreaterThan((64 * MIB - size) / (4 * MIB) - 0.1);
      expect(seconds).toBeLessThan(16.2);
    }
  });

  test("saves up no more than a second's worth", async () => {
    const sim = new Simulation(1);
    const bandwidth = new Bandwidth("4MiB/s", sim.clock, "UTC");
    const startedAt = await sim.run(async () => {
      await sim.clock.sleep(3_600_000);
      const now = sim.nowMicros;
      for (let i = 0; i < 12; i++) await bandwidth.take(MIB);
      return now;
    });
    expect((sim.nowMicros - startedAt) / 1e6).toBeGreaterThan(1.7);
  });

  test("without a limit nothing waits", async () => {
    expect(await secondsOf("unlimited", [MIB, 64 * MIB, MIB])).toBe(0);
  });

  test("a wait ends soon after a faster window begins", async () => {
    // 64 MiB at 1 KiB/s would keep the next piece waiting for 18 hours.
    const seconds = await secondsOf("08:00-18:00=1KiB/s,*=unlimited", [64 * MIB, MIB], "2026-06-10T17:59:00Z");
    expect(seconds).toBeGreaterThanOrEqual(60);
    expect(seconds).toBeLessThan(62);
  });

  test("a wall clock that is set back keeps nobody waiting", async () => {
    const sim = new Simulation(1);
    const bandwidth = new Bandwidth("4MiB/s", sim.clock, "UTC");
    await sim.run(async () => {
      await bandwidth.take(4 * MIB);
      sim.clock.stepWall(-86_400e6);
      await bandwidth.take(1);
    });
    expect(sim.nowMicros / 1e6).toBeLessThan(1.1);
  });

  test("who asks first goes first", async () => {
    const sim = new Simulation(1);
    const bandwidth = new Bandwidth("1MiB/s", sim.clock, "UTC");
    const order: number[] = [];
    await sim.run(async () => {
      await Promise.all([0, 1, 2, 3].map((i) => bandwidth.take(MIB).then(() => order.push(i))));
    });
    expect(order).toEqual([0, 1, 2, 3]);
  });

  test("one that is given up in the line ends at once, takes nothing, and keeps the order of the others", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const sim = new Simulation(seed);
      const bandwidth = new Bandwidth("1KiB/s", sim.clock, "UTC");
      await sim.run(async () => {
        await bandwidth.take(10 * 1024);
        const abort = new AbortController();
        const order: string[] = [];
        const first = bandwidth.take(1024).then(() => order.push("first"));
        const inLine = bandwidth.take(MIB, abort.signal).catch((error: unknown) => error);
        const behind = bandwidth.take(1024).then(() => order.push("behind"));
        // One that got past the first would look just before it does.
        await sim.clock.sleep(999.5);
        const before = sim.nowMicros;
        abort.abort();
        const error = await inLine;
        expect(isSternwayError(error, "unavailable") && error.facts["aborted"]).toBe(true);
        expect(sim.nowMicros).toBe(before);
        await Promise.all([first, behind]);
        expect({ seed, order }).toEqual({ seed, order: ["first", "behind"] });
      });
      expect(sim.nowMicros / 1e6).toBeLessThan(13);
    }
  });

  test("one that is given up at the head of the line ends at once, and leaves no timer", async () => {
    const sim = new Simulation(1);
    const clock = new CountingClock(sim.clock);
    const bandwidth = new Bandwidth("1KiB/s", clock, "UTC");
    await sim.run(async () => {
      await bandwidth.take(MIB);
      const abort = new AbortController();
      const waiting = bandwidth.take(1, abort.signal).catch((error: unknown) => error);
      await sim.clock.sleep(10);
      const before = sim.nowMicros;
      abort.abort();
      expect(isSternwayError(await waiting, "unavailable")).toBe(true);
      expect(sim.nowMicros).toBe(before);
    });
    expect(clock.timerCount).toBe(0);
  });
});

describe("checkBandwidth()", () => {
  test.each(["20MiB/s", "1.5M", "unlimited", "0:00-6:00=1GiB/s", "08:00-18:00=5MiB/s,18:00-08:00=unlimited"])(
    "takes %s",
    (text) => checkBandwidth(text),
  );

  test.each([
    "",
    "fast",
    "0",
    "100/s",
    "-5MiB/s",
    "20MiB/h",
    "08:00=5MiB/s",
    "08:00-08:00=5MiB/s",
    "24:00-08:00=5MiB/s",
    "08:60-09:00=5MiB/s",
    "08:00-25:00=5MiB/s",
    "08:00-09:00-10:00=5MiB/s",
    "08:00-18:00=5MiB/s=2MiB/s",
    "08:00-18:00=",
    "*=1MiB/s,08:00-18:00=5MiB/s",
    "1MiB/s,08:00-18:00=5MiB/s",
    "1MiB/s,",
  ])("refuses %s, and says what is allowed", (text) => {
    expect(() => checkBandwidth(text)).toThrow(/is no bandwidth: use 20MiB\/s, or by time of day/);
  });

  test("a zone that there is not is named", () => {
    expect(() => new Bandwidth("1MiB/s", new Simulation(1).clock, "Mars/Olympus")).toThrow('"Mars/Olympus"');
  });
});
