/**
 * A device's bytes as a stream. Pulled: one read is in flight while the one before it is being sent, so a stream holds at
 * most two reads whatever the client does. Holes are not read.
 *
 * A read that fails ends the stream with its error: the connection then breaks before Content-Length is reached, and no
 * client takes the part for the whole.
 */
import type { Extent, ReadableDevice } from "../base/device.ts";
import { SternwayError } from "../base/errors.ts";
import { SECTOR_SIZE } from "../base/units.ts";
import type { Log } from "../observe/log.ts";

/** Large enough that a read spans many frames, small enough that 64 streams hold 128 MiB. */
const READ_BYTES = 2 ** 20;
/** What is asked of extents() at once: bounds what a device has to gather before the first byte goes out. */
const WINDOW_BYTES = 2 ** 30;
/** Sent for holes and zeroes; nobody writes to it. */
const ZEROES = new Uint8Array(2 ** 18);

/** Streams `[start, end)`, any bytes. Takes over the device and closes it in every case. */
export function imageStream(device: ReadableDevice, start: number, end: number, log: Log): ReadableStream<Uint8Array> {
  const chunks = readChunks(device, start, end);
  let ahead: Promise<IteratorResult<Uint8Array>> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const result = await (ahead ?? chunks.next());
        if (result.done) {
          await device.close();
          controller.close();
          return;
        }
        ahead = chunks.next();
        // Whoever awaits it next sees the error; until then it must not count as unhandled.
        ahead.catch(() => undefined);
        controller.enqueue(result.value);
      },
      async cancel() {
        await chunks
          .return(undefined)
          .catch((error: unknown) => log.debug({ err: error }, "an image read failed at its end"));
        await device.close();
      },
    },
    // Nothing is buffered here: `ahead` is the buffer.
    { highWaterMark: 0 },
  );
}

async function* readChunks(device: ReadableDevice, start: number, end: number): AsyncGenerator<Uint8Array, undefined> {
  try {
    const first = start - (start % SECTOR_SIZE);
    const last = Math.min(end + ((SECTOR_SIZE - (end % SECTOR_SIZE)) % SECTOR_SIZE), device.sizeBytes);
    for await (const extent of walkExtents(device, first, last)) {
      const step = extent.kind === "data" ? READ_BYTES : ZEROES.length;
      for (let at = extent.offset; at < extent.offset + extent.length; at += step) {
        const length = Math.min(step, extent.offset + extent.length - at);
        const bytes = extent.kind === "data" ? await device.read(at, length) : ZEROES.subarray(0, length);
        yield bytes.subarray(Math.max(start - at, 0), Math.min(end - at, length));
      }
    }
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** All extents of `[start, end)`, both multiples of 512, asked for in bounded steps. */
export async function* walkExtents(device: ReadableDevice, start: number, end: number): AsyncGenerator<Extent> {
  let at = start;
  while (at < end) {
    const extents = await device.extents(at, Math.min(WINDOW_BYTES, end - at));
    const from = at;
    for (const extent of extents) {
      yield extent;
      at = extent.offset + extent.length;
    }
    if (at <= from) throw new SternwayError("internal", `extents of a device stopped at ${at} of ${end}`, { at, end });
  }
}
