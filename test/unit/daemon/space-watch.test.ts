import { describe, expect, test } from "bun:test";
import type { Clock } from "../../../src/base/clock.ts";
import type { Disk } from "../../../src/base/disk.ts";
import { SternwayError } from "../../../src/base/errors.ts";
import { micros } from "../../../src/base/units.ts";
import { spaceLevel, watchSpace, type SpaceLevel } from "../../../src/daemon/space-watch.ts";
import { createLog } from "../../../src/observe/log.ts";

test("spaceLevel() warns below three reserves, alerts below one, and does not flap at a mark", () => {
  const table: [free: number, before: SpaceLevel, wanted: SpaceLevel][] = [
    [300, "enough", "enough"],
    [299, "enough", "low"],
    [100, "enough", "low"],
    [99, "enough", "critical"],
    [105, "critical", "critical"],
    [111, "critical", "low"],
    [305, "low", "low"],
    [331, "low", "enough"],
    [1000, "critical", "enough"],
  ];
  for (const [free, before, wanted] of table)
    expect([free, before, spaceLevel(free, 100, before)]).toEqual([free, before, wanted]);
});

describe("watchSpace()", () => {
  test("tells each change of level once, survives a failing look, and stops", async () => {
    let free: number | undefined = 1000;
    let looks = 0;
    let fire: (() => void) | undefined;
    const told: string[] = [];
    const lines: string[] = [];
    const disk = {
      space: async () => {
        looks++;
        if (free === undefined) throw new SternwayError("unavailable", "gone", { code: "EIO" });
        return { freeBytes: free, totalBytes: 2000 };
      },
    } as unknown as Disk;
    const clock: Clock = {
      wall: () => micros(0),
      monotonic: () => 0,
      sleep: () => Promise.resolve(),
      timer: (_, callback) => {
        fire = callback;
        return { cancel: () => (fire = undefined) };
      },
    };
    const watch = await watchSpace({
      disk,
      dir: "/data",
      reserveBytes: 100,
      clock,
      log: createLog({ level: "debug", format: "json", write: (line) => void lines.push(line) }),
      tell: (event) => void told.push(event.kind),
    });
    const look = async (bytes: number | undefined): Promise<void> => {
      free = bytes;
      const [before, go] = [looks, fire!];
      fire = undefined;
      go();
      while (looks === before || fire === undefined) await Promise.resolve();
    };
    expect(watch.level()).toBe("enough");
    await look(200);
    await look(200);
    expect(watch.level()).toBe("low");
    await look(undefined);
    expect(watch.space()).toBeUndefined();
    await look(50);
    expect(watch.level()).toBe("critical");
    await look(900);
    expect(told).toEqual(["space-low", "space-critical", "space-back"]);
    expect(watch.space()).toEqual({ freeBytes: 900, totalBytes: 2000 });
    watch.stop();
    expect(fire).toBeUndefined();
  });
});
