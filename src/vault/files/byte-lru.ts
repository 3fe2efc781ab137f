/**
 * A cache bounded in bytes that drops what was used longest ago. A value heavier than the whole cache is not kept.
 */
export class ByteLru<Value> {
  readonly #capacityBytes: number;
  // A Map keeps insertion order: taking an entry out and putting it back makes it the newest.
  readonly #entries = new Map<number, { value: Value; bytes: number }>();
  #bytes = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#entries.size;
  }

  get(key: number): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Like {@link get}, but does not count as use. */
  peek(key: number): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: number, value: Value, bytes: number): void {
    this.delete(key);
    if (bytes > this.#capacityBytes) return;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#capacityBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= entry.bytes;
    }
  }

  delete(key: number): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  keys(): IterableIterator<number> {
    return this.#entries.keys();
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
