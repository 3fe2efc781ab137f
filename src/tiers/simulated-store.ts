/**
 * A store in a simulated world. Its place outlives the store, as a bucket outlives the appliance that crashed: the next store on the same place, in the
 * world after the crash, finds what was done.
 *
 * Every call travels there and back by the simulation's scheduler, and what it asks for is done in between, in one step. So a crash finds calls that
 * were done and not answered, and calls that were not done. A put is there whole or not at all, as the contract asks. The place fails in the ways
 * that a test switches on, or by the seed: see {@link StoreFault}.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Simulation } from "../base/simulation.ts";
import { checkObjectName } from "./object-name.ts";
import { probeStore } from "./store-probe.ts";
import {
  bytesSource,
  IDENTITY_OBJECT,
  type ObjectInfo,
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type ReadOptions,
} from "./store.ts";
import { givenUp, pause } from "./waiting.ts";

/**
 * What happens to a call; all but `slow` end it with `unavailable`.
 * - `refused`, `failed`: nothing was done; no connection, or an answer that says so
 * - `halfway`: a put breaks off in the midst of its bytes, and nothing was done; others: as `refused`
 * - `lost-answer`: done, and nobody learns of it
 * - `hang`: nothing is heard until the time limit; done or not
 * - `slow`: takes fifty times as long, and succeeds
 */
export type StoreFault = "refused" | "failed" | "halfway" | "lost-answer" | "hang" | "slow";

export const STORE_FAULTS: readonly StoreFault[] = ["refused", "failed", "halfway", "lost-answer", "hang", "slow"];

const PIECE_BYTES = 2 ** 20;
const SLOW_FACTOR = 50;

/** What a simulated store stores, and how it behaves. Tests set the switches, at any time; calls under way notice when they arrive and when they are answered. */
export class SimulatedPlace {
  readonly objects = new Map<string, Uint8Array>();
  /** Connections are refused. */
  isAway = false;
  /** Nothing is heard of any call until its time limit, and nothing is done. */
  isSilent = false;
  /** It is there, and empty, as a mount point without its mount. */
  isVanished = false;
  /** Something else is there now that says it is this one's. */
  otherIdentity: string | undefined;
  /** Puts are refused with ENOSPC. */
  isFull = false;
  /** How many of a hundred calls fail, each in a way of its own. */
  faultPercent = 0;
  /** The ways, with equal chances. */
  faults: readonly StoreFault[] = STORE_FAULTS;
  /** Of calls that hang, how many of a hundred are done only after they were answered for as failed, up to a time limit later. */
  doneLatePercent = 0;
  /** Virtual microseconds that a call takes at the most, half of it there and half of it back. */
  latencyMicros = 2_000;
  /** After which a call that hangs fails. */
  timeLimitMicros = 5_000_000;
  /** Planted defect: conditions are ignored. */
  ignoresConditions = false;
  /** Calls begun, by kind. */
  readonly calls: Record<string, number> = {};
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** What it holds, for comparing: names, sorted, and fingerprints. */
  content(): Map<string, string> {
    const all = [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1));
    return new Map(all.map(([name, bytes]) => [name, Bun.hash.xxHash64(bytes).toString(16)]));
  }
}

export class SimulatedStore implements ObjectStore {
  readonly url: string;
  private readonly sim: Simulation;
  private readonly place: SimulatedPlace;

  constructor(sim: Simulation, place: SimulatedPlace) {
    this.sim = sim;
    this.place = place;
    this.url = `simulated://${place.name}`;
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    const fault = this.begin("put");
    if (signal?.aborted === true) throw givenUp(`put at ${this.url}`);
    const bytes = new Uint8Array(source.sizeBytes);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (fault === "halfway" && at >= bytes.length / 2) break;
      bytes.set(await source.read(at, Math.min(PIECE_BYTES, bytes.length - at)), at);
      // The last one goes with the call itself.
      if (at + PIECE_BYTES < bytes.length) await this.travel("put", fault, signal);
    }
    await this.call("put", fault, signal, () => {
      if (this.place.isFull) throw new SternwayError("unavailable", `${this.url} is full`, { code: "ENOSPC" });
      if (ifAbsent && this.place.objects.has(name) && !this.place.ignoresConditions) {
        throw new SternwayError("conflict", `there is an object ${name} already`, { name });
      }
      this.place.objects.set(name, bytes);
    });
  }

  async get(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    return await this.call("get", this.begin("get"), signal, () => {
      const bytes = this.place.objects.get(name);
      if (!bytes) throw new SternwayError("not_found", `there is no object ${name}`, { name });
      return bytes.slice(offset, length === undefined ? undefined : offset + length);
    });
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    return await this.call("stat", this.begin("stat"), signal, () => {
      const bytes = this.place.objects.get(name);
      return bytes && { name, sizeBytes: bytes.length };
    });
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    checkObjectName(name);
    await this.call("remove", this.begin("remove"), signal, () => {
      this.place.objects.delete(name);
    });
  }

  /** In an order of its own each time. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    if (prefix !== "") checkObjectName(prefix);
    const found = await this.call("list", this.begin("list"), signal, () =>
      [...this.place.objects]
        .filter(([name]) => prefix === "" || name.startsWith(`${prefix}/`))
        .map(([name, bytes]) => ({ info: { name, sizeBytes: bytes.length }, rank: this.sim.random.unit() })),
    );
    for (const { info } of found.sort((a, b) => a.rank - b.rank)) yield info;
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found === identity) return;
    throw new SternwayError(
      "invalid",
      `${this.url} holds ${found === undefined ? "no tier" : `another vault's tier (${found})`}`,
    );
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    const found = await this.identify(signal);
    if (found === identity) return;
    if (found !== undefined) throw new SternwayError("conflict", `${this.url} belongs to another vault (${found})`);
    await probeStore(this, signal);
    await this.put(IDENTITY_OBJECT, bytesSource(new TextEncoder().encode(identity)), { ifAbsent: true, signal });
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    return await this.call("identify", this.begin("identify"), signal, () => {
      if (this.place.isVanished) return undefined;
      const bytes = this.place.objects.get(IDENTITY_OBJECT);
      return this.place.otherIdentity ?? (bytes && new TextDecoder().decode(bytes));
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Counts a call and draws its fault. */
  private begin(kind: string): StoreFault | undefined {
    const { place } = this;
    const { random } = this.sim;
    place.calls[kind] = (place.calls[kind] ?? 0) + 1;
    if (place.faults.length === 0 || random.below(100) >= place.faultPercent) return undefined;
    return place.faults[random.below(place.faults.length)];
  }

  private async call<Result>(
    kind: string,
    fault: StoreFault | undefined,
    signal: AbortSignal | undefined,
    act: () => Result,
  ): Promise<Result> {
    await this.travel(kind, fault, signal);
    if (this.place.isSilent || fault === "hang") return await this.hang(kind, signal, act);
    this.checkThere(kind);
    if (fault === "refused") throw this.lost(kind, "the connection was refused");
    if (fault === "failed") throw this.lost(kind, "answered 503");
    if (fault === "halfway") throw this.lost(kind, "the connection was reset");
    const outcome = outcomeOf(act);
    await this.travel(kind, fault, signal);
    if (fault === "lost-answer" || this.place.isAway || this.place.isSilent)
      throw this.lost(kind, "the answer was lost");
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  /** One way. @throws unavailable: given up */
  private async travel(kind: string, fault: StoreFault | undefined, signal: AbortSignal | undefined): Promise<void> {
    const micros = 1 + this.sim.random.below(Math.max(1, Math.floor(this.place.latencyMicros / 2)));
    await this.wait(kind, fault === "slow" ? micros * SLOW_FACTOR : micros, signal);
  }

  private async wait(kind: string, micros: number, signal: AbortSignal | undefined): Promise<void> {
    await pause(this.sim.clock, micros / 1000, signal);
    if (signal?.aborted === true) throw givenUp(`${kind} at ${this.url}`);
  }

  private async hang(kind: string, signal: AbortSignal | undefined, act: () => unknown): Promise<never> {
    const { place, sim } = this;
    const canBeDone = !place.isSilent && !place.isAway && !this.isElsewhere(kind);
    if (canBeDone && sim.random.below(100) < place.doneLatePercent) {
      const late = place.timeLimitMicros + sim.random.below(place.timeLimitMicros);
      sim.schedule(late, () => void outcomeOf(act));
    } else if (canBeDone && sim.random.below(2) === 0) outcomeOf(act);
    await this.wait(kind, place.timeLimitMicros, signal);
    throw this.lost(kind, "nothing was heard within the time limit");
  }

  private checkThere(kind: string): void {
    if (this.place.isAway) throw this.lost(kind, "the connection was refused");
    if (this.isElsewhere(kind)) throw this.lost(kind, "it is another place now");
  }

  /** Who was connected before notices, as the contract asks; whoever connects now learns what is there. */
  private isElsewhere(kind: string): boolean {
    return kind !== "identify" && (this.place.isVanished || this.place.otherIdentity !== undefined);
  }

  private lost(kind: string, how: string): SternwayError {
    return new SternwayError("unavailable", `${kind} at ${this.url}: ${how}`);
  }
}

/** What the place answers is an answer, too, when it is an error: it can be lost like any other. */
function outcomeOf<Result>(act: () => Result): { value: Result } | { error: SternwayError } {
  try {
    return { value: act() };
  } catch (error) {
    if (!isSternwayError(error)) throw error;
    return { error };
  }
}
