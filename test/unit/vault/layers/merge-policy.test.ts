import { describe, expect, test } from "bun:test";
import type { LayerRecord } from "../../../../src/vault/manifest.ts";
import {
  dueImages,
  dueMerge,
  isMergeOverdue,
  MERGE_FAN_IN,
  MERGE_OVERDUE,
} from "../../../../src/vault/layers/merge-policy.ts";

const ranks = (...list: number[]): { rank: number; id: number }[] => list.map((rank, id) => ({ rank, id }));
const idsOf = (run: { id: number }[] | undefined): number[] | undefined => run?.map((record) => record.id);

describe("dueMerge()", () => {
  test("waits until there are enough neighbours of one rank", () => {
    expect(dueMerge(ranks())).toBeUndefined();
    expect(dueMerge(ranks(0, 0, 0, 0, 0, 0, 0))).toBeUndefined();
    expect(idsOf(dueMerge(ranks(0, 0, 0, 0, 0, 0, 0, 0)))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("takes the oldest of a long run", () => {
    expect(idsOf(dueMerge(ranks(...Array<number>(12).fill(0))))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("takes the lowest rank first, wherever it lies", () => {
    const records = ranks(...Array<number>(8).fill(2), ...Array<number>(9).fill(1), ...Array<number>(8).fill(0));
    expect(idsOf(dueMerge(records))).toEqual([17, 18, 19, 20, 21, 22, 23, 24]);
  });

  test("never joins over a neighbour of another rank", () => {
    expect(dueMerge(ranks(0, 0, 0, 0, 1, 0, 0, 0, 0))).toBeUndefined();
  });

  test("keeps the number of layers logarithmic, and rewrites an entry once per rank", () => {
    let records: { rank: number; weight: number }[] = [];
    let rewritten = 0;
    let most = 0;
    for (let sealed = 0; sealed < 5000; sealed++) {
      records.push({ rank: 0, weight: 1 });
      for (let run = dueMerge(records); run; run = dueMerge(records)) {
        const weight = run.reduce((sum, record) => sum + record.weight, 0);
        rewritten += weight;
        const at = records.indexOf(run[0]!);
        records = [...records.slice(0, at), { rank: run[0]!.rank + 1, weight }, ...records.slice(at + run.length)];
      }
      most = Math.max(most, records.length);
    }
    expect(most).toBeLessThanOrEqual((MERGE_FAN_IN - 1) * 5 + 1);
    expect(rewritten / 5000).toBeLessThanOrEqual(Math.ceil(Math.log(5000) / Math.log(MERGE_FAN_IN)));
    expect(records.reduce((sum, record) => sum + record.weight, 0)).toBe(5000);
  });
});

describe("isMergeOverdue()", () => {
  test("is false until twice as many neighbours of one rank wait as a merge takes", () => {
    expect(isMergeOverdue([])).toBe(false);
    expect(isMergeOverdue(ranks(...Array<number>(MERGE_OVERDUE - 1).fill(0)))).toBe(false);
    expect(isMergeOverdue(ranks(...Array<number>(MERGE_OVERDUE).fill(0)))).toBe(true);
    expect(isMergeOverdue(ranks(2, 1, ...Array<number>(MERGE_OVERDUE).fill(0)))).toBe(true);
    expect(isMergeOverdue(ranks(...Array<number>(MERGE_OVERDUE).fill(1), 0))).toBe(true);
    expect(isMergeOverdue(Array.from({ length: 200 }, (_, i) => ({ rank: i % 2 })))).toBe(false);
  });

  test("keeps the number of layers logarithmic when merges only run while it holds", () => {
    let records: { rank: number }[] = [];
    let most = 0;
    for (let sealed = 0; sealed < 5000; sealed++) {
      records.push({ rank: 0 });
      while (isMergeOverdue(records)) {
        const run = dueMerge(records)!;
        const at = records.indexOf(run[0]!);
        records = [...records.slice(0, at), { rank: run[0]!.rank + 1 }, ...records.slice(at + run.length)];
      }
      most = Math.max(most, records.length);
    }
    expect(most).toBeLessThanOrEqual((MERGE_OVERDUE - 1) * 5);
    expect(most).toBeGreaterThan(MERGE_OVERDUE);
  });
});

describe("dueImages()", () => {
  const layer = (kind: "delta" | "image", lastLsn: number, ...weights: [number, number, number][]): LayerRecord => ({
    id: lastLsn,
    kind,
    firstLsn: kind === "image" ? 0 : lastLsn,
    lastLsn,
    entries: 0,
    sizeBytes: 0,
    checksum: "",
    xor: "",
    shards: [],
    rank: 0,
    weights: weights.map(([strand, shard, entries]) => ({ strand, shard, entries })),
  });

  test("leaves small shards alone, and adds up layers", () => {
    expect(dueImages([layer("delta", 1, [1, 0, 60_000])])).toEqual([]);
    expect(dueImages([layer("delta", 1, [1, 0, 60_000]), layer("delta", 2, [1, 0, 6_000])])).toEqual([
      { strand: 1, shard: 0 },
    ]);
  });

  test("asks for as many entries since the last image as that holds", () => {
    const image = layer("image", 5, [1, 0, 200_000]);
    expect(dueImages([layer("delta", 5, [1, 0, 900_000]), layer("delta", 6, [1, 0, 150_000]), image])).toEqual([]);
    expect(dueImages([layer("delta", 6, [1, 0, 150_000]), layer("delta", 7, [1, 0, 50_000]), image])).toHaveLength(1);
  });

  test("looks at each shard of each strand by itself, those with most to gain first, a bounded number at once", () => {
    const many = layer(
      "delta",
      1,
      ...Array.from({ length: 40 }, (_, i): [number, number, number] => [1 + (i % 2), i, 70_000 + i]),
    );
    const due = dueImages([many]);
    expect(due).toHaveLength(16);
    expect(due[0]).toEqual({ strand: 2, shard: 39 });
  });
});
