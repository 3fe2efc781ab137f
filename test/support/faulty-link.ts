/** A TCP link whose state a test sets: it passes bytes on, stops passing them, or is cut after so many. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class FaultyLink implements AsyncDisposable {
  /** Nothing goes through in either direction, and nobody is told. */
  isHung = false;
  /** Bytes that still go towards the server, and towards the client; then the link is reset. */
  leftUp = Number.POSITIVE_INFINITY;
  leftDown = Number.POSITIVE_INFINITY;
  /** After leftUp or leftDown it hangs instead. */
  hangsAtEnd = false;
  passedUp = 0;
  passedDown = 0;
  connections = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(target: number) {
    this.server = createServer((client) => {
      this.connections++;
      const server = connect(target, "127.0.0.1");
      const both = [client, server];
      const end = (): void => {
        for (const socket of both) {
          socket.destroy();
          this.sockets.delete(socket);
        }
      };
      for (const socket of both) {
        this.sockets.add(socket);
        socket.on("error", end);
        socket.on("close", () => (this.isHung ? undefined : end()));
      }
      client.on("data", (bytes: Buffer) => this.pass(bytes, "up", client, server, end));
      server.on("data", (bytes: Buffer) => this.pass(bytes, "down", server, client, end));
    });
  }

  /** @param target - port on this machine */
  static async open(target: number): Promise<FaultyLink> {
    const link = new FaultyLink(target);
    await new Promise<void>((resolve) => link.server.listen(0, "127.0.0.1", resolve));
    return link;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private pass(bytes: Buffer, way: "up" | "down", from: Socket, to: Socket, end: () => void): void {
    if (this.isHung) return;
    const left = way === "up" ? this.leftUp : this.leftDown;
    const part = bytes.subarray(0, Math.min(bytes.length, left));
    if (way === "up") {
      this.leftUp -= part.length;
      this.passedUp += part.length;
    } else {
      this.leftDown -= part.length;
      this.passedDown += part.length;
    }
    const isEnd = part.length < bytes.length;
    if (isEnd && this.hangsAtEnd) this.isHung = true;
    // The receiver's pace is the sender's.
    const goesOn = to.write(part, () => (isEnd && !this.hangsAtEnd ? end() : undefined));
    if (goesOn) return;
    from.pause();
    to.once("drain", () => from.resume());
  }
}
