/**
 * One place that this appliance keeps for another: a directory store in DATA/received/NAME, within a quota, and never at the expense of the free space that the
 * appliance's own vaults need.
 *
 * What it holds is counted when it is first asked for, and then followed: changes of one object go one after the other, so that each knows what it replaces. What a
 * put is going to take is set aside while it runs. After a failed put the object is looked up, as it may be there or not; the count is right after a restart anyway.
 */
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { isSternwayError, SternwayError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { formatSize } from "../base/units.ts";
import type { OpenObject, ReceivedPlace } from "../api/app.ts";
import type { KeptToken } from "../security/peer-token.ts";
import { DirectoryStore } from "../tiers/directory/directory-store.ts";
import { checkObjectName } from "../tiers/object-name.ts";
import {
  IDENTITY_OBJECT,
  type ObjectInfo,
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type ReadOptions,
} from "../tiers/store.ts";

export interface KeptPlaceOptions {
  disk: Disk;
  clock: Clock;
  random: Random;
  name: string;
  dir: string;
  token: KeptToken;
  quotaBytes?: number | undefined;
  /** What must stay free on its disk. */
  reserveBytes: number;
}

export class KeptPlace implements ReceivedPlace, ObjectStore {
  readonly name: string;
  readonly quotaBytes: number | undefined;
  readonly url: string;
  token: KeptToken;
  private readonly options: KeptPlaceOptions;
  private readonly inner: DirectoryStore;
  private readonly ended = new AbortController();
  /** The end of the newest change of each object that is being changed. */
  private readonly changes = new Map<string, Promise<void>>();
  private counting: Promise<void> | undefined;
  private heldBytes = 0;
  /** Set aside for puts under way. */
  private comingBytes = 0;

  constructor(options: KeptPlaceOptions) {
    const { disk, clock, random, name, dir, token, quotaBytes } = options;
    this.options = options;
    this.name = name;
    this.token = token;
    this.quotaBytes = quotaBytes;
    this.url = `place ${name}`;
    this.inner = new DirectoryStore({ disk, clock, random, dir, url: this.url });
  }

  get store(): ObjectStore {
    return this;
  }

  /** Bytes of all objects. */
  async usedBytes(): Promise<number> {
    await this.counted();
    return this.heldBytes;
  }

  async open(name: string): Promise<OpenObject> {
    checkObjectName(name);
    this.checkOpen();
    const { disk, dir } = this.options;
    const path = `${dir}/${name}`;
    // A folder can be opened too: only a file has a size.
    if (!(await this.inner.stat(name))) throw missing(name);
    const file = await disk.open(path, "read").catch((error: unknown) => {
      throw isSternwayError(error, "not_found") ? missing(name) : error;
    });
    try {
      return {
        sizeBytes: await file.size(),
        async read(offset, length) {
          const bytes = new Uint8Array(length);
          if ((await file.read(bytes, offset)) === length) return bytes;
          throw new SternwayError("corrupt", `${name} is shorter than it was`, { name, offset, length });
        },
        close: () => file.close(),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async put(name: string, source: ObjectSource, { ifAbsent = false, signal }: PutOptions = {}): Promise<void> {
    checkObjectName(name);
    await this.changing(name, async () => {
      const before = (await this.inner.stat(name))?.sizeBytes ?? 0;
      await this.setAside(name, source.sizeBytes, before);
      try {
        await this.inner.put(name, source, { ifAbsent, signal: this.until(signal) });
        this.heldBytes += source.sizeBytes - before;
      } catch (error) {
        const after = await this.inner.stat(name).catch(() => undefined);
        this.heldBytes += (after?.sizeBytes ?? before) - before;
        throw error;
      } finally {
        this.comingBytes -= source.sizeBytes;
      }
    });
  }

  async get(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    this.checkOpen();
    return await this.inner.get(name, options);
  }

  async stat(name: string): Promise<ObjectInfo | undefined> {
    this.checkOpen();
    return await this.inner.stat(name);
  }

  async remove(name: string): Promise<void> {
    checkObjectName(name);
    await this.changing(name, async () => {
      const before = (await this.inner.stat(name))?.sizeBytes ?? 0;
      await this.inner.remove(name);
      this.heldBytes -= before;
    });
  }

  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    this.checkOpen();
    return this.inner.list(prefix, this.until(signal));
  }

  async connect(identity: string): Promise<void> {
    this.checkOpen();
    await this.inner.connect(identity);
    // Another disk may have been mounted since it was counted; changes under way go by the old count to their end.
    if (this.changes.size === 0) this.counting = undefined;
  }

  async attach(identity: string, signal?: AbortSignal): Promise<void> {
    await this.changing(IDENTITY_OBJECT, async () => {
      const before = (await this.inner.stat(IDENTITY_OBJECT))?.sizeBytes ?? 0;
      await this.inner.attach(identity, this.until(signal));
      this.heldBytes += identity.length - before;
    });
  }

  async identify(): Promise<string | undefined> {
    this.checkOpen();
    return await this.inner.identify();
  }

  /** Changes under way are given up; resolves when they have ended. Idempotent. */
  async close(): Promise<void> {
    this.ended.abort();
    await Promise.allSettled(this.changes.values());
    await this.inner.close();
  }

  private checkOpen(): void {
    if (this.ended.signal.aborted) throw new SternwayError("unavailable", `${this.url} is being closed`);
  }

  private until(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.ended.signal]) : this.ended.signal;
  }

  /** One change of an object after the other. */
  private async changing(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.changes.get(name);
    const mine = (async () => {
      // How it ended is for whoever asked for it.
      await before?.catch(() => undefined);
      this.checkOpen();
      await this.counted();
      await work();
    })();
    this.changes.set(name, mine);
    try {
      await mine;
    } finally {
      if (this.changes.get(name) === mine) this.changes.delete(name);
    }
  }

  /** Sets space aside for an object, or refuses it. @throws unavailable with facts.code ENOSPC */
  private async setAside(name: string, sizeBytes: number, replacedBytes: number): Promise<void> {
    const { disk, dir, reserveBytes, quotaBytes } = this.options;
    const { freeBytes } = await disk.space(dir);
    // From here on in one turn: puts that come together must not be let in together.
    const taken = this.heldBytes + this.comingBytes;
    if (quotaBytes !== undefined && taken + sizeBytes - replacedBytes > quotaBytes) {
      const facts = { code: "ENOSPC", name, sizeBytes, usedBytes: taken, quotaBytes };
      throw new SternwayError(
        "unavailable",
        `${this.url} is full: ${formatSize(taken)} of ${formatSize(quotaBytes)} are in use, and ${name} has ${formatSize(sizeBytes)}`,
        facts,
      );
    }
    if (freeBytes - this.comingBytes - sizeBytes < reserveBytes) {
      const facts = { code: "ENOSPC", name, sizeBytes, freeBytes, reserveBytes };
      throw new SternwayError("unavailable", `${this.url}: its disk is full but for what is reserved`, facts);
    }
    this.comingBytes += sizeBytes;
  }

  /** Counts once what is there; a count that failed is tried again. */
  private async counted(): Promise<void> {
    this.counting ??= this.count().catch((error: unknown) => {
      this.counting = undefined;
      throw error;
    });
    await this.counting;
  }

  private async count(): Promise<void> {
    // After a restart the place is known again before it is connected to: what it was must not be taken for empty when its mount goes.
    const identity = await this.inner.identify();
    if (identity !== undefined) await this.inner.connect(identity);
    let sum = 0;
    for await (const { sizeBytes } of this.inner.list("", this.ended.signal)) sum += sizeBytes;
    this.heldBytes = sum;
  }
}

const missing = (name: string): SternwayError => new SternwayError("not_found", `there is no object ${name}`, { name });
