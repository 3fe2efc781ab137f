/**
 * The live volume: one per volume, shared by every session attached to it.
 *
 * Blocks are the vault's unit. A write that begins or ends inside a block reads that block, merges and writes it whole, under a lock on the
 * block, so that no other write of it is lost; every version stays readable. Whole-block writes take no lock and make no
 * promise unless a lock, the sealer's pressure or a full journal makes them wait.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Extent, WritableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";
import { BLOCK_SIZE, SECTOR_SIZE, type Lsn, type StrandId } from "../base/units.ts";
import { CLEAR_BLOCKS_MAX, type Vault } from "../vault/vault.ts";
import { extentsAt, readAt } from "./reading.ts";

export class LiveVolume {
  readonly name: string;
  readonly id: number;
  strand: StrandId;
  sizeBytes: number;
  lastLsn: Lsn;
  lastFlushLsn: Lsn;
  lastWriteAt: number;
  attached = 0;
  /** What a client that stayed attached still sends is refused. */
  isDeleted = false;

  private readonly vault: Vault;
  private readonly clock: Clock;
  private readonly writeBytesMax: number;
  /** Blocks under a read-merge-write; a waiter waits for the promise and looks again. */
  private readonly locked = new Map<number, Promise<void>>();

  constructor(
    vault: Vault,
    clock: Clock,
    start: {
      name: string;
      id: number;
      strand: StrandId;
      sizeBytes: number;
      lastLsn: Lsn;
      lastFlushLsn: Lsn;
      lastWriteAt: number;
    },
  ) {
    this.vault = vault;
    this.clock = clock;
    this.writeBytesMax = vault.writeBlocksMax * BLOCK_SIZE;
    this.name = start.name;
    this.id = start.id;
    this.strand = start.strand;
    this.sizeBytes = start.sizeBytes;
    this.lastLsn = start.lastLsn;
    this.lastFlushLsn = start.lastFlushLsn;
    this.lastWriteAt = start.lastWriteAt;
  }

  /** A session's device; counts as attached until closed. */
  attach(): WritableDevice {
    this.attached++;
    return new LiveDevice(this);
  }

  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    return readAt(this.vault, this.strand, this.vault.lastLsn, offset, length, into);
  }

  extents(offset: number, length: number): Promise<Extent[]> {
    return extentsAt(this.vault, this.strand, this.vault.lastLsn, offset, length);
  }

  write(offset: number, data: Uint8Array, fua: boolean): Promise<void> | undefined {
    const isWhole = offset % BLOCK_SIZE === 0 && data.length % BLOCK_SIZE === 0;
    if (!isWhole || data.length > this.writeBytesMax || this.locked.size > 0)
      return this.writeSlowly(offset, data, fua);
    const delay = this.vault.delayMs(data.length);
    if (delay > 0 || !this.vault.tryWrite(this.strand, offset / BLOCK_SIZE, data)) {
      return this.writeSlowly(offset, data, fua, delay);
    }
    this.wrote();
    return fua ? this.flushed() : undefined;
  }

  /** @param isHole - trim; else zeroes that stay allocated in the client's eyes */
  clear(offset: number, length: number, isHole: boolean, fua: boolean): Promise<void> | undefined {
    const isWhole = offset % BLOCK_SIZE === 0 && length % BLOCK_SIZE === 0;
    const isQuick = isWhole && length <= CLEAR_BLOCKS_MAX * BLOCK_SIZE && this.locked.size === 0;
    if (!isQuick || !this.vault.tryClear(this.strand, offset / BLOCK_SIZE, length / BLOCK_SIZE, isHole)) {
      return this.clearSlowly(offset, length, isHole, fua);
    }
    this.wrote();
    return fua ? this.flushed() : undefined;
  }

  async flush(): Promise<Lsn> {
    const target = this.vault.lastLsn;
    let at = target;
    if (this.lastLsn > this.lastFlushLsn) {
      at = this.vault.recordFlush(this.strand) ?? target;
      this.lastFlushLsn = at;
    }
    await this.vault.durable(target);
    return at;
  }

  /** @throws not_found: deleted */
  checkExists(): void {
    if (this.isDeleted) throw new SternwayError("not_found", `volume ${this.name} was deleted`, { volume: this.name });
  }

  /** @throws not_found: deleted; invalid: past the end */
  private checkStill(offset: number, length: number): void {
    this.checkExists();
    checkRange(offset, length, this.sizeBytes);
  }

  private async flushed(): Promise<void> {
    await this.flush();
  }

  private wrote(): void {
    this.lastLsn = this.vault.lastLsn;
    this.lastWriteAt = this.clock.wall();
  }

  private async writeSlowly(
    offset: number,
    data: Uint8Array,
    fua: boolean,
    delayMs = this.vault.delayMs(data.length),
  ): Promise<void> {
    if (delayMs > 0) await this.clock.sleep(delayMs);
    let done = 0;
    while (done < data.length) {
      const at = offset + done;
      const inBlock = at % BLOCK_SIZE;
      const left = data.length - done;
      // While it waited, the volume may have been shrunk or deleted; bytes past the end would come back when it grows again.
      const check = (length: number): void => this.checkStill(at, length);
      if (inBlock > 0 || left < BLOCK_SIZE) {
        const part = Math.min(left, BLOCK_SIZE - inBlock);
        await this.mergeBlock(Math.floor(at / BLOCK_SIZE), inBlock, data.subarray(done, done + part), () =>
          check(part),
        );
        done += part;
        continue;
      }
      const part = Math.min(this.writeBytesMax, Math.floor(left / BLOCK_SIZE) * BLOCK_SIZE);
      const firstBlock = at / BLOCK_SIZE;
      await this.whenUnlocked(firstBlock, part / BLOCK_SIZE, () => {
        check(part);
        return this.vault.tryWrite(this.strand, firstBlock, data.subarray(done, done + part));
      });
      done += part;
    }
    if (fua) await this.flush();
  }

  private async clearSlowly(offset: number, length: number, isHole: boolean, fua: boolean): Promise<void> {
    const end = offset + length;
    let at = offset;
    while (at < end) {
      const inBlock = at % BLOCK_SIZE;
      if (inBlock > 0 || end - at < BLOCK_SIZE) {
        const part = Math.min(end - at, BLOCK_SIZE - inBlock);
        await this.mergeBlock(Math.floor(at / BLOCK_SIZE), inBlock, new Uint8Array(part), () => this.checkExists());
        at += part;
        continue;
      }
      const count = Math.min(CLEAR_BLOCKS_MAX, Math.floor((end - at) / BLOCK_SIZE));
      const firstBlock = at / BLOCK_SIZE;
      await this.whenUnlocked(firstBlock, count, () => {
        this.checkExists();
        return this.vault.tryClear(this.strand, firstBlock, count, isHole);
      });
      at += count * BLOCK_SIZE;
    }
    if (fua) await this.flush();
  }

  /** Tries until there is room and no block of the range is locked. */
  private async whenUnlocked(firstBlock: number, count: number, attempt: () => boolean): Promise<void> {
    for (;;) {
      const lock = this.lockIn(firstBlock, count);
      if (lock) {
        await lock;
        continue;
      }
      if (attempt()) break;
      await this.vault.room();
    }
    this.wrote();
  }

  private lockIn(firstBlock: number, count: number): Promise<void> | undefined {
    if (count === 1) return this.locked.get(firstBlock);
    for (const [block, lock] of this.locked) if (block >= firstBlock && block < firstBlock + count) return lock;
    return undefined;
  }

  /** Read, merge, write of one block; the whole of it under its lock. @param check - throws when the write makes no sense any more */
  private async mergeBlock(block: number, inBlock: number, part: Uint8Array, check: () => void): Promise<void> {
    for (let lock = this.locked.get(block); lock; lock = this.locked.get(block)) await lock;
    let unlock!: () => void;
    this.locked.set(block, new Promise((resolve) => (unlock = resolve)));
    try {
      const whole = new Uint8Array(BLOCK_SIZE);
      for (;;) {
        const { strand } = this;
        await this.vault.read(strand, this.vault.lastLsn, block, whole);
        // A forced rollback in between changes what the part is merged into.
        if (strand !== this.strand) continue;
        check();
        whole.set(part, inBlock);
        if (this.vault.tryWrite(strand, block, whole)) break;
        await this.vault.room();
      }
      this.wrote();
    } finally {
      this.locked.delete(block);
      unlock();
    }
  }
}

class LiveDevice implements WritableDevice {
  private readonly volume: LiveVolume;
  private isClosed = false;

  constructor(volume: LiveVolume) {
    this.volume = volume;
  }

  get sizeBytes(): number {
    return this.volume.sizeBytes;
  }

  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    this.check(offset, length);
    return this.volume.read(offset, length, into);
  }

  extents(offset: number, length: number): Promise<Extent[]> {
    this.check(offset, length);
    return this.volume.extents(offset, length);
  }

  write(offset: number, data: Uint8Array, fua: boolean): Promise<void> | undefined {
    this.check(offset, data.length);
    return this.volume.write(offset, data, fua);
  }

  trim(offset: number, length: number, fua: boolean): Promise<void> | undefined {
    this.check(offset, length);
    return this.volume.clear(offset, length, true, fua);
  }

  writeZeroes(offset: number, length: number, mayHole: boolean, fua: boolean): Promise<void> | undefined {
    this.check(offset, length);
    return this.volume.clear(offset, length, mayHole, fua);
  }

  async flush(): Promise<Lsn> {
    this.volume.checkExists();
    return this.volume.flush();
  }

  close(): Promise<void> {
    if (!this.isClosed) this.volume.attached--;
    this.isClosed = true;
    return Promise.resolve();
  }

  private check(offset: number, length: number): void {
    assert(!this.isClosed, "a closed device is not used");
    this.volume.checkExists();
    checkRange(offset, length, this.volume.sizeBytes);
  }
}

/** @throws invalid: not on the grid of 512 bytes, or past the end (the volume may have been shrunk since the client looked) */
export function checkRange(offset: number, length: number, sizeBytes: number): void {
  const isOnGrid = offset >= 0 && length > 0 && offset % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0;
  if (isOnGrid && offset + length <= sizeBytes) return;
  throw new SternwayError(
    "invalid",
    `bytes ${offset} to ${offset + length} are not whole sectors within ${sizeBytes} bytes`,
    {
      offset,
      length,
      sizeBytes,
    },
  );
}
