/** How long a request may take, on a simulated clock. */
import { expect, test } from "bun:test";
import { isSternwayError } from "../../../../src/base/errors.ts";
import { Simulation } from "../../../../src/base/simulation.ts";
import { Transfer } from "../../../../src/tiers/s3/s3-transfer.ts";
import { CountingClock } from "../../../support/counting-clock.ts";

const IDLE_MS = 1000;
const never = new Promise<never>(() => undefined);

interface Bed {
  transfer: Transfer;
  clock: CountingClock;
  /** On a clock whose timers do not count. */
  sleep(delayMs: number): Promise<void>;
  aborter: AbortController;
  /** Virtual milliseconds since the start. */
  passedMs(): number;
}

async function on(body: (bed: Bed) => Promise<void>): Promise<void> {
  const sim = new Simulation(7);
  const clock = new CountingClock(sim.clock);
  await sim.run(async () => {
    const from = clock.monotonic();
    const aborter = new AbortController();
    using transfer = new Transfer(clock, "a request", IDLE_MS, [aborter.signal]);
    const sleep = (delayMs: number): Promise<void> => sim.clock.sleep(delayMs);
    await body({ transfer, clock, sleep, aborter, passedMs: () => (clock.monotonic() - from) / 1000 });
  });
  expect(clock.timerCount).toBe(0);
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isSternwayError(error, "unavailable")) return error.message;
    throw error;
  }
  throw new Error("expected an end");
}

test("run() ends after the idle limit when nothing moves", () =>
  on(async ({ transfer, passedMs }) => {
    expect(await messageOf(transfer.run(never))).toBe("a request: nothing moved for 1 s");
    expect(passedMs()).toBeWithin(IDLE_MS, IDLE_MS + 10);
    expect(transfer.signal.aborted).toBeTrue();
  }));

test("run() goes on for as long as enough moves", () =>
  on(async ({ transfer, sleep }) => {
    for (let round = 0; round < 200; round++) {
      await transfer.run(sleep(0.9 * IDLE_MS));
      transfer.moved(2 ** 14);
    }
  }));

test("run() ends after twenty idle limits when bytes come one by one", () =>
  on(async ({ transfer, sleep, passedMs }) => {
    const drip = async (): Promise<void> => {
      for (;;) {
        await transfer.run(sleep(0.9 * IDLE_MS));
        transfer.moved(1);
      }
    };
    expect(await messageOf(drip())).toContain("too little moved");
    expect(passedMs()).toBeWithin(20 * IDLE_MS, 21 * IDLE_MS);
  }));

test("held() costs nothing of either limit", () =>
  on(async ({ transfer, sleep, passedMs }) => {
    for (let round = 0; round < 10; round++) await transfer.held(sleep(10 * IDLE_MS));
    expect(passedMs()).toBeGreaterThanOrEqual(100 * IDLE_MS);
    expect(await messageOf(transfer.run(never))).toContain("nothing moved");
    expect(passedMs()).toBeWithin(101 * IDLE_MS, 101 * IDLE_MS + 10);
  }));

test("run() ends at once when it is given up, before or meanwhile", () =>
  on(async ({ transfer, clock, aborter, passedMs }) => {
    const work = messageOf(transfer.run(never));
    aborter.abort();
    expect(await work).toBe("a request was given up");
    using late = new Transfer(clock, "another", IDLE_MS, [aborter.signal]);
    expect(await messageOf(late.run(never))).toBe("another was given up");
    expect(passedMs()).toBe(0);
  }));
