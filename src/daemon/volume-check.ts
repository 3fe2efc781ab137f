/**
 * The check of volumes: reads every byte that volumes hold now and at their bookmarks. Each block read passes a checksum
 * bound to where it came from (law 3), so what is damaged is met here, whichever pack or journal file it lies in.
 * Damage is narrowed down to blocks, so that people learn which of their bytes are gone.
 */
import type { ReadableDevice } from "../base/device.ts";
import { errorText, isSternwayError, type SternwayError } from "../base/errors.ts";
import { BLOCK_SIZE, formatSize } from "../base/units.ts";
import type { CheckLine, CheckRequest } from "../contract/contract.ts";
import { formatMoment } from "../volume/moment.ts";
import type { Moment, Volumes } from "../volume/volumes.ts";

type Line = Exclude<CheckLine, { line: "failed" }>;

const READ_BYTES = 2 ** 20;
/** What is asked of extents() at once. */
const WINDOW_BYTES = 2 ** 30;
/** A vault on a dying disk may have millions; after these they are only counted. */
const FINDINGS_TOLD_MAX = 1_000;
/** A line of progress for about so much read. */
const PROGRESS_BYTES = 64 * 2 ** 20;

interface Totals {
  findings: number;
  bytes: number;
}

/**
 * Checks volumes, then ends with a line `end`.
 * @param request - `quick`: walks the map alone, no block is read
 */
export async function* checkVolumes(
  volumes: Volumes,
  request: CheckRequest,
  signal: AbortSignal,
): AsyncGenerator<Line> {
  const names = request.volume === undefined ? volumes.list().map((info) => info.name) : [request.volume];
  const totals: Totals = { findings: 0, bytes: 0 };
  let objects = 0;
  for (const name of names) {
    for (const moment of momentsOf(volumes, name)) {
      if (signal.aborted) return;
      yield* checkMoment(volumes, name, moment, request.quick ?? false, totals, signal);
      objects++;
    }
  }
  if (!signal.aborted) yield { line: "end", findings: totals.findings, objects, bytes: totals.bytes };
}

/** Now, and each bookmark; equal moments once. */
function momentsOf(volumes: Volumes, name: string): Moment[] {
  const lsns = new Set<number>();
  const moments: Moment[] = [{ kind: "now" }];
  for (const bookmark of volumes.bookmarks(name)) {
    if (!lsns.has(bookmark.lsn)) moments.push({ kind: "bookmark", name: bookmark.name });
    lsns.add(bookmark.lsn);
  }
  return moments;
}

async function* checkMoment(
  volumes: Volumes,
  name: string,
  moment: Moment,
  quick: boolean,
  totals: Totals,
  signal: AbortSignal,
): AsyncGenerator<Line> {
  const subject = `${name}@${formatMoment(moment)}`;
  const device = await volumes.openAt(name, moment);
  try {
    const total = device.sizeBytes;
    let told = 0;
    yield { line: "progress", what: subject, done: 0, total };
    for await (const piece of walk(device, quick)) {
      if (signal.aborted) return;
      totals.bytes += piece.readBytes;
      for (const { offset, length, error } of piece.damage) {
        totals.findings++;
        if (totals.findings > FINDINGS_TOLD_MAX) continue;
        yield {
          line: "finding",
          severity: "damage",
          subject,
          message: `${formatSize(length)} at ${offset} of ${subject} cannot be read: ${errorText(error)}`,
          facts: { ...error.facts, volume: name, lsn: device.moment.lsn, offset, length },
        };
      }
      if (piece.end - told >= PROGRESS_BYTES || piece.end === total) {
        told = piece.end;
        yield { line: "progress", what: subject, done: piece.end, total };
      }
    }
  } finally {
    await device.close();
  }
}

interface Damage {
  offset: number;
  length: number;
  error: SternwayError;
}

interface Piece {
  end: number;
  readBytes: number;
  damage: Damage[];
}

/** The device in order, in pieces of up to 1 MiB of data; holes in one go. */
async function* walk(device: ReadableDevice, quick: boolean): AsyncGenerator<Piece> {
  for (let at = 0; at < device.sizeBytes;) {
    const window = Math.min(WINDOW_BYTES, device.sizeBytes - at);
    const extents = await device.extents(at, window).catch(onlyCorrupt);
    if (!Array.isArray(extents)) {
      // A damaged layer: which blocks it tells of cannot be known, so the window is what is named.
      yield { end: at + window, readBytes: 0, damage: [{ offset: at, length: window, error: extents }] };
      at += window;
      continue;
    }
    for (const { offset, length, kind } of extents) {
      const step = kind === "data" && !quick ? READ_BYTES : length;
      for (let from = offset; from < offset + length; from += step) {
        const count = Math.min(step, offset + length - from);
        const damage = kind === "data" && !quick ? await readAll(device, from, count) : [];
        yield { end: from + count, readBytes: kind === "data" && !quick ? count : 0, damage };
      }
      at = offset + length;
    }
  }
}

/** Reads a stretch; where that fails, block by block. */
async function readAll(device: ReadableDevice, offset: number, length: number): Promise<Damage[]> {
  const whole = await device.read(offset, length).catch(onlyCorrupt);
  if (whole instanceof Uint8Array) return [];
  const damage: Damage[] = [];
  for (let at = offset; at < offset + length;) {
    const end = Math.min(offset + length, (Math.floor(at / BLOCK_SIZE) + 1) * BLOCK_SIZE);
    const block = await device.read(at, end - at).catch(onlyCorrupt);
    const last = damage.at(-1);
    if (!(block instanceof Uint8Array)) {
      if (last && last.offset + last.length === at) last.length += end - at;
      else damage.push({ offset: at, length: end - at, error: block });
    }
    at = end;
  }
  // It failed as a whole and not in parts: something came and went, which is worth telling too.
  return damage.length > 0 ? damage : [{ offset, length, error: whole }];
}

function onlyCorrupt(error: unknown): SternwayError {
  if (isSternwayError(error, "corrupt")) return error;
  throw error;
}
