/**
 * A share's process as its parent sees it: calls that are under way, and the limit on how long one may make no progress. A call that gets neither
 * a byte nor an answer for that long ends the connection: every call fails with `unavailable`, and the process is killed. Whether it can die
 * is for the kernel to say; {@link ShareConnection.exited} tells when it has.
 *
 * The time in which a put waits for its own source is the source's, and does not count.
 */
import { assert } from "../../base/assert.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { PIECE_BYTES, shortSource } from "../directory/directory-store.ts";
import {
  Credits,
  FrameReader,
  FrameWriter,
  fromJson,
  toJson,
  type Frame,
  type ShareBegin,
  type ShareCall,
  type ShareDone,
  type ShareEntries,
  type ShareFailure,
} from "./share-wire.ts";
import type { ObjectInfo, ObjectSource } from "../store.ts";
import { givenUp } from "../waiting.ts";

export interface ConnectionOptions {
  /** What starts the process; the directory is added to it. */
  command: readonly string[];
  dir: string;
  clock: Clock;
  timeLimitMs: number;
}

/** Threads of the process's pool: as many calls as it has at once, and the syncs that run beside puts. */
const POOL_THREADS = 16;

type Outcome = { ok: true; result: ShareDone["result"] } | { ok: false; error: unknown };

interface Call {
  id: number;
  /** In words, for errors. */
  what: string;
  /** When it last made progress, by the monotonic clock. */
  progressMicros: number;
  /** It waits for us. */
  isOurs: boolean;
  /** Why it was cancelled. */
  cancelledBy: unknown;
  timer: Timer;
  onFrame: (frame: Frame) => void;
  onEnd: (outcome: Outcome) => void;
}

export class ShareConnection {
  /** The process is gone. Never rejects. */
  readonly exited: Promise<void>;
  private readonly options: ConnectionOptions;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly writer: FrameWriter;
  private readonly output: {
    read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
    cancel(): Promise<void>;
  };
  private readonly calls = new Map<number, Call>();
  private nextId = 1;
  private ended: SternwayError | undefined;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.child = Bun.spawn([...options.command, options.dir], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      // Nothing of ours hangs on to the share, or on to what the environment holds.
      cwd: "/",
      env: { UV_THREADPOOL_SIZE: String(POOL_THREADS) },
    });
    this.writer = new FrameWriter(this.child.stdin, () => this.kill(this.lost("has closed its input")));
    this.output = this.child.stdout.getReader();
    void this.receive();
    this.exited = this.child.exited.then((code) => {
      this.kill(this.lost(`has ended (${this.child.signalCode ?? code})`));
    });
  }

  /** Calls can be made. */
  get isOpen(): boolean {
    return this.ended === undefined;
  }

  /** stat, remove, connect, attach, identify. */
  async ask(call: ShareCall, what: string, signal: AbortSignal | undefined): Promise<ShareDone["result"]> {
    return await this.run(call, what, signal, () => undefined);
  }

  async put(name: string, source: ObjectSource, ifAbsent: boolean, signal: AbortSignal | undefined): Promise<void> {
    const credits = new Credits();
    const call: ShareCall = { method: "put", name, sizeBytes: source.sizeBytes, ifAbsent };
    let active: Call | undefined;
    const done = this.run(
      call,
      `put ${name}`,
      signal,
      ({ kind }) => {
        if (kind === "more") credits.add();
      },
      (started) => {
        active = started;
      },
    ).finally(() => credits.end());
    if (active) void this.supply(active, source, credits);
    await done;
  }

  async get(
    name: string,
    offset: number,
    length: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    let bytes = new Uint8Array(0);
    let filled = 0;
    await this.run({ method: "get", name, offset, length }, `get ${name}`, signal, ({ kind, id, payload }) => {
      if (kind === "begin") bytes = new Uint8Array(fromJson<ShareBegin>(payload).sizeBytes);
      if (kind !== "piece") return;
      bytes.set(payload, filled);
      filled += payload.length;
      void this.writer.send("more", id);
    });
    assert(filled === bytes.length, `a share's process sent ${filled} of ${bytes.length} bytes of ${name}`);
    return bytes;
  }

  /** A page at a time. Stopping early cancels it. */
  async *list(prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo[], void, undefined> {
    let page: ShareEntries | undefined;
    let outcome: Outcome | undefined;
    let wake: () => void = () => undefined;
    const call = this.start({ method: "list", prefix }, `list ${prefix}`, signal, {
      onFrame: (frame) => {
        if (frame.kind !== "entries") return;
        page = fromJson<ShareEntries>(frame.payload);
        call.isOurs = true;
        wake();
      },
      onEnd: (end) => {
        outcome = end;
        wake();
      },
    });
    try {
      for (;;) {
        while (!page && !outcome) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if (outcome && !outcome.ok) throw outcome.error;
        if (!page) return;
        const entries = page;
        page = undefined;
        yield entries;
        this.touch(call);
        if (!outcome) void this.writer.send("more", call.id);
      }
    } finally {
      this.cancel(call, givenUp(call.what));
    }
  }

  /** Lets the process end by itself; what is under way fails. */
  end(error: SternwayError): void {
    this.finish(error);
    // A pipe that the process no longer reads says so, and that is what we want of it.
    Promise.resolve(this.child.stdin.end()).catch(() => undefined);
  }

  /** Ends the process without asking it; what is under way fails. */
  kill(error: SternwayError): void {
    this.finish(error);
    this.child.kill("SIGKILL");
    // It may be held in the kernel for ever: then it must not keep ours from ending.
    this.child.unref();
    this.output.cancel().catch(() => undefined);
  }

  private finish(error: SternwayError): void {
    if (this.ended) return;
    this.ended = error;
    for (const call of this.calls.values()) this.settle(call, { ok: false, error });
  }

  /** One call whose end is a promise. @param onStart - called at once, unless the connection has ended */
  private run(
    request: ShareCall,
    what: string,
    signal: AbortSignal | undefined,
    onFrame: (frame: Frame) => void,
    onStart: (call: Call) => void = () => undefined,
  ): Promise<ShareDone["result"]> {
    return new Promise((resolve, reject) => {
      const onEnd = (outcome: Outcome): void => {
        if (outcome.ok) resolve(outcome.result);
        else reject(outcome.error);
      };
      onStart(this.start(request, what, signal, { onFrame, onEnd }));
    });
  }

  /** @throws what the connection ended with */
  private start(
    request: ShareCall,
    what: string,
    signal: AbortSignal | undefined,
    { onFrame, onEnd }: Pick<Call, "onFrame" | "onEnd">,
  ): Call {
    if (this.ended) throw this.ended;
    if (signal?.aborted === true) throw givenUp(what);
    const onAbort = (): void => this.cancel(call, givenUp(what));
    const call: Call = {
      id: this.nextId++,
      what,
      progressMicros: this.options.clock.monotonic(),
      isOurs: false,
      cancelledBy: undefined,
      timer: this.timer(() => this.look(call), this.options.timeLimitMs),
      onFrame,
      onEnd: (outcome) => {
        signal?.removeEventListener("abort", onAbort);
        onEnd(outcome);
      },
    };
    signal?.addEventListener("abort", onAbort);
    this.calls.set(call.id, call);
    void this.writer.send("call", call.id, toJson(request));
    return call;
  }

  /** Never rejects. */
  private async supply(call: Call, source: ObjectSource, credits: Credits): Promise<void> {
    try {
      for (let offset = 0; offset < source.sizeBytes; offset += PIECE_BYTES) {
        if (!(await credits.take())) return;
        const length = Math.min(PIECE_BYTES, source.sizeBytes - offset);
        call.isOurs = true;
        const piece = await source.read(offset, length);
        this.touch(call);
        if (!this.calls.has(call.id)) return;
        if (piece.length !== length) throw shortSource(piece.length, length, offset);
        // The array is the source's again at the next read.
        await this.writer.send("piece", call.id, piece);
      }
    } catch (error) {
      this.cancel(call, error);
    }
  }

  /** The call goes on until the process has answered: by then nothing of it happens any more. */
  private cancel(call: Call, reason: unknown): void {
    if (!this.calls.has(call.id) || call.cancelledBy !== undefined) return;
    call.cancelledBy = reason;
    this.touch(call);
    void this.writer.send("cancel", call.id);
  }

  private touch(call: Call): void {
    call.progressMicros = this.options.clock.monotonic();
    call.isOurs = false;
  }

  private timer(fire: () => void, delayMs: number): Timer {
    return this.options.clock.timer(delayMs, fire);
  }

  private look(call: Call): void {
    const { clock, timeLimitMs, dir } = this.options;
    const idleMs = call.isOurs ? 0 : (clock.monotonic() - call.progressMicros) / 1000;
    if (idleMs < timeLimitMs) {
      call.timer = this.timer(() => this.look(call), timeLimitMs - idleMs);
      return;
    }
    const message = `${dir} has not answered for ${timeLimitMs / 1000} seconds (${call.what})`;
    this.kill(new SternwayError("unavailable", message, { path: dir, hung: true }));
  }

  /** Never rejects. */
  private async receive(): Promise<void> {
    const reader = new FrameReader((frame) => this.onFrame(frame));
    try {
      for (;;) {
        const { done, value } = await this.output.read();
        if (done || !value) return;
        reader.push(value);
      }
    } catch (error) {
      this.kill(
        new SternwayError("unavailable", `the process of ${this.options.dir} sends nonsense`, {}, { cause: error }),
      );
    }
  }

  private onFrame(frame: Frame): void {
    const call = this.calls.get(frame.id);
    if (!call) return;
    if (frame.kind === "done") {
      this.settle(call, { ok: true, result: fromJson<ShareDone>(frame.payload).result });
    } else if (frame.kind === "failure") {
      const { kind, message, facts } = fromJson<ShareFailure>(frame.payload);
      this.settle(call, { ok: false, error: call.cancelledBy ?? new SternwayError(kind, message, facts) });
    } else {
      this.touch(call);
      call.onFrame(frame);
    }
  }

  private settle(call: Call, outcome: Outcome): void {
    this.calls.delete(call.id);
    call.timer.cancel();
    call.onEnd(outcome);
  }

  private lost(how: string): SternwayError {
    return new SternwayError("unavailable", `the process that works on ${this.options.dir} ${how}`);
  }
}
