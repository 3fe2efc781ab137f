/**
 * Makes chronicle rows, one per (group, strand), from journal entries: for the sealer from a file, for the vault as writes come in.
 */
import type { ChronicleRow } from "./chronicle.ts";
import { BLOCK_SIZE } from "../../base/units.ts";
import type { JournalEntry } from "../../journal/format.ts";

export class ChronicleBuilder {
  /** Rows of the group that is still open: their time is not known yet. */
  private open: ChronicleRow[] = [];
  private closed: ChronicleRow[] = [];

  /** Counts one entry into its strand's row. */
  add(entry: JournalEntry): void {
    switch (entry.kind) {
      case "write":
        this.count(entry.strand, entry.lsn, 1, entry.count * BLOCK_SIZE, 0);
        return;
      case "zero":
      case "trim":
        this.count(entry.strand, entry.lsn, 1, 0, entry.count * BLOCK_SIZE);
        return;
      case "flush":
        this.flush(entry.strand, entry.lsn);
        return;
      case "mark":
        // Marks are told by the registry; the row gives their LSN its time. Strand 0 is the vault's own.
        this.count(0, entry.lsn, 0, 0, 0);
        return;
    }
  }

  count(strand: number, lsn: number, writes: number, writtenBytes: number, clearedBytes: number): void {
    const row = this.rowOf(strand, lsn);
    row.lastLsn = lsn;
    row.writes += writes;
    row.writtenBytes += writtenBytes;
    row.clearedBytes += clearedBytes;
  }

  flush(strand: number, lsn: number): void {
    const row = this.rowOf(strand, lsn);
    row.lastLsn = lsn;
    row.flushLsn = lsn;
  }

  /** Gives the open rows their time. */
  closeGroup(time: number): void {
    for (const row of this.open) {
      row.time = time;
      this.closed.push(row);
    }
    this.open = [];
  }

  /** The closed rows so far, in LSN order; the builder starts anew. */
  take(): ChronicleRow[] {
    const rows = this.closed;
    this.closed = [];
    return rows;
  }

  /** Drops the closed rows up to an LSN: they are sealed. */
  dropThrough(lsn: number): void {
    this.closed = this.closed.filter((row) => row.firstLsn > lsn);
  }

  /** The closed rows so far; owned by the builder. */
  get rows(): readonly ChronicleRow[] {
    return this.closed;
  }

  /** The rows of the group that is still open, without a time. */
  get openRows(): readonly ChronicleRow[] {
    return this.open;
  }

  private rowOf(strand: number, lsn: number): ChronicleRow {
    for (const row of this.open) if (row.strand === strand) return row;
    const row = {
      strand,
      firstLsn: lsn,
      lastLsn: lsn,
      time: 0,
      writes: 0,
      writtenBytes: 0,
      clearedBytes: 0,
      flushLsn: 0,
    };
    this.open.push(row);
    return row;
  }
}
