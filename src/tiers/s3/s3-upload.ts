/**
 * Bodies of requests. A body is always a stream of known length, even a small one, and for a reason beyond memory: Bun sends a request whose body it holds
 * whole a second time when a kept connection turns out to be closed, and a put with a condition that succeeded unheard would then meet itself and
 * say `conflict`. What is streamed it sends once.
 */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { ObjectSource } from "../store.ts";
import type { Transfer } from "./s3-transfer.ts";
import { givenUp } from "../waiting.ts";

/** What is read from a source at once. */
const READ_BYTES = 2 ** 20;
/** What goes to the socket at once: progress is noted for each, so that a slow line is told from a dead one. */
const SEND_BYTES = 2 ** 17;

/** What an endpoint is given to check a body by. */
export interface Checksums {
  crc32: number;
  /** Base64. */
  md5: string | undefined;
}

/**
 * Reads a source once, from its start. The CRC costs 2 ms for 64 MiB, the MD5 80: then the thread is given free after each piece, for bytes in memory
 * come without a pause. @throws unavailable: given up
 */
export async function checksumsOf(
  source: ObjectSource,
  withMd5: boolean,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<Checksums> {
  const md5 = withMd5 ? createHash("md5") : undefined;
  let crc32 = 0;
  // It is read again to be sent: only then does it count.
  const looked: ObjectSource = {
    sizeBytes: source.sizeBytes,
    read: (offset, length) => source.preview?.(offset, length) ?? source.read(offset, length),
  };
  for (let at = 0; at < source.sizeBytes;) {
    if (signal?.aborted === true) throw givenUp("a put");
    const piece = await readPiece(looked, at);
    crc32 = Bun.hash.crc32(piece, crc32);
    if (md5) {
      md5.update(piece);
      await clock.sleep(0);
    }
    at += piece.length;
  }
  return { crc32, md5: md5?.digest("base64") };
}

/** Part of a source in memory, so that it can be read twice. Called for parts in order. @throws unavailable: given up */
export async function readPart(
  source: ObjectSource,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const part = new Uint8Array(length);
  for (let at = 0; at < length;) {
    if (signal?.aborted === true) throw givenUp("a put");
    const piece = await readPiece(source, offset + at, length - at);
    part.set(piece, at);
    at += piece.length;
  }
  return part;
}

/** A CRC-32 as S3 writes it. */
export function crcHeader(crc32: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32 >>> 0);
  return bytes.toString("base64");
}

export class UploadBody {
  readonly stream: ReadableStream<Uint8Array>;
  /** What the source failed with, which is no failure of the endpoint. */
  failure: { error: unknown } | undefined;
  private reading: Promise<unknown> = Promise.resolve();
  private isStopped = false;
  private piece: Uint8Array = new Uint8Array(0);

  constructor(source: ObjectSource, transfer: Transfer) {
    let offset = 0;
    const next = async (): Promise<Uint8Array | undefined> => {
      if (this.piece.length === 0 && offset < source.sizeBytes) {
        this.piece = await transfer.held(readPiece(source, offset));
        offset += this.piece.length;
      }
      // A copy: the source's array is ours until its next read only, and nothing says when Bun is done with what it was given.
      const chunk = this.piece.slice(0, SEND_BYTES);
      this.piece = this.piece.subarray(chunk.length);
      return chunk.length === 0 ? undefined : chunk;
    };
    this.stream = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (this.isStopped) return;
          const reading = next();
          this.reading = reading.catch((error: unknown) => {
            this.failure = { error };
          });
          const chunk = await reading;
          if (chunk) {
            transfer.moved(chunk.length);
            controller.enqueue(chunk);
          }
          if (offset >= source.sizeBytes && this.piece.length === 0) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Resolves when the source is not read any more, for good; an answer may come before all was sent. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.reading;
  }
}

async function readPiece(source: ObjectSource, offset: number, lengthMax = READ_BYTES): Promise<Uint8Array> {
  const length = Math.min(READ_BYTES, lengthMax, source.sizeBytes - offset);
  const piece = await source.read(offset, length);
  assert(piece.length === length, `a source gave ${piece.length} of ${length} bytes at ${offset}`);
  return piece;
}
