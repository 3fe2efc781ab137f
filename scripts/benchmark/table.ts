/**
 * What was measured: samples by row and contender, their medians and spreads, the ratios, and how they are printed.
 * A ratio above 1 always means that Sternway is better, whichever way the unit runs.
 */

export const OURS = "sternway";

export interface Sample {
  part: string;
  row: string;
  contender: string;
  unit: Unit;
  value: number;
}

/** `rate` units are better when higher; all others when lower. */
export type Unit = "iops" | "MB/s" | "ms" | "s" | "MiB" | "s/GB" | "requests" | "requests/GB" | "ratio";

export interface Cell {
  contender: string;
  median: number;
  min: number;
  max: number;
  samples: number;
}

export interface Row {
  part: string;
  row: string;
  unit: Unit;
  cells: Cell[];
}

const BETTER_WHEN_HIGHER: Record<Unit, boolean> = {
  iops: true,
  "MB/s": true,
  ms: false,
  s: false,
  MiB: false,
  "s/GB": false,
  requests: false,
  "requests/GB": false,
  ratio: false,
};

function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Rows and contenders in the order in which they were first measured. */
export function summarize(samples: readonly Sample[]): Row[] {
  const rows = new Map<string, { row: Row; values: Map<string, number[]> }>();
  for (const { part, row, contender, unit, value } of samples) {
    const key = `${part}\0${row}`;
    let entry = rows.get(key);
    if (!entry) rows.set(key, (entry = { row: { part, row, unit, cells: [] }, values: new Map() }));
    const values = entry.values.get(contender);
    if (values) values.push(value);
    else entry.values.set(contender, [value]);
  }
  return [...rows.values()].map(({ row, values }) => ({
    ...row,
    cells: [...values].map(([contender, list]) => {
      const sorted = list.toSorted((a, b) => a - b);
      return { contender, median: median(sorted), min: sorted[0]!, max: sorted.at(-1)!, samples: sorted.length };
    }),
  }));
}

/** How many times better ours is than `peer`. Undefined where either was not measured. */
export function ratio(row: Row, peer: string): number | undefined {
  const ours = row.cells.find((cell) => cell.contender === OURS);
  const theirs = row.cells.find((cell) => cell.contender === peer);
  if (!ours || !theirs || ours.median === 0 || theirs.median === 0) return undefined;
  return BETTER_WHEN_HIGHER[row.unit] ? ours.median / theirs.median : theirs.median / ours.median;
}

function formatNumber(value: number): string {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3)).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ",");
}

function formatCell(cell: Cell | undefined): string {
  if (!cell) return "–";
  if (cell.samples === 1) return formatNumber(cell.median);
  return `${formatNumber(cell.median)} (${formatNumber(cell.min)}…${formatNumber(cell.max)})`;
}

/** A Markdown table for each part: median (min…max) by contender, then how many times better ours is than each peer. */
export function formatTables(rows: readonly Row[]): string {
  const parts = [...new Set(rows.map((row) => row.part))];
  return parts
    .map((part) => {
      const own = rows.filter((row) => row.part === part);
      const contenders = [...new Set(own.flatMap((row) => row.cells.map((cell) => cell.contender)))];
      const hasOurs = contenders.includes(OURS);
      const peers = hasOurs ? contenders.filter((contender) => contender !== OURS) : [];
      const header = [part, "unit", ...contenders, ...peers.map((peer) => `× ${peer}`)];
      const lines = own.map((row) => [
        row.row,
        row.unit,
        ...contenders.map((contender) => formatCell(row.cells.find((cell) => cell.contender === contender))),
        ...peers.map((peer) => ratio(row, peer)?.toFixed(2) ?? "–"),
      ]);
      return [header, header.map((_, index) => (index === 0 ? "---" : "---:")), ...lines]
        .map((line) => `| ${line.join(" | ")} |`)
        .join("\n");
    })
    .join("\n\n");
}
