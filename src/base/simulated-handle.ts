/**
 * An open file of a simulated disk. It keeps the rules of the contract that every disk must enforce (open mode, alignment, close
 * waits for what is in flight), and catches callers that change a buffer before its write is done.
 */
import { assertWriteThrough } from "./aligned.ts";
import { assert } from "./assert.ts";
import type { DiskFile, OpenMode } from "./disk.ts";
import type { DiskOperation, FaultEffect } from "./simulated-faults.ts";
import type { FileNode, SimulatedWrite } from "./simulated-file.ts";

export interface DiskRequest {
  operation: DiskOperation;
  path: string;
  /** Second path of a rename. */
  to?: string;
  offset?: number;
  length?: number;
}

/** What an open file asks of its disk. */
export interface FileHost {
  /** True when this world was stopped: nothing that is asked for happens any more. */
  stopped(): boolean;
  lastId(): number;
  /** @param act - runs when its time has come, with the silent fault it meets if any @param onError - runs before a planted error is thrown */
  perform<T>(request: DiskRequest, act: (effect: FaultEffect | undefined) => T, onError?: () => void): Promise<T>;
  store(file: FileNode, write: SimulatedWrite, through: boolean, path: string, effect: FaultEffect | undefined): void;
  failWrite(file: FileNode, write: SimulatedWrite, through: boolean): void;
  failSync(file: FileNode, upTo: number): void;
  closed(file: FileNode): void;
}

export class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly #mode: OpenMode;
  readonly #file: FileNode;
  readonly #host: FileHost;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, mode: OpenMode, file: FileNode, host: FileHost) {
    this.path = path;
    this.#mode = mode;
    this.#file = file;
    this.#host = host;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#use({ operation: "read", path: this.path, offset, length: into.length }, () =>
      this.#file.current.read(into, offset),
    );
  }

  async write(data: Uint8Array, offset: number): Promise<void> {
    const through = this.#mode === "write-through";
    assert(this.#mode !== "read", `${this.path} is open for reading only`);
    if (through) assertWriteThrough(data, offset);
    if (this.#host.stopped()) return new Promise(() => {});
    const write = { id: 0, offset, data: data.slice() };
    this.#file.inFlight.add(write);
    const arrived = (): void => {
      this.#file.inFlight.delete(write);
      assert(
        Buffer.compare(data, write.data) === 0,
        `nobody changes the data of a write to ${this.path} before it is done`,
      );
    };
    await this.#use(
      { operation: through ? "write-through" : "write", path: this.path, offset, length: data.length },
      (effect) => {
        arrived();
        this.#host.store(this.#file, write, through, this.path, effect);
      },
      () => {
        arrived();
        this.#host.failWrite(this.#file, write, through);
      },
    );
  }

  sync(): Promise<void> {
    const upTo = this.#host.lastId();
    return this.#use(
      { operation: "sync", path: this.path },
      (effect) => {
        if (effect !== "ignored") this.#file.applySync(upTo);
      },
      () => this.#host.failSync(this.#file, upTo),
    );
  }

  size(): Promise<number> {
    return this.#use({ operation: "size", path: this.path }, () => this.#file.current.size);
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#host.perform({ operation: "close", path: this.path }, () => this.#host.closed(this.#file));
  }

  async #use<T>(request: DiskRequest, act: (effect: FaultEffect | undefined) => T, onError?: () => void): Promise<T> {
    assert(this.#closing === undefined, `${this.path} is open`);
    this.#inFlight++;
    try {
      return await this.#host.perform(request, act, onError);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#idle?.();
    }
  }
}
