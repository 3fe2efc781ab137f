/** The Range header (RFC 9110, section 14). */

export type WantedRange =
  | { kind: "whole" }
  /** `[start, end)` */
  | { kind: "range"; start: number; end: number }
  | { kind: "unsatisfiable" };

/**
 * What a Range header asks of `sizeBytes` bytes. What is malformed, of another unit, or names several ranges is ignored,
 * as the RFC allows (14.2): the client then gets the whole.
 */
export function parseRange(header: string | undefined, sizeBytes: number): WantedRange {
  const set = /^bytes=(.*)$/i.exec(header?.trim() ?? "")?.[1];
  if (set === undefined) return { kind: "whole" };
  const specs = set
    .split(",")
    .map((spec) => spec.trim())
    .filter((spec) => spec !== "");
  const match = specs.length === 1 ? /^(\d*)-(\d*)$/.exec(specs[0] ?? "") : null;
  const first = match?.[1] ?? "";
  const last = match?.[2] ?? "";
  if (!match || (first === "" && last === "")) return { kind: "whole" };
  if (first === "") {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? { kind: "unsatisfiable" } : { kind: "range", start: sizeBytes - length, end: sizeBytes };
  }
  // Digits beyond 2^53 lose precision upward of any size, where exactness no longer matters.
  if (last !== "" && compareDigits(last, first) < 0) return { kind: "whole" };
  const start = Number(first);
  if (start >= sizeBytes) return { kind: "unsatisfiable" };
  return { kind: "range", start, end: last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}

function compareDigits(a: string, b: string): number {
  // A header is bounded, and so are its digits.
  const left = BigInt(a);
  const right = BigInt(b);
  return left < right ? -1 : left > right ? 1 : 0;
}
