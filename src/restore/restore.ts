/**
 * The door of the room: writes a past device onto a file, a block device or a stream, as an image.
 *
 * To a file or device: several pieces of 4 MiB in flight, holes left or cleared, resumable (see `sidecar.ts`), everything
 * synced, then read back and compared. A device is never truncated or repartitioned; what lies past the image stays.
 * After a crash or an interruption the target holds a mixture, and the sidecar beside it says so until a further run ends well.
 */
import { systemClock, type Clock } from "../base/clock.ts";
import { inspectPath } from "../base/descriptor.ts";
import { SternwayError } from "../base/errors.ts";
import { forEachInFlight } from "../base/in-flight.ts";
import { DamageMap, hasDamageMap } from "./damage-map.ts";
import { pastDamage } from "./past-damage.ts";
import { PIECE_BYTES, dataBytesOf, pieces, readPiece, type Piece, type RestoreDevice } from "./pieces.ts";
import {
  createSidecar,
  openSidecar,
  readSidecarIdentity,
  removeSidecar,
  sidecarPath,
  type RestoreIdentity,
  type Sidecar,
} from "./sidecar.ts";
import { checkRoom, openTarget, type RestoreTarget } from "./target.ts";
import { pieceHash, verifyTarget } from "./verify.ts";

export { sidecarPath } from "./sidecar.ts";

export interface RestoreSource {
  device: RestoreDevice;
  /** The vault's id, for telling equal names apart. */
  vault: string;
  volume: string;
  lsn: number;
}

export interface RestoreProgress {
  phase: "copy" | "verify";
  doneBytes: number;
  totalBytes: number;
}

export interface RestoreOptions {
  source: RestoreSource;
  /** Path of a file or block device. */
  target: string;
  /** Starts over: an unfinished restore is forgotten, a file that exists is overwritten. */
  fresh?: boolean;
  /** Goes on past damaged ranges: they become zeroes, and a map of them is written beside the target (damage-map.ts). */
  pastDamage?: boolean;
  /** Default true. */
  verify?: boolean;
  /** Pieces in flight, 1 to 64; each takes 4 MiB of memory. Default 8. */
  inFlight?: number;
  onProgress?: (progress: RestoreProgress) => void;
  /** Stops between pieces; what is done stays recorded. */
  signal?: AbortSignal;
  clock?: Clock;
}

export interface RestoreReport {
  target: string;
  kind: "file" | "device";
  sizeBytes: number;
  /** Data in the image. */
  dataBytes: number;
  /** Of it, what this run transferred, and what an earlier run had done. */
  copiedBytes: number;
  resumedBytes: number;
  verified: "direct" | "buffered" | "skipped";
  /** What could not be given, when something could not. */
  lost?: { ranges: number; bytes: number; map: string };
  copySeconds: number;
  verifySeconds: number;
}

/** Often enough that little is done twice, rarely enough that syncing does not count: 512 MiB or 5 s, whichever comes first. */
const CHECKPOINT_BYTES = 512 * 2 ** 20;
const CHECKPOINT_MICROS = 5e6;

const IN_FLIGHT_DEFAULT = 8;

/**
 * Restores a device and verifies the result. Durable when it resolves.
 * @throws conflict: the target is in use, exists already, or holds an unfinished restore of something else
 * @throws invalid: the target is too small, or not a file or device
 * @throws unavailable: no room (facts.code ENOSPC), or reading or writing failed: run it again to go on
 * @throws corrupt: the source's bytes are damaged, or the target does not give back what was written (facts.pieces)
 */
export async function restoreTo(options: RestoreOptions): Promise<RestoreReport> {
  const { source, signal } = options;
  const clock = options.clock ?? systemClock;
  const inFlight = options.inFlight ?? IN_FLIGHT_DEFAULT;
  const sizeBytes = source.device.sizeBytes;
  const sidecarFile = sidecarPath(options.target);

  const resumable = await findResumable(options, sidecarFile);
  if (resumable && options.pastDamage !== true && hasDamageMap(options.target)) {
    throw new SternwayError(
      "conflict",
      `the unfinished restore on ${options.target} went past damage: add --past-damage to go on so, or --fresh to start over`,
      { target: options.target },
    );
  }
  const target = openTarget(options.target, sizeBytes, resumable ? "resume" : "start");
  let sidecar: Sidecar | undefined;
  try {
    const identity: RestoreIdentity = { ...identityOf(source), target: target.id };
    sidecar = resumable ? await openSidecar(sidecarFile, identity) : await createSidecar(sidecarFile, identity);
    const { done } = sidecar;
    const lost = new DamageMap(options.target, resumable ? (piece) => done[piece] === 1 : undefined);
    if (resumable) await lost.settle();
    const device = options.pastDamage === true ? pastDamage(source.device, (range) => lost.add(range)) : source.device;
    const dataBytes = await dataBytesOf(device);
    checkRoom(target, dataBytes);
    // The sidecar's and the file's names must be durable before long work relies on them.
    await target.sync();

    const copyStart = clock.monotonic();
    const copied = await copyPieces({ ...options, inFlight, clock, device, lost }, target, sidecar, dataBytes);
    const verifyStart = clock.monotonic();
    const verified = options.verify === false ? "skipped" : await verifyAll(options, inFlight, target, sidecar);
    const end = clock.monotonic();
    signal?.throwIfAborted();
    await lost.settle();
    sidecar.close();
    removeSidecar(sidecarFile);
    sidecar = undefined;
    return {
      target: options.target,
      kind: target.kind,
      sizeBytes,
      dataBytes,
      ...copied,
      verified,
      ...(lost.count === 0 ? {} : { lost: { ranges: lost.count, bytes: lost.bytes, map: lost.path } }),
      copySeconds: (verifyStart - copyStart) / 1e6,
      verifySeconds: (end - verifyStart) / 1e6,
    };
  } finally {
    sidecar?.close();
    target.close();
  }
}

function identityOf(source: RestoreSource): Omit<RestoreIdentity, "target"> {
  return { vault: source.vault, volume: source.volume, lsn: source.lsn, sizeBytes: source.device.sizeBytes };
}

/** True when there is an unfinished restore of this very source to go on with. @throws conflict: of another, or a file in the way */
async function findResumable(options: RestoreOptions, sidecarFile: string): Promise<boolean> {
  if (options.fresh === true) return false;
  const { source, target } = options;
  const facts = inspectPath(target);
  const found = await readSidecarIdentity(sidecarFile);
  if (found === "unreadable") {
    throw new SternwayError(
      "conflict",
      `${sidecarFile} is not readable as a restore's record: use --fresh to start over`,
    );
  }
  if (found === undefined || facts.kind === "missing") {
    if (facts.kind === "file" && facts.sizeBytes > 0) {
      throw new SternwayError(
        "conflict",
        `${target} exists already: use --fresh to overwrite it, or name another file`,
        { target },
      );
    }
    return false;
  }
  const wanted = identityOf(source);
  const same = found.vault === wanted.vault && found.volume === wanted.volume && found.lsn === wanted.lsn;
  if (same && found.sizeBytes === wanted.sizeBytes && found.target === facts.id) return true;
  throw new SternwayError(
    "conflict",
    `an unfinished restore of ${found.volume}@lsn:${found.lsn} is on ${target}` +
      (found.target === facts.id ? "" : " (or was, before the target was replaced)") +
      `: restore that to go on with it, or use --fresh to start over with ${wanted.volume}@lsn:${wanted.lsn}`,
    { target, foundLsn: found.lsn, wantedLsn: wanted.lsn },
  );
}

type CopyOptions = RestoreOptions & { inFlight: number; clock: Clock; device: RestoreDevice; lost: DamageMap };

async function copyPieces(
  options: CopyOptions,
  target: RestoreTarget,
  sidecar: Sidecar,
  dataBytes: number,
): Promise<{ copiedBytes: number; resumedBytes: number }> {
  const { device, lost, signal, onProgress, clock } = options;
  let copiedBytes = 0;
  let resumedBytes = 0;
  let pending: { index: number; hash: bigint; done: boolean }[] = [];
  let pendingBytes = 0;
  let lastCheckpoint = clock.monotonic();
  let checkpointing = false;

  const checkpoint = async (): Promise<void> => {
    checkpointing = true;
    const finished = pending;
    pending = [];
    pendingBytes = 0;
    // The target first: a record must never promise what a crash could still take away.
    await target.sync();
    await lost.append();
    await sidecar.append(finished);
    lastCheckpoint = clock.monotonic();
    checkpointing = false;
  };

  const copyOne = async (piece: Piece): Promise<void> => {
    signal?.throwIfAborted();
    const bytes = piece.data.reduce((sum, range) => sum + range.length, 0);
    if (sidecar.done[piece.index] === 1) {
      resumedBytes += bytes;
    } else {
      const hash = await copyPiece(device, piece, target);
      sidecar.done[piece.index] = 1;
      sidecar.hash[piece.index] = hash;
      pending.push({ index: piece.index, hash, done: true });
      pendingBytes += bytes;
      copiedBytes += bytes;
    }
    onProgress?.({ phase: "copy", doneBytes: copiedBytes + resumedBytes, totalBytes: dataBytes });
    const due = pendingBytes >= CHECKPOINT_BYTES || clock.monotonic() - lastCheckpoint >= CHECKPOINT_MICROS;
    if (due && !checkpointing) await checkpoint();
  };

  try {
    await forEachInFlight(pieces(device), options.inFlight, copyOne);
  } catch (error) {
    await keepProgress(checkpoint);
    throw error;
  }
  await checkpoint();
  return { copiedBytes, resumedBytes };
}

/** Records what was done before the copy failed; when even that fails, the first error is the one to tell. */
async function keepProgress(checkpoint: () => Promise<void>): Promise<void> {
  try {
    await checkpoint();
  } catch {
    // Less is remembered, so more is copied again next time: nothing is lost by it.
  }
}

/** Writes one piece: its data, and zeroes between where the target may hold something else. @returns the hash of the whole */
async function copyPiece(device: RestoreDevice, piece: Piece, target: RestoreTarget): Promise<bigint> {
  const bytes = await readPiece(device, piece);
  let offset = piece.offset;
  for (const range of [...piece.data, { offset: piece.offset + piece.length, length: 0 }]) {
    if (!target.blank && range.offset > offset) await target.clear(offset, range.offset - offset);
    if (range.length > 0) {
      const start = range.offset - piece.offset;
      await target.write(bytes.subarray(start, start + range.length), range.offset);
    }
    offset = range.offset + range.length;
  }
  return pieceHash(bytes, piece.index);
}

async function verifyAll(
  options: RestoreOptions,
  inFlight: number,
  target: RestoreTarget,
  sidecar: Sidecar,
): Promise<"direct" | "buffered"> {
  const totalBytes = options.source.device.sizeBytes;
  let doneBytes = 0;
  const result = await verifyTarget(options.target, totalBytes, sidecar.hash, {
    inFlight,
    holes: target.kind === "file",
    signal: options.signal,
    onBytes: (bytes) => {
      doneBytes += bytes;
      options.onProgress?.({ phase: "verify", doneBytes, totalBytes });
    },
  });
  if (result.wrong.length === 0) return result.how;
  await sidecar.append(result.wrong.map((index) => ({ index, hash: 0n, done: false })));
  const shown = result.wrong
    .slice(0, 5)
    .map((index) => index * PIECE_BYTES)
    .join(", ");
  throw new SternwayError(
    "corrupt",
    `${options.target} does not give back what was written, in ${result.wrong.length} pieces of 4 MiB (at ${shown}${result.wrong.length > 5 ? ", …" : ""}): ` +
      "run the same restore again to rewrite them; if it happens again, the target is failing",
    { target: options.target, pieces: result.wrong.length },
  );
}
