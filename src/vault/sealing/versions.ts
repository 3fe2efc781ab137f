/**
 * What a reader sees: memory maps and layers that belong together. A version never changes; sealing and merging make a new one, and what
 * the old ones still needed (a journal file, merged layers) is let go when the last reader of those versions is done.
 */
import { assert } from "../../base/assert.ts";
import type { Memtable } from "../memtable.ts";
import type { LayerIndex } from "../layers/resolve.ts";

export interface Version {
  /** Newest first. */
  readonly memtables: readonly Memtable[];
  readonly layers: LayerIndex;
}

class Node implements Version {
  readonly memtables: readonly Memtable[];
  readonly layers: LayerIndex;
  readers = 0;
  next: Node | undefined;
  /** Run when this version and all older ones have no readers. */
  retired: (() => void) | undefined;

  constructor(memtables: readonly Memtable[], layers: LayerIndex) {
    this.memtables = memtables;
    this.layers = layers;
  }
}

export class Versions {
  private oldest: Node;
  private newest: Node;
  private readers = 0;
  private idleWaiters: (() => void)[] = [];

  constructor(memtables: readonly Memtable[], layers: LayerIndex) {
    this.newest = new Node(memtables, layers);
    this.oldest = this.newest;
  }

  get current(): Version {
    return this.newest;
  }

  /** Pins the current version; every acquire is followed by one {@link release}. */
  acquire(): Version {
    this.newest.readers++;
    this.readers++;
    return this.newest;
  }

  release(version: Version): void {
    assert(version instanceof Node && version.readers > 0, "a version is released once per acquire");
    version.readers--;
    this.readers--;
    this.drain();
    if (this.readers === 0) for (const resolve of this.idleWaiters.splice(0)) resolve();
  }

  /** Resolves when nobody reads. */
  async idle(): Promise<void> {
    if (this.readers > 0) await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  /** Makes a new current version. @param retired - lets go of what only older versions need */
  advance(memtables: readonly Memtable[], layers: LayerIndex, retired?: () => void): void {
    const next = new Node(memtables, layers);
    this.newest.next = next;
    this.newest.retired = retired;
    this.newest = next;
    this.drain();
  }

  private drain(): void {
    while (this.oldest !== this.newest && this.oldest.readers === 0) {
      const { retired, next } = this.oldest;
      this.oldest = next!;
      retired?.();
    }
  }
}
