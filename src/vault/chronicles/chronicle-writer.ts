/**
 * Writes one chronicle (layout in chronicle-format.ts), row by row. Memory: one page, the file buffer and the index.
 */
import { assert } from "../../base/assert.ts";
import type { Disk } from "../../base/disk.ts";
import type { VaultCipher } from "../../security/cipher.ts";
import {
  CHRONICLE_RECORD_SIZE,
  emptyChroniclePage,
  encodeChroniclePage,
  highestLsn,
  setRow,
  TOTAL_RECORD_SIZE,
  totalsOf,
  type ChronicleMeta,
  type ChroniclePage,
  type ChronicleRow,
} from "./chronicle-format.ts";
import { PAGE_RAW_MAX, PAGE_ROWS_MAX, writeU64 } from "../files/column-page.ts";
import { PagedFileWriter } from "../files/paged-file-writer.ts";
import type { PagePlace } from "../files/paged-file.ts";

export interface ChronicleWriterOptions {
  disk: Disk;
  /** Where the chronicle is published; nothing may be there. */
  path: string;
  /** 16 bytes. */
  vaultId: Uint8Array;
  /** Undefined: the vault is not encrypted. */
  cipher?: VaultCipher | undefined;
  /** Never used before in this vault. */
  id: number;
  /** The LSNs that it dates. */
  firstLsn: number;
  lastLsn: number;
}

const raw = new Uint8Array(PAGE_RAW_MAX);

/** Use: append (awaiting what it returns) until done, then finish or abort. */
export class ChronicleWriter {
  readonly #options: ChronicleWriterOptions;
  readonly #file: PagedFileWriter;
  readonly #page: ChroniclePage = emptyChroniclePage(PAGE_ROWS_MAX);
  readonly #records: Uint8Array[] = [];
  #rows = 0;
  #firstTime = 0;
  #lastTime = 0;
  #lastFirstLsn = 0;

  constructor(options: ChronicleWriterOptions) {
    const { disk, path, vaultId, cipher, id, firstLsn, lastLsn } = options;
    assert(firstLsn >= 0 && firstLsn <= lastLsn && Number.isSafeInteger(lastLsn), "a chronicle has an LSN range");
    this.#options = options;
    this.#file = new PagedFileWriter(disk, path, { vaultId, cipher, id, kind: "chronicle" });
  }

  /** Rows appended so far. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Appends one row; `firstLsn` and `time` are not below the row's before.
   * @returns undefined when done; else a promise that must resolve before the next call
   */
  append(row: ChronicleRow): Promise<void> | undefined {
    const { firstLsn, lastLsn, time, flushLsn, strand } = row;
    assert(firstLsn >= this.#lastFirstLsn && time >= this.#lastTime, "rows come in the order of LSN and time");
    assert(
      firstLsn <= lastLsn && Math.max(lastLsn, flushLsn) <= this.#options.lastLsn,
      "a row lies in the chronicle's LSNs",
    );
    assert(strand >= 0 && strand < 2 ** 32 && row.writes >= 0, "a row counts what happened to a strand");
    assert(row.writtenBytes >= 0 && row.clearedBytes >= 0 && Number.isSafeInteger(time), "a row has sizes and a time");
    if (this.#rows === 0) this.#firstTime = time;
    setRow(this.#page, this.#page.length++, row);
    this.#rows++;
    this.#lastTime = time;
    this.#lastFirstLsn = firstLsn;
    return this.#page.length === PAGE_ROWS_MAX ? this.#emit() : undefined;
  }

  #emit(): Promise<void> | undefined {
    const page = this.#page;
    if (page.length === 0) return undefined;
    const { place, written } = this.#file.appendPage(raw.subarray(0, encodeChroniclePage(page, raw)));
    this.#records.push(encodeRecord(page, place));
    page.length = 0;
    return written;
  }

  /**
   * Completes and publishes the chronicle: durable when it resolves. On an error nothing was published and the temporary file is removed.
   * @throws unavailable: the disk refused
   */
  async finish(): Promise<ChronicleMeta> {
    await this.#emit();
    const { id, firstLsn, lastLsn } = this.#options;
    const rows = this.#rows;
    const firstTime = this.#firstTime;
    const lastTime = this.#lastTime;
    const index = new Uint8Array(this.#records.reduce((sum, record) => sum + record.length, 0));
    let at = 0;
    for (const record of this.#records) {
      index.set(record, at);
      at += record.length;
    }
    const words = [BigInt(firstLsn), BigInt(lastLsn), BigInt(firstTime), BigInt(lastTime), 0n, 0n];
    const { sizeBytes, checksum } = await this.#file.publish(index, rows, words);
    return { id, firstLsn, lastLsn, firstTime, lastTime, rows, sizeBytes, checksum };
  }

  /** Gives the chronicle up and removes what was written. Idempotent. */
  abort(): Promise<void> {
    return this.#file.abort();
  }
}

function encodeRecord(page: ChroniclePage, place: PagePlace): Uint8Array {
  const totals = totalsOf(page) ?? [];
  const bytes = new Uint8Array(CHRONICLE_RECORD_SIZE + totals.length * TOTAL_RECORD_SIZE);
  const view = new DataView(bytes.buffer);
  let lastLsn = 0;
  for (let i = 0; i < page.length; i++) lastLsn = Math.max(lastLsn, highestLsn(page, i));
  writeU64(view, 0, page.firstLsn[0]!);
  writeU64(view, 8, lastLsn);
  writeU64(view, 16, page.time[0]!);
  writeU64(view, 24, page.time[page.length - 1]!);
  view.setUint32(32, page.length, true);
  view.setUint32(36, totals.length, true);
  writeU64(view, 40, place.offset);
  view.setUint32(48, place.storedLength, true);
  view.setUint32(52, place.rawLength, true);
  view.setBigUint64(56, place.checksum, true);
  for (const [i, total] of totals.entries()) {
    const at = CHRONICLE_RECORD_SIZE + i * TOTAL_RECORD_SIZE;
    view.setUint32(at, total.strand, true);
    view.setUint32(at + 4, total.rows, true);
    writeU64(view, at + 8, total.writes);
    writeU64(view, at + 16, total.writtenBytes);
    writeU64(view, at + 24, total.clearedBytes);
    view.setUint32(at + 32, total.flushPoints, true);
    writeU64(view, at + 40, total.lastLsn);
  }
  return bytes;
}
