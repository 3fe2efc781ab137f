/**
 * The map of what a restore could not give, beside its target as `TARGET.damage.jsonl`: one line of JSON for each {@link LostRange}
 * ({"offset": …, "length": …, "why": …}, in bytes), by offset. There is none when everything was given.
 *
 * While the restore runs, lines are appended as damage is met, durable before the sidecar says that the piece they lie in is done. So after an
 * interruption it holds at least what is lost of the pieces that are done; lines of other pieces are dropped, since those are copied again.
 */
import * as fs from "node:fs";
import {
  closeDescriptor,
  errnoOf,
  openDescriptor,
  syncDescriptor,
  systemError,
  writeDescriptor,
} from "../base/descriptor.ts";
import { note, type LostRange } from "./past-damage.ts";
import { PIECE_BYTES } from "./pieces.ts";

export const damageMapPath = (target: string): string => `${target}.damage.jsonl`;

/** Lost ranges so far, and those of them that the file does not hold yet. */
export class DamageMap {
  readonly path: string;
  readonly #ranges: LostRange[];
  #pending: LostRange[] = [];

  /** @param isDone - by piece: whether what an earlier run lost there still counts; undefined: begin anew */
  constructor(target: string, isDone: ((piece: number) => boolean) | undefined) {
    this.path = damageMapPath(target);
    const earlier = isDone ? readMap(this.path) : [];
    if (!isDone) removeMap(this.path);
    this.#ranges = earlier.filter(({ offset }) => isDone?.(Math.floor(offset / PIECE_BYTES)) ?? false);
  }

  get bytes(): number {
    return this.#ranges.reduce((sum, { length }) => sum + length, 0);
  }

  get count(): number {
    return this.#ranges.length;
  }

  /** Notes a range of one piece. */
  add(range: LostRange): void {
    this.#ranges.push(range);
    this.#pending.push(range);
  }

  /** Makes what was noted durable. */
  async append(): Promise<void> {
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    await writeLines(this.path, pending, "append");
  }

  /** Writes the map anew, sorted and merged, as people read it; also before going on, so that lines which no longer count are gone. */
  async settle(): Promise<void> {
    this.#pending = [];
    const sorted: LostRange[] = [];
    for (const range of this.#ranges.toSorted((a, b) => a.offset - b.offset)) note(sorted, { ...range });
    this.#ranges.splice(0, Infinity, ...sorted);
    if (sorted.length === 0) return removeMap(this.path);
    const temporary = `${this.path}.tmp`;
    removeMap(temporary);
    await writeLines(temporary, sorted, "new");
    fs.renameSync(temporary, this.path);
  }
}

/** Whether an earlier run left a map of losses. */
export const hasDamageMap = (target: string): boolean => fs.existsSync(damageMapPath(target));

function readMap(path: string): LostRange[] {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw systemError(error, `cannot read ${path}`);
  }
  // What follows the last line break was torn while it was appended, so its piece is not done.
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LostRange);
}

async function writeLines(path: string, ranges: readonly LostRange[], mode: "append" | "new"): Promise<void> {
  const fd = openDescriptor(path, fs.constants.O_RDWR | fs.constants.O_CREAT);
  try {
    const offset = mode === "append" ? wholeLines(fd) : 0;
    const text = ranges.map((range) => `${JSON.stringify(range)}\n`).join("");
    await writeDescriptor(fd, new TextEncoder().encode(text), offset, path);
    await syncDescriptor(fd, path);
  } finally {
    closeDescriptor(fd);
  }
}

/** Where the last whole line ends: a torn one behind it is written over. */
function wholeLines(fd: number): number {
  const text = fs.readFileSync(fd);
  const end = text.lastIndexOf(0x0a) + 1;
  fs.ftruncateSync(fd, end);
  return end;
}

function removeMap(path: string): void {
  try {
    fs.rmSync(path, { force: true });
  } catch (error) {
    throw systemError(error, `cannot remove ${path}`);
  }
}
