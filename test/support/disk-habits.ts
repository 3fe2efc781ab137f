/**
 * What machines do to their disks, as the sealer would measure it: a model of a file system's blocks (empty, plain, dense), and habits that write to it. Each
 * step of a habit lasts five seconds and gives one slice. Deterministic by seed.
 */
import type { Random } from "../../src/base/random.ts";
import type { Observation } from "../../src/signals/detector.ts";

const NONE = 0;
const PLAIN = 1;
const DENSE = 2;
const STEP_MICROS = 5e6;

interface File {
  blocks: number[];
  dense: boolean;
}

export type Habit =
  "idle" | "upgrade" | "database" | "video" | "restore" | "defragment" | "edit" | "swap" | "mail" | "encrypt";

export class DiskModel {
  files: File[] = [];
  /** Wall time, microseconds. */
  now = 1_800_000_000e6;
  lsn = 100;
  readonly random: Random;
  readonly options: { blocks?: number; trims?: boolean; dense?: boolean };
  private readonly content: Uint8Array;
  private readonly trims: boolean;
  private slice: Observation = this.empty();
  private free: number[] = [];

  /** @param options.trims - removed files' blocks are told to the disk @param options.dense - an encrypted disk: whatever is written looks random */
  constructor(random: Random, options: { blocks?: number; trims?: boolean; dense?: boolean } = {}) {
    this.options = options;
    const { blocks = 65_536, trims = false } = options;
    this.random = random;
    this.trims = trims;
    this.content = new Uint8Array(blocks);
    for (let block = blocks - 1; block >= 256; block--) this.free.push(block);
    for (let i = 0; i < 256; i++) this.content[i] = options.dense === true ? DENSE : PLAIN;
  }

  /** Files of a machine in use: some plain, some dense. @param share - of the disk */
  populate(share: number): void {
    const wanted = this.content.length * share;
    let used = 0;
    while (used < wanted) used += this.create(1 + this.random.below(200), this.random.below(5) === 0);
    this.take();
  }

  /** One step of a habit. @param pace - blocks of it, about */
  step(habit: Habit, pace: number): Observation {
    const { random } = this;
    this.metadata(2 + random.below(10));
    let left = habit === "idle" ? 0 : Math.max(8, Math.round(pace * (0.5 + random.below(1000) / 1000)));
    while (left > 0) left -= Math.max(1, this.act(habit, left));
    if (random.below(3) > 0) this.flush();
    return this.take();
  }

  private act(habit: Habit, left: number): number {
    const { random } = this;
    const file = this.files[random.below(Math.max(1, this.files.length))];
    switch (habit) {
      case "idle":
        return left;
      case "upgrade": {
        // Old files go, new ones come, a tenth of them compressed; the archive is fetched first and removed in the end.
        if (file && random.below(2) === 0) this.remove(file);
        return this.create(1 + random.below(60), random.below(10) === 0);
      }
      case "database":
        if (!file || file.dense) return this.create(64, false);
        this.over(file.blocks[random.below(file.blocks.length)]!, random.below(50) === 0);
        return 1;
      case "video":
        return this.create(Math.min(left, 2048), true);
      case "mail":
        // Small files, a third with attachments, old ones removed.
        if (file && random.below(3) === 0) this.remove(file);
        return this.create(1 + random.below(12), random.below(3) === 0);
      case "edit":
        if (!file) return this.create(20, false);
        for (const block of file.blocks) this.over(block, file.dense);
        return file.blocks.length;
      case "restore":
        if (!file) return this.create(20, false);
        for (const block of file.blocks) this.duplicate(block, file.dense);
        return file.blocks.length;
      case "defragment": {
        if (!file || this.free.length < file.blocks.length) return left;
        const moved = this.allocate(file.blocks.length);
        for (const block of moved) this.duplicate(block, file.dense);
        this.release(file.blocks);
        file.blocks = moved;
        return moved.length;
      }
      case "swap":
        this.over(random.below(256), random.below(4) === 0);
        return 1;
      case "encrypt": {
        const victim = this.files.find((each) => !each.dense);
        if (!victim) return left;
        victim.dense = true;
        for (const block of victim.blocks) this.over(block, true);
        return victim.blocks.length;
      }
    }
  }

  private create(length: number, dense: boolean): number {
    const blocks = this.allocate(Math.min(length, this.free.length));
    if (blocks.length === 0) {
      const oldest = this.files[0];
      if (oldest) this.remove(oldest);
      return 1;
    }
    for (const block of blocks) this.over(block, dense);
    this.files.push({ blocks, dense });
    return blocks.length;
  }

  /** Mostly from never used space, as file systems do while they have it. */
  private allocate(count: number): number[] {
    return this.free.splice(Math.max(0, this.free.length - count), count).reverse();
  }

  private remove(file: File): void {
    this.files.splice(this.files.indexOf(file), 1);
    this.release(file.blocks);
    if (this.trims) for (const block of file.blocks) this.content[block] = NONE;
  }

  private release(blocks: readonly number[]): void {
    // Freed places are used again after those that were free before, mostly.
    if (this.random.below(3) === 0) this.free.push(...blocks.toReversed());
    else this.free.unshift(...blocks.toReversed());
  }

  private metadata(count: number): void {
    for (let i = 0; i < count; i++) this.over(this.random.below(256), false);
  }

  private over(block: number, dense: boolean): void {
    const isDense = dense || this.options.dense === true;
    this.lsn++;
    this.slice.fresh++;
    if (isDense && this.content[block] === PLAIN) {
      this.slice.turned++;
      if (this.slice.turnedLsn === 0) {
        this.slice.turnedLsn = this.lsn;
        this.slice.flushBefore = this.slice.flushLsn;
      }
    }
    this.content[block] = isDense ? DENSE : PLAIN;
  }

  private duplicate(block: number, dense: boolean): void {
    this.lsn++;
    this.slice.duplicate++;
    this.content[block] = dense || this.options.dense === true ? DENSE : PLAIN;
  }

  private flush(): void {
    this.lsn++;
    this.slice.flushLsn = this.lsn;
  }

  private take(): Observation {
    const { slice } = this;
    slice.from = this.now;
    this.now += STEP_MICROS;
    slice.to = this.now - 1;
    slice.lastLsn = this.lsn;
    this.slice = this.empty();
    return slice;
  }

  private empty(): Observation {
    return {
      from: 0,
      to: 0,
      firstLsn: this.lsn + 1,
      lastLsn: 0,
      flushLsn: 0,
      fresh: 0,
      duplicate: 0,
      turned: 0,
      turnedLsn: 0,
      flushBefore: 0,
      unknown: 0,
    };
  }
}
