import { describe, expect, test } from "bun:test";
import { formatTables, ratio, summarize, type Sample } from "../../../scripts/benchmark/table.ts";

const sample = (row: string, contender: string, unit: Sample["unit"], value: number): Sample => ({
  part: "nbd",
  row,
  contender,
  unit,
  value,
});

describe("summarize()", () => {
  test("gives the median and both ends of each contender's samples, whatever their order", () => {
    const [row] = summarize([9, 1, 5].map((value) => sample("a", "sternway", "iops", value)));
    expect(row?.cells).toEqual([{ contender: "sternway", median: 5, min: 1, max: 9, samples: 3 }]);
  });

  test("takes the middle of the two middle samples of an even number", () => {
    const [row] = summarize([4, 1, 2, 9].map((value) => sample("a", "sternway", "ms", value)));
    expect(row?.cells[0]?.median).toBe(3);
  });
});

describe("ratio()", () => {
  test("is above 1 when ours is better, for rates and for times", () => {
    const [rate, time] = summarize([
      sample("rate", "sternway", "iops", 200),
      sample("rate", "peer", "iops", 100),
      sample("time", "sternway", "ms", 2),
      sample("time", "peer", "ms", 8),
    ]);
    expect(ratio(rate!, "peer")).toBe(2);
    expect(ratio(time!, "peer")).toBe(4);
  });

  test("is undefined where one of the two was not measured", () => {
    const [row] = summarize([sample("a", "peer", "iops", 100)]);
    expect(ratio(row!, "peer")).toBeUndefined();
  });
});

describe("formatTables()", () => {
  test("prints medians with their spread, digit groups, and a ratio column for each peer", () => {
    const table = formatTables(
      summarize([
        sample("writes", "sternway", "iops", 12_345.6),
        sample("writes", "sternway", "iops", 10_000),
        sample("writes", "sternway", "iops", 15_000),
        sample("writes", "qemu", "iops", 6172.8),
      ]),
    );
    expect(table.split("\n")).toEqual([
      "| nbd | unit | sternway | qemu | × qemu |",
      "| --- | ---: | ---: | ---: | ---: |",
      "| writes | iops | 12,346 (10,000…15,000) | 6,173 | 2.00 |",
    ]);
  });
});
