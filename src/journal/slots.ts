/**
 * The journal's files on disk: prewritten once, then recycled. Prewriting is what makes a synced append cheap (no
 * allocation, no size change: 5,400–5,900 a second against 2,000 for a file that is only preallocated).
 */
import type { Disk, DiskFile } from "../base/disk.ts";
import { isSternwayError } from "../base/errors.ts";

export interface Slot {
  name: string;
  file: DiskFile;
  /** A write to it failed: never used again. */
  failed: boolean;
}

export interface SlotPoolOptions {
  disk: Disk;
  dir: string;
  fileBytes: number;
  filesMax: number;
  reserveBytes: number;
}

const PREWRITE_BYTES = 2 ** 20;

export class SlotPool {
  /** Called whenever a slot becomes free. */
  onFree: () => void = () => undefined;
  /** Called when a slot could not be added. */
  onStuck: () => void = () => undefined;
  /** Why the last attempt to create a file failed, until one succeeds. */
  creationError: unknown;

  private readonly options: SlotPoolOptions;
  private readonly all: Slot[];
  private readonly free: Slot[];
  private creating: Promise<void> | undefined;
  private closed = false;

  private constructor(options: SlotPoolOptions, slots: Slot[]) {
    this.options = options;
    this.all = slots;
    this.free = [...slots];
  }

  /** Names of the slot files in a folder. */
  static async list({ disk, dir, fileBytes }: SlotPoolOptions): Promise<string[]> {
    const names: string[] = [];
    for (const name of await disk.list(dir)) {
      if (/^\d{4}\.journal$/.test(name) && (await disk.sizeOf(`${dir}/${name}`)) === fileBytes) names.push(name);
    }
    return names;
  }

  /**
   * The same, after removing files of another size: prewrites that a crash cut short. To be called only when recovery found no damage, or
   * they might be its trace.
   */
  static async find(options: SlotPoolOptions): Promise<string[]> {
    const { disk, dir } = options;
    const whole = await SlotPool.list(options);
    for (const name of await disk.list(dir)) {
      if (/^\d{4}\.journal$/.test(name) && !whole.includes(name)) await disk.remove(`${dir}/${name}`);
    }
    return whole;
  }

  /** Opens the found slots; for writing, and with at least one, unless `readOnly`. */
  static async open(options: SlotPoolOptions, names: readonly string[], readOnly = false): Promise<SlotPool> {
    const slots: Slot[] = [];
    const mode = readOnly ? "read" : "write-through";
    for (const name of names) {
      slots.push({ name, file: await options.disk.open(`${options.dir}/${name}`, mode), failed: false });
    }
    const pool = new SlotPool(options, slots);
    if (slots.length === 0 && !readOnly) await pool.create();
    return pool;
  }

  get hasFree(): boolean {
    return this.free.length > 0;
  }

  /** Whether another file is on its way. */
  get isCreating(): boolean {
    return this.creating !== undefined;
  }

  get count(): number {
    return this.all.length;
  }

  byName(name: string): Slot | undefined {
    return this.all.find((slot) => slot.name === name);
  }

  /** Takes a certain slot out of the free ones. */
  take(slot: Slot): void {
    const at = this.free.indexOf(slot);
    if (at >= 0) this.free.splice(at, 1);
  }

  /** A free slot, or undefined; has another one made in the background when this was the last. */
  takeFree(): Slot | undefined {
    const slot = this.free.shift();
    if (this.free.length === 0) this.provide();
    return slot;
  }

  /** Returns a slot for the next use. */
  give(slot: Slot): void {
    if (slot.failed || this.closed) return;
    this.free.push(slot);
    this.onFree();
  }

  /** Starts creating a slot in the background, if one may be added and none is on its way. */
  provide(): void {
    if (this.closed || this.creating || this.usable >= this.options.filesMax) return;
    this.creating = this.create()
      .then(() => {
        this.creationError = undefined;
      })
      .catch((error: unknown) => {
        // Out of space is no reason to fail: recycled files go on. The vault looks at it when none is left.
        this.creationError = error;
      })
      .finally(() => {
        this.creating = undefined;
        if (this.closed) return;
        if (this.free.length > 0) this.onFree();
        else this.onStuck();
      });
  }

  /** Waits until a slot that may be added has been, or could not be. */
  async provideNow(): Promise<void> {
    this.provide();
    await this.creating;
  }

  /** Waits for the background and closes every file. */
  async close(): Promise<void> {
    this.closed = true;
    await this.creating;
    for (const slot of this.all) await slot.file.close();
  }

  private get usable(): number {
    return this.all.filter((slot) => !slot.failed).length;
  }

  private async create(): Promise<void> {
    const { disk, dir, fileBytes, reserveBytes } = this.options;
    const { freeBytes } = await disk.space(dir);
    if (this.all.length > 0 && freeBytes < reserveBytes + fileBytes) return;
    const last = this.all.reduce((max, slot) => Math.max(max, Number.parseInt(slot.name, 10)), -1);
    const name = `${String(last + 1).padStart(4, "0")}.journal`;
    const path = `${dir}/${name}`;
    await disk.remove(path);
    try {
      const file = await disk.open(path, "create");
      try {
        const zeroes = disk.allocate(Math.min(PREWRITE_BYTES, fileBytes));
        for (let offset = 0; offset < fileBytes; offset += zeroes.length) {
          await file.write(zeroes.subarray(0, Math.min(zeroes.length, fileBytes - offset)), offset);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await disk.syncDir(dir);
    } catch (error) {
      await disk.remove(path).catch((cause: unknown) => {
        if (!isSternwayError(cause)) throw cause;
      });
      throw error;
    }
    const slot = { name, file: await disk.open(path, "write-through"), failed: false };
    this.all.push(slot);
    if (this.closed) await slot.file.close();
    else this.free.push(slot);
  }
}
