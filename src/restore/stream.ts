/**
 * Writes a past device to a stream (standard output, a pipe), in order and whole: zeroes are sent, because a stream has
 * no holes. It cannot be resumed or verified here; the receiver may compare sizes and hashes.
 */
import { writeStream } from "../base/descriptor.ts";
import { pastDamage, type LostRange } from "./past-damage.ts";
import { pieces, readPiece, type RestoreDevice } from "./pieces.ts";

export interface StreamOptions {
  device: RestoreDevice;
  /** An open descriptor; stays open. */
  fd: number;
  /** Pieces of 4 MiB read ahead, 1 to 64. Default 4. */
  inFlight?: number;
  /** Goes on past damaged ranges, as zeroes; told of each. */
  onLost?: (range: LostRange) => void;
  onProgress?: (progress: { doneBytes: number; totalBytes: number }) => void;
  signal?: AbortSignal;
}

/** @returns bytes written, the device's size @throws unavailable, facts.code EPIPE: the reader went away */
export async function streamTo(options: StreamOptions): Promise<number> {
  const { signal, onProgress, onLost } = options;
  const device = onLost ? pastDamage(options.device, onLost) : options.device;
  const width = options.inFlight ?? 4;
  const ahead: Promise<Uint8Array>[] = [];
  let doneBytes = 0;
  const writeOldest = async (): Promise<void> => {
    const oldest = ahead.shift();
    if (oldest === undefined) return;
    const bytes = await oldest;
    await writeStream(options.fd, bytes, "the output");
    doneBytes += bytes.length;
    onProgress?.({ doneBytes, totalBytes: device.sizeBytes });
  };
  try {
    for await (const piece of pieces(device)) {
      signal?.throwIfAborted();
      const reading = readPiece(device, piece);
      // Its failure is met when its turn comes; until then it must not count as unhandled.
      reading.catch(() => undefined);
      ahead.push(reading);
      if (ahead.length >= width) await writeOldest();
    }
    while (ahead.length > 0) await writeOldest();
  } finally {
    await Promise.allSettled(ahead);
  }
  return doneBytes;
}
