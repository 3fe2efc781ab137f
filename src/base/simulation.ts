/**
 * A world in which nothing happens by itself: one scheduler holds every completion (disk, timer, …) in a queue by virtual time, fires
 * them one at a time, and lets all promise callbacks run between two of them. The order comes from random latencies, so the
 * seed alone decides a run, and no real time passes.
 *
 * After {@link Simulation.stop} (a crash, a power cut) nothing of this world fires any more: what is pending stays pending for ever, so
 * the code that ran in it can do no harm to the world that follows.
 *
 * Between steps the loop yields by setImmediate, which runs only when the queue of promise callbacks is empty, however long their
 * chains are (measured: 2.5 million a second).
 */
import { assert } from "./assert.ts";
import type { Timer } from "./clock.ts";
import { seededRandom, type Random } from "./random.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import type { Micros } from "./units.ts";

interface Pending {
  dueMicros: number;
  /** Breaks ties: drawn from the seed, so that equal times come in any order. */
  tie: number;
  fire: (() => void) | undefined;
}

/** How {@link Simulation.runFor} ended. */
export type RunResult<T> = { done: true; value: T } | { done: false };

export interface RunOptions {
  /** Called after every step, when all promise callbacks have run; the world stands still until it resolves. */
  afterStep?: (step: number) => void | Promise<void>;
  /** Ends a run that never comes to an end. Default 20 million: some ten seconds. */
  stepsMax?: number;
}

const STEPS_MAX = 20_000_000;

export class Simulation {
  readonly seed: number;
  readonly random: Random;
  readonly clock: SimulatedClock;
  #nowMicros = 0;
  #stepCount = 0;
  #stopped = false;
  #running = false;
  #outside = 0;
  /** A binary heap, earliest first. */
  #queue: Pending[] = [];

  /** @param startsAt - wall time at the start; default 2026-01-01T00:00:00Z */
  constructor(seed: number, startsAt?: Micros) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.clock = new SimulatedClock(this, startsAt);
  }

  /** Virtual microseconds since the start. */
  get nowMicros(): number {
    return this.#nowMicros;
  }

  /** Steps taken so far: one per completion or timer. */
  get stepCount(): number {
    return this.#stepCount;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Completions and timers that wait. */
  get pendingCount(): number {
    return this.#queue.length;
  }

  /** Fires once, `delayMicros` from now. The only way anything happens here; disks and clocks are built on it. */
  schedule(delayMicros: number, fire: () => void): Timer {
    assert(delayMicros >= 0, `a delay is not negative, got ${delayMicros}`);
    const entry: Pending = { dueMicros: this.#nowMicros + delayMicros, tie: this.random.unit(), fire };
    if (!this.#stopped) push(this.#queue, entry);
    return {
      cancel: () => {
        entry.fire = undefined;
      },
    };
  }

  /**
   * Work that needs real time (a worker thread, native code): the world stands still until it is done. Keeps runs repeatable
   * as long as one such piece of work is under way at a time.
   */
  async outside<T>(work: Promise<T>): Promise<T> {
    this.#outside++;
    try {
      return await work;
    } finally {
      this.#outside--;
    }
  }

  /**
   * Starts `main` and runs the world until it settles. Background work that it leaves behind goes on in the next run.
   * @throws what main throws; Error with the seed on a deadlock, at the bound of steps, or when somebody stopped the world
   */
  async run<T>(main: () => Promise<T>, options: RunOptions = {}): Promise<T> {
    const stepsMax = options.stepsMax ?? STEPS_MAX;
    const result = await this.#drive(stepsMax, main, options.afterStep);
    if (result.done) return result.value;
    const why = this.#stopped ? "was stopped" : `did not end within ${stepsMax} steps`;
    throw new Error(`the simulation ${why} before main settled (seed ${this.seed}, step ${this.#stepCount})`);
  }

  /**
   * Runs at most `stepCount` steps of `main`, then stops the world where it stands: a crash. Also ends early, with `done: false`,
   * when something calls {@link stop}.
   * @throws what main throws, if it throws within these steps
   */
  async runFor<T>(
    stepCount: number,
    main: () => Promise<T>,
    options: Pick<RunOptions, "afterStep"> = {},
  ): Promise<RunResult<T>> {
    const result = await this.#drive(stepCount, main, options.afterStep);
    if (!result.done) this.stop();
    return result;
  }

  /** Nothing of this world completes from here on. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
  }

  /** Stops this world and gives the one after the power returns: wall time goes on, the monotonic clock starts again. */
  rebooted(seed: number = this.random.below(2 ** 31)): Simulation {
    this.stop();
    return new Simulation(seed, this.clock.wall());
  }

  async #drive<T>(stepsMax: number, main: () => Promise<T>, afterStep: RunOptions["afterStep"]): Promise<RunResult<T>> {
    assert(!this.#running, "one run at a time");
    assert(!this.#stopped, "a stopped simulation does not run again");
    this.#running = true;
    try {
      let outcome: { value: T } | { error: unknown } | undefined;
      main().then(
        (value) => {
          outcome = { value };
        },
        (error: unknown) => {
          outcome = { error };
        },
      );
      for (let steps = 0; ; steps++) {
        await this.#settle();
        if (outcome !== undefined) break;
        if (this.#stopped || steps >= stepsMax) return { done: false };
        this.#step();
        if (afterStep !== undefined) {
          await this.#settle();
          await afterStep(this.#stepCount);
        }
      }
      if ("error" in outcome) throw outcome.error;
      return { done: true, value: outcome.value };
    } finally {
      this.#running = false;
    }
  }

  /** Resolves when every promise callback that can run has run, and work outside is done. */
  async #settle(): Promise<void> {
    do {
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#outside > 0);
  }

  #step(): void {
    for (;;) {
      const next = pop(this.#queue);
      if (next === undefined) {
        throw new Error(
          `deadlock: nothing is pending and main has not settled (seed ${this.seed}, step ${this.#stepCount}); ` +
            "it waits for a promise that nobody will settle, or for real I/O or a thread that was not wrapped in outside()",
        );
      }
      if (next.fire === undefined) continue; // cancelled
      this.#nowMicros = next.dueMicros;
      this.#stepCount++;
      next.fire();
      return;
    }
  }
}

const before = (a: Pending, b: Pending): boolean =>
  a.dueMicros < b.dueMicros || (a.dueMicros === b.dueMicros && a.tie < b.tie);

function push(heap: Pending[], entry: Pending): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function pop(heap: Pending[]): Pending | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
