/**
 * The listener for peers: HTTPS alone, TLS 1.3, nothing but /v1/peer/. It is apart from the API, so that what is open to the network can neither see nor change anything of this appliance
 * but the places that were made for others.
 *
 * Bounds: so many connections (what is beyond is closed at once); headers of 16 KiB and 12 seconds for a handshake or a head (Bun's defaults); bodies of JSON of 64 KiB; an
 * object is handled in pieces of 1 MiB; a sender may be silent for 30 seconds, a reader for 5 minutes (http-server.ts).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Clock } from "../base/clock.ts";
import { SternwayError } from "../base/errors.ts";
import { PEER_IDLE_MS, PEER_PATH, SERVER_KEEP_MS } from "../contract/peer-wire.ts";
import { problemOf } from "../contract/contract.ts";
import type { Log } from "../observe/log.ts";
import type { OwnCertificate } from "../security/certificate.ts";
import { boundAddress, listening, send, type HttpAddress, type HttpListener } from "./http-server.ts";
import { PeerBody } from "./peer-body.ts";
import type { PeerBrake } from "./peer-brake.ts";
import type { PeerPlaces } from "./peer-places.ts";
import { createPeerApi, type PeerAnswer } from "./peer-routes.ts";
import { problemResponse, respond } from "./problems.ts";

/** How long an answer that overtook its request waits for the rest of that. */
const DROP_MS = 10_000;

const METHODS = new Set(["GET", "PUT", "POST", "DELETE"]);

export interface PeerListenOptions {
  host: string;
  /** 0: the system chooses. */
  port: number;
  certificate: OwnCertificate;
  places: PeerPlaces;
  clock: Clock;
  log: Log;
  connectionsMax: number;
  /** How long a sender may be silent. Default 30 s. */
  idleLimitMs?: number;
  /** What slows down wrong credentials. Default: a brake of its own. */
  brake?: Pick<PeerBrake, "failed">;
}

/** Listens until stopped. @throws unavailable: the address is in use or not ours, with facts.code */
export async function listenPeers(options: PeerListenOptions): Promise<HttpListener> {
  const { host, port, certificate, clock, log, connectionsMax, idleLimitMs = PEER_IDLE_MS } = options;
  const answer = createPeerApi({ ...options, fingerprint: certificate.fingerprint });
  const running = new Set<Promise<void>>();
  const tls = { key: certificate.keyPem, cert: certificate.certificatePem, minVersion: "TLSv1.3" as const };
  const server = createServer(tls, (incoming, outgoing) => {
    const body = new PeerBody(incoming, clock, idleLimitMs);
    const work = serve(incoming, outgoing, body, answer, log).finally(() => running.delete(work));
    running.add(work);
  });
  server.maxConnections = connectionsMax;
  server.keepAliveTimeout = SERVER_KEEP_MS;
  const wanted: HttpAddress = { kind: "tcp", host, port };
  await listening(server, wanted);
  return {
    address: boundAddress(server, wanted),
    async stop(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = Promise.withResolvers<void>();
      const timer = clock.timer(graceMs, () => late.resolve());
      await Promise.race([Promise.allSettled(running), late.promise]);
      // One that is left would keep the process for as long.
      timer.cancel();
      server.closeAllConnections();
      await Promise.allSettled(running);
      await closed;
    },
  };
}

/** Never rejects. */
async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  body: PeerBody,
  answer: PeerAnswer,
  log: Log,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  try {
    const request = requestOf(incoming);
    const address = incoming.socket.remoteAddress ?? "unknown";
    const response = request instanceof Request ? await answer(request, { body, address, gone: gone.signal }) : request;
    if (!response) {
      incoming.destroy();
      return;
    }
    if (response.ok) await send(response, outgoing, incoming.method ?? "GET");
    else await refuse(response, outgoing, body);
  } catch (error) {
    if (!gone.signal.aborted) log.warn({ err: error }, "an answer to a peer broke off");
    outgoing.destroy();
  }
}

/** A refusal may overtake its request: the sender hears of it at once, and its connection is closed only when it has stopped. */
async function refuse(response: Response, outgoing: ServerResponse, body: PeerBody): Promise<void> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const headers = { ...Object.fromEntries(response.headers), "content-length": String(bytes.length) };
  const isEarly = !body.isWhole;
  // Whoever is not known keeps no connection either.
  const isLast = isEarly || response.status === 403;
  outgoing.writeHead(response.status, isLast ? { ...headers, connection: "close" } : headers);
  outgoing.write(bytes);
  if (isEarly) await body.drop(DROP_MS);
  outgoing.end();
}

/** The request without its body; or the answer to one that is none. The path is judged as it came, before anything takes dots out of it. */
function requestOf(incoming: IncomingMessage): Request | Response {
  const [path = "", query] = (incoming.url ?? "").split("?", 2);
  if (!PEER_PATH.test(path) || query?.includes("%") === true) {
    return problemResponse(new SternwayError("not_found", "there is nothing here for peers"));
  }
  const method = incoming.method ?? "GET";
  if (!METHODS.has(method)) {
    return respond(problemOf(new SternwayError("invalid", `${method} is not possible here`), { status: 405 }));
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const each of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, each);
  }
  return new Request(`https://localhost${incoming.url ?? ""}`, { method, headers });
}
