/**
 * The line to a far place, on loopback: bytes are handed on after half a round trip in each direction, and counted; while it is cut, connections are closed as soon as they
 * are made. With a round trip of nothing, bytes are handed on at once and the slower end sets the pace.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Line {
  /** From the appliance to the place, and back. */
  readonly bytes = { there: 0, back: 0 };
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isCut = false;

  private constructor(server: Server) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @param to - a port of this machine @param roundTripMs - 0: as fast as it goes */
  static async open(to: number, roundTripMs: number): Promise<Line> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    const line = new Line(server);
    server.on("connection", (near) => line.join(near, to, roundTripMs / 2));
    return line;
  }

  cut(isCut: boolean): void {
    this.isCut = isCut;
    if (isCut) for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.cut(true);
    this.server.close();
  }

  private join(near: Socket, to: number, delayMs: number): void {
    if (this.isCut) {
      near.destroy();
      return;
    }
    const far = connect(to, "127.0.0.1");
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      // Either end may break off: the other one learns of it by its own end.
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    relay(near, far, delayMs, (count) => (this.bytes.there += count));
    relay(far, near, delayMs, (count) => (this.bytes.back += count));
  }
}

function relay(from: Socket, to: Socket, delayMs: number, note: (count: number) => void): void {
  from.on("data", (data) => {
    note(data.length);
    if (delayMs > 0) setTimeout(() => to.write(data), delayMs);
    else if (!to.write(data)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
  from.on("end", () => {
    if (delayMs > 0) setTimeout(() => to.end(), delayMs);
    else to.end();
  });
}
