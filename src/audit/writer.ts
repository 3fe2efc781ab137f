/**
 * How lines reach the disk: in order, in groups. A group is what waits when the group before is durable, at most {@link GROUP_BYTES_MAX} and within one
 * file; it is written at the file's end and synced before anybody is told. So a crash can hurt one group at the most.
 *
 * After an error the same bytes are written again at the same place until they are durable: what a failed write or sync left there is not known, and
 * everything from the last durable byte on is covered by that. Lines wait in memory meanwhile, up to {@link WAITING_BYTES_MAX}.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { errorText } from "../base/errors.ts";
import { GROUP_BYTES_MAX } from "./recovery.ts";
import { fileName } from "./verify.ts";

/** `kept`: it is durable; `waiting`: it is in memory and will be written when that is possible; `dropped`: there was no room even there. */
export type Kept = "kept" | "waiting" | "dropped";

export interface WriterOptions {
  disk: Disk;
  clock: Clock;
  dir: string;
  /** The file to go on in, and its size; absent: the first line makes its own. */
  current: { number: number; sizeBytes: number } | undefined;
  onWritten?: ((lines: number, failed: boolean) => void) | undefined;
  /** Called once when writing begins to fail. */
  onTrouble: (message: string) => void;
}

interface WaitingLine {
  bytes: Uint8Array;
  file: number;
  settle: (kept: Kept) => void;
}

/** Some ten thousand entries: what an appliance gathers in hours without room. */
const WAITING_BYTES_MAX = 4 * 2 ** 20;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
/** Nobody waits longer for an entry; a disk that hangs is in trouble like one that fails. */
const WAIT_MS_MAX = 5_000;

export class AuditWriter {
  readonly #options: WriterOptions;
  #waiting: WaitingLine[] = [];
  #waitingBytes = 0;
  #working: Promise<void> | undefined;
  #open: { number: number; file: DiskFile } | undefined;
  #durable: { number: number; sizeBytes: number };
  #trouble: string | undefined;
  #stopping = false;
  #retry: { timer: Timer; now: () => void } | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#durable = options.current ?? { number: 0, sizeBytes: 0 };
  }

  /** How far the newest file is durable; files with smaller numbers are whole. */
  get durable(): { number: number; sizeBytes: number } {
    return this.#durable;
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  get isFull(): boolean {
    return this.#waitingBytes >= WAITING_BYTES_MAX;
  }

  /** Takes a line with its newline. @returns once it is durable, or it is clear that this takes longer; never rejects */
  put(line: { bytes: Uint8Array; file: number }): Promise<Kept> {
    const { promise, resolve } = Promise.withResolvers<Kept>();
    const limit = this.#options.clock.timer(WAIT_MS_MAX, () => {
      this.#fail("the disk does not answer");
      resolve("waiting");
    });
    const settle = (kept: Kept): void => {
      limit.cancel();
      resolve(kept);
    };
    this.#waiting.push({ ...line, settle });
    this.#waitingBytes += line.bytes.length;
    if (this.#trouble !== undefined) settle("waiting");
    this.#working ??= this.#work();
    return promise;
  }

  /** Resolves when all that waits now is durable, or cannot be at this time. */
  async settled(): Promise<Kept> {
    const last = this.#waiting.at(-1);
    if (last === undefined) return "kept";
    if (this.#trouble !== undefined) return "waiting";
    const { promise, resolve } = Promise.withResolvers<Kept>();
    const { settle } = last;
    last.settle = (kept) => {
      settle(kept);
      resolve(kept);
    };
    return await promise;
  }

  /** Tries once more to write what waits, and closes. A disk that hangs is not waited for. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#retry?.now();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const limit = this.#options.clock.timer(WAIT_MS_MAX, resolve);
    await Promise.race([this.#working?.then(() => this.#open?.file.close()) ?? this.#open?.file.close(), late]);
    limit.cancel();
  }

  async #work(): Promise<void> {
    // What comes in the same turn goes together.
    await Promise.resolve();
    let pauseMs = RETRY_MS_MIN;
    while (this.#waiting.length > 0) {
      const group = this.#group();
      try {
        await this.#write(group);
        pauseMs = RETRY_MS_MIN;
      } catch (error) {
        this.#options.onWritten?.(group.length, true);
        this.#fail(errorText(error));
        if (this.#stopping) break;
        await this.#pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX);
      }
    }
    this.#working = undefined;
  }

  /** The lines that go next: of one file, and no more than a crash may tear. */
  #group(): WaitingLine[] {
    const file = this.#waiting[0]?.file;
    let bytes = 0;
    const end = this.#waiting.findIndex((line) => line.file !== file || (bytes += line.bytes.length) > GROUP_BYTES_MAX);
    return this.#waiting.slice(0, end < 0 ? undefined : Math.max(1, end));
  }

  async #write(group: readonly WaitingLine[]): Promise<void> {
    const number = group[0]?.file ?? 0;
    const file = await this.#fileOf(number);
    const at = this.#durable.number === number ? this.#durable.sizeBytes : 0;
    const bytes = Buffer.concat(group.map((line) => line.bytes));
    await file.write(bytes, at);
    await file.sync();
    this.#durable = { number, sizeBytes: at + bytes.length };
    this.#waiting.splice(0, group.length);
    this.#waitingBytes -= bytes.length;
    this.#trouble = undefined;
    this.#options.onWritten?.(group.length, false);
    for (const line of group) line.settle("kept");
  }

  async #fileOf(number: number): Promise<DiskFile> {
    if (this.#open?.number === number) return this.#open.file;
    await this.#open?.file.close();
    this.#open = undefined;
    const { disk, dir } = this.#options;
    const path = `${dir}/${fileName(number)}`;
    const isNew = number !== this.#durable.number;
    const file = isNew ? await this.#create(path) : await disk.open(path, "write");
    this.#open = { number, file };
    return file;
  }

  async #create(path: string): Promise<DiskFile> {
    const { disk, dir } = this.#options;
    // A try before this one may have made it.
    const file = await disk.open(path, (await disk.sizeOf(path)) === undefined ? "create" : "write");
    try {
      // Before anything in it is answered for: after a crash the name may otherwise be lost.
      await disk.syncDir(dir);
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  #fail(why: string): void {
    if (this.#trouble === undefined) this.#options.onTrouble(`the audit cannot be written: ${why}`);
    this.#trouble = why;
    for (const line of this.#waiting) line.settle("waiting");
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#retry = { timer: this.#options.clock.timer(ms, resolve), now: resolve };
    await promise;
    this.#retry.timer.cancel();
    this.#retry = undefined;
  }
}
