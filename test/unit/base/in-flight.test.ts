import { describe, expect, test } from "bun:test";
import { forEachInFlight } from "../../../src/base/in-flight.ts";

async function* numbers(count: number, taken: number[] = []): AsyncGenerator<number, void, undefined> {
  for (let i = 0; i < count; i++) {
    taken.push(i);
    yield i;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("forEachInFlight()", () => {
  test("calls work for every item, never more than `width` at a time", async () => {
    let running = 0;
    let most = 0;
    const seen: number[] = [];
    await forEachInFlight(numbers(50), 4, async (item) => {
      most = Math.max(most, ++running);
      await turn();
      seen.push(item);
      running--;
    });
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(most).toBe(4);
  });

  test("after a failure takes nothing more, and throws when what runs has ended", async () => {
    const taken: number[] = [];
    let ended = 0;
    const work = async (item: number): Promise<void> => {
      await turn();
      if (item === 5) throw new Error("item 5");
      await turn();
      ended++;
    };
    await expect(forEachInFlight(numbers(1000, taken), 3, work)).rejects.toThrow("item 5");
    const endedThen = ended;
    await turn();
    await turn();
    expect(ended).toBe(endedThen);
    expect(taken.length).toBeLessThan(12);
  });

  test("throws what the sequence throws", async () => {
    async function* broken(): AsyncGenerator<number, void, undefined> {
      yield 1;
      throw new Error("no more");
    }
    await expect(forEachInFlight(broken(), 4, turn)).rejects.toThrow("no more");
  });
});
