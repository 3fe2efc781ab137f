/**
 * A small HTTP/1.1 server on bare sockets, for tests that need an endpoint to misbehave below HTTP: to reset a connection in the middle of a body, to promise more than it sends, to
 * fall silent. Requests have a Content-Length or no body.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

export interface WireRequest {
  method: string;
  /** As it came: path and query. */
  target: string;
  /** Lower-case names. */
  headers: Map<string, string>;
  body: Uint8Array;
}

export interface WireAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

/** How an exchange goes wrong on the wire. */
export type WireFault =
  | "reset-first" // as soon as the head is there
  | "reset-in-request" // after half the body was read
  | "reset-in-answer" // after half the body was sent
  | "short-answer" // half the body, then an orderly end
  | "hang-first" // reads nothing beyond the head
  | "hang" // reads all and never answers
  | "hang-in-answer" // half the body, then nothing
  | "lost-answer" // does it, then resets
  | "slow"; // sends the body in eight pieces

export interface WireHandlers {
  /** Asked when the head is there. */
  faultOf(request: WireRequest): WireFault | undefined;
  answer(request: WireRequest): WireAnswer | Promise<WireAnswer>;
}

const SLOW_MS = 40;

export class WireServer {
  /** Connections accepted so far. */
  connections = 0;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private readonly handlers: WireHandlers;

  constructor(handlers: WireHandlers, tls?: { key: string; cert: string }) {
    this.handlers = handlers;
    const onSocket = (socket: Socket): void => this.serve(socket);
    this.server = tls ? createTlsServer(tls, onSocket) : createServer(onSocket);
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(0, "127.0.0.1", resolve);
    });
    return (this.server.address() as AddressInfo).port;
  }

  /** Ends every connection, whatever is under way on it. */
  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
  }

  private serve(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    // A peer that resets is part of the play.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.sockets.delete(socket));
    let buffered: Buffer = Buffer.alloc(0);
    let request: WireRequest | undefined;
    let fault: WireFault | undefined;
    let size = 0;
    let read = 0;
    const parts: Buffer[] = [];
    const take = (data: Buffer): void => {
      if (!request) {
        buffered = Buffer.concat([buffered, data]);
        const end = buffered.indexOf("\r\n\r\n");
        if (end < 0) return;
        request = parseHead(buffered.toString("latin1", 0, end));
        const rest = buffered.subarray(end + 4);
        buffered = Buffer.alloc(0);
        size = Number(request.headers.get("content-length") ?? 0);
        read = 0;
        fault = this.handlers.faultOf(request);
        if (fault === "reset-first") socket.resetAndDestroy();
        else if (fault === "hang-first") socket.pause();
        else take(rest);
        return;
      }
      parts.push(data);
      read += data.length;
      if (fault === "reset-in-request" && read >= size / 2) socket.resetAndDestroy();
      else if (read >= size) {
        const whole = { ...request, body: new Uint8Array(Buffer.concat(parts.splice(0)).subarray(0, size)) };
        request = undefined;
        if (fault !== "hang") void this.reply(socket, whole, fault);
      }
    };
    socket.on("data", take);
  }

  private async reply(socket: Socket, request: WireRequest, fault: WireFault | undefined): Promise<void> {
    send(socket, request, await this.handlers.answer(request), fault);
  }
}

function parseHead(head: string): WireRequest {
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { method, target, headers, body: new Uint8Array(0) };
}

function send(socket: Socket, request: WireRequest, answer: WireAnswer, fault: WireFault | undefined): void {
  if (fault === "lost-answer") {
    socket.resetAndDestroy();
    return;
  }
  const body = answer.body ?? new Uint8Array(0);
  const headers: Record<string, string> = {
    date: new Date().toUTCString(),
    "content-length": String(body.length),
    ...answer.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${answer.status} X\r\n${lines.join("")}\r\n`);
  if (request.method === "HEAD") return;
  const half = body.subarray(0, body.length >> 1);
  if (fault === "reset-in-answer") socket.write(half, () => socket.resetAndDestroy());
  else if (fault === "short-answer") socket.end(half);
  else if (fault === "hang-in-answer") socket.write(half);
  else if (fault === "slow") void sendSlowly(socket, body);
  else socket.write(body);
}

async function sendSlowly(socket: Socket, body: Uint8Array): Promise<void> {
  const size = Math.ceil(body.length / 8);
  for (let at = 0; at < body.length && !socket.destroyed; at += size) {
    socket.write(body.subarray(at, at + size));
    await Bun.sleep(SLOW_MS);
  }
}
