import { expect, test } from "bun:test";
import { seededRandom, systemRandom } from "../../../src/base/random.ts";

test("seededRandom() replays a seed and differs between seeds", () => {
  const draw = (seed: number): string => Buffer.from(seededRandom(seed).bytes(64)).toString("hex");
  expect(draw(1)).toBe(draw(1));
  expect(new Set(Array.from({ length: 200 }, (_, seed) => draw(seed))).size).toBe(200);
});

test.each([
  ["seededRandom", seededRandom(42)],
  ["systemRandom", systemRandom],
])("%s draws evenly within its bounds", (_, random) => {
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 20_000; i++) {
    const value = random.below(10);
    expect(Number.isInteger(value) && value >= 0 && value < 10).toBe(true);
    counts[value]!++;
    const unit = random.unit();
    expect(unit >= 0 && unit < 1).toBe(true);
  }
  // 2,000 each; 5 standard deviations are 212.
  for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(250);
  expect(random.below(1)).toBe(0);
  expect(random.bytes(33).length).toBe(33);
});
