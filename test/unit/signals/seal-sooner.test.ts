import { describe, expect, test } from "bun:test";
import { SealSooner } from "../../../src/signals/seal-sooner.ts";

const MIB = 2 ** 20;
const SECOND = 1e6;

/** Asks every five seconds. @returns how often it was due, by second */
function asked(
  sooner: SealSooner,
  from: number,
  seconds: number,
  bytesPerSecond: number,
  isSuspicious = false,
): number[] {
  const due: number[] = [];
  let unsealed = 0;
  for (let second = from; second < from + seconds; second += 5) {
    unsealed += bytesPerSecond * 5;
    if (!sooner.isDue(second * SECOND, unsealed, isSuspicious)) continue;
    due.push(second);
    unsealed = 0;
  }
  return due;
}

describe("SealSooner", () => {
  test("waits twenty seconds for company, and never asks for a few blocks", () => {
    expect(asked(new SealSooner(0), 0, 60, MIB)).toEqual([20, 45]);
    expect(asked(new SealSooner(0), 0, 600, 1024)).toEqual([]);
    expect(asked(new SealSooner(0), 0, 600, 0)).toEqual([]);
  });

  test("is rationed to at most twice what comes by itself in the long run", () => {
    const due = asked(new SealSooner(0), 0, 7200, MIB);
    expect(due.length).toBeLessThanOrEqual(12 + 7200 / 300);
    expect(due.filter((second) => second < 300)).toHaveLength(12);
    expect(due.filter((second) => second >= 3600).length).toBeLessThanOrEqual(12);
  });

  test("is not rationed while a volume is suspicious, and saves its ration meanwhile", () => {
    const sooner = new SealSooner(0);
    expect(asked(sooner, 0, 3600, MIB, true).length).toBe(144);
    expect(asked(sooner, 3600, 300, MIB).length).toBe(12);
  });
});
