/** What a put reads from, on its way through a tier. */
import type { Bandwidth } from "./bandwidth.ts";
import type { ObjectSource } from "./store.ts";

/** Lets pieces go as the bandwidth allows, and knows whether it was the source that failed: its failure must not pass for the tier's. */
export class WatchedSource implements ObjectSource {
  readonly sizeBytes: number;
  /** What reading the source failed with, first. */
  failure: { error: unknown } | undefined;
  private readonly source: ObjectSource;
  private readonly bandwidth: Bandwidth | undefined;
  private readonly signal: AbortSignal;

  constructor(source: ObjectSource, bandwidth: Bandwidth | undefined, signal: AbortSignal) {
    this.sizeBytes = source.sizeBytes;
    this.source = source;
    this.bandwidth = bandwidth;
    this.signal = signal;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    await this.bandwidth?.take(length, this.signal);
    return await this.preview(offset, length);
  }

  async preview(offset: number, length: number): Promise<Uint8Array> {
    try {
      return await this.source.read(offset, length);
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }
}
