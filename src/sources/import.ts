/**
 * Copies a file or block device into a volume through its ordinary write path, so that the whole disk becomes history
 * like any other write. Holes (SEEK_DATA) and blocks of zeroes are not sent; several writes are in flight; one flush ends it.
 *
 * The source is only read. A source that changes meanwhile gives a mixture: {@link inspectSource} tells when it is mounted.
 */
import * as fs from "node:fs";
import type { WritableDevice } from "../base/device.ts";
import {
  closeDescriptor,
  inspectPath,
  isZero,
  nextData,
  openDescriptor,
  readDescriptor,
  systemError,
} from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { forEachInFlight } from "../base/in-flight.ts";
import { BLOCK_SIZE, SECTOR_SIZE } from "../base/units.ts";

/** What import needs of a target: a live volume here, or an NBD connection to one. */
export type ImportTarget = Pick<WritableDevice, "sizeBytes" | "write" | "writeZeroes"> & { flush(): Promise<unknown> };

export interface ImportProgress {
  /** Bytes of the source that are dealt with, read or skipped. */
  doneBytes: number;
  totalBytes: number;
  /** Bytes sent. */
  sentBytes: number;
}

export interface ImportOptions {
  /** Path of a file or block device. */
  source: string;
  target: ImportTarget;
  /** True for a volume that was just created: zeroes need not be written. */
  blank: boolean;
  /** Writes in flight, 1 to 64; each takes 1 MiB of memory. Default 16. */
  inFlight?: number;
  onProgress?: (progress: ImportProgress) => void;
  signal?: AbortSignal;
}

export interface ImportReport {
  /** Of the source. */
  sizeBytes: number;
  /** Sent as data; the rest was holes or zeroes. */
  sentBytes: number;
}

export interface SourceFacts {
  kind: "file" | "device";
  sizeBytes: number;
  /** The source's size as a volume has it: up to the next multiple of 512. */
  volumeBytes: number;
  /** Where it, or a partition of it, is mounted writable now: its image may be torn. */
  mountedOn?: string;
}

/** 1 MiB: larger requests are not faster through NBD, and sixteen of these in memory are nothing. */
const STEP_BYTES = 2 ** 20;

/** Shorter runs of zeroes are sent along with the data around them: a request costs more than they do. */
const ZERO_RUN_MIN_BYTES = 64 * 1024;

const IN_FLIGHT_DEFAULT = 16;

/** Looks at a source before it is imported. @throws not_found; invalid: neither a file nor a block device, or empty */
export function inspectSource(path: string): SourceFacts {
  const facts = inspectPath(path);
  if (facts.kind === "missing") throw new SternwayError("not_found", `there is no ${path}`, { path });
  if (facts.kind === "other")
    throw new SternwayError("invalid", `${path} is neither a file nor a block device`, { path });
  if (facts.sizeBytes === 0) throw new SternwayError("invalid", `${path} is empty`, { path });
  const mountedOn = facts.kind === "device" ? writableMountOf(path) : undefined;
  return {
    kind: facts.kind,
    sizeBytes: facts.sizeBytes,
    volumeBytes: Math.ceil(facts.sizeBytes / SECTOR_SIZE) * SECTOR_SIZE,
    ...(mountedOn === undefined ? {} : { mountedOn }),
  };
}

/**
 * Copies the source over the target from its first byte; what lies past the source's end becomes zeroes. Durable when it resolves.
 * @throws invalid: the target is smaller than the source
 * @throws unavailable: reading or writing failed; the volume then holds a part, and its history what was before
 */
export async function importDevice(options: ImportOptions): Promise<ImportReport> {
  const { target, signal, onProgress } = options;
  const facts = inspectSource(options.source);
  if (target.sizeBytes < facts.volumeBytes) {
    throw new SternwayError(
      "invalid",
      `the volume is too small: it has ${target.sizeBytes} bytes, ${options.source} ${facts.sizeBytes}`,
    );
  }
  const fd = openDescriptor(options.source, fs.constants.O_RDONLY);
  const spare: Uint8Array[] = [];
  let sentBytes = 0;
  let doneBytes = 0;

  const clear = async (offset: number, length: number): Promise<void> => {
    if (!options.blank && length > 0) await target.writeZeroes(offset, length, true, false);
  };
  const copyStep = async (step: Step): Promise<void> => {
    signal?.throwIfAborted();
    if (step.kind === "hole") {
      await clear(step.offset, step.length);
    } else {
      const buffer = spare.pop() ?? new Uint8Array(STEP_BYTES);
      const wanted = Math.ceil(step.length / SECTOR_SIZE) * SECTOR_SIZE;
      const bytes = buffer.subarray(0, wanted);
      const got = await readDescriptor(fd, bytes.subarray(0, step.length), step.offset, options.source);
      if (got < step.length) {
        throw new SternwayError(
          "unavailable",
          `${options.source} ended at ${step.offset + got}: it shrank while it was read`,
        );
      }
      // A last sector that the source fills in part ends in zeroes.
      bytes.fill(0, step.length);
      for (const run of runs(bytes)) {
        if (run.zero) await clear(step.offset + run.start, run.end - run.start);
        else {
          await target.write(step.offset + run.start, bytes.subarray(run.start, run.end), false);
          sentBytes += run.end - run.start;
        }
      }
      spare.push(buffer);
    }
    doneBytes += step.length;
    onProgress?.({ doneBytes: Math.min(doneBytes, facts.sizeBytes), totalBytes: facts.sizeBytes, sentBytes });
  };

  try {
    await forEachInFlight(
      steps(fd, facts.sizeBytes, target.sizeBytes),
      options.inFlight ?? IN_FLIGHT_DEFAULT,
      copyStep,
    );
  } finally {
    closeDescriptor(fd);
  }
  await target.flush();
  return { sizeBytes: facts.sizeBytes, sentBytes };
}

interface Step {
  kind: "data" | "hole";
  offset: number;
  length: number;
}

/** The longest hole cleared by one request: within NBD's 32 bits, and short enough for progress to move. */
const HOLE_STEP_BYTES = 2 ** 30;

async function* steps(fd: number, sourceBytes: number, targetBytes: number): AsyncGenerator<Step, void, undefined> {
  let offset = 0;
  while (offset < targetBytes) {
    const found = offset < sourceBytes ? nextData(fd, offset, sourceBytes) : undefined;
    // File systems report holes in units of their own; keep every step on the grid of 4 KiB.
    const dataStart = found === undefined ? targetBytes : Math.floor(found.start / BLOCK_SIZE) * BLOCK_SIZE;
    while (offset < dataStart) {
      const length = Math.min(HOLE_STEP_BYTES, dataStart - offset);
      yield { kind: "hole", offset, length };
      offset += length;
    }
    if (found === undefined) return;
    const dataEnd = Math.min(Math.ceil(found.end / BLOCK_SIZE) * BLOCK_SIZE, sourceBytes);
    while (offset < dataEnd) {
      // To the next whole step of the address range, so that reads and writes stay aligned to it.
      const length = Math.min(STEP_BYTES - (offset % STEP_BYTES), dataEnd - offset);
      yield { kind: "data", offset, length };
      offset += length;
    }
    if (offset === sourceBytes) offset = Math.ceil(offset / SECTOR_SIZE) * SECTOR_SIZE;
  }
}

/** Cuts bytes into runs of zeroes (64 KiB and more) and of everything else, on the grid of 4 KiB. */
function* runs(bytes: Uint8Array): Generator<{ start: number; end: number; zero: boolean }, void, undefined> {
  let start = 0;
  let offset = 0;
  while (offset < bytes.length) {
    let zeroEnd = offset;
    while (zeroEnd < bytes.length && isZero(bytes.subarray(zeroEnd, zeroEnd + BLOCK_SIZE))) zeroEnd += BLOCK_SIZE;
    zeroEnd = Math.min(zeroEnd, bytes.length);
    if (zeroEnd - offset >= ZERO_RUN_MIN_BYTES || (offset === 0 && zeroEnd === bytes.length)) {
      if (offset > start) yield { start, end: offset, zero: false };
      yield { start: offset, end: zeroEnd, zero: true };
      start = zeroEnd;
    }
    offset = zeroEnd + BLOCK_SIZE;
  }
  if (start < bytes.length) yield { start, end: bytes.length, zero: false };
}

function writableMountOf(path: string): string | undefined {
  let mounts: string;
  let real: string;
  try {
    real = fs.realpathSync(path);
    mounts = fs.readFileSync("/proc/self/mounts", "utf8");
  } catch (error) {
    throw systemError(error, `cannot tell whether ${path} is mounted`);
  }
  for (const line of mounts.split("\n")) {
    const [source, mountPoint, , options] = line.split(" ");
    const own = source === real || (source?.startsWith(real) === true && /^p?\d+$/.test(source.slice(real.length)));
    if (own && options?.split(",").includes("rw") === true) return mountPoint;
  }
  return undefined;
}
