/** A store that counts what is asked of another one, for places that do not count requests themselves. */
import type { ObjectInfo, ObjectSource, ObjectStore, PutOptions, ReadOptions } from "../../src/tiers/store.ts";

export interface StoreCounts {
  /** A listing is one. */
  operations: number;
  bytesThere: number;
  bytesBack: number;
}

export class CountedStore implements ObjectStore {
  readonly url: string;
  private readonly store: ObjectStore;
  private readonly counts: StoreCounts;

  /** @param counts - added to; may be shared with other stores */
  constructor(store: ObjectStore, counts: StoreCounts) {
    this.url = store.url;
    this.store = store;
    this.counts = counts;
  }

  async put(name: string, source: ObjectSource, options?: PutOptions): Promise<void> {
    this.counts.operations++;
    await this.store.put(name, source, options);
    this.counts.bytesThere += source.sizeBytes;
  }

  async get(name: string, options?: ReadOptions): Promise<Uint8Array> {
    this.counts.operations++;
    const bytes = await this.store.get(name, options);
    this.counts.bytesBack += bytes.length;
    return bytes;
  }

  stat(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    this.counts.operations++;
    return this.store.stat(name, signal);
  }

  remove(name: string, signal?: AbortSignal): Promise<void> {
    this.counts.operations++;
    return this.store.remove(name, signal);
  }

  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    this.counts.operations++;
    return this.store.list(prefix, signal);
  }

  connect(identity: string, signal?: AbortSignal): Promise<void> {
    this.counts.operations++;
    return this.store.connect(identity, signal);
  }

  attach(identity: string, signal?: AbortSignal): Promise<void> {
    this.counts.operations++;
    return this.store.attach(identity, signal);
  }

  identify(signal?: AbortSignal): Promise<string | undefined> {
    this.counts.operations++;
    return this.store.identify(signal);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}
