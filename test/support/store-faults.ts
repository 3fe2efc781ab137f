/** A store that does what a test says, call by call: for what wraps stores. */
import { SternwayError, type ErrorKind } from "../../src/base/errors.ts";
import {
  bytesSource,
  type ObjectInfo,
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type ReadOptions,
} from "../../src/tiers/store.ts";

export type ScriptedCall = "put" | "get" | "stat" | "remove" | "list" | "connect" | "attach" | "identify" | "close";

/** What one call does: succeeds, fails with a kind, or waits for something of the test's. */
export type ScriptedStep = "ok" | ErrorKind | (() => Promise<void>);

const IDENTITY = "ours";

/** Calls succeed unless their script has a step left. */
export class ScriptedStore implements ObjectStore {
  readonly url = "scripted://place";
  /** Calls begun, in order. */
  readonly calls: ScriptedCall[] = [];
  readonly objects = new Map<string, Uint8Array>();
  /** The signal of the newest call. */
  signal: AbortSignal | undefined;
  private readonly scripts = new Map<ScriptedCall, ScriptedStep[]>();

  /** What the next calls of a kind do, in order. */
  script(call: ScriptedCall, ...steps: ScriptedStep[]): void {
    this.scripts.set(call, [...(this.scripts.get(call) ?? []), ...steps]);
  }

  count(call: ScriptedCall): number {
    return this.calls.filter((each) => each === call).length;
  }

  async put(name: string, source: ObjectSource, { signal }: PutOptions = {}): Promise<void> {
    const bytes = new Uint8Array(source.sizeBytes);
    for (let at = 0; at < bytes.length; at += 1024) {
      bytes.set(await source.read(at, Math.min(1024, bytes.length - at)), at);
    }
    await this.step("put", signal);
    this.objects.set(name, bytes);
  }

  async get(name: string, { signal }: ReadOptions = {}): Promise<Uint8Array> {
    await this.step("get", signal);
    return this.objects.get(name) ?? bytesOf("content");
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    await this.step("stat", signal);
    return { name, sizeBytes: 7 };
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    await this.step("remove", signal);
    this.objects.delete(name);
  }

  /** Fails, when it does, after the first two of three. */
  async *list(_: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    yield { name: "a", sizeBytes: 1 };
    yield { name: "b", sizeBytes: 2 };
    await this.step("list", signal);
    yield { name: "c", sizeBytes: 3 };
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    await this.step("connect", signal);
    if (identity !== IDENTITY) throw new SternwayError("invalid", "another's");
  }

  async attach(_: string, signal?: AbortSignal): Promise<void> {
    await this.step("attach", signal);
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    await this.step("identify", signal);
    return IDENTITY;
  }

  async close(): Promise<void> {
    await this.step("close", undefined);
  }

  private async step(call: ScriptedCall, signal: AbortSignal | undefined): Promise<void> {
    this.calls.push(call);
    this.signal = signal;
    const step = this.scripts.get(call)?.shift() ?? "ok";
    if (typeof step === "function") await step();
    else if (step !== "ok") throw new SternwayError(step, `${call} failed: ${step}`, { count: this.calls.length });
  }
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const sourceOf = (text: string): ObjectSource => bytesSource(bytesOf(text));
