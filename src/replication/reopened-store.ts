/**
 * A store that is made of its settings when a connection to it is made, and made anew when the place refused it: secrets lie in files that come later than the daemon, are
 * mended, and are replaced. So a tier whose credentials cannot be read is one that is offline and says why, and not none at all; and new credentials serve
 * without a restart.
 */
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { ObjectInfo, ObjectSource, ObjectStore, PutOptions, ReadOptions } from "../tiers/store.ts";

export class ReopenedStore implements ObjectStore {
  private readonly open: () => Promise<ObjectStore>;
  private readonly fallbackUrl: string;
  private current: ObjectStore | undefined;
  private opening: Promise<ObjectStore> | undefined;
  private isClosed = false;

  /** @param open - makes the store; reads secrets @param url - what to call it while none could be made */
  constructor(open: () => Promise<ObjectStore>, url: string) {
    this.open = open;
    this.fallbackUrl = url;
  }

  get url(): string {
    return this.current?.url ?? this.fallbackUrl;
  }

  async put(name: string, source: ObjectSource, options?: PutOptions): Promise<void> {
    await (await this.store()).put(name, source, options);
  }

  async get(name: string, options?: ReadOptions): Promise<Uint8Array> {
    return await (await this.store()).get(name, options);
  }

  async stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    return await (await this.store()).stat(name, signal);
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    await (await this.store()).remove(name, signal);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    yield* (await this.store()).list(prefix, signal);
  }

  /** @throws denied: also when the credentials cannot be read; they are read anew at the next call */
  async connect(identity: string, signal?: AbortSignal): Promise<void> {
    const store = await this.store();
    try {
      await store.connect(identity, signal);
    } catch (error) {
      // Perhaps the credentials were replaced since they were read.
      if (isSternwayError(error, "denied") && this.current === store) {
        this.current = undefined;
        await store.close();
      }
      throw error;
    }
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    await (await this.store()).attach(identity, signal);
  }

  async identify(signal?: AbortSignal): Promise<string | undefined> {
    return await (await this.store()).identify(signal);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    // Whoever waits for it is told why it could not be made.
    await this.opening?.catch(() => undefined);
    const { current } = this;
    this.current = undefined;
    await current?.close();
  }

  private async store(): Promise<ObjectStore> {
    if (this.current) return this.current;
    if (this.isClosed) throw new SternwayError("unavailable", `${this.url} was let go`, { aborted: true });
    this.opening ??= this.open();
    try {
      return (this.current ??= await this.opening);
    } finally {
      this.opening = undefined;
    }
  }
}
