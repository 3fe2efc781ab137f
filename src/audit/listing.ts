/** Reading the audit newest first, a page at a time. A page costs a bounded amount of reading, however rare what it looks for is. */
import type { Disk } from "../base/disk.ts";
import { parseTime, type Micros } from "../base/units.ts";
import { parseLine, type AuditEntry, type AuditResult } from "./line.ts";
import { linesBackward } from "./lines.ts";
import type { AuditFile } from "./recovery.ts";
import { fileName } from "./verify.ts";

export interface AuditQuery {
  /** Only lines before this one. */
  before?: number | undefined;
  /** At most so many entries. */
  limit: number;
  who?: string | undefined;
  action?: string | undefined;
  result?: AuditResult | undefined;
  /** One of these, or something that belongs to it: `web1` finds `web1/bookmark` too. */
  subjects?: readonly string[] | undefined;
  /** Wall time, microseconds: at or after … */
  from?: Micros | undefined;
  /** … and before. */
  to?: Micros | undefined;
}

export interface AuditPage {
  entries: AuditEntry[];
  /** What to pass as `before` for more; a page may be empty and still have it. Absent: there is no more. */
  next?: number;
}

/** Two files full: some fifty thousand lines, a quarter of a second. */
const READ_BYTES_MAX = 16 * 2 ** 20;

/** @param durable - how far the newest file may be read @throws unavailable: a file cannot be read */
export async function listAudit(
  disk: Disk,
  dir: string,
  files: readonly AuditFile[],
  durable: { number: number; sizeBytes: number },
  query: AuditQuery,
): Promise<AuditPage> {
  const { before = Number.MAX_SAFE_INTEGER, limit } = query;
  const entries: AuditEntry[] = [];
  let budget = READ_BYTES_MAX;
  for (const { number, firstSeq } of files.toReversed()) {
    if (firstSeq >= before || number > durable.number) continue;
    const file = await disk.open(`${dir}/${fileName(number)}`, "read");
    try {
      const end = number === durable.number ? durable.sizeBytes : await file.size();
      for await (const bytes of linesBackward(file, end)) {
        budget -= bytes.length;
        const parsed = parseLine(bytes);
        if (parsed.kind === "bad") continue;
        const { seq } = parsed.kind === "entry" ? parsed.entry : parsed.seal;
        if (seq >= before) continue;
        if (parsed.kind === "entry" && fits(parsed.entry, query)) entries.push(parsed.entry);
        if (entries.length >= limit || budget <= 0) return seq > 1 ? { entries, next: seq } : { entries };
      }
    } finally {
      await file.close();
    }
  }
  return { entries };
}

function fits(entry: AuditEntry, { who, action, result, subjects, from, to }: AuditQuery): boolean {
  if (who !== undefined && entry.who !== who) return false;
  if (action !== undefined && entry.action !== action) return false;
  if (result !== undefined && entry.result !== result) return false;
  if (subjects?.every((subject) => entry.subject !== subject && !entry.subject.startsWith(`${subject}/`))) return false;
  // The clock may have been set back between two lines: every line is asked for itself.
  const time = parseTime(entry.time) ?? 0;
  return (from === undefined || time >= from) && (to === undefined || time < to);
}
