/**
 * The door of the room: an NBD server for devices. It knows the protocol and nothing of history.
 *
 * Fixed newstyle, structured replies, block status with `base:allocation`, TLS by STARTTLS. One slow or hostile client
 * costs a bounded amount of memory and no other client's time; see {@link NbdLimits}.
 */
import { createSecureContext } from "node:tls";
import type { Socket } from "bun";
import { systemClock, type Clock, type Timer } from "../base/clock.ts";
import { peerCredentials, type PeerProcess } from "../base/descriptor.ts";
import type { ReadableDevice, WritableDevice } from "../base/device.ts";
import { errorText, SternwayError } from "../base/errors.ts";
import { DEFAULT_NBD_LIMITS, type NbdLimits } from "./limits.ts";
import { MemoryBudget, SlabPool } from "./memory.ts";
import { Session, stopOnAssertion, type SessionEnvironment } from "./session.ts";

export type { NbdLimits } from "./limits.ts";

/** Who asks: for logs and rights. */
export interface NbdPeer {
  /** `unix:PATH` or `HOST:PORT` of the listening address, and of the peer where there is one. */
  address: string;
  /** Subject of the client certificate, when TLS asked for one. */
  tlsSubject?: string;
  /** SHA-256 of that certificate, in hexadecimal digits. */
  tlsFingerprint?: string;
  /** Who connected to a unix socket, where the kernel tells. */
  process?: PeerProcess;
}

export type NbdExport =
  | { readOnly: true; device: ReadableDevice; description: string }
  | { readOnly: false; device: WritableDevice; description: string };

/** What the server serves; implemented by the rooms that know volumes. */
export interface NbdExports {
  /** Names for NBD_OPT_LIST. */
  list(peer: NbdPeer): Promise<{ name: string; description: string }[]>;
  /** Size and access without attaching, for NBD_OPT_INFO. @throws SternwayError: its message reaches the client */
  describe(name: string, peer: NbdPeer): Promise<{ sizeBytes: number; readOnly: boolean; description: string }>;
  /** Opens for transmission; the session closes the device. @throws SternwayError: its message reaches the client */
  open(name: string, peer: NbdPeer): Promise<NbdExport>;
}

/** `mode`: permissions of the socket file, default 0o600. Port 0 takes a free one. */
export type NbdListen = { kind: "unix"; path: string; mode?: number } | { kind: "tcp"; host: string; port: number };

export interface NbdServerTls {
  /** PEM. */
  key: string;
  cert: string;
  /** PEM of the authority that signs client certificates. */
  ca?: string;
  /** Nothing but STARTTLS is answered in plaintext. */
  required: boolean;
  /** Only clients with a certificate signed by `ca` get in. */
  clientCertificate?: boolean;
}

/** For the log. Nothing in it is secret; texts from clients are already bounded. */
export type NbdServerEvent =
  | { kind: "connected"; peer: NbdPeer }
  | { kind: "refused"; peer: NbdPeer; reason: string }
  | { kind: "opened"; peer: NbdPeer; exportName: string; readOnly: boolean }
  | { kind: "closed"; peer: NbdPeer; exportName: string; reason: string }
  | { kind: "request-failed"; peer: NbdPeer; exportName: string; error: unknown; failedCount: number };

/** One session as it stands. */
export interface NbdConnection {
  peer: NbdPeer;
  /** Empty until one is opened. */
  exportName: string;
  readOnly: boolean;
  tls: boolean;
  state: "negotiating" | "transmitting";
  requestCount: number;
  inFlightCount: number;
  receivedBytes: number;
  sentBytes: number;
}

export interface NbdServerOptions {
  listen: NbdListen;
  exports: NbdExports;
  tls?: NbdServerTls;
  limits?: Partial<NbdLimits>;
  /**
   * Whether a client that just connected has nothing to open here. Such ones are let in to be told so, but only {@link STRANGERS_MAX} at a time: a door
   * that everybody reaches must keep room for those that it is for. Must not throw.
   */
  isStranger?: (peer: NbdPeer) => boolean;
  /** Called in the middle of serving: must be quick and must not throw. */
  log?: (event: NbdServerEvent) => void;
  /** For deadlines. */
  clock?: Clock;
}

export interface NbdServer {
  /** Where it listens, with the port it got. */
  readonly address: NbdListen;
  connections(): NbdConnection[];
  /** Answers what is in flight on some connections, and ends them. */
  disconnect(isMeant: (connection: NbdConnection) => boolean, reason: string): void;
  /**
   * Accepts nobody any more, answers what is in flight, and closes. Sessions that are not done after `graceMs` are cut
   * off. Resolves when every device is closed, or a second after the grace if one hangs. Idempotent.
   */
  stop(options: { graceMs: number }): Promise<void>;
}

/** The longest time between two looks at the deadlines. */
const SWEEP_MS_MAX = 1000;
/** Ten unanswered probes a second apart follow this silence, and the connection counts as lost. */
const KEEPALIVE_DELAY_MS = 60_000;
/** Enough for people who try, and a sixteenth of the sessions that the configuration gives a door. */
const STRANGERS_MAX = 16;
/** How long a device may take to end its requests and close when its session was cut off by stop(). */
const RELEASE_MS_MAX = 1000;

/**
 * Starts serving. The address is bound when it returns. A socket file that a killed process left behind counts as in use:
 * the caller removes it, because only the caller knows that nobody else may listen there.
 * @throws SternwayError conflict: the address is in use; invalid: it cannot be bound, or the certificate is not usable
 */
export function startNbdServer(options: NbdServerOptions): NbdServer {
  const clock = options.clock ?? systemClock;
  const limits: NbdLimits = { ...DEFAULT_NBD_LIMITS, ...options.limits };
  const log = options.log ?? (() => {});
  const { tls } = options;
  if (tls?.clientCertificate === true && tls.ca === undefined) {
    throw new SternwayError("invalid", "client certificates cannot be checked without the authority's certificate");
  }
  if (tls !== undefined) checkCertificates(tls);
  /** Every session that still holds something. */
  const sessions = new Set<Session>();
  const strangers = new Set<Session>();
  let whenEmpty: (() => void) | undefined;
  let stopped: Promise<void> | undefined;

  const environment: SessionEnvironment = {
    exports: options.exports,
    limits,
    slabs: new SlabPool(limits.slabBytesMax),
    budget: new MemoryBudget(limits.serverBytesMax),
    tls: tls === undefined ? "none" : tls.required ? "required" : "offered",
    log,
    now: () => clock.monotonic(),
    released(session) {
      sessions.delete(session);
      strangers.delete(session);
      if (sessions.size === 0) whenEmpty?.();
    },
    upgrade(session) {
      try {
        if (tls !== undefined) upgradeToTls(session, tls);
      } catch (error) {
        session.terminate(`TLS could not begin: ${errorText(error)}`);
      }
    },
  };

  const listener = listen(options.listen, {
    open(socket) {
      const peer: NbdPeer = { address: peerAddress(address, socket), ...processOf(address, socket) };
      const isStranger = options.isStranger?.(peer) === true;
      const refusal = stopped
        ? "shutting down"
        : sessions.size >= limits.sessionsMax
          ? `${sessions.size} sessions are open`
          : isStranger && strangers.size >= STRANGERS_MAX
            ? `${strangers.size} sessions of clients without rights are open`
            : undefined;
      if (refusal !== undefined) {
        log({ kind: "refused", peer, reason: refusal });
        socket.terminate();
        return;
      }
      log({ kind: "connected", peer });
      if (address.kind === "tcp") {
        // A peer that vanished without a word would keep its volume attached for ever.
        socket.setKeepAlive(true, KEEPALIVE_DELAY_MS);
        socket.setNoDelay(true);
      }
      const session = new Session(socket, peer, environment);
      sessions.add(session);
      if (isStranger) strangers.add(session);
      socket.data = session;
    },
    data(socket, chunk) {
      // After the upgrade to TLS the plain socket goes on showing the ciphertext.
      if (socket.data?.socket === socket) socket.data.receive(chunk);
    },
    drain(socket) {
      if (socket.data?.socket === socket) socket.data.drained();
    },
    close(socket) {
      socket.data?.closed();
    },
    error(socket, error) {
      handlerFailed(socket, error);
    },
  });
  const address: NbdListen =
    options.listen.kind === "tcp" ? { ...options.listen, port: listener.port ?? options.listen.port } : options.listen;

  const sweepMs = Math.min(
    SWEEP_MS_MAX,
    Math.ceil(Math.min(limits.handshakeTimeoutMs, limits.requestTimeoutMs, limits.answerTimeoutMs) / 4),
  );
  let sweeper: Timer | undefined;
  const sweep = (): void => {
    const now = clock.monotonic();
    for (const session of sessions) session.checkDeadlines(now);
    sweeper = clock.timer(sweepMs, sweep);
  };
  sweep();

  const stop = async (graceMs: number): Promise<void> => {
    listener.stop(false);
    const empty = new Promise<void>((resolve) => (whenEmpty = resolve));
    for (const session of sessions) session.disconnect("the server stopped");
    if (sessions.size > 0) await within(clock, graceMs, empty);
    for (const session of sessions) session.terminate("the server stopped");
    if (sessions.size > 0) await within(clock, RELEASE_MS_MAX, empty);
    sweeper?.cancel();
  };

  return {
    address,
    disconnect(isMeant, reason) {
      for (const session of sessions) if (isMeant(session.info)) session.disconnect(reason);
    },
    connections: () => [...sessions].filter((session) => session.state !== "closed").map((session) => session.info),
    stop: ({ graceMs }) => (stopped ??= stop(graceMs)),
  };
}

async function within(clock: Clock, delayMs: number, done: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<void>((resolve) => (timer = clock.timer(delayMs, resolve)));
  await Promise.race([done, late]);
  timer?.cancel();
}

type SessionHandlers = {
  open(socket: Socket<Session | undefined>): void;
  data(socket: Socket<Session | undefined>, chunk: Uint8Array): void;
  drain(socket: Socket<Session | undefined>): void;
  close(socket: Socket<Session | undefined>): void;
  error(socket: Socket<Session | undefined>, error: Error): void;
};

interface Listener {
  readonly port?: number;
  stop(closeActiveConnections?: boolean): void;
}

function listen(at: NbdListen, handlers: SessionHandlers): Listener {
  const socket = { ...handlers, binaryType: "uint8array" as const };
  try {
    if (at.kind === "tcp") {
      return Bun.listen<Session | undefined>({ hostname: at.host, port: at.port, data: undefined, socket });
    }
    // The file appears with its final permissions: a chmod afterwards would leave a moment in which anybody could connect.
    const umask = process.umask(0o777 & ~(at.mode ?? 0o600));
    try {
      return Bun.listen<Session | undefined>({ unix: at.path, data: undefined, socket });
    } finally {
      process.umask(umask);
    }
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const where = at.kind === "tcp" ? `${at.host}:${at.port}` : at.path;
    throw new SternwayError(
      code === "EADDRINUSE" ? "conflict" : "invalid",
      code === "EADDRINUSE" ? `another program listens on ${where}` : `cannot listen on ${where}`,
      { address: where },
      { cause: error },
    );
  }
}

function peerAddress(address: NbdListen, socket: Socket<Session | undefined>): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host}:${address.port} from ${socket.remoteAddress}:${socket.remotePort}`;
}

/** Read once, at the connection: whoever a process hands its socket to later acts for it. */
function processOf(address: NbdListen, socket: Socket<Session | undefined>): Pick<NbdPeer, "process"> {
  // Bun's types lack the descriptor, which its sockets have.
  const { fd } = socket as { fd?: unknown };
  if (address.kind !== "unix" || typeof fd !== "number" || fd < 0) return {};
  const process = peerCredentials(fd);
  return process === undefined ? {} : { process };
}

/** Fails at the start, where an operator sees it, and not at the first client. @throws invalid */
function checkCertificates(tls: NbdServerTls): void {
  // An empty one would count as not given, and every handshake would fail.
  if (tls.key === "" || tls.cert === "") throw new SternwayError("invalid", "the TLS certificate or key is empty");
  try {
    createSecureContext({ key: tls.key, cert: tls.cert, ...(tls.ca === undefined ? {} : { ca: tls.ca }) });
  } catch (error) {
    throw new SternwayError(
      "invalid",
      `the TLS certificate or key is not usable: ${errorText(error)}`,
      {},
      { cause: error },
    );
  }
}

function upgradeToTls(session: Session, tls: NbdServerTls): void {
  const clientCertificate = tls.clientCertificate === true;
  const [, secured] = (session.socket as Socket<Session | undefined>).upgradeTLS<Session | undefined>({
    data: session,
    tls: {
      key: tls.key,
      cert: tls.cert,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      requestCert: clientCertificate,
      rejectUnauthorized: clientCertificate,
    },
    socket: {
      handshake(socket, ok, error) {
        // `ok` alone has been seen true for a certificate of an unknown authority.
        if (!ok || (clientCertificate && !socket.authorized)) {
          session.terminate(`the TLS handshake failed: ${error?.message ?? "the client's certificate is not trusted"}`);
          return;
        }
        session.secure(clientCertificate ? clientOf(socket) : undefined);
      },
      data(_socket, chunk) {
        session.receive(chunk);
      },
      drain() {
        session.drained();
      },
      close() {
        session.closed();
      },
      error(socket, error) {
        handlerFailed(socket, error);
      },
    },
  });
  session.socket = secured;
}

function clientOf(socket: Socket<Session | undefined>): { subject: string; fingerprint?: string } {
  // Absent when a client resumes a session without showing it again.
  type Shown = ReturnType<Socket["getPeerCertificate"]>;
  const { subject = {}, fingerprint256 }: Partial<Shown> = (socket.getPeerCertificate() as Shown | undefined) ?? {};
  const text = Object.entries(subject)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(",");
  const fingerprint = typeof fingerprint256 === "string" ? fingerprint256.replaceAll(":", "").toLowerCase() : undefined;
  return fingerprint === undefined ? { subject: text } : { subject: text, fingerprint };
}

/** A handler threw, or TLS failed. */
function handlerFailed(socket: Socket<Session | undefined>, error: Error): void {
  stopOnAssertion(error);
  if (socket.data === undefined) socket.terminate();
  else socket.data.terminate(error.message);
}
