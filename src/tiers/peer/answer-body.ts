/** The body of an HTTP/1.1 answer (RFC 9112): taken in order, once, and never more of it than there is. */
import type { SternwayError } from "../../base/errors.ts";

export interface AnswerHead {
  status: number;
  headers: ReadonlyMap<string, string>;
}

/** What a body is read from. */
export interface AnswerReader {
  /** What comes next, at least a byte and at most `max`. The array is the caller's. */
  readSome(max: number): Promise<Uint8Array>;
  /** A short line, without its end. */
  readLine(): Promise<string>;
  /** The error of an answer that is none. */
  broken(why: string): SternwayError;
}

/** The body of an answer: as long as its head says, or in chunks. */
export class AnswerBody {
  private readonly connection: AnswerReader;
  private readonly isChunked: boolean;
  /** Left of the body, or of the chunk. */
  private left: number;
  isDone: boolean;
  /** In bytes; undefined: it comes in chunks. */
  readonly sizeBytes: number | undefined;

  constructor(connection: AnswerReader, { status, headers }: AnswerHead) {
    this.connection = connection;
    this.isChunked = headers.get("transfer-encoding")?.toLowerCase() === "chunked";
    const length = headers.get("content-length");
    this.left = this.isChunked || length === undefined ? 0 : Number(length);
    if (!Number.isSafeInteger(this.left) || this.left < 0) throw connection.broken("the answer has no sensible length");
    if (!this.isChunked && length === undefined && status !== 204) throw connection.broken("the answer has no length");
    this.sizeBytes = this.isChunked ? undefined : this.left;
    this.isDone = !this.isChunked && this.left === 0;
  }

  /** The next bytes; undefined: that was all. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.isDone) return undefined;
    if (this.isChunked && this.left === 0) {
      this.left = await this.chunkBytes();
      if (this.left === 0) {
        // No trailers are asked for: the line that ends the body is empty.
        this.isDone = (await this.connection.readLine()) === "";
        if (!this.isDone) throw this.connection.broken("an answer in chunks does not end");
        return undefined;
      }
    }
    const bytes = await this.connection.readSome(this.left);
    this.left -= bytes.length;
    if (this.left === 0) {
      if (!this.isChunked) this.isDone = true;
      else if ((await this.connection.readLine()) !== "")
        throw this.connection.broken("an answer's chunk does not end");
    }
    return bytes;
  }

  /** All of it. @throws unavailable: it is longer than `max` */
  async all(max: number): Promise<Uint8Array> {
    if (this.sizeBytes !== undefined && this.sizeBytes > max) throw this.tooLong(max);
    if (this.sizeBytes !== undefined) return await this.exactly(this.sizeBytes);
    const parts: Uint8Array[] = [];
    let length = 0;
    for (let part = await this.next(); part; part = await this.next()) {
      length += part.length;
      if (length > max) throw this.tooLong(max);
      parts.push(part);
    }
    return new Uint8Array(Buffer.concat(parts));
  }

  private async exactly(sizeBytes: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(sizeBytes);
    let at = 0;
    for (let part = await this.next(); part; part = await this.next()) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  private tooLong(max: number): SternwayError {
    return this.connection.broken(`the answer is longer than the ${max} bytes that can be`);
  }

  private async chunkBytes(): Promise<number> {
    const digits = /^([0-9a-fA-F]{1,12})(?:;|$)/.exec(await this.connection.readLine())?.[1];
    if (digits === undefined) throw this.connection.broken("a chunk of the answer has no length");
    return Number.parseInt(digits, 16);
  }
}
