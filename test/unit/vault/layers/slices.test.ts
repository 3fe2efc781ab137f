import { describe, expect, test } from "bun:test";
import { Slices } from "../../../../src/vault/layers/slices.ts";

/** Counts to ten, an entry at a time. */
function counting(): { slices: Slices<string>; counted: () => number; cleaned: () => boolean } {
  let count = 0;
  let cleaned = false;
  const slices = new Slices(async (breathe) => {
    try {
      for (; count < 10; count++) await breathe(1);
      return "done";
    } finally {
      cleaned = true;
    }
  });
  return { slices, counted: () => count, cleaned: () => cleaned };
}

describe("Slices", () => {
  test("go on for as long as they may, and stand still in between", async () => {
    const { slices, counted } = counting();
    await Bun.sleep(0);
    expect(counted()).toBe(0);
    const seen: number[] = [];
    let end: { result: string } | undefined;
    for (;;) {
      end = await slices.more(4);
      seen.push(counted());
      if (end) break;
      await Promise.resolve();
      expect(counted()).toBe(seen.at(-1)!);
    }
    expect(end).toEqual({ result: "done" });
    expect(seen).toEqual([3, 7, 10]);
  });

  test("end where they stand, with their own clean-up, when they are given up", async () => {
    const { slices, counted, cleaned } = counting();
    await slices.more(4);
    await slices.giveUp();
    expect(counted()).toBe(3);
    expect(cleaned()).toBe(true);
    const never = counting();
    await never.slices.giveUp();
    expect(never.counted()).toBe(0);
  });

  test("give an error to the slice that meets it", async () => {
    const slices = new Slices(async (breathe) => {
      await breathe(5);
      throw new Error("met");
    });
    expect(await slices.more(5)).toBeUndefined();
    expect(slices.more(5)).rejects.toThrow("met");
  });
});
