import { describe, expect, test } from "bun:test";
import { PeerBrake } from "../../../src/api/peer-brake.ts";
import type { Clock } from "../../../src/base/clock.ts";
import { micros } from "../../../src/base/units.ts";

/** A clock that a test moves, and that notes how long it was asked to sleep. */
function handClock() {
  let now = 0;
  const slept: number[] = [];
  const sleepers: (() => void)[] = [];
  const clock: Clock = {
    wall: () => micros(now),
    monotonic: () => now,
    timer(delayMs, fire) {
      slept.push(delayMs);
      sleepers.push(fire);
      return { cancel: () => undefined };
    },
    sleep: () => Promise.reject(new Error("not in this test")),
  };
  return {
    clock,
    slept,
    wake: () => sleepers.splice(0).forEach((go) => go()),
    pass: (seconds: number) => (now += seconds * 1e6),
  };
}

const HERE = new AbortController().signal;

describe("PeerBrake.failed()", () => {
  test("waits twice as long for each failure of one address, up to ten seconds", async () => {
    const hand = handClock();
    const brake = new PeerBrake(hand.clock);
    for (let i = 0; i < 10; i++) {
      const waited = brake.failed("10.0.0.1", HERE);
      hand.wake();
      expect(await waited).toBe(true);
    }
    expect(hand.slept).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
  });

  test("counts each address for itself, and forgets one that was quiet for ten minutes", async () => {
    const hand = handClock();
    const brake = new PeerBrake(hand.clock);
    const fail = async (address: string): Promise<void> => {
      const waited = brake.failed(address, HERE);
      hand.wake();
      await waited;
    };
    for (const address of ["a", "a", "b"]) await fail(address);
    hand.pass(601);
    await fail("a");
    expect(hand.slept).toEqual([100, 200, 100, 100]);
  });

  test("lets no more than 32 wait; what is beyond is broken off at once", async () => {
    const hand = handClock();
    const brake = new PeerBrake(hand.clock);
    const waiting = Array.from({ length: 32 }, (_, i) => brake.failed(`${i}`, HERE));
    expect(await brake.failed("one more", HERE)).toBe(false);
    hand.wake();
    expect(await Promise.all(waiting)).not.toContain(false);
    const after = brake.failed("later", HERE);
    hand.wake();
    expect(await after).toBe(true);
  });

  test("does not wait for a client that has gone away", async () => {
    const brake = new PeerBrake(handClock().clock);
    const leaving = new AbortController();
    const waiting = Array.from({ length: 32 }, (_, i) => brake.failed(`${i}`, leaving.signal));
    leaving.abort();
    await Promise.all(waiting);
    expect(await brake.failed("one more", leaving.signal)).toBe(true);
  });

  test("remembers so many addresses and no more", async () => {
    const hand = handClock();
    const brake = new PeerBrake(hand.clock);
    for (let i = 0; i < 1025; i++) {
      const waited = brake.failed(`${i}`, HERE);
      hand.wake();
      await waited;
    }
    hand.slept.length = 0;
    for (const address of ["0", "1024"]) {
      const waited = brake.failed(address, HERE);
      hand.wake();
      await waited;
    }
    expect(hand.slept).toEqual([100, 200]);
  });
});
