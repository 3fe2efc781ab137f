/**
 * A directory whose mount can vanish or hang, as a store: a network share, a disk that may be pulled. It is a {@link DirectoryStore} in a process of its
 * own, since a call that hangs in the kernel keeps the thread that made it, and no process may wait for a share but one that can be
 * given up.
 *
 * A call that makes no progress for the time limit fails with `unavailable`, and with it all that are under way; the process is killed, and the next
 * connect, attach or identify starts another. Processes that the kernel does not let die are counted: when there are
 * {@link STUCK_MAX}, calls fail at once until one of them is gone.
 *
 * Everything is bounded: four puts and four other calls at once, so that puts which are slow by choice (a limited bandwidth) keep no read waiting; a thousand wait; a few
 * pieces of 1 MiB per call are in memory, here and there.
 */
import { fileURLToPath } from "node:url";
import type { Clock } from "../../base/clock.ts";
import { SternwayError } from "../../base/errors.ts";
import { Lane } from "./lane.ts";
import { checkObjectName } from "../object-name.ts";
import { ShareConnection } from "./share-connection.ts";
import type { ShareCall, ShareDone } from "./share-wire.ts";
import type { ObjectInfo, ObjectSource, ObjectStore, PutOptions, ReadOptions } from "../store.ts";
import { pause } from "../waiting.ts";

export const STUCK_MAX = 4;
/** Of a network file system that retries by itself: NFS and SMB give a lost server some 10 s before they say so. */
const TIME_LIMIT_MS = 30_000;
const PUTS_AT_ONCE = 4;
const OTHERS_AT_ONCE = 4;
/** Each takes memory in the process for as long as its reader takes. */
const LISTS_MAX = 8;
const WAITING_MAX = 1000;
const END_MS_MAX = 2_000;

export interface ShareOptions {
  /** Absolute. */
  dir: string;
  clock: Clock;
  /** As people know the place; default: the directory's own. */
  url?: string;
  /** How long a call may make no progress. Default 30 s. */
  timeLimitMs?: number;
  /** What starts the process, to which the directory is added. Default: this runtime with share-process.ts. */
  command?: readonly string[];
}

export class ShareStore implements ObjectStore {
  readonly url: string;
  private readonly dir: string;
  private readonly clock: Clock;
  private readonly timeLimitMs: number;
  private readonly command: readonly string[];
  private readonly puts = new Lane(PUTS_AT_ONCE, WAITING_MAX);
  private readonly others = new Lane(OTHERS_AT_ONCE, WAITING_MAX);
  private connection: ShareConnection | undefined;
  /** Whose process is not gone yet: the open one, and those that were given up. */
  private readonly alive = new Set<ShareConnection>();
  private lists = 0;
  private isClosed = false;

  constructor({ dir, clock, url, timeLimitMs = TIME_LIMIT_MS, command }: ShareOptions) {
    this.dir = dir;
    this.url = url ?? `file://${dir}`;
    this.clock = clock;
    this.timeLimitMs = timeLimitMs;
    this.command = command ?? [process.execPath, fileURLToPath(new URL("./share-process.ts", import.meta.url))];
  }

  /** Processes that were given up and that the kernel has not let die yet. */
  get stuckCount(): number {
    return [...this.alive].filter(({ isOpen }) => !isOpen).length;
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    await this.puts.run(`put ${name}`, signal, () => this.open().put(name, source, ifAbsent, signal));
  }

  async get(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    return await this.others.run(`get ${name}`, signal, () => this.open().get(name, offset, length, signal));
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const found = await this.ask({ method: "stat", name }, `stat ${name}`, signal);
    return typeof found === "object" ? found : undefined;
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    checkObjectName(name);
    await this.ask({ method: "remove", name }, `remove ${name}`, signal);
  }

  /** In the order of names within a folder. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    if (prefix !== "") checkObjectName(prefix);
    // Not in a lane: who lists calls others meanwhile, and would wait for itself.
    if (this.lists >= LISTS_MAX)
      throw new SternwayError("unavailable", `${LISTS_MAX} lists of ${this.url} are under way already`);
    this.lists++;
    try {
      for await (const page of this.open().list(prefix, signal)) yield* page;
    } finally {
      this.lists--;
    }
  }

  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    this.start();
    await this.ask({ method: "connect", identity }, "connect", signal);
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    this.start();
    await this.ask({ method: "attach", identity }, "attach", signal);
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    this.start();
    const found = await this.ask({ method: "identify" }, "identify", signal);
    return typeof found === "string" ? found : undefined;
  }

  /** Waits for the process for two seconds at the most. Idempotent. */
  async close(): Promise<void> {
    this.isClosed = true;
    const { connection } = this;
    const closed = this.closedError();
    this.puts.clear(closed);
    this.others.clear(closed);
    if (!connection?.isOpen) return;
    connection.end(closed);
    const ended = new AbortController();
    void connection.exited.then(() => ended.abort());
    await pause(this.clock, END_MS_MAX, ended.signal);
    if (!ended.signal.aborted) connection.kill(closed);
  }

  private async ask(call: ShareCall, what: string, signal: AbortSignal | undefined): Promise<ShareDone["result"]> {
    return await this.others.run(what, signal, () => this.open().ask(call, what, signal));
  }

  private open(): ShareConnection {
    if (this.isClosed) throw this.closedError();
    if (this.connection?.isOpen === true) return this.connection;
    this.checkStuck();
    throw new SternwayError("unavailable", `${this.url} is not connected`);
  }

  private start(): void {
    if (this.isClosed) throw this.closedError();
    if (this.connection?.isOpen === true) return;
    this.checkStuck();
    const connection = new ShareConnection({
      command: this.command,
      dir: this.dir,
      clock: this.clock,
      timeLimitMs: this.timeLimitMs,
    });
    this.connection = connection;
    this.alive.add(connection);
    void connection.exited.then(() => this.alive.delete(connection));
  }

  private checkStuck(): void {
    const stuck = this.stuckCount;
    if (stuck < STUCK_MAX) return;
    const what = `${stuck} processes wait for it inside the kernel and cannot be ended`;
    const cure = "bring its server back, or unmount it (umount --force --lazy) and mount it again";
    throw new SternwayError("unavailable", `${this.dir} does not answer, and ${what}: ${cure}`, {
      path: this.dir,
      stuck,
    });
  }

  private closedError(): SternwayError {
    return new SternwayError("unavailable", `${this.url} was closed`);
  }
}
