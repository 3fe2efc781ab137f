import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../../../src/base/assert.ts";
import { isSternwayError, SternwayError } from "../../../../src/base/errors.ts";
import { xxh64 } from "../../../../src/base/hash.ts";
import { seededRandom, type Random } from "../../../../src/base/random.ts";
import { SHORT_TURN_MICROS, Turn } from "../../../../src/base/turns.ts";
import { concatChronicles, writeChronicle } from "../../../../src/vault/chronicles/chronicle.ts";
import type { ChronicleMeta, ChroniclePage, ChronicleRow } from "../../../../src/vault/chronicles/chronicle-format.ts";
import {
  emptyTally,
  openChronicle,
  type ChronicleReader,
  type ChronicleTally,
} from "../../../../src/vault/chronicles/chronicle-reader.ts";
import { PageCache } from "../../../../src/vault/files/page-cache.ts";
import { VAULT_ID } from "../../../support/layer-model.ts";
import { MemoryDisk } from "../../../support/memory-disk.ts";
import { forge } from "../../../support/paged-forgery.ts";

const SEED = Number(process.env["TEST_SEED"] ?? 20_261_121);
const START = 1_795_000_000_000_000;

const pathOf = (id: number): string => `vault/chronicle-${id}`;

function write(
  disk: MemoryDisk,
  id: number,
  rows: ChronicleRow[],
  firstLsn: number,
  lastLsn: number,
): Promise<ChronicleMeta> {
  return writeChronicle({ disk, path: pathOf(id), vaultId: VAULT_ID, id, firstLsn, lastLsn, rows });
}

function open(disk: MemoryDisk, meta: ChronicleMeta, vaultId = VAULT_ID): Promise<ChronicleReader> {
  const cache = new PageCache<ChroniclePage>(16 * 2 ** 20);
  return openChronicle({ disk, path: pathOf(meta.id), vaultId, meta, cache });
}

async function rowsOf(rows: AsyncIterable<ChronicleRow>): Promise<ChronicleRow[]> {
  const all: ChronicleRow[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

/** Groups of 1 to 4 strands whose LSNs interleave; some groups hold nothing but a flush. */
function history(random: Random, groups: number, firstLsn = 1, strands = 6): { rows: ChronicleRow[]; lastLsn: number } {
  const rows: ChronicleRow[] = [];
  let next = firstLsn;
  let time = START;
  for (let group = 0; group < groups; group++) {
    time += random.below(5) === 0 ? 0 : random.below(3_000_000);
    const touched = new Set(Array.from({ length: 1 + random.below(4) }, () => 1 + random.below(strands)));
    const made: ChronicleRow[] = [];
    for (const strand of touched) {
      const empty = { strand, time, writes: 0, writtenBytes: 0, clearedBytes: 0 };
      if (next > 1 && random.below(6) === 0)
        made.push({ ...empty, firstLsn: next - 1, lastLsn: next - 1, flushLsn: next - 1 });
      else made.push({ ...empty, firstLsn: next++, lastLsn: 0, flushLsn: 0 });
    }
    for (const row of made) {
      if (row.lastLsn !== 0) continue;
      row.writes = 1 + random.below(500);
      row.writtenBytes = row.writes * 4096;
      row.clearedBytes = random.below(3) * 2 ** 30;
      // Later rows may end before earlier ones: LSNs of a group interleave.
      row.lastLsn = Math.max(row.firstLsn, next++);
    }
    for (const row of made)
      if (row.writes > 0 && random.below(3) === 0) row.flushLsn = random.below(2) === 0 ? row.lastLsn : next - 1;
    made.sort((a, b) => a.firstLsn - b.firstLsn);
    rows.push(...made);
  }
  return { rows, lastLsn: next - 1 };
}

const highest = (row: ChronicleRow): number => Math.max(row.lastLsn, row.flushLsn);

describe("writeChronicle() and ChronicleReader", () => {
  test("rows() gives back what was written, at the ends of every range", async () => {
    const disk = new MemoryDisk();
    const max = Number.MAX_SAFE_INTEGER;
    const row = {
      strand: 0,
      firstLsn: 0,
      lastLsn: 0,
      time: 0,
      writes: 0,
      writtenBytes: 0,
      clearedBytes: 0,
      flushLsn: 0,
    };
    const rows: ChronicleRow[] = [
      row,
      {
        ...row,
        strand: 2 ** 32 - 1,
        firstLsn: 1,
        lastLsn: 2 ** 40,
        time: 5,
        writes: max,
        writtenBytes: max,
        clearedBytes: max,
      },
      { ...row, firstLsn: 2 ** 40, lastLsn: 2 ** 40, time: max, flushLsn: 1 },
      { ...row, firstLsn: 2 ** 40, lastLsn: 2 ** 40, time: max, flushLsn: 2 ** 40 + 1 },
    ];
    const reader = await open(disk, await write(disk, 1, rows, 0, max));
    expect(await rowsOf(reader.rows())).toEqual(rows);
    await reader.close();
    expect(disk.openFiles).toBe(0);
  });

  test("meta says what the file is, and survives JSON", async () => {
    const disk = new MemoryDisk();
    const { rows, lastLsn } = history(seededRandom(SEED), 3_000);
    const meta = await write(disk, 1, rows, 1, lastLsn);
    const bytes = disk.files.get(pathOf(1))!;
    expect(meta).toEqual({
      id: 1,
      firstLsn: 1,
      lastLsn,
      firstTime: rows[0]!.time,
      lastTime: rows.at(-1)!.time,
      rows: rows.length,
      sizeBytes: bytes.length,
      checksum: xxh64(bytes, 0n).toString(16).padStart(16, "0"),
    });
    await (await open(disk, JSON.parse(JSON.stringify(meta)))).close();
  });

  test("an empty chronicle dates nothing", async () => {
    const disk = new MemoryDisk();
    const reader = await open(disk, await write(disk, 1, [], 5, 9));
    expect(await reader.lsnAt(START)).toBeUndefined();
    expect(await reader.timeAt(7)).toBeUndefined();
    expect(reader.pages()).toEqual([]);
    expect(await rowsOf(reader.rows())).toEqual([]);
  });

  test("refuses rows out of order or out of its LSNs, and leaves no file", async () => {
    const good = {
      strand: 1,
      firstLsn: 5,
      lastLsn: 6,
      time: 50,
      writes: 1,
      writtenBytes: 1,
      clearedBytes: 0,
      flushLsn: 0,
    };
    for (const change of [
      { firstLsn: 4 },
      { time: 49 },
      { lastLsn: 4 },
      { lastLsn: 10 },
      { flushLsn: 10 },
      { strand: -1 },
    ]) {
      const disk = new MemoryDisk();
      expect(await failure(write(disk, 1, [good, { ...good, ...change }], 5, 9))).toBeInstanceOf(AssertionError);
      expect([...disk.files.keys()]).toEqual([]);
    }
    const disk = new MemoryDisk();
    disk.writesLeft = 0;
    expect(isSternwayError(await failure(write(disk, 1, [good], 5, 9)), "unavailable")).toBe(true);
    expect([...disk.files.keys()]).toEqual([]);
  });
});

describe("questions to a chronicle", () => {
  const random = seededRandom(SEED);
  const disk = new MemoryDisk();
  const { rows, lastLsn } = history(random, 7_000);
  const reader = write(disk, 1, rows, 1, lastLsn).then((meta) => open(disk, meta));

  test("lsnAt() is the highest LSN at or before a time", async () => {
    const chronicle = await reader;
    const times = Array.from({ length: 300 }, () => rows[random.below(rows.length)]!.time + random.below(3) - 1);
    for (const time of [0, START - 1, START, rows.at(-1)!.time, Number.MAX_SAFE_INTEGER, ...times]) {
      const before = rows.filter((row) => row.time <= time);
      expect(await chronicle.lsnAt(time)).toBe(before.length === 0 ? undefined : Math.max(...before.map(highest)));
    }
  });

  test("lsnAt() sees a group's highest LSN on the page before", async () => {
    const apart = new MemoryDisk();
    const row = { strand: 1, time: START, writes: 1, writtenBytes: 4096, clearedBytes: 0, flushLsn: 0 };
    const group: ChronicleRow[] = Array.from({ length: 4_096 }, (_, i) => ({
      ...row,
      firstLsn: 1 + i,
      lastLsn: 1 + i,
    }));
    group[4_095]!.lastLsn = 9_000;
    group.push({ ...row, strand: 2, firstLsn: 4_097, lastLsn: 4_097 });
    group.push({ ...row, firstLsn: 9_001, lastLsn: 9_001, time: START + 10 });
    const chronicle = await open(apart, await write(apart, 1, group, 1, 9_001));
    expect(chronicle.pages().length).toBe(2);
    expect(await chronicle.lsnAt(START + 9)).toBe(9_000);
    expect(await chronicle.lsnAt(START + 10)).toBe(9_001);
  });

  test("timeAt() is the time of the last row that begins at or before an LSN", async () => {
    const chronicle = await reader;
    for (const lsn of [0, 1, lastLsn, lastLsn + 5, ...Array.from({ length: 300 }, () => random.below(lastLsn))]) {
      expect(await chronicle.timeAt(lsn)).toBe(rows.findLast((row) => row.firstLsn <= lsn)?.time);
    }
  });

  test("rows() filters by time, strand, LSN and flush point", async () => {
    const chronicle = await reader;
    for (let round = 0; round < 60; round++) {
      const [a, b] = [rows[random.below(rows.length)]!, rows[random.below(rows.length)]!];
      const maybe = <T>(value: T): T | undefined => (random.below(2) === 0 ? value : undefined);
      const fromTime = maybe(a.time) ?? 0;
      const toTime = maybe(b.time) ?? Infinity;
      const strand = maybe(1 + random.below(7));
      const afterLsn = maybe(a.firstLsn) ?? -1;
      const throughLsn = maybe(b.lastLsn) ?? Infinity;
      const flushPoints = random.below(2) === 0;
      const wanted = rows.filter(
        (row) =>
          row.time >= fromTime &&
          row.time < toTime &&
          (strand === undefined || row.strand === strand) &&
          highest(row) > afterLsn &&
          row.firstLsn <= throughLsn &&
          (!flushPoints || row.flushLsn > 0),
      );
      const range = {
        fromTime,
        toTime,
        afterLsn,
        throughLsn,
        flushPoints,
        ...(strand === undefined ? {} : { strand }),
      };
      expect(await rowsOf(chronicle.rows(range))).toEqual(wanted);
    }
  });

  test("tally() sums up as the rows do, whatever the intervals", async () => {
    const chronicle = await reader;
    const end = rows.at(-1)!.time + 1;
    for (let round = 0; round < 40; round++) {
      const count = 1 + random.below(round % 2 === 0 ? 8 : 3_000);
      // Every third time the edges are times of rows, which belong to the interval that begins there.
      const edge = (): number =>
        round % 3 === 0 ? rows[random.below(rows.length)]!.time : START + random.below(end - START);
      const edges = [START, ...Array.from({ length: count - 1 }, edge), end].sort((a, b) => a - b);
      const strand = 1 + random.below(7);
      const afterLsn = random.below(2) === 0 ? -1 : random.below(lastLsn);
      const throughLsn = random.below(2) === 0 ? Infinity : random.below(lastLsn);
      const expected: ChronicleTally[] = edges.slice(1).map(() => emptyTally());
      for (const row of rows) {
        if (row.strand !== strand || row.firstLsn <= afterLsn || row.firstLsn > throughLsn) continue;
        const bucket = expected[edges.findLastIndex((edge) => edge <= row.time)]!;
        bucket.writes += row.writes;
        bucket.writtenBytes += row.writtenBytes;
        bucket.clearedBytes += row.clearedBytes;
        bucket.flushPoints += row.flushLsn > 0 ? 1 : 0;
        bucket.lastLsn = Math.max(bucket.lastLsn, Math.min(highest(row), throughLsn));
      }
      const found = edges.slice(1).map(() => emptyTally());
      await chronicle.tally({ strand, edges, afterLsn, throughLsn }, found);
      expect(found).toEqual(expected);
    }
  });

  test("tally() decodes only pages that an edge cuts", async () => {
    const meta = (await reader).meta;
    const fresh = await open(disk, meta);
    expect(fresh.pages().length).toBeGreaterThan(3);
    disk.reads = 0;
    await fresh.tally({ strand: 1, edges: [START, rows.at(-1)!.time + 1] }, [emptyTally()]);
    expect(disk.reads).toBe(0);
    const middle = rows[6_000]!.time;
    await fresh.tally({ strand: 1, edges: [START, middle, rows.at(-1)!.time + 1] }, [emptyTally(), emptyTally()]);
    expect(disk.reads).toBe(1);
  });

  test("tally() ends a turn that is over before each page that it takes apart, and sums up the same", async () => {
    const chronicle = await reader;
    const end = rows.at(-1)!.time + 1;
    const edges = [START, ...rows.filter((_, i) => i % 500 === 499).map((row) => row.time), end];
    const [atOnce, inTurns] = [edges.slice(1).map(emptyTally), edges.slice(1).map(emptyTally)];
    await chronicle.tally({ strand: 1, edges }, atOnce);
    let now = 0;
    let pauses = 0;
    const clock = { monotonic: () => (now += SHORT_TURN_MICROS), sleep: async () => void pauses++ };
    await chronicle.tally({ strand: 1, edges }, inTurns, new Turn(clock, SHORT_TURN_MICROS));
    expect(inTurns).toEqual(atOnce);
    expect(pauses).toBe(chronicle.pages().length);
  });

  test("a page with more strands than totals are kept for is decoded instead", async () => {
    const many = new MemoryDisk();
    const wide = history(seededRandom(SEED + 1), 3_000, 1, 200);
    const chronicle = await open(many, await write(many, 1, wide.rows, 1, wide.lastLsn));
    expect(chronicle.pages()[0]!.totals).toBeUndefined();
    const tally = emptyTally();
    await chronicle.tally({ strand: 77, edges: [START, Number.MAX_SAFE_INTEGER] }, [tally]);
    expect(tally.writes).toBe(wide.rows.filter((row) => row.strand === 77).reduce((sum, row) => sum + row.writes, 0));
  });
});

describe("concatChronicles()", () => {
  test("gives one chronicle with all rows", async () => {
    const disk = new MemoryDisk();
    const random = seededRandom(SEED);
    const parts: { meta: ChronicleMeta; path: string }[] = [];
    const { rows, lastLsn } = history(random, 4_000);
    const cuts = [0, 1_000, 1_000, 5_500, rows.length];
    let firstLsn = 1;
    for (let i = 0; i + 1 < cuts.length; i++) {
      const part = rows.slice(cuts[i], cuts[i + 1]);
      const last = i + 2 === cuts.length ? lastLsn : Math.max(firstLsn, ...rows.slice(0, cuts[i + 1]).map(highest));
      parts.push({ meta: await write(disk, i + 1, part, firstLsn, last), path: pathOf(i + 1) });
      firstLsn = last + 1;
    }
    const meta = await concatChronicles({ disk, inputs: parts, path: pathOf(9), vaultId: VAULT_ID, id: 9 });
    expect(meta).toMatchObject({ firstLsn: 1, lastLsn, rows: rows.length, firstTime: START + (rows[0]!.time - START) });
    expect(await rowsOf((await open(disk, meta)).rows())).toEqual(rows);
    expect(disk.openFiles).toBe(1);
  });

  test("publishes nothing from damaged inputs or inputs that do not follow", async () => {
    const disk = new MemoryDisk();
    const row = {
      strand: 1,
      firstLsn: 1,
      lastLsn: 2,
      time: 70,
      writes: 1,
      writtenBytes: 1,
      clearedBytes: 0,
      flushLsn: 0,
    };
    const first = await write(disk, 1, [row], 1, 2);
    const early = await write(disk, 2, [{ ...row, firstLsn: 3, lastLsn: 4, time: 69 }], 3, 4);
    const apart = await write(disk, 3, [{ ...row, firstLsn: 4, lastLsn: 4 }], 4, 4);
    const join = (...metas: ChronicleMeta[]): Promise<ChronicleMeta> => {
      const inputs = metas.map((meta) => ({ meta, path: pathOf(meta.id) }));
      return concatChronicles({ disk, inputs, path: pathOf(9), vaultId: VAULT_ID, id: 9 });
    };
    expect(isSternwayError(await failure(join(first, early)), "corrupt")).toBe(true);
    expect(await failure(join(first, apart))).toBeInstanceOf(AssertionError);
    disk.files.get(pathOf(1))![70]! ^= 1;
    expect(isSternwayError(await failure(join(first)), "corrupt")).toBe(true);
    expect(disk.files.has(pathOf(9)) || disk.files.has(`${pathOf(9)}.tmp`)).toBe(false);
    expect(disk.openFiles).toBe(0);
  });
});

describe("law 3: a damaged chronicle", () => {
  test("with a bit flipped anywhere, cut short or foreign gives corrupt", async () => {
    const disk = new MemoryDisk();
    const { rows, lastLsn } = history(seededRandom(SEED), 2_500);
    const meta = await write(disk, 1, rows, 1, lastLsn);
    const bytes = disk.files.get(pathOf(1))!;
    const readAll = async (vaultId = VAULT_ID): Promise<unknown> => {
      const reader = await open(disk, meta, vaultId);
      try {
        return await rowsOf(reader.rows());
      } finally {
        await reader.close();
      }
    };
    expect(await readAll()).toEqual(rows);
    for (let at = 0; at < bytes.length; at += 64) {
      const damaged = bytes.slice();
      damaged[Math.min(at + ((at >>> 6) % 64), bytes.length - 1)]! ^= 1 << ((at >>> 6) % 8);
      disk.files.set(pathOf(1), damaged);
      expect(isSternwayError(await failure(readAll()), "corrupt")).toBe(true);
    }
    for (let length = 0; length < bytes.length; length += 997) {
      disk.files.set(pathOf(1), bytes.slice(0, length));
      expect(isSternwayError(await failure(readAll()), "corrupt")).toBe(true);
    }
    disk.files.set(pathOf(1), bytes);
    expect(isSternwayError(await failure(readAll(new Uint8Array(16))), "corrupt")).toBe(true);
    expect(disk.openFiles).toBe(0);
  });

  test("or a forged one cannot make the reader allocate or loop by its claims", async () => {
    const disk = new MemoryDisk();
    const { rows, lastLsn } = history(seededRandom(SEED), 2_500);
    const meta = await write(disk, 1, rows, 1, lastLsn);
    const bytes = disk.files.get(pathOf(1))!;
    const changes: ((view: DataView, index: number, trailer: number) => void)[] = [
      (view, index) => view.setUint32(index + 32, 0xffffffff, true),
      (view, index) => view.setUint32(index + 32, 0, true),
      (view, index) => view.setUint32(index + 36, 0xffffffff, true),
      (view, index) => view.setUint32(index + 36, 64, true),
      (view, index) => view.setBigUint64(index + 40, 2n ** 60n, true),
      (view, index) => view.setUint32(index + 48, 0xffffffff, true),
      (view, index) => view.setUint32(index + 52, 0xffffffff, true),
      (view, index) => view.setBigUint64(index + 8, 2n ** 62n, true),
      (view, index) => view.setBigUint64(index + 24, 2n ** 62n, true),
      (view, index) => view.setUint32(index + 64 + 4, 7, true),
      (view, _, trailer) => view.setUint32(trailer + 36, 0xffffffff, true),
      (view, _, trailer) => view.setUint32(trailer + 36, 1, true),
      (view, _, trailer) => view.setBigUint64(trailer + 64, 12n, true),
    ];
    for (const change of changes) {
      disk.files.set(
        pathOf(1),
        forge(bytes, { vaultId: VAULT_ID, id: 1, kind: "chronicle" }, (_, view, index, trailer) =>
          change(view, index, trailer),
        ),
      );
      const error = await failure(open(disk, meta));
      expect(error instanceof SternwayError && error.kind).toBe("corrupt");
    }
    expect(disk.largestRead).toBeLessThanOrEqual(bytes.length);
    expect(disk.openFiles).toBe(0);
  });
});
