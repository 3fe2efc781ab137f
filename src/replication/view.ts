/**
 * One state of a vault as a tier had it once, open for reading: the vault and its volumes over a folder that never changes. Whoever reads pins it, and it is closed
 * when it was replaced and nobody does any more.
 */
import { assert } from "../base/assert.ts";
import type { Vault } from "../vault/vault.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Arrived } from "./arrival.ts";

export interface OpenedView {
  vault: Vault;
  volumes: Volumes;
}

export class View implements OpenedView {
  readonly vault: Vault;
  readonly volumes: Volumes;
  /** Of its folder among the views; undefined: the vault's own. */
  readonly place: number | undefined;
  /** When a newer one took its place, monotonic microseconds. */
  replacedAt: number | undefined;
  private readonly arrived: Pick<Arrived, "newest" | "tookOverAt"> | undefined;
  private users = 0;
  private closing: Promise<void> | undefined;

  /** @param arrived - where it comes from; undefined: that is not known */
  constructor(
    { vault, volumes }: OpenedView,
    place: number | undefined,
    arrived: Pick<Arrived, "newest" | "tookOverAt"> | undefined,
  ) {
    this.vault = vault;
    this.volumes = volumes;
    this.place = place;
    this.arrived = arrived;
  }

  get isUsed(): boolean {
    return this.users > 0;
  }

  get isClosed(): boolean {
    return this.closing !== undefined;
  }

  /** Every user is followed by one {@link release}. */
  pin(): void {
    this.users++;
  }

  /** Closes it when it was replaced and this was the last. */
  release(): void {
    assert(this.users > 0, "a view is released once per pin");
    this.users--;
    if (this.users === 0 && this.replacedAt !== undefined) void this.close();
  }

  async using<Result>(work: (view: View) => Promise<Result>): Promise<Result> {
    this.pin();
    try {
      return await work(this);
    } finally {
      this.release();
    }
  }

  /**
   * True when each LSN of this one is the same in a later one. A writer that took over may lack the last of what its predecessor sent, and gives
   * other writes LSNs above; then nothing tells which moments both have.
   */
  isContinuedBy(later: View): boolean {
    if (!this.arrived || !later.arrived) return false;
    return later.arrived.tookOverAt <= this.arrived.newest.writer;
  }

  /** Reads that are under way come to their ends; later ones fail. Never rejects. */
  close(): Promise<void> {
    // It was open for reading: nothing that fails here can lose anything.
    this.closing ??= this.vault.stop().catch(() => undefined);
    return this.closing;
  }
}
