/**
 * A minimal NBD reader for measuring single answers: one connection over a unix socket, one request at a time, no TLS, simple replies.
 * It is the benchmark's own, so that a client of ours with tricks cannot flatter a server of ours.
 *
 * @see NBD proto.md: fixed newstyle negotiation, NBD_OPT_GO, NBD_CMD_READ
 */
import { connect, type Socket } from "node:net";

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const NBD_REQUEST_MAGIC = 0x25609513;
const NBD_SIMPLE_REPLY_MAGIC = 0x67446698;
const NBD_OPT_GO = 7;
const NBD_REP_ACK = 1;
const NBD_CMD_DISC = 2;
const NBD_FLAG_C_FIXED_NEWSTYLE_NO_ZEROES = 3;

export class NbdReader {
  private readonly socket: Socket;
  private received: Buffer = Buffer.alloc(0);
  private wanted = 0;
  private wake: ((error?: Error) => void) | undefined;
  private failure: Error | undefined;
  private nextCookie = 0n;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
      if (this.received.length >= this.wanted) this.wake?.();
    });
    const fail = (error: Error): void => {
      this.failure ??= error;
      this.wake?.(this.failure);
    };
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("the NBD server closed the connection")));
  }

  /** Connects and opens an export; when it resolves the first read may be sent. @throws Error with the server's message if it refuses */
  static async open(socketPath: string, exportName: string): Promise<NbdReader> {
    const reader = new NbdReader(connect(socketPath));
    const greeting = await reader.take(18);
    if (greeting.readBigUInt64BE(0) !== NBDMAGIC || greeting.readBigUInt64BE(8) !== IHAVEOPT)
      throw new Error("not an NBD server");
    const name = Buffer.from(exportName);
    const hello = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    hello.writeUInt32BE(NBD_FLAG_C_FIXED_NEWSTYLE_NO_ZEROES, 0);
    hello.writeBigUInt64BE(IHAVEOPT, 4);
    hello.writeUInt32BE(NBD_OPT_GO, 12);
    hello.writeUInt32BE(4 + name.length + 2, 16);
    hello.writeUInt32BE(name.length, 20);
    name.copy(hello, 24);
    reader.socket.write(hello);
    for (;;) {
      const header = await reader.take(20);
      if (header.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC) throw new Error("not an option reply");
      const type = header.readUInt32BE(12);
      const body = await reader.take(header.readUInt32BE(16));
      if (type === NBD_REP_ACK) return reader;
      if (type >= 2 ** 31) throw new Error(`the server refused ${exportName}: ${body.toString()}`);
    }
  }

  /** @returns the bytes; valid until the next call */
  async read(offset: number, length: number): Promise<Buffer> {
    const request = Buffer.alloc(28);
    request.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
    request.writeBigUInt64BE(this.nextCookie++, 8);
    request.writeBigUInt64BE(BigInt(offset), 16);
    request.writeUInt32BE(length, 24);
    this.socket.write(request);
    const header = await this.take(16);
    if (header.readUInt32BE(0) !== NBD_SIMPLE_REPLY_MAGIC) throw new Error("not a simple reply");
    if (header.readUInt32BE(4) !== 0)
      throw new Error(`read at ${offset} failed with NBD error ${header.readUInt32BE(4)}`);
    return this.take(length);
  }

  close(): void {
    const request = Buffer.alloc(28);
    request.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
    request.writeUInt16BE(NBD_CMD_DISC, 6);
    this.socket.end(request);
  }

  private async take(length: number): Promise<Buffer> {
    if (this.received.length < length) {
      if (this.failure) throw this.failure;
      this.wanted = length;
      await new Promise<void>((resolve, reject) => {
        this.wake = (error) => (error ? reject(error) : resolve());
      });
      this.wake = undefined;
      this.wanted = 0;
    }
    const taken = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return taken;
  }
}
