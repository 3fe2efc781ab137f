import { expect, test } from "bun:test";
import { inTurns, SHORT_TURN_MICROS, Turn } from "../../../src/base/turns.ts";

test("inTurns() does all of it in order, and lets others have their turn every few milliseconds", async () => {
  let now = 0;
  const done: string[] = [];
  const clock = {
    monotonic: () => now,
    sleep: async () => void done.push("others"),
  };
  const items = [1, 2, 3, 4, 5];
  const ended = inTurns(
    items,
    (item) => {
      now += 2_000;
      done.push(String(item));
      if (item === 5 && items.length === 5) items.push(6);
    },
    clock,
  );
  expect(done).toEqual(["1", "2", "others"]);
  await ended;
  expect(done).toEqual(["1", "2", "others", "3", "4", "others", "5", "6", "others"]);
});

test("a short turn is over after a fraction of a millisecond, and the next one begins after its pause", async () => {
  let now = 0;
  const clock = { monotonic: () => now, sleep: async () => void (now += 1_500) };
  const turn = new Turn(clock, SHORT_TURN_MICROS);
  now = SHORT_TURN_MICROS - 1;
  expect(turn.isOver).toBe(false);
  now++;
  expect(turn.isOver).toBe(true);
  await turn.next();
  expect(turn.isOver).toBe(false);
});
