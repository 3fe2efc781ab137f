/**
 * A stretch: what one closed journal file holds, read back for sealing. Its entries are sorted by place, so that the sealer
 * sees runs; its payload lies in one buffer, and every block of it has been checked against its fingerprint again, by xxhash-wasm
 * where the answering path used Bun's own XXH64.
 */
import { assert } from "../../base/assert.ts";
import type { DiskFile } from "../../base/disk.ts";
import { SternwayError } from "../../base/errors.ts";
import { xxh64Wasm } from "../../base/hash.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import { PAGE_SIZE, type FileIdentity } from "../../journal/format.ts";
import { readGroups } from "../../journal/scan.ts";
import { ChronicleBuilder } from "../chronicles/chronicle-builder.ts";
import type { ChronicleRow } from "../chronicles/chronicle.ts";
import type { Level } from "../map.ts";
import { forEachPlace } from "../memtable.ts";

/** Where an entry's bytes are: a page of the payload, or one of these. */
export const PAGE_ZERO = -1;
export const PAGE_HOLE = -2;

/** Entries of one strand and level, sorted by (index, lsn). */
export interface StretchRun {
  strand: number;
  level: Level;
  length: number;
  index: Uint32Array;
  lsn: Float64Array;
  /** Page of the payload, or PAGE_ZERO, PAGE_HOLE. */
  page: Int32Array;
}

export interface Stretch {
  /** Sorted by (strand, level). */
  runs: StretchRun[];
  payload: Uint8Array;
  /** By page. */
  prints: BigUint64Array;
  rows: ChronicleRow[];
  lastGroupSequence: number;
}

/** Most entries of one strand and level: their ordinals take 20 bits of the sort key beside 32 of the index. */
export const STRETCH_ENTRIES_MAX = 2 ** 20;

class RunCollector {
  readonly strand: number;
  readonly level: Level;
  private length = 0;
  private index = new Uint32Array(256);
  private lsn = new Float64Array(256);
  private page = new Int32Array(256);

  constructor(strand: number, level: Level) {
    this.strand = strand;
    this.level = level;
  }

  add(index: number, lsn: number, page: number): void {
    if (this.length === this.index.length) this.grow();
    this.index[this.length] = index;
    this.lsn[this.length] = lsn;
    this.page[this.length] = page;
    this.length++;
  }

  /** Sorts by index; entries of one index keep their order, which is that of their LSNs. */
  sorted(): StretchRun {
    assert(
      this.length <= STRETCH_ENTRIES_MAX,
      "the vault closes a journal file before it holds more entries than can be sorted",
    );
    const keys = new Float64Array(this.length);
    for (let i = 0; i < this.length; i++) keys[i] = this.index[i]! * STRETCH_ENTRIES_MAX + i;
    keys.sort();
    const run = {
      strand: this.strand,
      level: this.level,
      length: this.length,
      index: new Uint32Array(this.length),
      lsn: new Float64Array(this.length),
      page: new Int32Array(this.length),
    };
    for (let i = 0; i < this.length; i++) {
      const from = keys[i]! % STRETCH_ENTRIES_MAX;
      run.index[i] = this.index[from]!;
      run.lsn[i] = this.lsn[from]!;
      run.page[i] = this.page[from]!;
    }
    return run;
  }

  private grow(): void {
    const size = this.index.length * 2;
    const index = new Uint32Array(size);
    index.set(this.index);
    this.index = index;
    const lsn = new Float64Array(size);
    lsn.set(this.lsn);
    this.lsn = lsn;
    const page = new Int32Array(size);
    page.set(this.page);
    this.page = page;
  }
}

/**
 * Reads the first `groupCount` groups of a file.
 * @param buffer - takes the payload; as large as the file's payload can be
 * @throws corrupt: the file does not hold so many valid groups
 */
export async function readStretch(
  file: DiskFile,
  fileBytes: number,
  identity: FileIdentity,
  groupCount: number,
  buffer: Uint8Array,
): Promise<Stretch> {
  const runs = new Map<string, RunCollector>();
  const collector = (strand: number, level: Level): RunCollector => {
    const key = `${String(strand).padStart(10, "0")}/${level}`;
    let run = runs.get(key);
    if (!run) runs.set(key, (run = new RunCollector(strand, level)));
    return run;
  };
  const prints = new BigUint64Array(Math.floor(buffer.length / PAGE_SIZE));
  const rows = new ChronicleBuilder();
  let pages = 0;
  let groups = 0;
  let lastGroupSequence = 0;
  for await (const group of readGroups(file, fileBytes, identity, groupCount)) {
    buffer.set(group.payload, pages * PAGE_SIZE);
    const groupPages = group.payload.length / PAGE_SIZE;
    for (let page = 0; page < groupPages; page++) prints[pages + page] = group.print(page);
    for (const entry of group.entries) {
      rows.add(entry);
      if (entry.kind === "write") {
        const run = collector(entry.strand, 0);
        for (let i = 0; i < entry.count; i++) run.add(entry.firstBlock + i, entry.lsn, pages + entry.page + i);
      } else if (entry.kind === "zero" || entry.kind === "trim") {
        const page = entry.kind === "zero" ? PAGE_ZERO : PAGE_HOLE;
        forEachPlace(entry.firstBlock, entry.count, (level, index) =>
          collector(entry.strand, level).add(index, entry.lsn, page),
        );
      }
    }
    rows.closeGroup(group.header.wall);
    pages += groupPages;
    groups++;
    lastGroupSequence = group.header.groupSequence;
  }
  if (groups !== groupCount) {
    throw new SternwayError("corrupt", `journal file holds ${groups} valid groups of ${groupCount}`, {
      fileSequence: identity.fileSequence,
    });
  }
  const sorted = [...runs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, run]) => run.sorted());
  return { runs: sorted, payload: buffer, prints, rows: rows.take(), lastGroupSequence };
}

/** The block on a payload page, proved by the second implementation. @throws corrupt: memory or disk changed it */
export function provedPage(stretch: Stretch, page: number, seed: bigint): Uint8Array {
  const block = stretch.payload.subarray(page * BLOCK_SIZE, (page + 1) * BLOCK_SIZE);
  if (xxh64Wasm(block, seed) !== stretch.prints[page]) {
    throw new SternwayError("corrupt", "a block changed between the journal and its pack", { page });
  }
  return block;
}
