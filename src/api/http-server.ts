/**
 * The API on a socket: HTTP/1.1 over node:http, because Bun.serve drops Content-Length from streamed answers (chunked
 * instead: Bun issue 10507), and an image without its length can be neither resumed nor told from a part of it.
 *
 * Bounds: bodies of 64 KiB, headers of 16 KiB (Bun's default), a client that takes no byte of its answer for five
 * minutes is let go, and so is one that does not finish its request in 30 seconds. Connections: `connection-limit.ts`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { SternwayError } from "../base/errors.ts";
import { problemOf } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { Answer } from "./app.ts";
import { limitConnections, type ConnectionLimits } from "./connection-limit.ts";
import { problemResponse, respond } from "./problems.ts";

/** The largest valid body is a bookmark with a note of 1,000 characters. */
const BODY_BYTES_MAX = 65_536;
const BODY_WAIT_MS = 30_000;
const STALL_MS = 300_000;
/**
 * What comes from memory and is taken as fast as it comes would be one chain of promises from its beginning to its end, in which no disk is answered: measured, eight
 * differences of 30,000 ranges held a write up for 590 ms.
 */
const TURN_MS = 2;

export type HttpAddress = { kind: "tcp"; host: string; port: number } | { kind: "unix"; path: string };

export interface HttpListener {
  /** As it listens: with the port that the system chose for 0. */
  readonly address: HttpAddress;
  /** Takes no new requests, lets running ones finish for up to `graceMs`, then breaks them off. */
  stop(graceMs: number): Promise<void>;
}

/** With what TLS is spoken: PEM, the certificate with its chain. */
export interface HttpTls {
  key: string;
  cert: string;
}

/** Listens until stopped. @param tls - without it, plain HTTP @param limits - of connections; left out: the control socket's @throws unavailable: the address is in use or not ours, with facts.code */
export async function listenHttp(
  address: HttpAddress,
  answer: Answer,
  log: Log,
  tls?: HttpTls,
  limits?: ConnectionLimits,
): Promise<HttpListener> {
  const via = address.kind === "unix" ? "control" : "tcp";
  const running = new Set<Promise<void>>();
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const from = via === "control" ? "" : (incoming.socket.remoteAddress ?? "");
    const env = { via, from, secure: tls !== undefined } as const;
    const work = serve(incoming, outgoing, (request) => answer(request, env), log).finally(() => running.delete(work));
    running.add(work);
  };
  const server = tls ? createTlsServer({ ...tls, minVersion: "TLSv1.2" }, handle) : createServer(handle);
  limitConnections(server, via === "control", limits);
  await listening(server, address);
  return {
    address: boundAddress(server, address),
    async stop(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs);
      });
      await Promise.race([Promise.allSettled(running), late]);
      clearTimeout(timer);
      server.closeAllConnections();
      await Promise.allSettled(running);
      await closed;
    },
  };
}

/** Resolves when it listens. @throws unavailable, with facts.code */
export function listening(server: Server, address: HttpAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
      const facts = { address: where, code: cause.code ?? "unknown" };
      reject(new SternwayError("unavailable", `cannot listen on ${where}: ${cause.message}`, facts, { cause }));
    });
    if (address.kind === "unix") server.listen(address.path, resolve);
    else server.listen(address.port, address.host, resolve);
  });
}

/** As it listens: with the port that the system chose for 0. */
export function boundAddress(server: Server, wanted: HttpAddress): HttpAddress {
  const bound = server.address();
  return wanted.kind === "tcp" && typeof bound === "object" && bound ? { ...wanted, port: bound.port } : wanted;
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: (request: Request) => Promise<Response>,
  log: Log,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  try {
    const request = await requestOf(incoming, gone.signal);
    await send(await answer(request), outgoing, request.method);
  } catch (error) {
    if (error instanceof SternwayError && !outgoing.headersSent && !gone.signal.aborted)
      await refuse(error, outgoing, log);
    else {
      if (!gone.signal.aborted) log.warn({ err: error }, "an answer broke off");
      outgoing.destroy();
    }
  }
}

/** Tells what was wrong with a request that did not reach the API. */
async function refuse(error: SternwayError, outgoing: ServerResponse, log: Log): Promise<void> {
  // What was not read of the request would be taken for the next one.
  outgoing.setHeader("connection", "close");
  const isLarge = error.facts["status"] === 413;
  try {
    await send(isLarge ? respond(problemOf(error, { status: 413 })) : problemResponse(error), outgoing, "POST");
  } catch (cause) {
    // Whoever sent half a request may be half gone.
    log.debug({ err: cause }, "a refusal did not reach its client");
    outgoing.destroy();
  }
}

async function requestOf(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const path = incoming.url ?? "/";
  if (!path.startsWith("/")) throw new SternwayError("invalid", "the request's target must be a path");
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const each of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, each);
  }
  const method = incoming.method ?? "GET";
  const hasBody = headers.has("content-length") || headers.has("transfer-encoding");
  const body = hasBody && method !== "GET" && method !== "HEAD" ? await readBody(incoming) : undefined;
  // The Host header is judged by the guard; the URL only carries path and query.
  return new Request(`http://localhost${path}`, { method, headers, signal, ...(body === undefined ? {} : { body }) });
}

function readBody(incoming: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    let length = 0;
    const finish = (error?: SternwayError): void => {
      clearTimeout(timer);
      incoming.removeAllListeners("data");
      if (error) reject(error);
      else resolve(Buffer.concat(parts));
    };
    const timer = setTimeout(
      () => finish(new SternwayError("invalid", `the body did not arrive within ${BODY_WAIT_MS / 1000} s`)),
      BODY_WAIT_MS,
    );
    incoming.on("data", (part: Uint8Array) => {
      length += part.length;
      if (length <= BODY_BYTES_MAX) parts.push(part);
      else finish(new SternwayError("invalid", `the body is larger than ${BODY_BYTES_MAX} bytes`, { status: 413 }));
    });
    incoming.once("end", () => finish());
    incoming.once("error", (cause) => finish(new SternwayError("invalid", "the request broke off", {}, { cause })));
    incoming.once("close", () => finish(new SternwayError("invalid", "the request broke off")));
  });
}

/** Sends an answer as fast as the client takes it. @throws unavailable: the client went away; what the body throws */
export async function send(response: Response, outgoing: ServerResponse, method: string): Promise<void> {
  const cookies = response.headers.getSetCookie();
  const headers = Object.fromEntries(response.headers);
  outgoing.writeHead(response.status, cookies.length > 0 ? { ...headers, "set-cookie": cookies } : headers);
  if (!response.body || method === "HEAD") {
    await response.body?.cancel();
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  try {
    for (let turnAt = performance.now(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (performance.now() - turnAt > TURN_MS) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        turnAt = performance.now();
      }
      if (outgoing.destroyed || outgoing.closed) throw new SternwayError("unavailable", "the client went away");
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } catch (error) {
    await reader.cancel(error);
    throw error;
  }
}

/** Resolves when the client has taken what was written. @throws unavailable: it went away, or took nothing for STALL_MS */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: SternwayError): void => {
      clearTimeout(timer);
      outgoing.off("drain", onDrain);
      outgoing.off("close", onClose);
      if (error) reject(error);
      else resolve();
    };
    const onDrain = (): void => finish();
    const onClose = (): void => finish(new SternwayError("unavailable", "the client went away"));
    const timer = setTimeout(() => {
      finish(new SternwayError("unavailable", `the client took nothing for ${STALL_MS / 1000} s`));
    }, STALL_MS);
    outgoing.once("drain", onDrain);
    outgoing.once("close", onClose);
  });
}
