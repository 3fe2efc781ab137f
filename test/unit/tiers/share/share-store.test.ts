/** A store in a process of its own: limits, bounds, and ends of either process. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock, type Timer } from "../../../../src/base/clock.ts";
import { micros } from "../../../../src/base/units.ts";
import { ShareStore } from "../../../../src/tiers/share/share-store.ts";
import { bytesSource, type ObjectSource } from "../../../../src/tiers/store.ts";
import { eventually } from "../../../support/fuse-mount.ts";
import { RunningClock } from "../../../support/running-clock.ts";
import { processesOn, runWithStore } from "../../../support/share-processes.ts";
import { expectKind, expectSame, failure, listed, noise, numbered } from "../../../support/store-expectations.ts";

const MIB = 2 ** 20;
const SECOND_MICROS = 1_000_000;

const scratch = mkdtempSync(join(tmpdir(), "sternway-share-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const stores: ShareStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

function open(dir: string, options: { clock?: Clock; timeLimitMs?: number; command?: string[] } = {}): ShareStore {
  const store = new ShareStore({ dir, clock: systemClock, ...options });
  stores.push(store);
  return store;
}

let count = 0;
function newDir(): string {
  const dir = join(scratch, `place-${count++}`);
  mkdirSync(dir);
  return dir;
}

async function connected(options: Parameters<typeof open>[1] = {}): Promise<{ store: ShareStore; dir: string }> {
  const dir = newDir();
  const store = open(dir, options);
  await store.attach("v");
  await store.connect("v");
  return { store, dir };
}

/** Time passes when a test says so. */
class SteppedClock implements Clock {
  private now = SECOND_MICROS;
  private readonly timers = new Set<{ dueMicros: number; fire: () => void }>();

  get timerCount(): number {
    return this.timers.size;
  }

  wall = (): ReturnType<Clock["wall"]> => micros(this.now);
  monotonic = (): number => this.now;

  timer(delayMs: number, fire: () => void): Timer {
    const timer = { dueMicros: this.now + delayMs * 1000, fire };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.timer(delayMs, resolve));
  }

  step(delayMs: number): void {
    this.now += delayMs * 1000;
    for (const timer of [...this.timers].filter(({ dueMicros }) => dueMicros <= this.now)) {
      this.timers.delete(timer);
      timer.fire();
    }
  }
}

/** Closing waits two seconds for a process to end, which a busy machine may not give it: twenty on this one. */
function patientClock(): Clock {
  const clock = new RunningClock();
  clock.pace = 0.1;
  return clock;
}

function only(pids: number[]): number {
  expect(pids).toHaveLength(1);
  return pids[0]!;
}

const endless = (gate: Promise<void>, onRead: () => void = () => undefined): ObjectSource => ({
  sizeBytes: 4 * MIB,
  async read(offset, length) {
    onRead();
    await gate;
    return numbered(offset, length);
  },
});

describe("ShareStore", () => {
  test("a call without an answer for the time limit fails, its process is killed, and a connection starts another", async () => {
    const clock = new SteppedClock();
    const { store, dir } = await connected({ clock });
    const pid = only(processesOn(dir));
    process.kill(pid, "SIGSTOP");
    const stat = failure(store.stat("a"));
    const put = failure(store.put("a", bytesSource(noise(1, 5 * MIB))));
    clock.step(29_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await Promise.race([stat, Promise.resolve("waits")])).toBe("waits");
    clock.step(1_500);
    expect(await stat).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("not answered for 30 seconds"),
    });
    expect(await put).toHaveProperty("kind", "unavailable");
    await expectKind(store.get("a"), "unavailable");
    await eventually("it is gone", () => processesOn(dir).length === 0);
    expect(clock.timerCount).toBe(0);
    await store.connect("v");
    await store.put("a", bytesSource(noise(1, 100)));
    await expectSame(store.get("a"), noise(1, 100));
  });

  test("the time that a put waits for its own source is not the place's", async () => {
    const clock = new SteppedClock();
    const { store } = await connected({ clock });
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const put = store.put("a", endless(gate.promise, asked.resolve));
    await asked.promise;
    for (let i = 0; i < 10; i++) clock.step(31_000);
    gate.resolve();
    await put;
    await expectSame(store.get("a"), numbered(0, 4 * MIB));
  });

  test("the time that a reader of a list takes is not the place's", async () => {
    const clock = new SteppedClock();
    const { store } = await connected({ clock });
    for (let i = 0; i < 3; i++) await store.put(`l/${i}`, bytesSource(noise(i, 1)));
    let seen = 0;
    for await (const _ of store.list("l")) {
      seen++;
      clock.step(31_000);
    }
    expect(seen).toBe(3);
  });

  test("a put that is given up while its source hangs ends all the same", async () => {
    const { store } = await connected();
    const aborter = new AbortController();
    const asked = Promise.withResolvers<void>();
    const put = failure(
      store.put("a", endless(new Promise(() => undefined), asked.resolve), { signal: aborter.signal }),
    );
    await asked.promise;
    aborter.abort();
    expect(await put).toMatchObject({ kind: "unavailable", facts: { aborted: true } });
    expect(await listed(store, "")).toEqual([]);
  });

  test("puts that wait keep no read waiting, and no more than four are begun", async () => {
    const { store, dir } = await connected();
    await store.put("a", bytesSource(noise(1, 10)));
    const gate = Promise.withResolvers<void>();
    const begun = new Set<number>();
    const aborter = new AbortController();
    const puts = Array.from({ length: 6 }, (_, i) =>
      store.put(
        `w/${i}`,
        endless(gate.promise, () => begun.add(i)),
      ),
    );
    const waiting = failure(store.put("w/given-up", endless(gate.promise), { signal: aborter.signal }));
    await eventually("four wait for their sources", () => begun.size === 4);
    await expectSame(store.get("a"), noise(1, 10));
    expect(await listed(store, "w")).toEqual([]);
    aborter.abort();
    expect(await waiting).toMatchObject({ kind: "unavailable", facts: { aborted: true } });
    expect(begun.size).toBe(4);
    gate.resolve();
    await Promise.all(puts);
    expect(await listed(store, "w")).toHaveLength(6);
    expect(readdirSync(join(dir, ".sternway-tmp"))).toEqual([]);
  });

  test("a process that dies fails what is under way, and a connection starts another", async () => {
    const { store, dir } = await connected();
    const asked = Promise.withResolvers<void>();
    const put = failure(store.put("a", endless(new Promise(() => undefined), asked.resolve)));
    await asked.promise;
    process.kill(only(processesOn(dir)), "SIGKILL");
    expect(await put).toMatchObject({ kind: "unavailable", message: expect.stringContaining("SIGKILL") });
    await expectKind(store.stat("a"), "unavailable");
    await store.connect("v");
    expect(await store.stat("a")).toBeUndefined();
    expect(store.stuckCount).toBe(0);
  });

  test("a process that speaks nonsense is ended", async () => {
    const store = open(newDir(), { command: ["sh", "-c", "printf '%0100d' 7; exec sleep 1000"] });
    expect(await failure(store.connect("v"))).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("nonsense"),
    });
    await eventually("it is gone", () => store.stuckCount === 0);
  });

  test("close() waits two seconds for a process that hangs, and then kills it", async () => {
    const clock = new SteppedClock();
    const { store, dir } = await connected({ clock });
    process.kill(only(processesOn(dir)), "SIGSTOP");
    const closed = store.close();
    clock.step(1_900);
    await new Promise((resolve) => setImmediate(resolve));
    expect(processesOn(dir)).toHaveLength(1);
    clock.step(200);
    await closed;
    await eventually("it is gone", () => processesOn(dir).length === 0);
    expect(clock.timerCount).toBe(0);
  });

  test("signals to the whole group do not end its process before its parent does", async () => {
    const { store, dir } = await connected({ clock: patientClock() });
    const pid = only(processesOn(dir));
    process.kill(pid, "SIGTERM");
    process.kill(pid, "SIGINT");
    await store.put("a", bytesSource(noise(1, 10)));
    expect(processesOn(dir)).toEqual([pid]);
    await store.close();
    expect(processesOn(dir)).toEqual([]);
    await expectKind(store.stat("a"), "unavailable");
    await expectKind(store.connect("v"), "unavailable");
  });

  test("the process ends when its parent is killed", async () => {
    const dir = newDir();
    const parent = runWithStore(
      dir,
      30_000,
      `await store.identify(); console.log("ready"); setInterval(() => undefined, 1000);`,
    );
    await parent.stdout.getReader().read();
    expect(processesOn(dir)).toHaveLength(1);
    parent.kill("SIGKILL");
    await parent.exited;
    await eventually("it is gone", () => processesOn(dir).length === 0);
  });

  test("connections leave no descriptors behind", async () => {
    const dir = newDir();
    const round = async (): Promise<void> => {
      const store = new ShareStore({ dir, clock: patientClock() });
      await store.attach("v");
      process.kill(only(processesOn(dir)), "SIGKILL");
      await eventually("it is gone", () => processesOn(dir).length === 0);
      await failure(store.stat("a"));
      await store.connect("v");
      await store.close();
    };
    await round();
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 8; i++) await round();
    await eventually("all are closed", () => readdirSync("/proc/self/fd").length <= before);
  });
});
